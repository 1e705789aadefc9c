"""Tables and figure of `gattn.compare.learned`: functions of its rows and of nothing else."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from gattn.compare.plot import GREY, LINES, drawn
from gattn.compare.trial import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LEARNED = ("learned", "learned, four heads")
_HEIGHT = 4.2


def breadth(study: str, rows: Iterable[Row]) -> str:
    """Return the Markdown table of a study of breadth, a line for each distance that matters.

    Radii are those after the last epoch, of the farthest head, seed by seed; accuracies those at
    the best epoch.

    Args:
        study: its name.
        rows: of any studies.
    """
    found = _grouped(rows, study)
    lines = list(dict.fromkeys(line for line, _ in found))
    radii = [line for line in lines if _learned(found, line)]
    head = ["hops that matter", *(f"radius, {line}" for line in radii)]
    head += [*(f"z, {line}" for line in radii[:1]), *lines]
    body = []
    for column in dict.fromkeys(column for _, column in found):
        of_lines = {line: found.get((line, column), []) for line in lines}
        body.append([column, *(_radii(of_lines[line]) for line in radii)])
        body[-1] += [_range([row["span"][0][0] for row in of_lines[line]]) for line in radii[:1]]
        body[-1] += [_spread([row["test"] for row in several]) for several in of_lines.values()]
    return _markdown([head, *body])


def _learned(found: Mapping[tuple[str, str], Sequence[Row]], line: str) -> bool:
    return any(row["radius"] for place, rows in found.items() if place[0] == line for row in rows)


def mixing(study: str, rows: Iterable[Row]) -> str:
    """Return the Markdown table of a study of mixings, a line for each.

    Args:
        study: its name.
        rows: of any studies.
    """
    found = _grouped(rows, study)
    columns = list(dict.fromkeys(column for _, column in found))
    titles = {place[1]: _title(several) for place, several in found.items()}
    head = ["mixing", *(f"{column}, {titles[column]}" for column in columns)]
    body = [
        [
            line,
            *(
                _spread([row["test"] for row in found.get((line, column), [])])
                for column in columns
            ),
        ]
        for line in dict.fromkeys(line for line, _ in found)
    ]
    return _markdown([head, *body])


TABLES: dict[str, Callable[[Iterable[Row]], str]] = {
    "breadth": partial(breadth, "breadth"),
    "ramp": partial(breadth, "ramp"),
    "far-heterophily": partial(mixing, "far-heterophily"),
    "other": partial(mixing, "other"),
}
"""The studies by name, each with its table."""


def draw(rows: Iterable[Row], path: Path) -> Path:
    """Draw the radius that was found over the one that is needed, and how z got there.

    Args:
        rows: of any studies, some of them of learned spans.
        path: the PNG to write.
    """
    found = _grouped(rows, "breadth")
    with drawn(_HEIGHT, path) as figure:
        left, right = figure.subplots(1, 2)
        _draw_radii(left, found)
        _draw_paths(right, {column: s for (line, column), s in found.items() if line == "learned"})
        for axes in (left, right):
            axes.spines[["top", "right"]].set_visible(False)
            axes.legend(frameon=False, fontsize=8)
    return path


def _draw_radii(axes: Axes, found: Mapping[tuple[str, str], Sequence[Row]]) -> None:
    columns = sorted({int(column) for _, column in found})
    axes.plot(columns, columns, color=GREY, linestyle=":", label="hops that matter")
    for number, line in enumerate(_LEARNED):
        several = {k: found.get((line, str(k)), []) for k in columns}
        points = [
            (k + 0.25 * (number - 0.5) + 0.03 * (place - 2), max(row["radius"][0]))
            for k, rows in several.items()
            for place, row in enumerate(rows)
        ]
        x, y = zip(*points, strict=True) if points else ((), ())
        axes.scatter(x, y, color=LINES[number], s=18, label=f"{line}, each seed")
    axes.set_xticks(columns)
    axes.set_yticks(range(1, max(columns, default=0) + 2))
    axes.set(xlabel="hops that matter", ylabel="radius after the last epoch (hops)")
    axes.set_title("radius found")


def _draw_paths(axes: Axes, found: Mapping[str, Sequence[Row]]) -> None:
    for number, (column, several) in enumerate(found.items()):
        colour = LINES[number % len(LINES)]
        for place, row in enumerate(several):
            epochs = [5 * at for at in range(len(row["path"]))]
            label = f"hop {column} matters" if place == 0 else None
            axes.plot(epochs, [z[0][0] for z in row["path"]], color=colour, alpha=0.7, label=label)
    axes.set(xlabel="epoch", ylabel="soft radius z (hops), one head")
    axes.set_title("on the way there")


def _grouped(rows: Iterable[Row], study: str) -> dict[tuple[str, str], list[Row]]:
    """The rows of a study by line and column, by seed in each."""
    latest = {row["key"]: row for row in rows if row["study"] == study}
    found: dict[tuple[str, str], list[Row]] = {}
    for row in sorted(latest.values(), key=lambda row: row["seed"]):
        found.setdefault((row["line"], row["column"]), []).append(row)
    return found


def _radii(rows: Sequence[Row]) -> str:
    return " ".join(str(max(row["radius"][0])) for row in rows) or "-"


def _range(values: Sequence[float]) -> str:
    return f"{min(values):.3f} to {max(values):.3f}" if values else "-"


def _spread(values: Sequence[float]) -> str:
    """Mean and standard deviation in per cent."""
    if not values:
        return "-"
    mean = f"{100 * statistics.fmean(values):.1f}"
    return mean if len(values) < 2 else f"{mean} ± {100 * statistics.stdev(values):.1f}"


def _title(rows: Sequence[Row]) -> str:
    return {"accuracy": "accuracy (%)", "roc_auc": "ROC AUC (%)"}[rows[0]["metric"]]


def _markdown(lines: Sequence[Sequence[str]]) -> str:
    head, *body = lines
    return "".join(f"| {' | '.join(line)} |\n" for line in [head, ["---"] * len(head), *body])
