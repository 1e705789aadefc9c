"""Numbers as people read them."""

from __future__ import annotations


def counted(number: float) -> str:
    """A number of pairs, such as `12 M`."""
    return _in_units(number, ((1e9, " G"), (1e6, " M"), (1e3, " k"), (1.0, "")))


def size(number: float) -> str:
    """Bytes, such as `1.2 GB`."""
    return _in_units(number, ((1e9, " GB"), (1e6, " MB"), (1e3, " kB"), (1.0, " B")))


def duration(seconds: float) -> str:
    """Seconds, such as `3.5 ms` or `12 min`."""
    return _in_units(seconds, ((3600.0, " h"), (120.0, " min"), (1.0, " s"), (1e-3, " ms")))


def _in_units(number: float, units: tuple[tuple[float, str], ...]) -> str:
    """Two digits, in the largest unit that the number reaches."""
    unit, name = next((u for u in units if number >= u[0]), units[-1])
    value = number / (60.0 if name == " min" else unit)
    return (f"{value:.2g}" if value < 99.5 else f"{value:.0f}") + name
