"""Edges to compressed rows and columns by counting: a few passes, and no sort."""

from __future__ import annotations

import numpy as np

from gattn._numba import pool
from gattn._numba.compile import kernel, piece

# Edges below which a second thread costs more than it brings.
_SERIAL = 1 << 16
# A thread reads all edges and keeps those of its own range of rows: more ranges, more reading.
_MAX_RANGES = 8


def compressed_rows(
    source: np.ndarray,
    target: np.ndarray,
    sizes: tuple[int, int],
    loops: int | None = None,
    per_pair: bool = True,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray] | None:
    """`rowptr, col, perm, hop` of edges sorted by target; `None` if one is out of range.

    Args:
        source: `[E]` int64.
        target: `[E]` int64.
        sizes: M, the number of sources, and N, that of targets.
        loops: drop the edges from a node to itself, and put one of each node `0 .. loops - 1` at
            the end; `None` takes the edges as they are.
        per_pair: otherwise `perm` and `hop` are of no size.
    """
    num_sources, num_targets = sizes
    extra = -1 if loops is None else loops
    rowptr = np.zeros(num_targets + 1, np.int64)
    if not _count(source, target, num_sources, num_targets, extra, rowptr):
        return None
    count = int(rowptr[-1])
    col, more = np.empty(count, np.int32), count if per_pair else 0
    perm, hop = np.empty(more, np.int64), np.empty(more, np.uint8)
    ranges, parallel = ranges_of(rowptr, len(source))
    pool.run(
        _place, range(len(ranges) - 1), parallel, ranges, source, target, extra, rowptr, col, perm,
        hop,
    )  # fmt: skip
    return rowptr, col, perm, hop


def compressed_columns(
    rowptr: np.ndarray, col: np.ndarray, num_sources: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`rowptr, col, perm` of the transpose, rows ascending within each source.

    Args:
        rowptr: `[R + 1]` int64.
        col: `[E]` int32, all within `0 .. num_sources - 1`.
        num_sources: M.
    """
    starts = column_starts(col, num_sources)
    row, perm = np.empty(len(col), np.int32), np.empty(len(col), np.int64)
    ranges, parallel = ranges_of(starts, len(col))
    pool.run(_transpose, range(len(ranges) - 1), parallel, ranges, rowptr, col, starts, row, perm)
    return starts, row, perm


def column_starts(col: np.ndarray, num_sources: int) -> np.ndarray:
    """The pairs of the sources before each, `[M + 1]` int64; arguments as `compressed_columns`."""
    starts = np.zeros(num_sources + 1, np.int64)
    _count_columns(col, starts)
    return starts


def ranges_of(rowptr: np.ndarray, work: int) -> tuple[np.ndarray, bool]:
    """Borders of ranges of rows with about as many pairs each, and whether to use threads."""
    parallel = work >= _SERIAL
    count = min(pool.num_threads(), _MAX_RANGES) if parallel else 1
    wanted = np.linspace(0, rowptr[-1], count + 1)
    borders = np.searchsorted(rowptr, wanted).clip(max=len(rowptr) - 1)
    borders[0], borders[-1] = 0, len(rowptr) - 1
    return borders.astype(np.int64), parallel


@kernel
def _count(source, target, num_sources, num_targets, loops, rowptr):
    """Row pointers, unless an edge is out of range."""
    for e in range(source.size):
        s, t = source[e], target[e]
        if s < 0 or s >= num_sources or t < 0 or t >= num_targets:
            return False
        if loops < 0 or s != t:
            rowptr[t + 1] += 1
    for i in range(loops):
        rowptr[i + 1] += 1
    for i in range(num_targets):
        rowptr[i + 1] += rowptr[i]
    return True


@kernel
def _place(first, last, ranges, source, target, loops, rowptr, col, perm, hop):
    for k in range(first, last):
        low, high = ranges[k], ranges[k + 1]
        free = rowptr[low:high].copy()
        kept = 0
        for e in range(source.size):
            s, t = source[e], target[e]
            if loops >= 0 and s == t:
                continue
            if low <= t < high:
                _put(free, t - low, s, t, kept, col, perm, hop)
            kept += 1
        for i in range(low, min(high, loops)):
            _put(free, i - low, i, i, kept + i, col, perm, hop)


@piece
def _put(free, slot, s, t, position, col, perm, hop):
    place = free[slot]
    free[slot] = place + 1
    col[place] = s
    if perm.size:
        perm[place] = position
        hop[place] = s != t


@kernel
def _count_columns(col, starts):
    for e in range(col.size):
        starts[col[e] + 1] += 1
    for j in range(starts.size - 1):
        starts[j + 1] += starts[j]


@kernel
def _transpose(first, last, ranges, rowptr, col, starts, row, perm):
    for k in range(first, last):
        low, high = ranges[k], ranges[k + 1]
        free = starts[low:high].copy()
        for r in range(rowptr.size - 1):
            for e in range(rowptr[r], rowptr[r + 1]):
                j = col[e]
                if low <= j < high:
                    place = free[j - low]
                    free[j - low] = place + 1
                    row[place] = r
                    perm[place] = e
