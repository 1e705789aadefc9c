"""`estimate`: how many pairs a breadth has, from searches around a sample of the nodes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from gattn import _check
from gattn._numba.compile import missing
from gattn.neighborhood._compress import compressed_rows
from gattn.neighborhood._stratified import Interval as Interval
from gattn.neighborhood._stratified import stratified, total
from gattn.neighborhood._tensors import MAX_HOPS
from gattn.neighborhood.build import checked_count, checked_edges

if TYPE_CHECKING:
    from gattn._numba.search import Search
    from gattn.neighborhood._boolean import BooleanSearch

Rows = tuple[np.ndarray, np.ndarray]
"""`rowptr` `[N + 1]` and `col` `[E]` of the edges by target."""

# Edges that the searches of a default sample look at: about a second, without a compiler two.
_EDGES = 1 << 27
_EDGES_PLAIN = 1 << 23
_FEWEST, _MOST = 64, 4096
# Counts, a node's of each distance, that are held at a time.
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Estimate:
    """How many pairs a graph has within and at every distance.

    Args:
        num_nodes: N.
        num_samples: how many nodes were searched around, all K hops.
        counted: the breadth up to which every number is exact.
        per_hop: for each distance `0 .. K`, the pairs exactly so far apart; 0 for a distance that
            is not kept.
        pairs: for each breadth `0 .. K`, the pairs at most so far apart.
        mean_ball: for each breadth, the mean number of pairs of a node.
        largest_ball: for each breadth, the largest number that was seen at a node.
    """

    num_nodes: int
    num_samples: int
    counted: int
    per_hop: tuple[Interval, ...]
    pairs: tuple[Interval, ...]
    mean_ball: tuple[float, ...]
    largest_ball: tuple[int, ...]

    @property
    def num_hops(self) -> int:
        """K, the largest breadth."""
        return len(self.pairs) - 1

    @property
    def is_exact(self) -> bool:
        """Whether every number was counted."""
        return self.counted == self.num_hops


def estimate(
    edge_index: Tensor,
    num_hops: int,
    num_nodes: int | None = None,
    *,
    shells: Iterable[int] | None = None,
    samples: int | None = None,
    seed: int = 0,
) -> Estimate:
    r"""How many pairs `k_hop` would find, for every breadth up to `num_hops`, without storing any.

    Nodes are grouped into strata by $p_i = \min(N, \sum_{l \le K} (A^l 1)_i)$, the number of walks
    that end at i, a bound of its ball; the strata have about the same sum of p, so that those of
    large balls are small. From each of them as many nodes are drawn without replacement, and the
    pairs $y_i$ of these are counted. With $N_s$ nodes and $n_s$ draws in stratum s, whose counts
    have mean $\bar y_s$ and variance $v_s$,

    $$ \hat T = \sum_s N_s \bar y_s, \qquad
       \widehat{\operatorname{var}}\, \hat T
       = \sum_s N_s^2 \Big(1 - \frac{n_s}{N_s}\Big) \frac{v_s}{n_s} $$

    and the interval is $\hat T \pm t\, \widehat{\operatorname{sd}}$, t being the 97.5 % quantile of
    Student's distribution with Satterthwaite's degrees of freedom. A stratum that is counted
    throughout adds nothing to the variance. One that is not, but whose draws are all alike, has
    $v_s = \bar y_s^2 / (n_s + 1)$, as if one more draw had none or twice as many; where all have
    none, with the mean of all nodes in place of $\bar y_s$. Breadths at which it is cheap to search
    around every node are counted, and only what lies beyond is estimated.

    (Cochran, "Sampling Techniques", 1977, chapter 5.)

    Args:
        edge_index: `[2, E]` integers, (source, target), as `k_hop` takes them.
        num_hops: K, from 0 to 254.
        num_nodes: N; without it the largest index decides.
        shells: count these distances only, instead of the whole ball.
        samples: n, the nodes to search around, from 2; `None` takes as many as a second or two
            allow, and all of them where that is enough.
        seed: of the draws.

    Raises:
        TypeError, ValueError, IndexError: an argument is out of range.
    """
    radius = _check.integer("num_hops", num_hops, 0, MAX_HOPS)
    kept = kept_hops(shells, radius)
    wanted = None if samples is None else _check.integer("samples", samples, 2)
    rng = np.random.default_rng(_check.integer("seed", seed, 0))
    rows = by_target(edge_index, num_nodes)
    walks, near = _walks(rows, radius, _budget() if wanted is None else 0)
    count = len(rows[0]) - 1
    if near == radius or (wanted or 0) >= count:
        return _exact(rows, kept)
    drawn, search = _drawn(rows, walks, wanted, rng), searcher(rows, radius)
    found = [(size, _found(search, nodes, kept)) for size, nodes in drawn]
    return _sampled(_exact(rows, kept[: near + 1]), found)


def by_target(edge_index: Tensor, num_nodes: int | None) -> Rows:
    """The edges in compressed rows, checked as `k_hop` does.

    Args:
        edge_index: `[2, E]` integers.
        num_nodes: N, or `None`.
    """
    if num_nodes is not None:
        checked_count(num_nodes)
    source, target, sizes = checked_edges(edge_index, num_nodes)
    rowptr, col, _, _ = compressed_rows(source.cpu(), target.cpu(), sizes, None, False)
    return rowptr.numpy(), col.numpy()


def searcher(rows: Rows, radius: int) -> Search | BooleanSearch:
    """What searches so far: compiled, or by boolean matrices where there is no compiler."""
    kept = np.ones(radius + 1, dtype=bool)
    if missing() is None:
        from gattn._numba.search import Search

        return Search(*rows, kept, unreached=False)
    from gattn.neighborhood._boolean import BooleanSearch

    return BooleanSearch(*rows, kept, unreached=False)


def kept_hops(shells: Iterable[int] | None, radius: int) -> np.ndarray:
    """Which distances count, `[K + 1]` bool."""
    if shells is None:
        return np.ones(radius + 1, dtype=bool)
    if not isinstance(shells, Iterable):
        raise TypeError(f"shells: found {shells!r}, expected distances, such as [2]")
    kept = np.zeros(radius + 1, dtype=bool)
    for shell in shells:
        kept[_check.integer("shells", shell, 0, radius)] = True
    return kept


def _budget() -> int:
    """Edges that the searches of a default sample look at."""
    return _EDGES if missing() is None else _EDGES_PLAIN


def _walks(rows: Rows, radius: int, budget: int) -> tuple[np.ndarray, int]:
    """Walks of 1 to K edges that end at each node, `[N]`, and up to where all can be counted.

    A search looks at no more edges than there are walks.
    """
    rowptr, col = rows
    total, last, near = np.zeros(len(rowptr) - 1), np.ones(len(rowptr) - 1), 0
    for hop in range(1, radius + 1):
        summed = np.concatenate([[0.0], np.cumsum(last[col])])
        # Far beyond all pairs the number says nothing more, and would overflow.
        last = np.minimum(summed[rowptr[1:]] - summed[rowptr[:-1]], 1e15)
        total += last
        if near == hop - 1 and np.minimum(total, len(col)).sum() <= budget:
            near = hop
    return total, near


def _found(search: Search | BooleanSearch, nodes: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Pairs of some nodes at every distance, `[n, K + 1]`."""
    return search.count(nodes, by_hop=True)[:, : len(kept)] * kept


