// The panel of trials, sorting, copying. Everything else is there without this script.
"use strict";
(() => {
  const $ = (selector, from = document) => [...from.querySelectorAll(selector)];

  // --- the panel: the part of the page that the hash names, so that links to it work
  let opener = null;
  const isPart = (part) => part !== null && part.classList.contains("cell");
  const named = () => document.getElementById(decodeURIComponent(location.hash.slice(1)));

  function follow() {
    const part = named();
    $(".cell.open").forEach((other) => other.classList.remove("open"));
    $("a.current").forEach((link) => link.classList.remove("current"));
    if (!isPart(part)) return;
    part.classList.add("open");
    $("a[href^='#']").filter((link) => link.hash === location.hash)
      .forEach((link) => link.classList.add("current"));
    part.querySelector("h3").focus({ preventScroll: true });
  }

  function close() {
    if (!isPart(named())) return;
    history.pushState(null, "", location.pathname + location.search);
    follow();
    if (opener) opener.focus({ preventScroll: true });
    opener = null;
  }

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href^='#']");
    if (!link) return;
    if (link.classList.contains("close")) {
      event.preventDefault();
      close();
    } else if (!link.closest(".cell")) {
      opener = link;
    }
  });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") close(); });
  window.addEventListener("hashchange", follow);
  window.addEventListener("popstate", follow);
  follow();

  // --- the table
  const values = (field) => JSON.parse(field.dataset.v);
  const order = new Intl.Collator("en", { numeric: true });

  function compare(a, b) {
    if (typeof a === "number" && typeof b === "number") return a - b;
    if (typeof a === typeof b) return order.compare(a, b);
    return typeof a === "number" ? -1 : 1; // breadths: hops before names
  }

  function sort(table, head) {
    const column = head.cellIndex;
    const down = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    $("th", table).forEach((other) => other.setAttribute("aria-sort", "none"));
    head.setAttribute("aria-sort", down > 0 ? "ascending" : "descending");
    const lines = [...table.tBodies[0].rows].map((line) => [values(line.cells[column])[0], line]);
    lines.sort(([a], [b]) => {
      if (a === null || b === null) return (a === null) - (b === null); // the last, either way
      return down * compare(a, b);
    });
    table.tBodies[0].append(...lines.map(([, line]) => line));
  }

  $("table.sortable").forEach((table) => $("th button", table).forEach((button) => {
    button.addEventListener("click", () => sort(table, button.closest("th")));
  }));

  // --- copying: as the table stands, in its order
  const texts = (line) => [...line.cells].map((field) => field.textContent.trim());
  const lines = (table) => [...table.tBodies[0].rows];

  function markdown(table) {
    const escaped = (line) => `| ${line.map((text) => text.replaceAll("|", "\\|")).join(" | ")} |`;
    const heads = [...table.tHead.rows[0].cells];
    const rule = heads.map((head) => (head.classList.contains("number") ? "---:" : "---"));
    return [escaped(texts(table.tHead.rows[0])), `| ${rule.join(" | ")} |`,
      ...lines(table).map((line) => escaped(texts(line)))].join("\n") + "\n";
  }

  const SIGNS = { "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}",
    "±": "$\\pm$", "–": "--", "µ": "\\textmu{}", "×": "$\\times$", "<": "\\textless{}", ">": "\\textgreater{}" };
  const tex = (text) => text.replace(/[\\~^±–µ×<>&%$#_{}]/g, (sign) => SIGNS[sign] || `\\${sign}`);

  function latex(table) {
    const line = (fields) => `${fields.map(tex).join(" & ")} \\\\`;
    const heads = [...table.tHead.rows[0].cells];
    const kinds = heads.map((head) => (head.classList.contains("number") ? "r" : "l")).join("");
    return [`\\begin{tabular}{${kinds}}`, "\\hline", line(texts(table.tHead.rows[0])), "\\hline",
      ...lines(table).map((row) => line(texts(row))), "\\hline", "\\end{tabular}"].join("\n") + "\n";
  }

  function csv(table) {
    const quoted = (value) => {
      const text = value === null ? "" : String(value);
      return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
    };
    const heads = [...table.tHead.rows[0].cells].flatMap((head) => JSON.parse(head.dataset.csv));
    const body = lines(table).map((line) => [...line.cells].flatMap(values));
    return [heads, ...body].map((line) => line.map(quoted).join(",")).join("\n") + "\n";
  }

  const said = document.getElementById("said");
  let quiet = 0;

  function say(text) {
    said.textContent = text;
    clearTimeout(quiet);
    quiet = setTimeout(() => { said.textContent = ""; }, 2500);
  }

  function copyOld(text) { // where there is no clipboard: some browsers keep it from files
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }

  async function copy(text, what) {
    let done = false;
    try {
      await navigator.clipboard.writeText(text);
      done = true;
    } catch { done = copyOld(text); }
    say(done ? `copied: ${what}` : "the browser does not let this page copy");
  }

  const kinds = { markdown, latex, csv };
  $("[data-copy]").forEach((button) => button.addEventListener("click", () => {
    const kind = button.dataset.copy;
    const source = document.getElementById(kind === "command" ? "command" : "table");
    const text = kind === "command" ? source.textContent : kinds[kind](source);
    copy(text, kind === "command" ? "the command" : `the table as ${button.textContent.slice(5)}`);
  }));
})();
