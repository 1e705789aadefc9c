"""Breadth-first searches around many nodes: the pairs within k hops, counted or written down.

Every search is one row, and finds its pairs in the order of their distance. What it has seen is
marked in one byte for each node, which stays in a cache where four would not, and unmarked when
the row is done. Sets of bits put the sources of a distance in ascending order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gattn._numba import pool
from gattn._numba.bits import bit_sets, put, take_all
from gattn._numba.compile import kernel, piece
from gattn._numba.together import MOST, count_together, fill_together

U = np.uint64

# Pairs below which a second thread costs more than it brings.
_SERIAL = 1 << 14

# The part of the graph from which on many searches at once are faster, and how many they must be.
_WIDE = 0.1
_MANY = 256


class Search:
    """Searches on one graph, and the scratch memory that they share.

    Args:
        rowptr: `[N + 1]` int64, of the edges by target.
        col: `[E]` int32, the source of each edge.
        kept: `[K + 1]` bool: which distances count as pairs; K, at most 254, is the farthest that
            is searched.
        unreached: the nodes that are farther away are pairs as well, at distance K + 1.
    """

    def __init__(
        self, rowptr: np.ndarray, col: np.ndarray, kept: np.ndarray, unreached: bool
    ) -> None:
        self.graph = rowptr, col, kept, unreached
        self.num_nodes = len(rowptr) - 1
        self._free: list[tuple[Any, ...]] = []
        self._free_words: list[tuple[Any, ...]] = []

    def count(self, rows: np.ndarray, by_hop: bool = False) -> np.ndarray:
        """Pairs of some rows, `[R]` int64; or `[R, K + 2]`, those of every distance.

        Args:
            rows: `[R]` int64.
            by_hop: whether to count the distances apart.
        """
        counts = np.zeros((len(rows), len(self.graph[2]) + 1 if by_hop else 1), np.int64)
        parallel = len(rows) * len(self.graph[1]) >= _SERIAL
        if self._are_wide(rows):
            self._run_together(count_together, parallel, rows, counts)
        else:
            self._run(_count, len(rows), parallel, rows, counts)
        return counts if by_hop else counts[:, 0]

    def fill(
        self, first: int, starts: np.ndarray, col: np.ndarray, hop: np.ndarray, rings: np.ndarray
    ) -> None:
        """Write the pairs of rows that are as many as were counted, by distance and then by source.

        Args:
            first: the first row.
            starts: `[R + 1]` int64: the pairs of row `first + r` go to `starts[r] : starts[r + 1]`.
            col: int32, the sources.
            hop: uint8, the distances.
            rings: `[R, groups]` int64: how many pairs of every distance there are, or of no size.
        """
        parallel, rows = int(starts[-1]) >= _SERIAL, len(starts) - 1
        if self._is_wide(int(starts[-1]), rows):
            numbers = np.arange(first, first + rows)
            self._run_together(fill_together, parallel, numbers, starts, col, hop, rings)
        else:
            args = first, starts, col, hop, rings, col[:0], hop[:0]
            self._run(_fill, rows, parallel, *args)

    def fill_both(
        self, starts: np.ndarray, col: np.ndarray, hop: np.ndarray, row: np.ndarray, far: np.ndarray
    ) -> None:
        """Write the pairs of all rows, and, for a symmetric graph, its transpose.

        Args:
            starts: `[N + 1]` int64, and the next two, as `fill`.
            col: int32, the sources.
            hop: uint8, the distances.
            row: int32, the same sources by number alone: of a symmetric graph, the rows of each.
            far: uint8, the distances of these.
        """
        parallel, no_rings = int(starts[-1]) >= _SERIAL, np.empty((0, 1), np.int64)
        args = 0, starts, col, hop, no_rings, row, far
        self._run(_fill, len(starts) - 1, parallel, *args)

    def fill_by_node(self, starts: np.ndarray, col: np.ndarray, hop: np.ndarray) -> None:
        """Write the pairs of all rows, by source whatever their distance.

        Args: as `fill`.
        """
        parallel = int(starts[-1]) >= _SERIAL
        self._run(_fill_by_node, len(starts) - 1, parallel, starts, col, hop)

    def _run(self, function: Callable[..., Any], count: int, parallel: bool, *args: Any) -> None:
        def search(first: int, last: int) -> None:
            scratch = self._scratch()
            try:
                function(first, last, *self.graph, *scratch, *args)
            finally:
                self._free.append(scratch)

        pool.run(search, range(count), parallel)

    def _are_wide(self, rows: np.ndarray) -> bool:
        """Whether the balls of some of the rows cover much of the graph."""
        if len(rows) < _MANY or self.num_nodes < _MANY:
            return False
        some = rows[:: max(1, len(rows) // 16)][:16]
        counts = np.zeros((len(some), 1), np.int64)
        self._run(_count, len(some), False, some, counts)
        return self._is_wide(int(counts.sum()), len(some))

    def _is_wide(self, pairs: int, rows: int) -> bool:
        """Whether so many pairs of so many rows are worth searching for together."""
        return rows >= 2 and pairs > _WIDE * rows * self.num_nodes

    def _run_together(
        self, function: Callable[..., Any], parallel: bool, rows: np.ndarray, *args: Any
    ) -> None:
        """Run searches in groups, of which every thread has one at least."""
        size = max(1, min(MOST, -(-len(rows) // pool.num_threads())))

        def search(first: int, last: int) -> None:
            words = self._words()
            try:
                function(first, last, *self.graph, words, rows, size, *args)
            finally:
                self._free_words.append(words)

        pool.run(search, range(-(-len(rows) // size)), parallel)

    def _words(self) -> tuple[Any, ...]:
        """Three bits for each node and search, for a thread."""
        try:
            return self._free_words.pop()
        except IndexError:
            return tuple(np.empty((3, self.num_nodes), np.uint64))

    def _scratch(self) -> tuple[Any, ...]:
        """Marks, a queue and a set for a thread; to pop from a list and to append is atomic."""
        try:
            return self._free.pop()
        except IndexError:
            marks, queue = np.zeros(self.num_nodes, np.uint8), np.empty(self.num_nodes, np.int32)
            return marks, queue, bit_sets(self.num_nodes)


@piece
def _begin(seen, queue, row):
    """The first ring is the node itself, seen at distance 0."""
    seen[row] = 1
    queue[0] = row


@piece
def _next_ring(rowptr, col, seen, queue, low, high, hop):
    """Put the nodes around `queue[low:high]`, seen now at distance `hop`, behind it; the end."""
    end = high
    for place in range(low, high):
        node = U(queue[place])
        for e in range(U(rowptr[node]), U(rowptr[node + U(1)])):
            other = U(col[e])
            if seen[other] == 0:
                seen[other] = hop + U(1)
                queue[end] = other
                end += U(1)
    return end


@piece
def _forget(seen, queue, end):
    for place in range(end):
        seen[U(queue[place])] = 0


@kernel
def _count(first, last, rowptr, col, kept, unreached, seen, queue, bits, rows, counts):
    by_hop = counts.shape[1] > 1
    for r in range(first, last):
        _begin(seen, queue, U(rows[r]))
        low, high = U(0), U(1)
        for hop in range(kept.size):
            if kept[hop]:
                counts[r, hop if by_hop else 0] += high - low
            if hop + 1 == kept.size or low == high:
                break
            low, high = high, _next_ring(rowptr, col, seen, queue, low, high, U(hop + 1))
        if unreached:
            counts[r, kept.size if by_hop else 0] += U(seen.size) - high
        _forget(seen, queue, high)


@kernel
def _fill(
    first, last, rowptr, col, kept, unreached, seen, queue, bits, base, starts, out, distance,
    rings, by_node, distance_by_node,
):  # fmt: skip
    for r in range(first, last):
        _begin(seen, queue, U(base + r))
        low, high, place = U(0), U(1), U(starts[r])
        for hop in range(kept.size):
            if kept[hop]:
                begin = place
                place = _write_ring(queue, low, high, bits, out, place)
                _label(distance, begin, place, hop)
                if rings.size:
                    rings[r, hop] = high - low
            if hop + 1 == kept.size or low == high:
                break
            low, high = high, _next_ring(rowptr, col, seen, queue, low, high, U(hop + 1))
        if unreached:
            begin = place
            for other in range(U(seen.size)):
                if seen[other] == 0:
                    out[place] = other
                    place += U(1)
            _label(distance, begin, place, kept.size)
            if rings.size:
                rings[r, kept.size] = place - begin
        if by_node.size:
            _write_by_node(
                out, U(starts[r]), place, seen, bits, by_node, distance_by_node, kept.size
            )
        _forget(seen, queue, high)


@piece
def _write_by_node(found, begin, end, seen, bits, out, distance, unreached):
    """The nodes `found[begin:end]` in ascending order, and at what distances they were seen."""
    for place in range(begin, end):
        put(bits, U(found[place]))
    take_all(bits, out, begin)
    for place in range(begin, end):
        mark = seen[U(out[place])]
        distance[place] = unreached if mark == 0 else mark - 1


@piece
def _write_ring(queue, low, high, bits, out, place):
    """The nodes of a ring in ascending order; the first ring is one node."""
    if low == U(0):
        out[place] = queue[0]
        return place + U(1)
    for k in range(low, high):
        put(bits, U(queue[k]))
    return take_all(bits, out, place)


@piece
def _label(distance, begin, end, hop):
    for place in range(begin, end):
        distance[place] = hop


@kernel
def _fill_by_node(
    first, last, rowptr, col, kept, unreached, seen, queue, bits, starts, out, distance
):  # fmt: skip
    for r in range(first, last):
        _begin(seen, queue, U(r))
        low, high, place = U(0), U(1), U(starts[r])
        for hop in range(kept.size):
            if kept[hop]:
                for k in range(low, high):
                    out[place] = queue[k]
                    place += U(1)
            if hop + 1 == kept.size or low == high:
                break
            low, high = high, _next_ring(rowptr, col, seen, queue, low, high, U(hop + 1))
        if unreached:
            for other in range(U(seen.size)):
                if seen[other] == 0:
                    out[place] = other
                    place += U(1)
        _write_by_node(out, U(starts[r]), place, seen, bits, out, distance, kept.size)
        _forget(seen, queue, high)
