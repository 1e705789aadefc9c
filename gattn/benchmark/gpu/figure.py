"""The figure of a GPU's rows: how much faster than PyG, and how near to the floor.

matplotlib is imported when it is drawn.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gattn._rows import Row
from gattn.benchmark.gpu.providers import is_ours
from gattn.benchmark.gpu.report import faster, lines
from gattn.benchmark.passes import PASSES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = dict(zip(PASSES, ("#7b8794", "#3b6fb6"), strict=True))
_STYLE: Any = {"font.size": 8, "axes.titlesize": 9, "axes.titleweight": "bold"}

_Values = dict[str, dict[str, float]]
"""By line, by pass."""


@dataclass(frozen=True)
class _Panel:
    """One quantity of ours, what it is aimed at, and how it is written."""

    title: str
    value: Callable[[Row], float | None]
    aim: float
    text: str


_PANELS = (
    _Panel("PyG's time by ours", lambda row: faster(row, "pyg"), 8, "{:.1f}×"),
    _Panel("compiled PyG's time by ours", lambda row: faster(row, "pyg-compile"), 2, "{:.1f}×"),
    _Panel("anemoi's time by ours", lambda row: faster(row, "anemoi"), 1, "{:.1f}×"),
    _Panel("floor by our time", lambda row: row.get("of_floor"), 0.65, "{:.0%}"),
)


def figure(rows: Iterable[Row], path: str | os.PathLike[str]) -> Path | None:
    """Draw ours beside the others, a bar for each pass; `None` where nothing was compared.

    Args:
        rows: of a file.
        path: the PNG to write.
    """
    times = [line["time"] for line in lines(rows) if "seconds" in line.get("time", {})]
    mine = [row for row in times if is_ours(row["provider"])]
    panels = [(panel, _values(mine, panel)) for panel in _PANELS]
    drawn = [(panel, values) for panel, values in panels if values]
    if not drawn:
        return None
    devices = ", ".join(dict.fromkeys(str(row["device"]) for row in mine))
    _draw(drawn, devices, Path(path))
    return Path(path)


def _values(rows: Iterable[Row], panel: _Panel) -> _Values:
    found: _Values = {}
    for row in rows:
        value = panel.value(row)
        if value is not None:
            _, plus, form = row["provider"].partition("+")
            name = f"{row['problem']}  {row['layer']}{'  ' if plus else ''}{form}"
            name += "  (tiny)" if row["quick"] else ""
            found.setdefault(name, {})[row["pass"]] = value
    return found


def _draw(panels: list[tuple[_Panel, _Values]], devices: str, path: Path) -> None:
    import matplotlib
    from matplotlib.figure import Figure

    temporary = path.with_name(path.name + ".tmp")
    tallest = max(len(values) for _, values in panels)
    with matplotlib.rc_context(_STYLE):
        page = Figure(
            figsize=(4.2 * len(panels), 1.4 + 0.26 * tallest), layout="constrained", dpi=130
        )
        for axes, (panel, values) in zip(
            page.subplots(1, len(panels), squeeze=False)[0], panels, strict=True
        ):
            _draw_panel(axes, panel, values)
        page.suptitle(f"{devices}; dashed: what is aimed at; grey: forward, blue: with backward")
        page.savefig(temporary, format="png")
    temporary.replace(path)


def _draw_panel(axes: Axes, panel: _Panel, values: _Values) -> None:
    height = 0.8 / len(PASSES)
    for place, by_pass in enumerate(values.values()):
        for shift, passed in enumerate(PASSES):
            if passed in by_pass:
                y = place + (shift - 0.5) * height
                axes.barh(y, by_pass[passed], height=height, color=_COLOURS[passed])
                text = f" {panel.text.format(by_pass[passed])}"
                axes.text(by_pass[passed], y, text, va="center", fontsize=6)
    axes.axvline(panel.aim, linestyle="--", linewidth=0.8, color="#d1662f")
    axes.set_yticks(range(len(values)), list(values))
    largest = max(max(by_pass.values()) for by_pass in values.values())
    axes.set(ylim=(len(values) - 0.4, -0.6), xlim=(0, 1.2 * max(largest, panel.aim)))
    axes.set_title(panel.title, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
