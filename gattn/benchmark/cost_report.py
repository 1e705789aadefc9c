"""Predicted beside measured costs as tables and as a figure: functions of the rows."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gattn._rows import Row
from gattn.benchmark.rows import latest
from gattn.cost.text import duration, size

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WAYS = ("stored", "streamed", "diffusion")

_PAIRS = ("graph", "breadth", "pairs", "estimate", "95 % interval", "error", "searches", "seconds")
_COLOURS = {"stored": "#3b6fb6", "streamed": "#d1662f", "diffusion": "#4f9d69"}
_MARKERS = "os^Dv<"
_GREY = "#7b8794"


def pairs_table(rows: Iterable[Row]) -> str:
    """Return the estimates as a Markdown table, a line for each graph and breadth.

    Args:
        rows: of a file.
    """
    found = [row for row in latest(rows) if row["measure"] == "pairs"]
    return _markdown(_PAIRS, map(_pairs_line, found))


def _pairs_line(row: Row) -> list[str]:
    interval = "counted" if row["counted"] else f"{row['low']:,.0f} to {row['high']:,.0f}"
    error = row["estimate"] / row["pairs"] - 1
    return [
        row["graph"],
        str(row["breadth"]),
        f"{row['pairs']:,}",
        f"{row['estimate']:,.0f}",
        interval,
        f"{error:+.2%}",
        f"{row['samples']:,}",
        f"{row['estimate_seconds']:.2f}",
    ]


def seconds_table(rows: Iterable[Row]) -> str:
    """Return predicted and measured seconds of a step as a Markdown table.

    Args:
        rows: of a file.
    """
    return _steps_table(rows, "seconds", duration)


def memory_table(rows: Iterable[Row]) -> str:
    """Return predicted and measured peaks of memory as a Markdown table.

    Args:
        rows: of a file.
    """
    return _steps_table(rows, "bytes", size)


def _steps_table(rows: Iterable[Row], field: str, text: Callable[[float], str]) -> str:
    lines: dict[tuple[str, int], dict[str, Row]] = {}
    for row in latest(rows):
        if row["measure"] == "step":
            lines.setdefault((row["graph"], row["breadth"]), {})[row["way"]] = row
    body = [
        [graph, str(breadth), *(_step(line.get(way), field, text) for way in WAYS)]
        for (graph, breadth), line in lines.items()
    ]
    return _markdown(("graph", "breadth", *WAYS), body)


def _step(row: Row | None, field: str, text: Callable[[float], str]) -> str:
    """Predicted and measured, and the one by the other."""
    if row is None:
        return ""
    predicted = row[f"predicted_{field}"]
    if row["status"] != "ok" or not row[field]:
        return f"{text(predicted)}, {row['status']}"
    return f"{text(predicted)} / {text(row[field])} ({predicted / row[field]:.2f})"


def summary(rows: Iterable[Row]) -> list[str]:
    """Return how far predictions were off, a sentence for each way and quantity.

    Args:
        rows: of a file.
    """
    said = []
    for field, name in (("seconds", "Seconds"), ("bytes", "Memory")):
        for way in WAYS:
            ratios = sorted(ratio(row, field) for row in known(rows, field) if row["way"] == way)
            if ratios:
                within = sum(0.5 <= found <= 2 for found in ratios)
                said.append(
                    f"{name}, {way}: {within} of {len(ratios)} predictions are within a factor of "
                    f"2; predicted by measured is {ratios[0]:.2f} to {ratios[-1]:.2f}."
                )
    return said


def measured(rows: Iterable[Row]) -> list[Row]:
    """Return the steps that were measured.

    Args:
        rows: of a file.
    """
    return [row for row in latest(rows) if row["measure"] == "step" and row["status"] == "ok"]


def known(rows: Iterable[Row], field: str) -> list[Row]:
    """Return the measured steps that have a quantity: memory may be too little to be seen.

    Args:
        rows: of a file.
        field: "seconds" or "bytes".
    """
    return [row for row in measured(rows) if row[field]]


def ratio(row: Row, field: str) -> float:
    """Return predicted by measured.

    Args:
        row: of a measured step.
        field: "seconds" or "bytes".
    """
    return row[f"predicted_{field}"] / row[field]


def _markdown(head: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def write_report(rows: Sequence[Row], folder: Path) -> list[str]:
    """Write `table.md`, and `figure.png` where something is measured; return their paths.

    Args:
        rows: of a file.
        folder: where they go.
    """
    tables = (pairs_table(rows), seconds_table(rows), memory_table(rows))
    said = "".join(f"- {sentence}\n" for sentence in summary(rows))
    (folder / "table.md").write_text("\n".join((*tables, said)))
    drawn = [figure(rows, folder / "figure.png")] if measured(rows) else []
    return [str(folder / "table.md"), *map(str, drawn)]


def figure(rows: Iterable[Row], path: str | os.PathLike[str]) -> Path:
    """Draw predicted over measured, seconds and bytes; the band is a factor of two.

    Args:
        rows: of a file; only measured steps appear.
        path: the PNG to write.
    """
    from matplotlib.figure import Figure

    found = measured(rows)
    page = Figure(figsize=(10, 4.6), layout="constrained", dpi=130)
    panels = page.subplots(1, 2)
    for axes, (field, title) in zip(
        panels, (("seconds", "seconds of a step"), ("bytes", "peak memory, bytes")), strict=True
    ):
        _draw(axes, known(found, field), field, title)
    panels[0].legend(*_legend(found), fontsize=8, frameon=False, loc="upper left")
    page.savefig(path, format="png")
    return Path(path)


def _draw(axes: Axes, rows: Sequence[Row], field: str, title: str) -> None:
    graphs = list(dict.fromkeys(row["graph"] for row in rows))
    for row in rows:
        marker = _MARKERS[graphs.index(row["graph"]) % len(_MARKERS)]
        where = row[field], row[f"predicted_{field}"]
        axes.plot(*where, marker, color=_COLOURS[row["way"]], markersize=6, alpha=0.8)
    values = [row[field] for row in rows] or [1.0]
    ends = [min(values) / 2, max(values) * 2]
    axes.plot(ends, ends, color=_GREY, linewidth=1)
    axes.fill_between(ends, [e / 2 for e in ends], [e * 2 for e in ends], color=_GREY, alpha=0.15)
    axes.set(xscale="log", yscale="log", xlabel="measured", ylabel="predicted", title=title)
    axes.spines[["top", "right"]].set_visible(False)


def _legend(rows: Sequence[Row]) -> tuple[list[Any], list[str]]:
    from matplotlib.lines import Line2D

    graphs = list(dict.fromkeys(row["graph"] for row in rows))
    ways = [way for way in WAYS if any(row["way"] == way for row in rows)]
    dots = [Line2D([], [], marker="o", linestyle="", color=_COLOURS[way]) for way in ways]
    shapes = [
        Line2D([], [], marker=_MARKERS[place % len(_MARKERS)], linestyle="", color=_GREY)
        for place in range(len(graphs))
    ]
    return [*dots, *shapes], [*ways, *graphs]
