"""The folder of an inspection: a page, two pictures and all numbers."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from gattn._page import Markup, asset, page, tag
from gattn.compare.inspecting.checkpoint import Opened
from gattn.compare.inspecting.egos import egos
from gattn.compare.inspecting.figures import draw_ego, draw_hop_mass
from gattn.compare.inspecting.numbers import Findings

_HERE = "gattn.compare.inspecting"


def write_inspection(
    found: Findings, opened: Opened, out: str | os.PathLike[str]
) -> tuple[Path, ...]:
    """Write `inspect.html`, `inspect.json`, `ego.png` and `hop_mass.png`.

    Args:
        found: of `findings`.
        opened: of `open_checkpoint`.
        out: the folder, made when missing.

    Returns:
        The files.

    Raises:
        OSError: the folder cannot be written.
    """
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    data = egos(opened, found)
    own = data["nodes"][str(found.node)]
    shown = folder / "inspect.html"
    shown.write_text(html(found, data), encoding="utf-8")
    numbers = folder / "inspect.json"
    everything = {**found.numbers, "node": {"node": found.node, "scale": data["scale"], **own}}
    numbers.write_text(json.dumps(everything, indent=1) + "\n", encoding="utf-8")
    pictures = draw_ego(data, folder / "ego.png"), draw_hop_mass(data, folder / "hop_mass.png")
    return shown, numbers, *pictures


def html(found: Findings, data: dict[str, Any]) -> str:
    """The page: it stands alone, and asks nothing of a network.

    Args:
        found: of `findings`.
        data: of `egos`.
    """
    trial = found.numbers["trial"]
    title = f"Inside {trial['model']} on {trial['dataset']}"
    # Text in a script may not end it.
    embedded = json.dumps(data, separators=(",", ":")).replace("</", "<\\/")
    scripts = [f"window.inside = {embedded};", asset(_HERE, "inspect.js")]
    body = [_head(title, found), tag("main", _walk(data), _hops(), _heads(found), _more(found))]
    return page(title, body, styles=[asset(_HERE, "inspect.css")], scripts=scripts)


def _head(title: str, found: Findings) -> Markup:
    numbers, trial = found.numbers, found.numbers["trial"]
    facts = {
        "breadth": trial["breadth"],
        "depth": trial["depth"],
        "seed": trial["seed"],
        "best epoch": numbers["best_epoch"],
        "validation": f"{100 * numbers['val']:.2f}",
        "test": f"{100 * numbers['test']:.2f}",
        "parameters": f"{numbers['parameters']:,}",
    }
    listed = [tag("div", tag("dt", name), tag("dd", value)) for name, value in facts.items()]
    switch = tag("button", "Dark", type="button", id="theme", class_="needs-script")
    return tag("header", tag("h1", title), switch, tag("dl", *listed, class_="facts"))


def _walk(data: dict[str, Any]) -> Markup:
    shown, whole = len(data["nodes"]), data["of"]
    few = (
        f"All {whole:,} nodes can be visited."
        if shown == whole
        else f"This page holds {shown:,} of {whole:,} nodes: node {data['node']} and what is "
        "within two moves of it, as far as there is room. Others are hollow; --node starts at "
        "another."
    )
    note = (
        f"The node in the middle, and up to {data['top']} nodes that it attends to most. Rings are "
        "hops, the width of a line is the share of the attention. Inside colour: predicted class; "
        f"outside: true class. Click a node, or press Enter on it, to go there. {few}"
    )
    choose = tag(
        "div",
        tag("label", "Layer ", tag("select", id="layer")),
        tag("label", "Head ", tag("select", id="head")),
        tag("label", "Node ", tag("input", id="node", inputmode="numeric", size="7")),
        tag("button", "Go", type="button", id="go"),
        tag("button", "Back", type="button", id="back"),
        class_="choose",
    )
    picture = tag(
        "svg", id="ego", viewBox="-260 -260 520 520", role="group", aria_label="ego graph"
    )
    side = tag("div", tag("p", id="who", aria_live="polite"), tag("div", id="near"), class_="side")
    return tag(
        "section",
        tag("h2", "Where a node looks"),
        tag("p", note, class_="note soft"),
        tag(
            "div",
            choose,
            tag("div", picture, side, class_="walk"),
            tag("p", id="classes"),
            class_="card needs-script",
        ),
        tag("noscript", tag("p", "Without scripts: ego.png shows the chosen node.")),
        id="walk",
    )


def _hops() -> Markup:
    note = (
        "Upper bars: the mean over all nodes. Lower bars: the node above. One pair for each head."
    )
    return tag(
        "section",
        tag("h2", "How far attention goes"),
        tag("p", note, class_="note soft"),
        tag("div", tag("p", id="hops", class_="keys"), tag("div", id="mass"), class_="card"),
        id="far",
    )


def _heads(found: Findings) -> Markup:
    lines = [
        (each["layer"], each["head"], f"{100 * each['drop']:+.2f}", f"{each['loss_rise']:+.4f}")
        for each in found.numbers["heads"]
    ]
    note = (
        "What the validation nodes lose when one head says nothing, those first that matter most."
    )
    head = ("layer", "head", "metric lost (points)", "loss gained")
    return _section("heads", "Which heads matter", note, [_table(head, lines)])


def _more(found: Findings) -> Markup:
    numbers = found.numbers
    spread = [
        (each["name"], head, f"{each['entropy'][head]:.3f}", f"{neighbors:.2f}")
        for each in numbers["layers"]
        for head, neighbors in enumerate(each["effective_neighbors"])
    ]
    parts = [_table(("layer", "head", "entropy (nats)", "effective neighbours"), spread)]
    named = {"radii": "learned radii (hops)", "gates": "gate", "clusters": "share of clusters"}
    for name, title in named.items():
        lines = [
            (layer, ", ".join(f"{v:.3g}" for v in (e["mean"] if isinstance(e, dict) else e)))
            for layer, e in numbers[name].items()
        ]
        parts += [_table(("layer", f"{title}, of each head"), lines)] if lines else []
    note = "Means over the nodes that attend to anything."
    return _section("spread", "How spread attention is", note, parts)


def _section(name: str, title: str, note: str, parts: list[Markup]) -> Markup:
    card = tag("div", *parts, class_="card")
    return tag("section", tag("h2", title), tag("p", note, class_="note soft"), card, id=name)


def _table(head: tuple[str, ...], lines: list[tuple[Any, ...]]) -> Markup:
    top = tag("tr", *(tag("th", name, scope="col") for name in head))
    body = [tag("tr", *(tag("td", value) for value in line)) for line in lines]
    return tag("div", tag("table", tag("thead", top), tag("tbody", *body)), class_="scroll")
