"""Learning curves: a small chart for each cell, a thin line for each seed."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from gattn._page import Markup, tag
from gattn._page.charts import Frame, Scale, chart, path
from gattn.compare.curve import thinned
from gattn.compare.html.shown import Shown, group_name, groups, metric_of

_FRAME = Frame(220, 140, 36, 8, 8, 24)
_BUDGET = 300_000  # points on a page, of some four bytes each
_OPEN = 3

Curve = Sequence[Sequence[float]]
"""Of `gattn.compare.curve`: epoch, training loss, validation loss, validation metric."""


def learning_curves(found: Sequence[Shown]) -> list[Markup]:
    """Return the charts of every group of which rows have a curve.

    Args:
        found: of `shown`.
    """
    kept = sum(len(_curves(each)) for each in found)
    most = max(12, _BUDGET // max(3 * kept, 1))
    with_curves = [g for g in groups(found) if any(_curves(each) for each in g)]
    return [
        _group(group, group_name(group, found), most, number < _OPEN)
        for number, group in enumerate(with_curves)
    ]


def _curves(each: Shown) -> list[Curve]:
    return [row["curve"] for row in each.cell.rows if row.get("curve")]


def _group(group: Sequence[Shown], name: str, most: int, open_: bool) -> Markup:
    drawn = [each for each in group if _curves(each)]
    charts = [figure for each in drawn for figure in _cell(each, drawn, most)]
    inside = tag("div", *charts, class_="small-charts")
    if not name:
        return inside
    return tag("details", tag("summary", name), inside, open=open_, class_="group")


def _cell(each: Shown, group: Sequence[Shown], most: int) -> list[Markup]:
    breadth, depth = each.place
    name = f"breadth {breadth}, depth {depth}"
    lines = [_thin(curve, most) for curve in _curves(each)]
    everything = [point for other in group for curve in _curves(other) for point in curve]
    x = Scale(0, max(max(point[0] for point in everything), 1), *_FRAME.across())
    metric = _scale([point[3] for point in everything], 1.0)
    loss = _scale([v for point in everything for v in point[1:3]], 0.97)
    return [
        _figure(each, f"{name}: validation {metric_of([each])}", x, metric, lines, (3,)),
        _figure(each, f"{name}: loss", x, loss, lines, (1, 2)),
    ]


def _thin(curve: Curve, most: int) -> Curve:
    return [curve[k] for k in thinned(len(curve), most)]


def _scale(values: Sequence[float], share: float) -> Scale:
    """A scale of all but the largest values: a first loss may dwarf what follows."""
    ordered = sorted(values)
    low, high = ordered[0], ordered[min(int(share * len(ordered)), len(ordered) - 1)]
    room = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    return Scale(low - room, high + room, *_FRAME.upwards())


def _figure(
    each: Shown, title: str, x: Scale, y: Scale, lines: Sequence[Curve], columns: Sequence[int]
) -> Markup:
    kinds = {1: "curve training", 2: "curve validation", 3: "curve metric"}
    drawn = [
        tag("path", d=_path(curve, column, x, y), class_=kinds[column])
        for column in columns
        for curve in lines
    ]
    if columns == (3,):
        drawn += [_best(row, x, y) for row in each.cell.rows if row.get("curve")]
    scale = statistics.fmean((abs(y.low), abs(y.high)))
    fraction = columns == (3,)
    texts = (
        lambda value: f"{value:.0f}",
        (lambda value: f"{100 * value:.3g}")
        if fraction
        else (lambda value: f"{value:.2g}" if scale < 100 else f"{value:.0f}"),
    )
    label = f"{title}, {len(lines)} seeds"
    image = chart(_FRAME, x, y, drawn, names=("", ""), label=label, texts=texts, most=(4, 4))
    caption = tag("figcaption", tag("a", title, href=f"#{each.anchor}"))
    return tag("figure", caption, image, class_="figure")


def _path(curve: Curve, column: int, x: Scale, y: Scale) -> str:
    return path([(x(point[0]), y(min(max(point[column], y.low), y.high))) for point in curve])


def _best(row: dict, x: Scale, y: Scale) -> Markup:
    """A dot at the epoch that counts."""
    return tag("circle", cx=x(row["best_epoch"]), cy=y(row["val"]), r=2.5, class_="dot")
