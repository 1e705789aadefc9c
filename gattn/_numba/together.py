"""Searches around up to 64 nodes at once, for balls that cover much of the graph.

A node has one bit for each search: those that have seen it, and those whose last ring it is in. So
an edge is read once for all of them, and the nodes of a ring come out in ascending order. (Then et
al., "The More the Merrier: Efficient Multi-Source Graph Traversal", VLDB 2014.)
"""

from __future__ import annotations

import numpy as np

from gattn._numba.bits import lowest
from gattn._numba.compile import kernel, piece

U = np.uint64
MOST = 64
"""Searches at once: the bits of a word."""


@piece
def _begin(seen, ring, rows, low, high):
    seen[:] = U(0)
    ring[:] = U(0)
    for r in range(low, high):
        ring[U(rows[r])] |= U(1) << U(r - low)
    seen[:] = ring


@piece
def _next_ring(rowptr, col, seen, ring, reached):
    """The ring around each ring, of what is not seen yet; whether there is any."""
    reached[:] = U(0)
    for node in range(U(ring.size)):
        searches = ring[node]
        if searches != U(0):
            for e in range(U(rowptr[node]), U(rowptr[node + U(1)])):
                reached[U(col[e])] |= searches
    some = U(0)
    for node in range(U(ring.size)):
        new = reached[node] & ~seen[node]
        ring[node] = new
        seen[node] |= new
        some |= new
    return some != U(0)


@piece
def _rest(seen, ring, count):
    """The last ring: what none of `count` searches has seen."""
    all_of_them = ~U(0) if count == MOST else (U(1) << U(count)) - U(1)
    for node in range(U(ring.size)):
        ring[node] = ~seen[node] & all_of_them


@piece
def _tally(ring, numbers):
    """Nodes of the ring of each search, added to `numbers`."""
    for node in range(U(ring.size)):
        left = ring[node]
        while left != U(0):
            numbers[lowest(left)] += 1
            left &= left - U(1)


@piece
def _write(ring, hop, place, out, distance):
    for node in range(U(ring.size)):
        left = ring[node]
        while left != U(0):
            search = lowest(left)
            out[place[search]] = node
            distance[place[search]] = hop
            place[search] += 1
            left &= left - U(1)


@kernel
def count_together(first, last, rowptr, col, kept, unreached, words, rows, size, counts):
    """`_count` of `gattn._numba.search` for groups of `size` rows."""
    seen, ring, reached = words
    numbers = np.empty(MOST, np.int64)
    by_hop = counts.shape[1] > 1
    for group in range(first, last):
        low, high = group * size, min((group + 1) * size, rows.size)
        _begin(seen, ring, rows, low, high)
        for hop in range(kept.size + 1):
            if hop == kept.size:
                _rest(seen, ring, high - low)
            if unreached if hop == kept.size else kept[hop]:
                numbers[:] = 0
                _tally(ring, numbers)
                for r in range(low, high):
                    counts[r, hop if by_hop else 0] += numbers[r - low]
            if hop + 1 < kept.size:
                _next_ring(rowptr, col, seen, ring, reached)


@kernel
def fill_together(
    first, last, rowptr, col, kept, unreached, words, rows, size, starts, out, distance, rings
):  # fmt: skip
    """`_fill` of `gattn._numba.search` for groups of `size` rows; sources always ascend."""
    seen, ring, reached = words
    place, before = np.empty(MOST, np.int64), np.empty(MOST, np.int64)
    for group in range(first, last):
        low, high = group * size, min((group + 1) * size, rows.size)
        _begin(seen, ring, rows, low, high)
        place[: high - low] = starts[low:high]
        for hop in range(kept.size + 1):
            if hop == kept.size:
                _rest(seen, ring, high - low)
            if unreached if hop == kept.size else kept[hop]:
                before[:] = place
                _write(ring, hop, place, out, distance)
                if rings.size:
                    for r in range(low, high):
                        rings[r, hop] = place[r - low] - before[r - low]
            if hop + 1 < kept.size:
                _next_ring(rowptr, col, seen, ring, reached)
