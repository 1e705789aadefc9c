"""Figures of a study: functions of its rows and of nothing else.

`heat_map` draws metric and cost by breadth and depth; `reach` draws the metric by breadth beside
what is attainable. Nothing is shown on a screen, and matplotlib is imported when a figure is drawn.
"""

from __future__ import annotations

import math
import os
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gattn.compare.breadth import Breadth, ordered, reach_of
from gattn.compare.cells import Cell, cells, grouped, title, varying
from gattn.compare.table import common
from gattn.compare.trial import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INK = "#1f2933"
GREY = "#7b8794"
LINES = ("#3b6fb6", "#d1662f", "#4f9d69", "#8b5fbf")
_STYLE: Any = {
    "font.size": 10,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": GREY,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "xtick.color": _INK,
    "ytick.color": _INK,
    "svg.fonttype": "none",  # words stay words: they can be searched and edited
    "svg.hashsalt": "gattn",
}


@dataclass(frozen=True)
class _Panel:
    """One quantity of a heat map: how it is read from a cell, written, and coloured."""

    title: str
    colours: str
    value: Any
    text: Any


def heat_map(rows: Iterable[Row], path: str | os.PathLike[str]) -> Path:
    """Draw metric and cost by breadth and depth, one line of panels per model or other setting.

    Args:
        rows: of `read_rows`; only finished ones appear.
        path: what to write, `.png` or `.svg`.

    Raises:
        ValueError: no row is finished, or the path ends in something else.
    """
    found = finished(rows)
    groups = grouped(found, ("breadth", "depth"))
    height = (1.5 + 0.75 * len({cell.settings["depth"] for cell in found})) * len(groups)
    with page_of(found, height, Path(path)) as figure:
        panels = figure.subplots(len(groups), 2, squeeze=False)
        for line, group in zip(panels, groups, strict=True):
            _draw_heat(line[0], group, _metric_panel(group[0]), _label(group, found))
            _draw_heat(line[1], group, _cost_panel(), _label(group, found))
    return Path(path)


def reach(rows: Iterable[Row], reference: Sequence[Row], path: str | os.PathLike[str]) -> Path:
    """Draw the test metric by breadth, and beside it what is attainable within so many hops.

    A model of L layers and breadth k stands at L k hops, all that a node can learn of.

    Args:
        rows: of `read_rows`, on one dataset; only finished ones appear.
        reference: of `attainable_rows`, at least one.
        path: what to write, `.png` or `.svg`.

    Raises:
        ValueError: no row is finished, or the path ends in something else.
    """
    found = [c for c in finished(rows) if reach_of(c.settings["breadth"]) is not None]
    with page_of(found, 4.6, Path(path)) as figure:
        axes = figure.subplots()
        _draw_reference(axes, reference)
        lines = grouped(found, ("breadth",))
        for number, line in enumerate(lines):
            shift = 0.12 * (number - (len(lines) - 1) / 2)
            _draw_line(axes, line, LINES[number % len(LINES)], shift, _line_label(line, found))
        _mark_reach(axes, found, {row["radius"] for row in reference})
        axes.set(xlabel="hops within reach (a model: layers × breadth)")
        axes.set(ylabel=f"test {title(found[0])} (%)")
        axes.set_title("what is learnt by breadth, and a bound from below on what is attainable")
        axes.legend(frameon=False, loc="best")
        axes.grid(axis="y", color="#e4e7eb", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    return Path(path)


def _reach(cell: Cell) -> int:
    """How many hops far a model sees; only for cells of which that can be said."""
    return (reach_of(cell.settings["breadth"]) or 0) * cell.settings["layers"]


def finished(rows: Iterable[Row]) -> list[Cell]:
    """Return the cells that have a finished row.

    Args:
        rows: of `read_rows`.

    Raises:
        ValueError: there are none.
    """
    found = [cell for cell in cells(rows) if cell.rows]
    if not found:
        raise ValueError("rows: found none that is finished, expected at least one to draw")
    return found


@contextmanager
def page_of(found: Sequence[Cell], height: float, path: Path) -> Iterator[Figure]:
    """Yield an empty figure that says above what its cells share.

    Args:
        found: the cells.
        height: in inches, without that line.
        path: see `drawn`.
    """
    with drawn(height + 0.5, path) as figure:
        head = "\n".join(textwrap.wrap(common(found), 130))
        figure.suptitle(head, fontsize=9, color=GREY)
        yield figure


@contextmanager
def drawn(height: float, path: Path) -> Iterator[Figure]:
    """Yield an empty figure in the style of all figures, and write it when it is drawn.

    Args:
        height: in inches.
        path: a `.png` or `.svg`, written beside itself and then renamed. Equal figures are equal
            bytes: no date is kept, and the identifiers in an SVG are not random.

    Raises:
        ValueError: the path ends in something else.
    """
    import matplotlib
    from matplotlib.figure import Figure

    if path.suffix not in (".png", ".svg"):
        raise ValueError(f"path: found {path.name!r}, expected a name that ends in .png or .svg")
    temporary = path.with_name(path.name + ".tmp")
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(10.4, height), layout="constrained", dpi=150)
        yield figure
        about = {"Date": None} if path.suffix == ".svg" else None
        figure.savefig(temporary, format=path.suffix[1:], metadata=about)
    temporary.replace(path)


