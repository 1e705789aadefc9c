"""The figure of a benchmark: a function of its rows. matplotlib is imported when it is drawn."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gattn._rows import Row
from gattn.benchmark.problems import PROBLEMS
from gattn.benchmark.rows import latest
from gattn.benchmark.table import duration, size

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_INK = "#1f2933"
_GREY = "#7b8794"
_STYLE: Any = {
    "font.size": 9,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _GREY,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "xtick.color": _INK,
    "ytick.color": _INK,
}
_COLOURS = ("#3b6fb6", "#7b8794", "#c9a227", "#4f9d69", "#d1662f", "#8b5fbf", "#2a9d8f", "#b5446e")
_HEAD = "× is the time by that of the baseline: PyG's layer, or what docs/benchmark.md names"
_FIRST = ("gattn", "pyg", "pyg-compile", "dgl")


_Bar = tuple[str, str, str]


@dataclass(frozen=True)
class _Panel:
    """One quantity of one pass: how it is read from a row, and written."""

    measure: str
    field: str
    passed: str
    title: str
    text: Any


_PANELS = (
    _Panel("time", "seconds", "forward", "forward", duration),
    _Panel("time", "seconds", "forward+backward", "forward + backward", duration),
    _Panel("memory", "peak_bytes", "forward+backward", "memory above inputs", size),
)


def figure(rows: Iterable[Row], path: str | os.PathLike[str]) -> Path:
    """Draw time and memory of every provider, a line of panels for each problem.

    Args:
        rows: of a file; only finished ones appear.
        path: the PNG to write.

    Raises:
        ValueError: no row is finished.
    """
    found = [row for row in latest(rows) if row["status"] == "ok"]
    if not found:
        raise ValueError("rows: found none that is finished, expected at least one to draw")
    problems = _grouped(found)
    heights = [0.8 + 0.24 * len({_bar(row) for row in group}) for group in problems.values()]
    _draw(list(problems.values()), heights, _colours(found), Path(path))
    return Path(path)


def _draw(
    problems: Sequence[list[Row]], heights: list[float], colours: Mapping[str, str], path: Path
) -> None:
    import matplotlib
    from matplotlib.figure import Figure

    temporary = path.with_name(path.name + ".tmp")
    with matplotlib.rc_context(_STYLE):
        page = Figure(figsize=(12.5, sum(heights) + 0.5), layout="constrained", dpi=130)
        grid = page.subplots(len(problems), len(_PANELS), squeeze=False, height_ratios=heights)
        for line, group in zip(grid, problems, strict=True):
            for axes, panel in zip(line, _PANELS, strict=True):
                _draw_panel(axes, group, panel, colours)
            line[0].set_title(f"{_title(group)}\n{line[0].get_title('left')}", loc="left")
        page.suptitle(_HEAD, fontsize=9, color=_GREY)
        page.savefig(temporary, format="png")
    temporary.replace(path)


def _draw_panel(
    axes: Axes, group: Sequence[Row], panel: _Panel, colours: Mapping[str, str]
) -> None:
    """Horizontal bars, one for each layer and provider; the same lines in all panels."""
    order = _in_order({_bar(row) for row in group}, group, colours)
    known = [r for r in group if _is_of(r, panel) and r[panel.field] is not None]
    for row in known:
        place, value = order.index(_bar(row)), row[panel.field]
        axes.barh(place, value, height=0.8, color=colours[row["provider"]])
        axes.text(value, place, f" {panel.text(value)}{_times(row)}", va="center", fontsize=8)
    axes.set_yticks(range(len(order)), [_label(bar, order) for bar in order])
    axes.set(
        ylim=(len(order) - 0.4, -0.6),
        xlim=(0, 1.4 * max((row[panel.field] for row in known), default=1)),
    )
    axes.tick_params(left=False, labelleft=panel is _PANELS[0], bottom=False, labelbottom=False)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.spines["left"].set_visible(bool(known))
    axes.set_title(panel.title if known else "", loc="left")


def _times(row: Row) -> str:
    """The ratio to the baseline, where there is one."""
    return "" if row.get("ratio") is None else f"  ×{row['ratio']:.2f}"


def _is_of(row: Row, panel: _Panel) -> bool:
    return row["measure"] == panel.measure and row["pass"] == panel.passed


def _bar(row: Row) -> _Bar:
    return row["problem"], row["layer"], row["provider"]


def _label(bar: _Bar, order: Sequence[_Bar]) -> str:
    """Layer and provider, and the problem where panels have several."""
    several = len({problem for problem, _, _ in order}) > 1
    return "  ".join(bar if several else bar[1:])


def _in_order(bars: Iterable[_Bar], group: Sequence[Row], colours: Mapping[str, str]) -> list[_Bar]:
    """Problems and layers as they were measured, in each the providers as they are coloured."""
    problems, layers = (
        list(dict.fromkeys(row[name] for row in group)) for name in ("problem", "layer")
    )
    places = (problems, layers, list(colours))
    return sorted(bars, key=lambda bar: [p.index(n) for p, n in zip(places, bar, strict=True)])


def _colours(rows: Sequence[Row]) -> dict[str, str]:
    """A colour for each provider, the same in all panels."""
    names = dict.fromkeys((*_FIRST, *(row["provider"] for row in rows)))
    return {name: _COLOURS[place % len(_COLOURS)] for place, name in enumerate(names)}


def _title(group: Sequence[Row]) -> str:
    row, names = group[0], dict.fromkeys(row["problem"] for row in group)
    sizes = f"{row['nodes']:,} nodes, {row['pairs']:,} pairs"
    plural = "" if row["threads"] == 1 else "s"
    where = f"{row['device']}, {row['threads']} thread{plural}"
    return f"{' and '.join(names)}{' (tiny)' if row['quick'] else ''}: {sizes}; {where}"


def _grouped(rows: Sequence[Row]) -> dict[tuple[Any, ...], list[Row]]:
    """Rows by problem and circumstances; a problem stands with the one that it is held against."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        problem = PROBLEMS.get(row["problem"])
        family = problem.against if problem and problem.against else row["problem"]
        where = (row[name] for name in ("quick", "device", "threads"))
        groups.setdefault((family, *where), []).append(row)
    return groups
