"""The report: one HTML file that says what a study found. A function of its rows and nothing else.

from gattn.compare import read_rows
from gattn.compare.html import report_html

Path("report.html").write_text(report_html(read_rows("results/trials.jsonl")))

It needs no network and no server. Heat maps are tables and charts are SVG, written here: without
its script the page only loses sorting, copying, and the panel beside the maps.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from gattn._page import Markup, asset, page, tag
from gattn.compare.html import text
from gattn.compare.html.answer import answer, choices
from gattn.compare.html.curves import learning_curves
from gattn.compare.html.failures import count_failed, failures
from gattn.compare.html.fronts import fronts
from gattn.compare.html.heat import heat_maps
from gattn.compare.html.inside import gates, hop_mass, radii
from gattn.compare.html.repeat import commands, versions
from gattn.compare.html.shown import Shown, shown
from gattn.compare.html.table import table, verdict
from gattn.compare.html.trials import facts, trials
from gattn.compare.trial import Row

FILE = "report.html"


def write_html(rows: Sequence[Row], path: str | os.PathLike[str], title: str | None = None) -> Path:
    """Write the report, whole or not at all.

    Args:
        rows: of `read_rows`.
        path: the file, an earlier one is replaced.
        title: of the page; None takes the names of the datasets.

    Raises:
        ValueError: there are no rows.
        OSError: the file cannot be written.
    """
    path = Path(path)
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(report_html(rows, title), encoding="utf-8", newline="\n")
    temporary.replace(path)
    return path


def report_html(rows: Sequence[Row], title: str | None = None) -> str:
    """Return the report; the same rows give the same text.

    Args:
        rows: of `read_rows`, the last one of a key counts.
        title: of the page; None takes the names of the datasets.

    Raises:
        ValueError: there are no rows.
    """
    if not rows:
        raise ValueError("rows: found none, expected at least one trial")
    last = list({row["key"]: row for row in rows}.values())
    found = shown(last)
    title = title or _title(found)
    styles = [asset("gattn.compare.html", "report.css")]
    scripts = [asset("gattn.compare.html", "report.js")]
    return page(title, _body(title, last, found), styles=styles, scripts=scripts)


def _body(title: str, rows: Sequence[Row], found: Sequence[Shown]) -> list[Markup]:
    parts = _parts(rows, found)
    links = [tag("a", head, href=f"#{name}") for name, head, *_ in parts if head]
    switch = tag("button", "Dark", type="button", id="theme", class_="needs-script")
    nav = tag("nav", *links, aria_label="parts of the page")
    head = tag(
        "header", tag("h1", title), tag("p", _about(rows, found), class_="soft"), nav, switch
    )
    main = tag("main", *(_section(*part) for part in parts))
    said = tag("p", "", id="said", role="status", aria_live="polite")
    return [head, main, said]


def _section(name: str, head: str, note: str, *content: Markup | None) -> Markup:
    title = tag("h2", head) if head else None
    told = tag("p", note, class_="soft note") if note else None
    return tag("section", title, told, *content, id=name)


def _parts(
    rows: Sequence[Row], found: Sequence[Shown]
) -> list[tuple[str, str, str, *tuple[Markup | None, ...]]]:
    """Anchor, head, note and content of every part that has something to show."""
    chosen = choices(found)
    recommended = {choice.cell.anchor for choice in chosen}
    failed = count_failed(found)
    mass, gate, learned = hop_mass(found), gates(found), radii(found)
    parts = [
        ("answer", "", "", answer(found, chosen)),
        ("cells", "Breadth × depth", _CELLS, *heat_maps(found)),
        ("cost", "What it costs", _COST, *fronts(found, recommended)),
        ("settings", "All settings", "", _tools(), table(found, recommended), verdict(found)),
        ("curves", "Learning curves", _CURVES, *learning_curves(found)),
        ("hops", "Where attention goes", _HOPS, mass),
        ("gates", "Gates", _GATES, gate),
        ("radii", "Learned radii", "", learned),
        ("failures", f"What failed ({failed})", "", failures(found)),
        ("repeat", "To repeat it", "", *_repeat(rows)),
        ("trials", "Trials", "", *trials(found)),
    ]
    return [part for part in parts if any(content is not None for content in part[3:])]


_CELLS = (
    "Breadth is how far a node looks, depth how many nested attentions one layer has. Mean over "
    "seeds ± standard deviation. Choose a cell to see its trials."
)
_COST = (
    "The line is the front: no other setting is both cheaper and better. Settings are chosen by "
    "validation, so that is what is drawn. Bars are 95 % intervals, from three seeds on; the ring "
    "is the recommended setting."
)
_CURVES = "A line for each seed; the dot is the epoch that counts, the best by validation."
_HOPS = "Mean share of the attention, in per cent, by distance: over nodes, heads and seeds."
_GATES = "Nodes by the gate between the branches of a layer, from 0 to 1, over seeds."


def _tools() -> Markup:
    kinds = ("Markdown", "LaTeX", "CSV")
    buttons = [tag("button", f"Copy {k}", type="button", data_copy=k.lower()) for k in kinds]
    return tag("p", *buttons, class_="tools needs-script")


def _repeat(rows: Sequence[Row]) -> list[Markup]:
    code = tag("pre", tag("code", "\n".join(commands(rows))), id="command", tabindex="0")
    button = tag("button", "Copy", type="button", data_copy="command")
    return [
        facts(versions(rows)),
        code,
        tag("p", button, class_="tools needs-script"),
    ]


def _title(found: Sequence[Shown]) -> str:
    datasets = dict.fromkeys(str(each.cell.settings["dataset"]) for each in found)
    return f"{', '.join(datasets)}: attention by breadth and depth"


def _about(rows: Sequence[Row], found: Sequence[Shown]) -> str:
    seeds = {row.get("seed") for row in rows}
    finished = sum(row["status"] == "ok" for row in rows)
    told = [
        text.plural(len(found), "setting"),
        text.plural(len(seeds), "seed"),
        f"{finished:,} of {text.plural(len(rows), 'trial')} finished",
    ]
    return " · ".join(told)