def _drawn(
    rows: Rows, walks: np.ndarray, wanted: int | None, rng: np.random.Generator
) -> list[tuple[int, np.ndarray]]:
    """Size and drawn nodes of every stratum."""
    ball = np.minimum(walks + 1, len(walks))
    number = wanted or _affordable(ball, np.minimum(walks, len(rows[1])))
    return stratified(walks, ball, number, rng)


def _affordable(ball: np.ndarray, work: np.ndarray) -> int:
    """Searches of a default sample: draws are about proportional to balls."""
    each = float((work * ball).sum() / ball.sum())
    return int(np.clip(_budget() / each, min(_FEWEST, len(work)), _MOST))


def _exact(rows: Rows, kept: np.ndarray) -> Estimate:
    """Of the counts of all nodes."""
    count, (hops, largest) = len(rows[0]) - 1, _reduced(rows, kept)
    balls = hops.cumsum()
    return Estimate(
        count,
        count,
        len(kept) - 1,
        tuple(map(_known, hops.tolist())),
        tuple(map(_known, balls.tolist())),
        tuple((balls / max(count, 1)).tolist()),
        tuple(largest.tolist()),
    )


def _reduced(rows: Rows, kept: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of all nodes at every distance, and the largest ball of every breadth, `[K + 1]`."""
    search, count, step = searcher(rows, len(kept) - 1), len(rows[0]) - 1, _BLOCK // len(kept)
    hops, largest = np.zeros((2, len(kept)), np.int64)
    for first in range(0, count, step):
        counts = _found(search, np.arange(first, min(first + step, count)), kept)
        hops += counts.sum(0)
        np.maximum(largest, counts.cumsum(1).max(0), out=largest)
    return hops, largest


def _sampled(near: Estimate, drawn: list[tuple[int, np.ndarray]]) -> Estimate:
    """Of what is known of all nodes, and of all counts of the drawn ones of every stratum."""
    first = len(near.pairs)
    sizes, far = [size for size, _ in drawn], [counts[:, first:] for _, counts in drawn]
    hops = [total(sizes, part) for part in zip(*(counts.T for counts in far), strict=True)]
    more = [total(sizes, p) for p in zip(*(c.cumsum(1).T for c in far), strict=True)]
    pairs = (*near.pairs, *(_shifted(part, near.pairs[-1].value) for part in more))
    seen = np.concatenate([counts for _, counts in drawn]).cumsum(1)
    return Estimate(
        near.num_nodes,
        len(seen),
        near.counted,
        (*near.per_hop, *hops),
        pairs,
        tuple(part.value / near.num_nodes for part in pairs),
        (*near.largest_ball, *np.maximum(seen.max(0), near.largest_ball[-1]).tolist()[first:]),
    )


def _known(value: float) -> Interval:
    return Interval(float(value), float(value), float(value))


def _shifted(interval: Interval, by: float) -> Interval:
    return Interval(interval.value + by, interval.low + by, interval.high + by)
