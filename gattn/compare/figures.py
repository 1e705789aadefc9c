"""Further figures of a study, functions of its rows: metric against cost, learning curves."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gattn.compare.cells import SETTINGS, Cell, by_dataset, grouped, title, varying
from gattn.compare.plot import GREY, LINES, finished, page_of, seconds_text
from gattn.compare.recommend import pareto as front
from gattn.compare.trial import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COSTS: dict[str, tuple[str, float, Callable[[float], str]]] = {
    "seconds_per_epoch": ("time per epoch", 1.0, seconds_text),
    "peak_memory_bytes": ("peak memory (MiB)", 2.0**-20, lambda value: f"{value:,.0f}"),
}


def pareto(rows: Iterable[Row], path: str | os.PathLike[str]) -> Path:
    """Draw the validation metric by time and by memory, and the front of settings none beats.

    Error bars are standard deviations over seeds. Datasets have a line of panels each.

    Args:
        rows: of `read_rows`; only finished ones appear.
        path: what to write, `.png` or `.svg`.

    Raises:
        ValueError: no row is finished, or the path ends in something else.
    """
    found = finished(rows)
    groups = by_dataset(found)
    with page_of(found, 3.6 * len(groups), Path(path)) as figure:
        panels = figure.subplots(len(groups), len(_COSTS), squeeze=False)
        for line, group in zip(panels, groups, strict=True):
            for axes, column in zip(line, _COSTS, strict=True):
                _draw_front(axes, group, column)
            line[0].set_ylabel(f"validation {title(group[0])} (%)")
            line[0].set_title(_named(group, found, ("dataset", "options")), loc="left")
    return Path(path)


def curves(rows: Iterable[Row], path: str | os.PathLike[str]) -> Path | None:
    """Draw the validation metric and the losses by epoch, a thin line for each trial.

    Args:
        rows: of `read_rows`; only finished ones that have a `curve` appear.
        path: what to write, `.png` or `.svg`.

    Returns:
        The path, or None where no row has a curve; then nothing is written.

    Raises:
        ValueError: the path ends in something else.
    """
    kept = [row for row in rows if row.get("curve") and row["status"] == "ok"]
    if not kept:
        return None
    found = finished(kept)
    groups = grouped(found, ("breadth",))
    with page_of(found, 2.6 * len(groups), Path(path)) as figure:
        panels = figure.subplots(len(groups), 2, squeeze=False)
        for (metric, loss), group in zip(panels, groups, strict=True):
            _draw_curves(metric, group, 3, 100.0)
            _draw_curves(loss, group, 2, 1.0)
            metric.set_title(_named(group, found, SETTINGS), loc="left")
            metric.set_ylabel(f"validation {title(group[0])} (%)")
            loss.set_ylabel("validation loss")
            metric.legend(frameon=False, fontsize=8, loc="lower right")
        for axes in panels[-1]:
            axes.set_xlabel("epoch")
    return Path(path)


def _named(group: Sequence[Cell], found: Sequence[Cell], names: Sequence[str]) -> str:
    """Those of the named settings that set a group apart, the breadth aside."""
    told = [name for name in varying(found) if name in names and name != "breadth"]
    return ", ".join(f"{name} {group[0].settings[name]}" for name in told)


def _draw_front(axes: Axes, group: Sequence[Cell], column: str) -> None:
    name, _, write = _COSTS[column]
    drawn = [cell for cell in group if cell.mean(column) is not None]
    points = [_point(cell, column) for cell in drawn]
    spreads = [100 * (cell.std("val") or 0.0) for cell in drawn]
    marks: dict[str, Any] = {"fmt": "o", "markersize": 5, "capsize": 2}
    if points:
        axes.errorbar(*zip(*points, strict=True), yerr=spreads, color=GREY, alpha=0.6, **marks)
    best = [_point(cell, column) for cell in front(drawn, column)]
    if best:
        axes.plot(*zip(*best, strict=True), "o-", color=LINES[0], drawstyle="steps-post")
    if points and min(cost for cost, _ in points) > 0:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: write(value))
        axes.xaxis.set_minor_formatter("")
    axes.set_xlabel(name)
    _calm(axes)


def _point(cell: Cell, column: str) -> tuple[float, float]:
    return (cell.mean(column) or 0.0) * _COSTS[column][1], 100 * (cell.mean("val") or 0.0)


def _draw_curves(axes: Axes, group: Sequence[Cell], column: int, factor: float) -> None:
    for number, cell in enumerate(group):
        label: str | None = f"breadth {cell.settings['breadth']}"
        for row in cell.rows:
            epochs = [point[0] for point in row["curve"]]
            values = [factor * point[column] for point in row["curve"]]
            colour = LINES[number % len(LINES)]
            axes.plot(epochs, values, color=colour, linewidth=0.9, alpha=0.8, label=label)
            label = None
    _calm(axes)


def _calm(axes: Axes) -> None:
    axes.grid(axis="y", color="#e4e7eb", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
