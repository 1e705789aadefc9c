"""What more accuracy costs: each setting by metric and cost, and the front of those not beaten."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gattn._page import Markup, tag
from gattn._page.charts import Frame, Scale, chart, spanning
from gattn.compare.html import text
from gattn.compare.html.shown import Shown, by_dataset, cells_of, described, metric_of, names
from gattn.compare.recommend import pareto

_FRAME = Frame()
_LONG = 26  # characters of a name that still fits beside its point


@dataclass(frozen=True)
class _Cost:
    column: str
    title: str
    write: Callable[[float | None], str]
    unit: float


_COSTS = (
    _Cost("seconds_per_epoch", "time per epoch", text.seconds, 1.0),
    _Cost("peak_memory_bytes", "peak memory", text.memory, 2.0**20),
)


def fronts(found: Sequence[Shown], recommended: set[str]) -> list[Markup]:
    """Return the charts of every dataset: validation metric by time, and by memory.

    Args:
        found: of `shown`.
        recommended: anchors of the cells to mark.
    """
    differing = names([each.cell for each in found])
    data = [name for name in ("dataset", "options") if name in differing]
    parts = []
    for group in by_dataset(found):
        charts = [made for cost in _COSTS if (made := _front(group, cost, recommended))]
        title = described(group[0].cell.settings, data)
        head = [tag("h3", title)] if title and charts else []
        parts += [*head, tag("div", *charts, class_="charts")] if charts else []
    return parts


def _front(group: Sequence[Shown], cost: _Cost, recommended: set[str]) -> Markup | None:
    points = [each for each in group if None not in (each.mean("val"), each.mean(cost.column))]
    if not points:
        return None
    x, y = _scales(points, cost)
    by_cell = {id(each.cell): each for each in points}
    best = [by_cell[id(cell)] for cell in pareto(cells_of(points), cost.column)]
    marks = [_line(best, cost, x, y)]
    marks += [_mark(each, cost, x, y, each in best, recommended) for each in points]
    named = [each for each in points if each.anchor in recommended]
    marks += _labels([*named, *reversed(best)], cost, x, y)
    metric = metric_of(group)
    drawing = chart(
        _FRAME,
        x,
        y,
        marks,
        names=(cost.title, f"validation {metric} (%)"),
        label=f"Validation {metric} by {cost.title} of {text.plural(len(points), 'setting')}",
        texts=(lambda value: text.round_number(cost.write(value * cost.unit)), "{:g}".format),
    )
    said = tag("figcaption", f"Validation {metric} against {cost.title}")
    return tag("figure", said, drawing, class_="figure")


def _place(each: Shown, cost: _Cost) -> tuple[float, float]:
    return (each.mean(cost.column) or 0.0) / cost.unit, 100 * (each.mean("val") or 0.0)


def _scales(points: Sequence[Shown], cost: _Cost) -> tuple[Scale, Scale]:
    x = spanning((_place(p, cost)[0] for p in points), *_FRAME.across(), log=True, margin=0.12)
    heights = [bound for p in points for bound in (*_bounds(p), _place(p, cost)[1])]
    return x, spanning(heights, *_FRAME.upwards())


def _bounds(each: Shown) -> tuple[float, ...]:
    """The ends of the error bar, in per cent; two seeds have an interval without use for a chart.

    It would be some thirteen standard deviations wide, and flatten everything else.
    """
    found = each.spread("val")
    if found is None or found.low is None or found.high is None or len(each.cell.rows) < 3:
        return ()
    return max(100 * found.low, 0.0), min(100 * found.high, 100.0)


def _line(best: Sequence[Shown], cost: _Cost, x: Scale, y: Scale) -> Markup:
    """The front as steps: up where a setting begins to be affordable."""
    places = [(x(a), y(b)) for a, b in (_place(each, cost) for each in best)]
    steps = "".join(f"H{a}V{b}" for a, b in places[1:])
    return tag("path", d=f"M{places[0][0]} {places[0][1]}{steps}", class_="front")


def _mark(
    each: Shown, cost: _Cost, x: Scale, y: Scale, best: bool, recommended: set[str]
) -> Markup:
    value, height = _place(each, cost)
    at = {"cx": x(value), "cy": y(height)}
    parts = [tag("title", _spoken(each, cost))]
    if bounds := _bounds(each):
        low, high = map(y, bounds)
        parts.append(tag("path", d=f"M{at['cx']} {low}V{high}", class_="error"))
    if each.anchor in recommended:
        parts.append(tag("circle", **at, r=8, class_="ring"))
    parts.append(tag("circle", **at, r=4.5))
    kind = "point best" if best else "point"
    return tag("a", *parts, href=f"#{each.anchor}", class_=kind, aria_label=_spoken(each, cost))


def _spoken(each: Shown, cost: _Cost) -> str:
    val, test = (f"{text.spread(each.spread(name))} %" for name in ("val", "test"))
    cost_text = cost.write(each.mean(cost.column))
    return f"{each.name}: validation {val}, test {test}, {cost_text}"


def _labels(points: Sequence[Shown], cost: _Cost, x: Scale, y: Scale) -> list[Markup]:
    """Names of points, the first ones first, as long as they do not cover one another."""
    kept: list[tuple[float, float, float, float]] = []
    found = []
    for each in dict.fromkeys(points):
        value, height = _place(each, cost)
        name = _short(each)
        at, up, width = x(value), y(height), 6.6 * len(name)
        right = at + width + 10 < _FRAME.width
        side = at + 10 if right else at - 10
        down = up + (14 if right and up < _FRAME.height - _FRAME.bottom - 18 else -8)
        box = (side if right else side - width, down - 10, width, 14)
        if box[0] > _FRAME.left and not any(_overlap(box, other) for other in kept):
            kept.append(box)
            anchor = "start" if right else "end"
            found.append(tag("text", name, x=side, y=down, text_anchor=anchor, class_="word"))
    return found


def _short(each: Shown) -> str:
    breadth, depth = each.place
    return each.name if len(each.name) <= _LONG else f"breadth {breadth}, depth {depth}"


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return all(a[k] < b[k] + b[k + 2] and b[k] < a[k] + a[k + 2] for k in (0, 1))
