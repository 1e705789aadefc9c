"""Where the pairs of searches stand, seen from their sources: the transpose of what was found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gattn._numba import pool
from gattn._numba.compile import kernel
from gattn._numba.sort import ranges_of

U = np.uint64


def positions(
    rowptr: np.ndarray,
    hop: np.ndarray,
    row: np.ndarray,
    distance: np.ndarray,
    shells: Sequence[int],
) -> np.ndarray:
    """Where the pairs of a transpose stand among rows sorted by hop and then by source, `[P]`.

    Nothing is searched for: the pairs of a ring come in the order of their sources on either side.

    Args:
        rowptr: `[R + 1]` int64.
        hop: `[P]` uint8, sorted within each row.
        row: `[P]` int32, the rows of every source, source by source.
        distance: `[P]` uint8, their hops.
        shells: the hops that there are.
    """
    found = np.empty(len(row), np.int64)
    number = np.zeros(256, np.int64)  # of a hop among the shells
    number[list(shells)] = np.arange(len(shells))
    ranges, parallel = ranges_of(rowptr, len(row))
    tasks = range(len(ranges) - 1)
    pool.run(
        _positions, tasks, parallel, ranges, rowptr, hop, row, distance, number, len(shells), found
    )
    return found


@kernel
def _positions(first, last, ranges, rowptr, hop, row, distance, number, shells, found):
    width = U(shells)
    for k in range(first, last):
        low, high = U(ranges[k]), U(ranges[k + 1])
        free = np.empty((high - low) * width, np.int64)
        for r in range(low, high):  # the first place of every ring
            e, end = U(rowptr[r]), U(rowptr[r + U(1)])
            for h in range(width):
                free[(r - low) * width + h] = e
                while e < end and U(number[hop[e]]) == h:
                    e += U(1)
        for e in range(U(row.size)):
            r = U(row[e])
            if low <= r < high:
                slot = (r - low) * width + U(number[distance[e]])
                found[e] = free[slot]
                free[slot] += 1