def _metric_panel(cell: Cell) -> _Panel:
    def text(cell: Cell) -> str:
        std = cell.std("test")
        mean = f"{100 * (cell.mean('test') or 0):.1f}"
        return mean if std is None else f"{mean}\n± {100 * std:.1f}"

    return _Panel(f"test {title(cell)} (%)", "Blues", lambda c: 100 * c.mean("test"), text)


def _cost_panel() -> _Panel:
    def text(cell: Cell) -> str:
        seconds, peak = cell.mean("seconds_per_epoch") or 0.0, cell.mean("peak_memory_bytes")
        memory = "" if peak is None else f"\n{peak / 2**20:,.0f} MiB"
        return seconds_text(seconds) + memory

    return _Panel(
        "cost: time per epoch, peak memory",
        "Oranges",
        lambda c: math.log(c.mean("seconds_per_epoch")),
        text,
    )


def seconds_text(value: float) -> str:
    """Return a time in s or ms."""
    return f"{value:.2f} s" if value >= 1 else f"{1000 * value:.0f} ms"


def _draw_heat(axes: Axes, group: Sequence[Cell], panel: _Panel, label: str) -> None:
    import matplotlib
    from matplotlib.colors import Normalize

    breadths = ordered(cell.settings["breadth"] for cell in group)
    depths = sorted({cell.settings["depth"] for cell in group})
    values = [panel.value(cell) for cell in group]
    low, high = min(values), max(values)
    # Half of the range below the smallest value keeps the palest cell off the white of the page.
    scale = Normalize(low - 0.5 * (high - low) - 1e-9, high + 0.25 * (high - low) + 1e-9)
    colours = matplotlib.colormaps[panel.colours]
    for cell, value in zip(group, values, strict=True):
        x, y = breadths.index(cell.settings["breadth"]), depths.index(cell.settings["depth"])
        colour = colours(scale(value))
        axes.add_patch(_square(x, y, colour))
        axes.text(x, y, panel.text(cell), ha="center", va="center", color=_readable_on(colour))
    axes.set(xlim=(-0.5, len(breadths) - 0.5), ylim=(-0.5, len(depths) - 0.5))
    axes.set_xticks(range(len(breadths)), map(str, breadths))
    axes.set_yticks(range(len(depths)), map(str, depths))
    axes.set(xlabel="breadth (hops)", ylabel="depth (levels)")
    axes.set_title(f"{label}{panel.title}")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _square(x: int, y: int, colour: Any) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((x - 0.48, y - 0.48), 0.96, 0.96, facecolor=colour, linewidth=0)


def _readable_on(colour: Sequence[float]) -> str:
    red, green, blue = colour[:3]
    return "white" if 0.299 * red + 0.587 * green + 0.114 * blue < 0.55 else _INK


MARKS: dict[str, Any] = {"marker": "o", "markersize": 5, "linewidth": 1.8, "capsize": 3}


def _draw_line(axes: Axes, line: Sequence[Cell], colour: str, shift: float, label: str) -> None:
    hops = [_reach(cell) + shift for cell in line]
    means = [100 * (cell.mean("test") or 0.0) for cell in line]
    spreads = [100 * (cell.std("test") or 0.0) for cell in line]
    axes.errorbar(hops, means, yerr=spreads, color=colour, label=label, **MARKS)


def _mark_reach(axes: Axes, found: Sequence[Cell], radii: set[int]) -> None:
    """Write under every tick the hops, and the breadth that reaches them."""
    breadths: dict[int, set[Breadth]] = {hops: set() for hops in radii}
    for cell in found:
        breadths.setdefault(_reach(cell), set()).add(cell.settings["breadth"])
    names = [
        f"\nbreadth {' or '.join(map(str, ordered(b)))}" if b else "" for b in breadths.values()
    ]
    axes.set_xticks(list(breadths), [f"{h}{n}" for h, n in zip(breadths, names, strict=True)])


def _draw_reference(axes: Axes, reference: Sequence[Row]) -> None:
    radii, means = zip(*((row["radius"], 100 * row["mean"]) for row in reference), strict=True)
    spreads = [100 * row["std"] for row in reference]
    label = "belief propagation, no labels: counts within so many hops"
    axes.errorbar(radii, means, yerr=spreads, color=_INK, linestyle="--", label=label, **MARKS)


def _label(group: Sequence[Cell], found: Sequence[Cell]) -> str:
    names = [name for name in varying(found) if name not in ("breadth", "depth")]
    return ", ".join(str(group[0].settings[name]) for name in names) + (": " if names else "")


def _line_label(line: Sequence[Cell], found: Sequence[Cell]) -> str:
    names = [name for name in varying(found) if name not in ("breadth", "depth")]
    return ", ".join(
        [*(str(line[0].settings[n]) for n in names), f"depth {line[0].settings['depth']}"]
    )
