"""Totals over many nodes from a few of them: strata, draws, and how sure the total is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# Strata, each with at least so many draws that its spread can be told.
_STRATA = 16
_PER_STRATUM = 8


@dataclass(frozen=True)
class Interval:
    """A number, and the bounds between which it lies with 95 % confidence.

    Args:
        value: the number, or the estimate of it.
        low: the lower bound; `value` itself where it was counted.
        high: the upper bound.
    """

    value: float
    low: float
    high: float


def stratified(
    key: np.ndarray, size: np.ndarray, number: int, rng: np.random.Generator
) -> list[tuple[int, np.ndarray]]:
    """How many nodes every stratum has, and those drawn from it.

    Args:
        key: `[N]`, the order in which the nodes are cut into strata.
        size: `[N]`, of which each stratum has about the same sum.
        number: of draws.
        rng: what draws.
    """
    strata = _strata(key, size, min(_STRATA, max(1, number // _PER_STRATUM)))
    shares = _shares([len(nodes) for nodes in strata], number)
    return [
        (len(nodes), np.sort(rng.choice(nodes, share, replace=False)))
        for nodes, share in zip(strata, shares, strict=True)
    ]


def total(of: Sequence[int], counts: Sequence[np.ndarray]) -> Interval:
    """The sum over all nodes, from the drawn ones.

    Args:
        of: how many nodes every stratum has.
        counts: the numbers of the drawn ones.
    """
    seen = float(sum(int(found.sum()) for found in counts))
    sizes, drawn = np.array(of), np.array([len(found) for found in counts])
    value = float(sum(size * found.mean() for size, found in zip(sizes, counts, strict=True)))
    spread = np.array([_spread(found, value / sizes.sum()) for found in counts])
    parts = sizes * (sizes - drawn) * spread / drawn
    half = _quantile(parts, drawn) * float(np.sqrt(parts.sum()))
    return Interval(value, max(value - half, seen), value + half)


def _spread(found: np.ndarray, usual: float) -> float:
    """The variance; of draws that are all alike, as if one more had none or twice as many.

    Args:
        found: the drawn numbers.
        usual: the mean of all nodes, which counts where the drawn ones have none.
    """
    seen = float(found.var(ddof=1)) if len(found) > 1 else 0.0
    return seen or (float(found.mean()) or usual) ** 2 / (len(found) + 1)


def _strata(key: np.ndarray, size: np.ndarray, number: int) -> list[np.ndarray]:
    """The nodes by key, cut where the sum of sizes reaches the next equal share."""
    order = np.argsort(key, kind="stable")
    reached = np.cumsum(size[order])
    shares = np.arange(1, number) * (reached[-1] / number)
    parts = np.split(order, np.searchsorted(reached, shares, side="right"))
    return [part for part in parts if len(part)]


def _shares(sizes: list[int], number: int) -> list[int]:
    """Draws from each stratum: as many from all, but none has more than its size."""
    shares, left = [0] * len(sizes), number
    for rank, place in enumerate(np.argsort(sizes, kind="stable").tolist()):
        shares[place] = min(sizes[place], left // (len(sizes) - rank))
        left -= shares[place]
    return shares


def _quantile(parts: np.ndarray, drawn: np.ndarray) -> float:
    """Student's 97.5 % quantile, by Satterthwaite's degrees of freedom of a sum of variances."""
    from scipy.special import stdtrit

    known = parts > 0
    if not known.any():
        return 0.0
    freedom = parts.sum() ** 2 / (parts[known] ** 2 / np.maximum(drawn[known] - 1, 1)).sum()
    return float(stdtrit(freedom, 0.975))
