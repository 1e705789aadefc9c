"""Tables and a figure of published results and ours: functions of rows and of nothing else."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from gattn.compare.plot import GREY, LINES, drawn
from gattn.compare.published.line import Line, Study
from gattn.compare.statistics import interval
from gattn.compare.table import Cell
from gattn.compare.trial import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HEAD = (
    "dataset",
    "setting",
    "runs",
    "mean ± sd (%)",
    "95 % interval",
    "published (%)",
    "to reach",
    "reached",
    "minutes, search",
    "minutes, runs",
)


def table(study: Study, rows: Iterable[Row]) -> str:
    """Return the Markdown table of a study; minutes are sums over rows, of one core.

    Args:
        study: one of `STUDIES`.
        rows: of `read_rows`.
    """
    kept = list(rows)
    head = [*HEAD, *(f"{title} (%)" for title in study.beside.values())]
    return _markdown([head, *(_line(line, kept, study.beside) for line in study.lines)])


def chosen_table(study: Study, rows: Iterable[Row]) -> str:
    """Return what the searches of a study chose, as a Markdown table; "" if it has none.

    Args:
        study: one of `STUDIES`.
        rows: of `read_rows`.
    """
    kept = list(rows)
    lines = [line for line in study.lines if line.search is not None]
    if not lines:
        return ""
    return _markdown([_CHOSEN, *(_choice(line, kept) for line in lines)])


_CHOSEN = ("dataset", "setting", "candidates", "seeds", "validation (%), best", "chosen")


def _choice(line: Line, rows: list[Row]) -> list[str]:
    assert line.search is not None
    found, settings = line.found(rows), line.chosen(rows)
    best = max((100 * (cell.mean("val") or 0.0) for cell in found), default=None)
    said = ", ".join(
        f"{name.replace('_', ' ')} {value}" for name, value in (settings or {}).items()
    )
    counts = [str(len(line.candidates())), str(line.search.seeds)]
    return [line.dataset, line.name, *counts, _number(best), said or "-"]


def _line(line: Line, rows: list[Row], beside: Iterable[str]) -> list[str]:
    cell = line.cell(rows)
    search, final = (f"{seconds / 60:.1f}" if seconds else "-" for seconds in line.seconds(rows))
    published = "-" if line.published is None else f"{_spread(line.published, line.spread)}"
    wanted = f"{line.least:.1f}"
    return [
        line.dataset,
        line.name,
        str(len(cell.rows) if cell else 0),
        *_outcome(results(cell, line.result)),
        f"{published} ({line.source})" if line.source else published,
        wanted,
        _reached(line, cell),
        search,
        final,
        *(_outcome(results(cell, name))[0] for name in beside),
    ]


def _outcome(values: list[float]) -> tuple[str, str]:
    if not values:
        return "-", "-"
    found = interval(values)
    if len(values) < 2:
        return f"{found.mean:.2f}", "-"
    return f"{found.mean:.2f} ± {found.std:.2f}", f"{found.low:.2f} to {found.high:.2f}"


def _reached(line: Line, cell: Cell | None) -> str:
    values = results(cell, line.result)
    if not values:
        return "-"
    return "yes" if statistics.fmean(values) >= line.least - 1e-9 else "no"


def results(cell: Cell | None, name: str) -> list[float]:
    """Return a column of what came out, in per cent; none without rows.

    Args:
        cell: of a line.
        name: of the column.
    """
    return [] if cell is None else [100 * row[name] for row in cell.rows]


def _spread(mean: float, spread: float | None) -> str:
    return f"{mean:.1f}" if spread is None else f"{mean:.1f} ± {spread:.1f}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _markdown(lines: list[tuple[str, ...] | list[str]]) -> str:
    head, *body = lines
    return "".join(f"| {' | '.join(line)} |\n" for line in [head, ["---"] * len(head), *body])


def draw(studies: Mapping[str, tuple[Study, list[Row]]], path: Path) -> Path:
    """Draw ours beside the published: means, with standard deviations, a panel for each study.

    Args:
        studies: by name the study and its rows.
        path: the PNG to write.
    """
    count = sum(1 + len(study.lines) for study, _ in studies.values())
    heights = [1 + len(study.lines) for study, _ in studies.values()]
    with drawn(1.0 + 0.42 * count, path) as figure:
        panels = figure.subplots(len(studies), 1, squeeze=False, height_ratios=heights).ravel()
        for axes, (name, (study, rows)) in zip(panels, studies.items(), strict=True):
            _panel(axes, study, rows)
            axes.set_title(name, loc="left", fontsize=9)
        panels[0].legend(frameon=False, fontsize=8)
        panels[-1].set_xlabel("per cent: mean and standard deviation")
    return path


def _panel(axes: Axes, study: Study, rows: list[Row]) -> None:
    for number, line in enumerate(study.lines):
        values = results(line.cell(rows), line.result)
        label = {"ours": "ours", "published": "published"} if number == 0 else {}
        if values:
            error = statistics.stdev(values) if len(values) > 1 else 0.0
            _point(axes, statistics.fmean(values), error, number - 0.1, LINES[0], label.get("ours"))
        if line.published is not None:
            at = (line.published, line.spread or 0.0, number + 0.1)
            _point(axes, *at, GREY, label.get("published"))
    names = [f"{line.dataset}: {line.name}" for line in study.lines]
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x", color="#e4e7eb", linewidth=0.8)


def _point(axes: Axes, mean: float, error: float, y: float, colour: str, label: str | None) -> None:
    axes.errorbar([mean], [y], xerr=[error], fmt="o", color=colour, capsize=3, label=label)
