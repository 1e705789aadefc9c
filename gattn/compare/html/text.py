"""Numbers as the page writes them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from gattn.compare.html.shown import Spread

NOTHING = "–"


def percent(value: float | None, digits: int = 1) -> str:
    """Return a fraction in per cent, without the sign."""
    return NOTHING if value is None else f"{100 * value:.{digits}f}"


def spread(found: Spread | None, digits: int = 1) -> str:
    """Return mean ± standard deviation of fractions, in per cent."""
    if found is None:
        return NOTHING
    mean = percent(found.mean, digits)
    return mean if found.std is None else f"{mean} ± {percent(found.std, digits)}"


def interval(found: Spread | None, digits: int = 1) -> str:
    """Return the 95 % interval of fractions, in per cent, and no more than there can be."""
    if found is None or found.low is None or found.high is None:
        return NOTHING
    return f"{percent(max(found.low, 0.0), digits)} to {percent(min(found.high, 1.0), digits)}"


def seconds(value: float | None) -> str:
    """Return a time in the unit that suits it."""
    if value is None:
        return NOTHING
    for limit, factor, unit in ((0.001, 1e6, "µs"), (1.0, 1e3, "ms"), (120.0, 1.0, "s")):
        if value < limit:
            return f"{_three(value * factor)} {unit}"
    return f"{_three(value / 60)} min" if value < 7200 else f"{_three(value / 3600)} h"


def memory(value: float | None) -> str:
    """Return bytes in the unit that suits them."""
    if value is None:
        return NOTHING
    if value < 2**20:
        return f"{_three(value / 2**10)} KiB"
    return f"{_three(value / 2**20)} MiB" if value < 2**30 else f"{_three(value / 2**30)} GiB"


def count(value: float | None) -> str:
    """Return a number of things, thousands set apart."""
    return NOTHING if value is None else f"{value:,.0f}"


def round_number(written: str) -> str:
    """Return a written number without zeros behind its point: `50.0 ms` is `50 ms`."""
    return re.sub(r"(\.\d*?)0+\b", r"\1", written).replace(". ", " ").rstrip(".")


def when(times: Iterable[str]) -> str:
    """Return the first and the last of ISO times, to the minute."""
    ordered = sorted(times)
    if not ordered:
        return ""
    first, last = (time[:16].replace("T", " ") for time in (ordered[0], ordered[-1]))
    zone = " UTC" if ordered[0].endswith("+00:00") else ""
    last = last[11:] if last[:10] == first[:10] else last
    return f"{first}{zone}" if last in first else f"{first} to {last}{zone}"


def plural(number: int, word: str) -> str:
    """Return a number with its noun, such as `2 seeds`."""
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def _three(value: float) -> str:
    """Three significant digits, without an exponent."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
