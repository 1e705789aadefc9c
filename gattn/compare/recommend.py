r"""Which setting to take: the cheapest of those that validation does not hold to be worse.

The rule, for each dataset:

1. Only the validation metric is looked at, and only settings with the most finished runs.
2. The best is the setting with the highest mean. A setting is *as good* if its mean is at most a
   margin below: one standard error, or half a point (`TOLERANCE`) where that is more. The standard
   error is that of the best setting's mean or that of the mean difference between the two, run by
   run, whichever is smaller.
3. Of those, the cheapest is recommended: the fewest seconds for an epoch, then the least memory,
   both to within a tenth, then the smallest breadth, depth, and number of layers and heads. What
   differs from another setting only in more hops or levels is dearer, whatever the clock said: it
   does the same work and more, and clocks of busy machines err.

This is the one-standard-error rule of Breiman et al. (1984). A test is the wrong tool for it: with
three seeds it finds hardly any difference, and everything would be as good as the best. The tests
of `gattn.compare.statistics` are reported beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gattn.compare.breadth import place
from gattn.compare.cells import Cell, best_of, by_dataset, cells, described, fullest, varying
from gattn.compare.statistics import Comparison, compare_to_best, standard_error
from gattn.compare.trial import Row

TOLERANCE = 0.005
"""A difference of means that is no reason to pay more: half a point."""

_ALIKE = 1.1
"""Costs within this factor are the same: they are measured on machines that do other things."""

_DIALS = ("breadth", "depth")

_LEAST_BYTES = 1 << 20
"""Memory is told apart from this difference on: a process grows by pages."""


@dataclass(frozen=True)
class Recommendation:
    """The setting to take.

    Args:
        cell: the setting that is recommended.
        best: the one with the highest mean validation metric.
        why: in words.
        alternatives: the others that are as good by validation, the cheapest first.
    """

    cell: Cell
    best: Cell
    why: str
    alternatives: tuple[Cell, ...]

    @property
    def settings(self) -> Mapping[str, Any]:
        """The settings of the recommended cell, by name."""
        return self.cell.settings


def recommend(rows: Iterable[Row], tolerance: float = TOLERANCE) -> Recommendation:
    """Recommend a setting for one dataset.

    Args:
        rows: of `read_rows`, of one dataset.
        tolerance: a difference of means, as a fraction, that is no reason to pay more.

    Raises:
        ValueError: no finished row, or several datasets.
    """
    found = recommendations(rows, tolerance)
    if len(found) != 1:
        raise ValueError(f"rows: found finished ones of {len(found)} datasets, expected of one")
    return found[0]


def recommendations(rows: Iterable[Row], tolerance: float = TOLERANCE) -> list[Recommendation]:
    """Recommend a setting for each dataset that has a finished row.

    Args:
        rows: of `read_rows`.
        tolerance: see `recommend`.
    """
    groups = [[cell for cell in group if cell.rows] for group in by_dataset(cells(rows))]
    return [_recommended(group, tolerance) for group in groups if group]


def _recommended(group: Sequence[Cell], tolerance: float) -> Recommendation:
    best = best_of(group)
    assert best is not None  # every cell of the group has a row
    tests = {id(item.cell): item for item in compare_to_best(group, "val")}
    good = [
        cell
        for cell in fullest(group)
        if cell is best or _shortfall(best, cell) <= _margin(best, tests[id(cell)], tolerance)
    ]
    chosen, *others = by_cost(good)
    why = _why(group, chosen, best, tests.get(id(chosen)), tolerance)
    return Recommendation(chosen, best, why, tuple(others))


def _shortfall(best: Cell, cell: Cell) -> float:
    # As much again as rounding may take off a mean of equal numbers.
    return (best.mean("val") or 0.0) - (cell.mean("val") or 0.0) - 1e-12


def _margin(best: Cell, test: Comparison, tolerance: float) -> float:
    if test.paired is None:
        return tolerance
    return max(tolerance, min(standard_error(best), test.paired.error))


def by_cost(found: Iterable[Cell]) -> list[Cell]:
    """Return the cells by cost, the cheapest first: seconds, then memory, then simplicity.

    Seconds and memory within a tenth of the smallest are the same. A cell that does all the work of
    another, and more, comes after it, whatever the clock said.

    Args:
        found: of one dataset.
    """
    left, ordered = list(found), []
    while left:
        cheap = [cell for cell in left if not any(_contains(cell, other) for other in left)]
        cheap = _least(cheap, "seconds_per_epoch", 0.0)
        cheap = _least(cheap, "peak_memory_bytes", _LEAST_BYTES)
        ordered.append(min(cheap, key=_size))
        left = [cell for cell in left if cell is not ordered[-1]]
    return ordered


def _least(found: Sequence[Cell], column: str, slack: float) -> list[Cell]:
    costs = [(cell, cell.mean(column)) for cell in found]
    known = [cost for _, cost in costs if cost is not None]
    if len(known) < len(costs):
        return list(found)
    limit = _ALIKE * min(known) + slack
    return [cell for cell, cost in costs if cost is not None and cost <= limit]


def _contains(cell: Cell, other: Cell) -> bool:
    """Whether a cell differs from another only in more hops or more levels: it has all its work."""
    mine, theirs = cell.settings, other.settings
    if any(mine[name] != theirs[name] for name in mine if name not in _DIALS):
        return False
    more = [(mine[name], theirs[name]) for name in _DIALS]
    counted = all(isinstance(value, int) for pair in more for value in pair)
    return counted and cell is not other and all(a >= b for a, b in more)


def _size(cell: Cell) -> tuple[Any, ...]:
    """Breadth, a number before a word, depth, layers, heads, and the rest to break ties."""
    sizes = [cell.settings[name] for name in ("depth", "layers", "heads", "hidden")]
    return (place(cell.settings["breadth"]), *sizes, str(sorted(cell.settings.items())))


def pareto(found: Sequence[Cell], cost: str = "seconds_per_epoch") -> list[Cell]:
    """Return the cells that no other beats at once in mean validation metric and in cost.

    Args:
        found: of one dataset; those without a number for either are left out.
        cost: a column that should be small, such as "peak_memory_bytes".

    Returns:
        The cells, the cheapest first; so each is better than the one before.
    """
    front: list[Cell] = []
    for cell in sorted(
        (cell for cell in found if cell.rows and cell.mean(cost) is not None),
        key=lambda cell: (cell.mean(cost), -(cell.mean("val") or 0.0)),
    ):
        if not front or (cell.mean("val") or 0.0) > (front[-1].mean("val") or 0.0):
            front.append(cell)
    return front


def _why(
    group: Sequence[Cell], chosen: Cell, best: Cell, test: Comparison | None, tolerance: float
) -> str:
    names = varying(group) or ["breadth", "depth"]
    text = f"Recommended: {described(chosen, names)}"
    text += _because(chosen, best, names, test, tolerance)
    few = len(group) - len(fullest(group))
    if few:
        text += f" {few} of {len(group)} settings have fewer runs and were left out."
    if len(best.rows) < 2:
        text += " One run each does not tell chance from difference."
    return text


def _because(
    chosen: Cell, best: Cell, names: Sequence[str], test: Comparison | None, tolerance: float
) -> str:
    mean = 100 * (best.mean("val") or 0.0)
    if chosen is best or test is None:
        return f", the best by validation ({mean:.2f} %); nothing cheaper comes as close."
    lower = 100 * max(0.0, _shortfall(best, chosen))
    margin = 100 * _margin(best, test, tolerance)
    text = f", the cheapest of those as good as the best by validation ({described(best, names)}, "
    text += f"{mean:.2f} %): {lower:.2f} points below it, within the margin of {margin:.2f}."
    ratio = _ratio(best, chosen)
    return text + (f" An epoch of the best takes {ratio:.1f} times as long." if ratio else "")


def _ratio(best: Cell, chosen: Cell) -> float | None:
    dear, cheap = (cell.mean("seconds_per_epoch") for cell in (best, chosen))
    return dear / cheap if dear and cheap else None
