"""Breadth-first searches around many nodes: the pairs within k hops, counted or written down.

Every search is one row, and finds its pairs in the order of their distance. What it has seen is
marked in one byte for each node, which stays in a cache where four would not, and unmarked when
the row is done.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gattn._numba import pool
from gattn._numba.compile import kernel, piece

# Pairs below which a second thread costs more than it brings.
_SERIAL = 1 << 14


class Search:
    """Searches on one graph, and the scratch memory that they share.

    Args:
        rowptr: `[N + 1]` int64, of the edges by target.
        col: `[E]` int32, the source of each edge.
        kept: `[K + 1]` bool: which distances count as pairs; K is the farthest that is searched.
        unreached: the nodes that are farther away are pairs as well, at distance K + 1.
    """

    def __init__(
        self, rowptr: np.ndarray, col: np.ndarray, kept: np.ndarray, unreached: bool
    ) -> None:
        self.graph = rowptr, col, kept, unreached
        self.num_nodes = len(rowptr) - 1
        self._free: list[tuple[np.ndarray, np.ndarray]] = []

    def count(self, rows: np.ndarray, by_hop: bool = False) -> np.ndarray:
        """Pairs of some rows, `[R]` int64; or `[R, K + 2]`, those of every distance.

        Args:
            rows: `[R]` int64.
            by_hop: whether to count the distances apart.
        """
        counts = np.zeros((len(rows), len(self.graph[2]) + 1 if by_hop else 1), np.int64)
        self._run(_count, len(rows), len(rows) * len(self.graph[1]) >= _SERIAL, rows, counts)
        return counts if by_hop else counts[:, 0]

    def fill(
        self, first: int, starts: np.ndarray, col: np.ndarray, hop: np.ndarray, rings: np.ndarray
    ) -> None:
        """Write the pairs of rows that are as many as were counted, by distance.

        Args:
            first: the first row.
            starts: `[R + 1]` int64: the pairs of row `first + r` go to `starts[r] : starts[r + 1]`.
            col: int32, the sources, in the order of the search within each distance.
            hop: uint8, the distances.
            rings: `[R, groups]` int64: how many pairs of every distance there are, or of no size.
        """
        parallel = int(starts[-1]) >= _SERIAL
        self._run(_fill, len(starts) - 1, parallel, first, starts, col, hop, rings)

    def _run(self, function: Callable[..., Any], count: int, parallel: bool, *args: Any) -> None:
        def search(first: int, last: int) -> None:
            scratch = self._scratch()
            try:
                function(first, last, *self.graph, scratch, *args)
            finally:
                self._free.append(scratch)

        pool.run(search, range(count), parallel)

    def _scratch(self) -> tuple[np.ndarray, np.ndarray]:
        """Marks and a queue for a thread; to pop from a list and to append to it is atomic."""
        try:
            return self._free.pop()
        except IndexError:
            return np.zeros(self.num_nodes, np.uint8), np.empty(self.num_nodes, np.int32)


@piece
def _begin(seen, queue, row):
    """The first ring is the node itself."""
    seen[row] = 1
    queue[0] = row


@piece
def _next_ring(rowptr, col, seen, queue, low, high):
    """Put the nodes around `queue[low:high]` that are not seen yet behind it; the new end."""
    end = high
    for place in range(low, high):
        node = queue[place]
        for e in range(rowptr[node], rowptr[node + 1]):
            other = col[e]
            if seen[other] == 0:
                seen[other] = 1
                queue[end] = other
                end += 1
    return end


@piece
def _forget(seen, queue, end):
    for place in range(end):
        seen[queue[place]] = 0


@kernel
def _count(first, last, rowptr, col, kept, unreached, scratch, rows, counts):
    seen, queue = scratch
    for r in range(first, last):
        _begin(seen, queue, rows[r])
        low, high = 0, 1
        for hop in range(kept.size):
            if kept[hop]:
                counts[r, hop if counts.shape[1] > 1 else 0] += high - low
            if hop + 1 == kept.size or low == high:
                break
            low, high = high, _next_ring(rowptr, col, seen, queue, low, high)
        if unreached:
            counts[r, kept.size if counts.shape[1] > 1 else 0] += seen.size - high
        _forget(seen, queue, high)


@kernel
def _fill(
    first, last, rowptr, col, kept, unreached, scratch, base, starts, out, distance, rings
):  # fmt: skip
    seen, queue = scratch
    for r in range(first, last):
        _begin(seen, queue, base + r)
        low, high, place = 0, 1, starts[r]
        for hop in range(kept.size):
            if kept[hop]:
                if rings.size:
                    rings[r, hop] = high - low
                for k in range(low, high):
                    out[place] = queue[k]
                    distance[place] = hop
                    place += 1
            if hop + 1 == kept.size or low == high:
                break
            low, high = high, _next_ring(rowptr, col, seen, queue, low, high)
        if unreached:
            if rings.size:
                rings[r, kept.size] = seen.size - high
            for other in range(seen.size):
                if seen[other] == 0:
                    out[place] = other
                    distance[place] = kept.size
                    place += 1
        _forget(seen, queue, high)
