"""Which way to take at every breadth, in a sentence with its reason."""

from __future__ import annotations

from itertools import groupby

from gattn.cost.prediction import Breadth, Costs, Way
from gattn.cost.text import counted, duration, size

EXACT = ("stored", "streamed")
"""The ways that attend to the same pairs; they differ by rounding only."""

OTHER = ("diffusion", "sampled")
"""Other operators, the one that is thought of first in front."""

SHARE = 0.8
"""Of the memory that is free, what a step may take."""

SLOW = 10.0
"""Seconds of a step beyond which another operator is worth a thought."""


def choose(breadth: Breadth, limit: float | None) -> tuple[str, str]:
    """The way to take, and why.

    The faster one of "stored" and "streamed" that fits; stored, where the two are alike. Where
    neither fits, or a step would take more than `SLOW` seconds, "diffusion" if it fits and is
    faster, else "sampled" on the same terms: these are other operators, so it is the user's choice.
    "none" where nothing fits.

    Args:
        breadth: what it costs.
        limit: bytes that are free; `None` = not known.
    """
    room = float("inf") if limit is None else limit * SHARE
    fitting = {name: way for name, way in breadth.ways.items() if way.bytes <= room}
    exact = [name for name in EXACT if name in fitting]
    best = min(exact, key=lambda name: _seconds(name, fitting[name]), default=None)
    if best is not None and fitting[best].seconds <= SLOW:
        return best, _why_exact(best, breadth, fitting)
    slowest = float("inf") if best is None else fitting[best].seconds
    others = [name for name in OTHER if name in fitting and fitting[name].seconds < slowest]
    if others:
        return others[0], _why_other(others[0], best, breadth)
    return ("none", _why_none(breadth)) if best is None else (best, _why_slow(best, breadth))


def advice(costs: Costs, limit: float | None = None) -> list[str]:
    """A sentence for each breadth, or run of breadths, that is best computed in one way.

    Args:
        costs: of the breadths.
        limit: bytes that are free; `None` = not known.
    """
    chosen = [(breadth, *choose(breadth, limit)) for breadth in costs.breadths]
    said = []
    for way, group in groupby(chosen, key=lambda found: found[1]):
        breadths = list(group)
        hops = [str(breadth.num_hops) for breadth, _, _ in breadths]
        name = "breadth " + (
            hops[0] if len(hops) == 1 else f"{', '.join(hops[:-1])} and {hops[-1]}"
        )
        said.append(f"{name.capitalize()}: {way}, {breadths[-1][2]}.")
    return said


def _seconds(name: str, way: Way) -> float:
    """Stored pairs are of more use (weights, arguments of pairs): a tenth is no reason."""
    return way.seconds * (1.0 if name == "stored" else 1.1)


def _why_exact(name: str, breadth: Breadth, fitting: dict[str, Way]) -> str:
    told = _told(name, breadth)
    if name == "stored":
        return f"since it fits ({told})"
    other = breadth.ways["stored"]
    if "stored" not in fitting:
        return f"since to store the pairs would take {size(other.bytes)} ({told})"
    return f"since it is predicted to be no slower, and keeps one block of pairs at a time ({told})"


def _why_slow(name: str, breadth: Breadth) -> str:
    return f"with patience, since no other way that fits is faster ({_told(name, breadth)})"


def _told(name: str, breadth: Breadth) -> str:
    way, pairs = breadth.ways[name], counted(breadth.pairs.value)
    return f"{pairs} pairs, {size(way.bytes)}, {duration(way.seconds)} a step"


def _why_none(breadth: Breadth) -> str:
    name, way = min(breadth.ways.items(), key=lambda item: item[1].bytes)
    return f"since nothing fits (the least memory, {size(way.bytes)}, is that of {name})"


def _why_other(name: str, best: str | None, breadth: Breadth) -> str:
    way, pairs = breadth.ways[name], counted(breadth.pairs.value)
    if best is None:
        reason = f"since neither way to attend to {pairs} pairs fits"
    else:
        reason = f"or {best} pairs with patience: a step over {pairs} of them takes "
        reason += duration(breadth.ways[best].seconds)
    return f"{reason} ({name} is another operator: {size(way.bytes)}, {duration(way.seconds)})"
