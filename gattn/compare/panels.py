"""The figure of several studies, a panel for each: a function of rows and of nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gattn.compare.cells import Cell
from gattn.compare.plot import GREY, LINES, MARKS, drawn
from gattn.compare.studies import Study
from gattn.compare.trial import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ACROSS = 2
_HEIGHT = 3.4


def draw(studies: Mapping[str, Study], rows: Iterable[Row], path: Path) -> Path:
    """Draw the accuracy of every line of every study, over its columns.

    A study of one column has bars. What is drawn is the first of the study's `shown`.

    Args:
        studies: by name.
        rows: of `read_rows`.
        path: the PNG to write.
    """
    kept = list(rows)
    lines = -(-len(studies) // _ACROSS)
    with drawn(_HEIGHT * lines, path) as figure:
        panels = figure.subplots(lines, _ACROSS, squeeze=False).ravel()
        for axes, (name, study) in zip(panels, studies.items(), strict=False):
            _panel(axes, study, study.rows(kept))
            axes.set_title(name)
            axes.spines[["top", "right"]].set_visible(False)
        for axes in panels[len(studies) :]:
            axes.set_axis_off()
    return path


def _panel(axes: Axes, study: Study, found: Mapping[tuple[str, str], Cell | None]) -> None:
    columns = list(dict.fromkeys(column for _, column in found))
    lines = list(dict.fromkeys(line for line, _ in found))
    (name, note), *_ = study.shown.items()
    label = f"accuracy (%), {note}"
    if len(columns) == 1:
        _bars(axes, lines, [_numbers(found[line, columns[0]], name) for line in lines])
        axes.set(xlabel=label, xlim=(0, 104))
        return
    for number, line in enumerate(lines):
        shift = 0.06 * (number - (len(lines) - 1) / 2)
        drawn_at = [
            (x, _numbers(found.get((line, column)), name)) for x, column in enumerate(columns)
        ]
        _line(axes, line, [(x + shift, pair) for x, pair in drawn_at if pair], number)
    if known := study.known():
        heights = [100 * known[column] for column in columns]
        axes.plot(range(len(columns)), heights, color=GREY, linestyle=":", label="attainable")
    axes.set_xticks(range(len(columns)), columns)
    axes.set(ylabel=label, ylim=(0, 104))
    axes.legend(frameon=False, fontsize=8)
    axes.grid(axis="y", color="#e4e7eb", linewidth=0.8)
    axes.set_axisbelow(True)


def _numbers(cell: Cell | None, name: str) -> tuple[float, float] | None:
    """Mean and standard deviation in per cent."""
    if cell is None or (mean := cell.mean(name)) is None:
        return None
    return 100 * mean, 100 * (cell.std(name) or 0.0)


def _line(
    axes: Axes, label: str, points: Sequence[tuple[float, tuple[float, float]]], number: int
) -> None:
    colour = LINES[number % len(LINES)]
    style = "-" if number < len(LINES) else "--"
    x, y, error = ([at for at, _ in points], *([pair[k] for _, pair in points] for k in range(2)))
    axes.errorbar(x, y, yerr=error, color=colour, linestyle=style, label=label, **MARKS)


def _bars(axes: Axes, lines: Sequence[str], numbers: Sequence[tuple[float, float] | None]) -> None:
    for number, (line, pair) in enumerate(zip(lines, numbers, strict=True)):
        mean, error = pair or (0.0, 0.0)
        axes.barh(number, mean, xerr=error, color=LINES[0], ecolor=GREY, height=0.6, label=line)
    axes.set_yticks(range(len(lines)), lines)
    axes.invert_yaxis()
