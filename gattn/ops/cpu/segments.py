"""How the pairs of a compressed matrix are cut into work, and put together again.

A *segment* is a run of whole rows, or a piece of one long row (a hub). Long rows are cut, so that
no thread is left alone with one, and their pieces leave partial results in numbered *slots*, which
are put together in order. Segments are grouped into *tasks*, the unit that threads share out and
that sums of parameter gradients are kept for. All of it follows from the row pointers alone, never
from the number of threads: results have the same bits whoever computes them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from gattn._numba import pool
from gattn._numba.compile import inlined, kernel, piece

U = np.uint64

PIECE = 512
"""Pairs of a segment at the most: the rows that a few passes over them gather stay in cache."""

_MAX_TASKS = 64


@dataclass(frozen=True, eq=False)
class Plan:
    """The work of one pass over the rows of a matrix.

    Args:
        segments: `[S, 5]` int64: first row, last row + 1, first pair, last pair + 1, slot or -1.
        tasks: `[T + 1]` int64: task t has the segments `tasks[t] : tasks[t + 1]`.
        long_rows: `[L, 3]` int64: row, first slot, last slot + 1.
        num_slots: the number of pieces of long rows.
    """

    segments: np.ndarray
    tasks: np.ndarray
    long_rows: np.ndarray
    num_slots: int

    @property
    def num_tasks(self) -> int:
        """T, the number of tasks."""
        return len(self.tasks) - 1

    @property
    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Segments and tasks, as kernels take them."""
        return self.segments, self.tasks

    @property
    def pieces(self) -> np.ndarray:
        """The segments that are pieces of long rows, in the order of their slots."""
        return np.flatnonzero(self.segments[:, 4] >= 0)

    def first_pairs(self) -> np.ndarray:
        """The first pair of every task, and the number of pairs at the end, `[T + 1]`."""
        if self.num_tasks == 0:
            return np.zeros(1, np.int64)
        starts = self.segments[self.tasks[:-1], 2]
        return np.append(starts, self.segments[-1, 3])


def planned(rowptr: np.ndarray) -> Plan:
    """The plan for row pointers `[R + 1]`."""
    counts = np.zeros(3, np.int64)
    nothing = np.empty((0, 5), np.int64), np.empty((0, 3), np.int64)
    _cut(rowptr, PIECE, counts, *nothing)
    segments = np.empty((counts[0], 5), np.int64)
    long_rows = np.empty((counts[1], 3), np.int64)
    _cut(rowptr, PIECE, counts, segments, long_rows)
    tasks = np.linspace(0, counts[0], min(_MAX_TASKS, int(counts[0])) + 1).astype(np.int64)
    return Plan(segments, tasks, long_rows, int(counts[2]))


@kernel
def _cut(rowptr, size, counts, segments, long_rows):
    """Count segments, long rows and slots, and write them where there is room."""
    found, rows, slots, start, cost = 0, 0, 0, 0, 0
    count = rowptr.size - 1
    for row in range(count + 1):
        pairs = rowptr[row + 1] - rowptr[row] if row < count else 0
        if row > start and (row == count or cost + pairs + 1 > size):
            if segments.size:
                _write(segments, found, start, row, rowptr[start], rowptr[row], -1)
            found, start, cost = found + 1, row, 0
        cost += pairs + 1
        if pairs > size:
            pieces = (pairs + size - 1) // size
            if segments.size:
                long_rows[rows, 0], long_rows[rows, 1] = row, slots
                long_rows[rows, 2] = slots + pieces
                for k in range(pieces):
                    low = rowptr[row] + k * pairs // pieces
                    high = rowptr[row] + (k + 1) * pairs // pieces
                    _write(segments, found + k, row, row + 1, low, high, slots + k)
            found, rows, slots = found + pieces, rows + 1, slots + pieces
            start, cost = row + 1, 0
    counts[0], counts[1], counts[2] = found, rows, slots


@piece
def _write(segments, k, first, last, low, high, slot):
    segments[k, 0], segments[k, 1], segments[k, 2] = first, last, low
    segments[k, 3], segments[k, 4] = high, slot


def merge(
    plan: Plan, partial: Tensor | None, into: Tensor | None, add: bool, parallel: bool
) -> None:
    """Sum the slots of every long row into `into[row]`, or onto it; nothing where it is `None`.

    Args:
        plan: whose long rows.
        partial: `[slots, ...]`.
        into: `[R, ...]`.
        add: whether `into` has a part of the sum already.
        parallel: whether the work is worth more than one thread.
    """
    if partial is not None and into is not None and plan.num_slots:
        slots, rows = partial.flatten(1), into.flatten(1)
        tasks = range(len(plan.long_rows))
        pool.run(_merge, tasks, parallel, plan.long_rows, slots.numpy(), rows.numpy(), add)


@inlined
def bounds(segments, segment, rowptr, r):
    """First pair and number of pairs of row r in a segment."""
    if segments[segment, 4] >= 0:
        return U(segments[segment, 2]), U(segments[segment, 3] - segments[segment, 2])
    return U(rowptr[r]), U(rowptr[r + U(1)] - rowptr[r])


@kernel
def _merge(first, last, long_rows, partial, into, add):
    width = U(into.shape[1])
    for k in range(first, last):
        row = U(long_rows[k, 0])
        if not add:
            for w in range(width):
                into[row, w] = 0
        for slot in range(U(long_rows[k, 1]), U(long_rows[k, 2])):
            for w in range(width):
                into[row, w] += partial[slot, w]
