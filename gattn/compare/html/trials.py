"""The trials of every cell: what a click on the cell opens."""

from __future__ import annotations

from collections.abc import Sequence

from gattn._page import Markup, joined, tag
from gattn.compare.cells import SETTINGS
from gattn.compare.html import text
from gattn.compare.html.shown import Shown, described, metric_of
from gattn.compare.trial import Row


def trials(found: Sequence[Shown]) -> list[Markup]:
    """Return a part for each cell, with one line per trial.

    Args:
        found: of `shown`.
    """
    return [_part(each) for each in found]


def _part(each: Shown) -> Markup:
    head = tag("h3", each.name, tabindex="-1", id=f"{each.anchor}-name")
    settings = tag("p", described(each.cell.settings, SETTINGS), class_="soft")
    return tag(
        "section",
        tag("a", "×", href="#cells", class_="close", aria_label="close", title="close (Esc)"),
        head,
        _numbers(each),
        tag("div", _table(each), class_="scroll"),
        settings,
        id=each.anchor,
        class_="cell",
        aria_labelledby=f"{each.anchor}-name",
    )


def _numbers(each: Shown) -> Markup | None:
    test = each.spread("test")
    if test is None:
        return None
    said = [
        (f"test {metric_of([each])}", f"{text.spread(test)} %"),
        ("95 % interval", text.interval(test)),
        ("validation", f"{text.spread(each.spread('val'))} %"),
        ("per epoch", text.seconds(each.mean("seconds_per_epoch"))),
        ("peak memory", text.memory(each.mean("peak_memory_bytes"))),
        ("parameters", text.count(each.mean("parameters"))),
    ]
    return facts([(name, value) for name, value in said if value != text.NOTHING])


def facts(pairs: Sequence[tuple[str, str]]) -> Markup:
    """Return names and values side by side.

    Args:
        pairs: of a name and what it is.
    """
    each = [tag("div", tag("dt", name), tag("dd", value)) for name, value in pairs]
    return tag("dl", *each, class_="facts")


def _table(each: Shown) -> Markup:
    heads = ("seed", "split", "val (%)", "test (%)", "best epoch", "time", "memory", "outcome")
    top = tag("tr", *(tag("th", head, scope="col") for head in heads))
    lines = [tag("tr", *(tag("td", value) for value in _line(row))) for row in each.rows]
    return tag("table", tag("thead", top), tag("tbody", joined(lines)), class_="trials")


def _line(row: Row) -> list[str]:
    epoch = row.get("best_epoch")
    return [
        str(row.get("seed", text.NOTHING)),
        text.NOTHING if row.get("split") is None else str(row["split"]),
        text.percent(row.get("val"), 2),
        text.percent(row.get("test"), 2),
        text.NOTHING if epoch is None else f"{epoch} of {row.get('epochs_run', '?')}",
        text.seconds(row.get("seconds")),
        text.memory(row.get("peak_memory_bytes")),
        outcome(row),
    ]


def outcome(row: Row) -> str:
    """Return how a trial ended, in words."""
    if row["status"] == "ok":
        return "finished"
    cause = f" ({row['cause']})" if row.get("cause") else ""
    reason = row.get("reason") or row.get("stopped")
    return f"{row['status']}{cause}" + (f": {reason}" if reason else "")
