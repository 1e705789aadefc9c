// The walk through the ego graphs of `window.inside`, and the bars beside it.
"use strict";
(() => {
  const data = window.inside;
  const by = (id) => document.getElementById(id);
  const colour = (kind, number) => `var(--${kind}${number < 8 ? number : 7})`;
  const percent = (share) => `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)} %`;
  const past = [];
  let node = data.node;

  const make = (name, attributes, ...children) => {
    const svg = ["circle", "line", "g", "text", "svg"].includes(name);
    const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
    for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
    made.append(...children);
    return made;
  };

  const layer = () => by("layer").value;
  const head = () => by("head").value;

  // What the node attends to: [node, hop, share], the strongest first.
  const near = () => {
    const own = data.nodes[node];
    if (layer() === "flow") return own.flow.map(([j, hop, share]) => [j, hop, share / data.scale]);
    const pick = (shares) => head() === "mean"
      ? shares.reduce((sum, share) => sum + share, 0) / shares.length : shares[Number(head())];
    return own.near[Number(layer())]
      .map(([j, hop, ...shares]) => [j, hop, pick(shares) / data.scale])
      .filter((entry) => entry[2] > 0)
      .sort((a, b) => b[2] - a[2]);
  };

  const said = (own) => {
    const right = own.p === own.y ? "right" : "wrong";
    return `class ${own.y}, predicted ${own.p} (${right}, ${percent(own.sure)} sure)` + (own.part ? `, ${own.part}` : "");
  };

  const dot = (j, x, y, size, label) => {
    const known = data.nodes[j];
    const made = make("g", { class: known ? "node" : "node far" });
    const fill = known ? { fill: colour("c", known.p), stroke: colour("c", known.y) } : {};
    made.append(make("circle", { cx: x, cy: y, r: size, ...fill }));
    made.append(make("text", { x, y: y + size + 13 }, String(j)));
    made.append(make("title", {}, ""));
    const text = `node ${j}, ${label}` + (known ? `: ${said(known)}` : ": not on this page");
    made.setAttribute("aria-label", text);
    if (known && j !== node) {
      made.setAttribute("tabindex", "0");
      made.setAttribute("role", "button");
      made.addEventListener("click", () => go(j));
      made.addEventListener("keydown", (event) => {
        if (event.key === "Enter" || event.key === " ") { event.preventDefault(); go(j); }
      });
    } else {
      made.setAttribute("role", "img");
    }
    return made;
  };

  const draw = (entries) => {
    const ego = by("ego");
    const others = entries.filter((entry) => entry[0] !== node);
    const rings = Math.max(1, ...others.map((entry) => entry[1]));
    const unknown = others.some((entry) => entry[1] < 0);
    const count = rings + (unknown && others.some((entry) => entry[1] > 0) ? 1 : 0);
    const radius = (hop) => (215 * (hop > 0 ? hop : count)) / count;
    const behind = [], front = [];
    for (let ring = 1; ring <= count; ring += 1) {
      behind.push(make("circle", { class: "ring", cx: 0, cy: 0, r: radius(ring) }));
      const name = unknown && ring === count ? "no distance" : `hop ${ring}`;
      front.push(make("text", { class: "hop", x: 0, y: -radius(ring) - 14 }, name));
    }
    for (const hop of new Set(others.map((entry) => entry[1]))) {
      const ring = others.filter((entry) => entry[1] === hop);
      ring.forEach(([j, , share], place) => {
        const angle = (2 * Math.PI * (place + 0.5)) / ring.length - Math.PI / 2;
        const x = radius(hop) * Math.cos(angle), y = radius(hop) * Math.sin(angle);
        const size = ring.length > 20 ? 8 : 10;
        behind.push(make("line", { class: "edge", x1: 0, y1: 0, x2: x, y2: y, "stroke-width": 0.5 + 34 * share }));
        front.push(dot(j, x, y, size, `${hop < 0 ? "no distance" : `hop ${hop}`}, ${percent(share)}`));
      });
    }
    const own = entries.find((entry) => entry[0] === node);
    if (own) behind.push(make("circle", { class: "self", cx: 0, cy: 0, r: 22, "stroke-width": 0.5 + 34 * own[2] }));
    front.push(dot(node, 0, 0, 15, own ? `itself ${percent(own[2])}` : "itself 0 %"));
    ego.replaceChildren(...behind, ...front);
  };

  const list = (entries) => {
    const body = make("tbody");
    for (const [j, hop, share] of entries) {
      const known = j in data.nodes && j !== node;
      const name = known ? make("button", { type: "button" }, String(j)) : String(j);
      if (known) name.addEventListener("click", () => go(j));
      const cells = [name, hop < 0 ? "–" : String(hop), percent(share)];
      body.append(make("tr", {}, ...cells.map((cell) => make("td", {}, cell))));
    }
    const top = make("tr", {}, ...["node", "hop", "share"].map((name) => make("th", { scope: "col" }, name)));
    by("near").replaceChildren(make("table", {}, make("thead", {}, top), body));
  };

  const bar = (shares, kind) => {
    const text = shares.map((share, hop) => `hop ${hop} ${percent(share / data.scale)}`).join(", ");
    const made = make("div", { class: `bar ${kind}`, role: "img", "aria-label": text, title: text });
    shares.forEach((share, hop) => {
      const part = make("span");
      part.style.width = `${(100 * share) / data.scale}%`;
      part.style.background = colour("h", hop);
      made.append(part);
    });
    return made;
  };

  const bars = () => {
    const number = layer() === "flow" ? 0 : Number(layer());
    const { mass, name } = data.layers[number];
    const own = data.nodes[node].mass[number];
    const lines = mass ? mass.map((shares, each) => make(
      "div", { class: "line" }, make("span", {}, `head ${each}`), bar(shares, "all"), bar(own[each], "own"),
    )) : [make("p", {}, "The pairs of this layer have no distances.")];
    by("mass").replaceChildren(make("h3", {}, `${name}, node ${node}`), ...lines);
    const keys = (mass ? mass[0] : []).map((_, hop) => {
      const key = make("i");
      key.style.background = colour("h", hop);
      return make("span", {}, key, `hop ${hop}`);
    });
    by("hops").replaceChildren(...keys);
  };

  const show = () => {
    const entries = near();
    by("who").textContent = `Node ${node}: ${said(data.nodes[node])}`;
    by("node").value = node;
    by("back").disabled = past.length === 0;
    draw(entries);
    list(entries);
    bars();
  };

  const go = (to, back) => {
    if (!(to in data.nodes)) {
      by("who").textContent = `Node ${to} is not on this page: gattn inspect --node ${to} starts there.`;
      return;
    }
    if (!back) past.push(node);
    node = Number(to);
    show();
    if (!back && by("ego").contains(document.activeElement) === false) by("ego").querySelector("[tabindex]")?.focus({ preventScroll: true });
  };

  const heads = () => {
    const number = layer() === "flow" ? 0 : data.layers[Number(layer())].heads;
    const options = [make("option", { value: "mean" }, number ? "mean" : "all layers")];
    for (let each = 0; each < number; each += 1) options.push(make("option", { value: each }, String(each)));
    by("head").replaceChildren(...options);
    by("head").disabled = number === 0;
  };

  data.layers.forEach(({ name }, number) => by("layer").append(make("option", { value: number }, name)));
  if (data.flow) by("layer").append(make("option", { value: "flow" }, "rollout through all layers"));
  for (let each = 0; each < Math.min(data.classes, 8); each += 1) {
    const key = make("i");
    key.style.background = colour("c", each);
    const rest = each === 7 && data.classes > 8 ? "and higher" : "";
    by("classes").append(make("span", {}, key, `class ${each} ${rest}`));
  }
  if (data.layers.length === 0) return;
  heads();
  by("layer").addEventListener("change", () => { heads(); show(); });
  by("head").addEventListener("change", show);
  const typed = () => go(Number.parseInt(by("node").value, 10));
  by("go").addEventListener("click", typed);
  by("node").addEventListener("keydown", (event) => { if (event.key === "Enter") typed(); });
  by("back").addEventListener("click", () => { if (past.length) go(past.pop(), true); });
  show();
})();
