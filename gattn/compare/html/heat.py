"""Heat maps of breadth and depth, as tables: they are read aloud, copied and printed as such."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from gattn._page import Markup, tag
from gattn._page.colours import COST, GOOD, colour, ink_on
from gattn.compare.breadth import ordered
from gattn.compare.html import text
from gattn.compare.html.shown import (
    Shown,
    by_dataset,
    described,
    group_name,
    groups,
    metric_of,
    names,
)

_OPEN = 6  # groups that are open at first


@dataclass(frozen=True)
class Quantity:
    """What one heat map shows: a column of rows, how it is written and coloured.

    The colours span at least a range of `least`, so that small differences do not look large.
    """

    column: str
    title: str
    write: Callable[[Shown], tuple[str, str]]
    scale: Sequence[str]
    least: float
    log: bool = False


def quantities(metric: str) -> list[Quantity]:
    """Return what there is a heat map of.

    Args:
        metric: its name, as one writes it.
    """
    return [
        Quantity("test", f"Test {metric} (%)", lambda each: _fraction(each, "test"), GOOD, 0.02),
        Quantity(
            "val", f"Validation {metric} (%)", lambda each: _fraction(each, "val"), GOOD, 0.02
        ),
        Quantity("seconds_per_epoch", "Time per epoch", _time, COST, 0.7, True),
        Quantity("peak_memory_bytes", "Peak memory", _memory, COST, 0.7, True),
    ]


def heat_maps(found: Sequence[Shown]) -> list[Markup]:
    """Return the heat maps of every group, and one list of the groups that are a single cell.

    Args:
        found: of `shown`.
    """
    several = [group for group in groups(found) if len(group) > 1]
    alone = [group[0] for group in groups(found) if len(group) == 1]
    parts = [_group(group, found, number < _OPEN) for number, group in enumerate(several)]
    for number, of_one in enumerate(by_dataset(alone)):
        parts.append(_listed(of_one, found, bool(several), number < _OPEN))
    return parts


def _group(group: Sequence[Shown], found: Sequence[Shown], open_: bool) -> Markup:
    maps = [_map(group, quantity) for quantity in quantities(metric_of(group))]
    return _folded(group_name(group, found), tag("div", *maps, class_="maps"), open_)


def _folded(name: str, content: Markup, open_: bool) -> Markup:
    """A part that folds under its name; without a name there is nothing to tell apart."""
    if not name:
        return content
    return tag("details", tag("summary", name), content, open=open_, class_="group")


def _map(group: Sequence[Shown], quantity: Quantity) -> Markup:
    breadths = ordered(each.place[0] for each in group)
    depths = sorted({each.place[1] for each in group})
    colours = _colours(group, quantity)
    by_place = {each.place: each for each in group}
    top = tag("tr", tag("td"), *(tag("th", breadth, scope="col") for breadth in breadths))
    lines = [
        tag(
            "tr",
            tag("th", depth, scope="row"),
            *(_cell(by_place.get((b, depth)), quantity, colours) for b in breadths),
        )
        for depth in depths
    ]
    axes = tag("span", "depth ↓  breadth →", class_="axes")
    caption = tag("figcaption", quantity.title, axes)
    table = tag("table", tag("thead", top), tag("tbody", *lines), class_="heat")
    return tag("figure", caption, tag("div", table, class_="scroll"), class_="map")


def _listed(alone: Sequence[Shown], found: Sequence[Shown], others: bool, open_: bool) -> Markup:
    """One line for each cell, where nothing varies in breadth and depth but in other settings."""
    shown = quantities(metric_of(alone))
    colours = [_colours(alone, quantity) for quantity in shown]
    fixed = [name for name in ("dataset", "options") if name in names([e.cell for e in found])]
    title = described(alone[0].cell.settings, fixed)
    top = tag("tr", tag("th", "setting"), *(tag("th", q.title, scope="col") for q in shown))
    lines = [
        tag(
            "tr",
            tag("th", _rest(each, found, fixed), scope="row"),
            *(_cell(each, q, c) for q, c in zip(shown, colours, strict=True)),
        )
        for each in alone
    ]
    table = tag("table", tag("thead", top), tag("tbody", *lines), class_="heat listed")
    content = tag("div", table, class_="scroll")
    return _folded(title or ("the rest" if others else ""), content, open_)


def _rest(each: Shown, found: Sequence[Shown], fixed: Sequence[str]) -> str:
    differing = [name for name in names([other.cell for other in found]) if name not in fixed]
    return described(each.cell.settings, differing)


def _colours(group: Sequence[Shown], quantity: Quantity) -> Callable[[float], str]:
    values = [_number(each, quantity) for each in group]
    known = [value for value in values if value is not None]
    low, high = (min(known), max(known)) if known else (0.0, 0.0)
    span, middle = max(high - low, quantity.least), (low + high) / 2
    return lambda value: colour(quantity.scale, 0.5 + (value - middle) / span)


def _number(each: Shown, quantity: Quantity) -> float | None:
    value = each.mean(quantity.column)
    if value is None or not quantity.log:
        return value
    return math.log(max(value, 1e-9))


def _cell(each: Shown | None, quantity: Quantity, colours: Callable[[float], str]) -> Markup:
    if each is None:
        return tag("td", class_="none")
    value = _number(each, quantity)
    if value is None:
        word = "failed" if any(row["status"] == "failed" for row in each.rows) else text.NOTHING
        return tag("td", tag("a", word, href=f"#{each.anchor}"), class_="empty")
    large, small = quantity.write(each)
    background = colours(value)
    inside = (large, tag("small", small) if small else None)
    link = tag("a", *inside, href=f"#{each.anchor}", aria_label=_spoken(each, quantity, large))
    return tag("td", link, style=f"background:{background};color:{ink_on(background)}")


def _spoken(each: Shown, quantity: Quantity, value: str) -> str:
    return f"{each.name}: {quantity.title} {value}; show trials"


def _fraction(each: Shown, column: str) -> tuple[str, str]:
    found: Any = each.spread(column)
    std = "" if found.std is None else f"± {text.percent(found.std)}"
    return text.percent(found.mean), std


def _time(each: Shown) -> tuple[str, str]:
    return text.seconds(each.mean("seconds_per_epoch")), ""


def _memory(each: Shown) -> tuple[str, str]:
    return text.memory(each.mean("peak_memory_bytes")), ""
