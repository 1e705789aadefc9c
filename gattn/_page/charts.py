"""Axes of small charts in SVG: scales, ticks, a frame. What is in the frame is the caller's.

A chart is as wide as its place; its text is sized by the style sheet, larger on a narrow screen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from gattn._page.markup import Markup, tag


@dataclass(frozen=True)
class Scale:
    """Takes numbers of a range to places on a chart, by their logarithm if it says so.

    Args:
        low: of the range, more than 0 for a logarithm.
        high: of the range, larger than `low`.
        start: the place of `low`.
        end: the place of `high`.
        log: whether equal factors are equally far apart.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """Return the place of a number, in tenths."""
        low, high, value = (math.log(v) if self.log else v for v in (self.low, self.high, value))
        return round(self.start + (self.end - self.start) * (value - low) / (high - low), 1)

    def ticks(self, most: int = 5) -> list[float]:
        """Return round numbers of the range, at most so many."""
        found = _log_ticks(self.low, self.high) if self.log else []
        if len(found) < 2:
            return _even_ticks(self.low, self.high, most)
        step = -(-len(found) // most)
        return found[::step]


def spanning(
    values: Iterable[float], start: float, end: float, *, log: bool = False, margin: float = 0.06
) -> Scale:
    """Return a scale on which all values have room.

    Args:
        values: at least one.
        start: the place of the low end.
        end: the place of the high end.
        log: see `Scale`; left aside where a value is not above 0.
        margin: what is free at each end, as a share of the range.
    """
    found = list(values)
    low, high = min(found), max(found)
    if log and low > 0:
        spread = math.log(high / low) or 0.7
        room = math.exp(margin * spread) * (1.2 if high == low else 1.0)
        return Scale(low / room, high * room, start, end, True)
    room = margin * (high - low) or 0.05 * abs(high) or 1.0
    return Scale(low - room, high + room, start, end)


@dataclass(frozen=True)
class Frame:
    """The size of a chart and the room around its plot."""

    width: int = 360
    height: int = 250
    left: int = 46
    right: int = 12
    top: int = 12
    bottom: int = 44

    def across(self) -> tuple[float, float]:
        """Return where the plot begins and ends, from left to right."""
        return self.left, self.width - self.right

    def upwards(self) -> tuple[float, float]:
        """Return where the plot begins and ends, from the bottom to the top."""
        return self.height - self.bottom, self.top


def chart(
    frame: Frame,
    x: Scale,
    y: Scale,
    inside: Iterable[Markup],
    *,
    names: tuple[str, str],
    label: str,
    texts: tuple[Callable[[float], str], Callable[[float], str]],
    most: tuple[int, int] = (5, 5),
) -> Markup:
    """Return a chart with axes, grid lines and what is inside.

    Args:
        frame: its size.
        x: from left to right.
        y: from the bottom to the top.
        inside: marks, lines and words of the plot.
        names: of the two axes, "" for none.
        label: what the chart shows, for those who do not see it.
        texts: how numbers of the two axes are written.
        most: ticks of each axis.
    """
    parts = [*_axis_x(frame, x, names[0], texts[0], most[0])]
    parts += _axis_y(frame, y, names[1], texts[1], most[1])
    box = f"0 0 {frame.width} {frame.height}"
    return tag("svg", *parts, *inside, viewBox=box, class_="chart", role="img", aria_label=label)


def path(points: Sequence[tuple[float, float]]) -> str:
    """Return the `d` of a line through places, rounded to whole units and written as steps."""
    whole = [(round(x), round(y)) for x, y in points]
    steps = [f"{b[0] - a[0]} {b[1] - a[1]}" for a, b in pairwise(whole) if a != b]
    return f"M{whole[0][0]} {whole[0][1]}" + (f"l{' '.join(steps)}" if steps else "")


def _axis_x(
    frame: Frame, scale: Scale, name: str, text: Callable[[float], str], most: int
) -> list[Markup]:
    bottom = frame.height - frame.bottom
    found = []
    for value in scale.ticks(most):
        at = scale(value)
        found.append(tag("line", x1=at, x2=at, y1=frame.top, y2=bottom, class_="grid"))
        found.append(tag("text", text(value), x=at, y=bottom + 16, class_="tick x"))
    middle = (frame.left + frame.width - frame.right) / 2
    return [*found, *_named(name, x=middle, y=frame.height - 6)]


def _axis_y(
    frame: Frame, scale: Scale, name: str, text: Callable[[float], str], most: int
) -> list[Markup]:
    right = frame.width - frame.right
    found = []
    for value in scale.ticks(most):
        at = scale(value)
        found.append(tag("line", x1=frame.left, x2=right, y1=at, y2=at, class_="grid"))
        found.append(tag("text", text(value), x=frame.left - 6, y=at + 4, class_="tick y"))
    middle = (frame.top + frame.height - frame.bottom) / 2
    turned = f"rotate(-90 11 {middle})"
    return [*found, *_named(name, x=11, y=middle, transform=turned)]


def _named(name: str, **place: object) -> list[Markup]:
    return [tag("text", name, class_="name", **place)] if name else []


def _even_ticks(low: float, high: float, most: int) -> list[float]:
    rough = (high - low) / max(most, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * k for k in (1, 2, 2.5, 5, 10) if power * k >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    return [k * step for k in range(first, math.floor(high / step + 1e-9) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found = [k * 10.0**power for power in powers for k in (1, 2, 5)]
    return [value for value in found if low <= value <= high]
