"""Neighbours of nodes, picked at random, and the edges among nodes: the passes of a sampler."""

from __future__ import annotations

import numpy as np

from gattn._numba import pool
from gattn._numba.compile import kernel
from gattn._numba.draws import FEW, below, distinct
from gattn._numba.places import NODE, Places, found

# Edges or nodes below which a second thread costs more than it brings.
_SERIAL = 1 << 13


class Columns:
    """Edges in the order in which they are picked.

    One array that is made anew when it grows: hops are several times as large as those before them,
    so little is copied, and fresh memory costs more than what is written to it.

    Attributes:
        all: `[3, n]` int64: places of sources and targets, positions among the compressed rows.
    """

    def __init__(self) -> None:
        self.all = np.empty((3, 0), np.int64)

    def grown(self, count: int) -> np.ndarray:
        """Room for more, `[3, count]`."""
        size = self.all.shape[1]
        larger = np.empty((3, size + count), np.int64)
        larger[:, :size] = self.all
        self.all = larger
        return larger[:, size:]


def pick(
    targets: Places,
    first: int,
    last: int,
    rows: tuple[np.ndarray, np.ndarray],
    count: int,
    replace: bool,
    key: int,
    counter: int,
    columns: Columns,
) -> np.ndarray:
    """Add edges into the targets `first .. last - 1`, at random, target by target.

    They are the same for any number of threads.

    Args:
        targets: the nodes.
        first: a place.
        last: the place after the last one.
        rows: `rowptr` int64 and `col` int32 of the edges by target.
        count: edges of each; -1 = all.
        replace: whether an edge may come twice.
        key: 64 random bits.
        counter: the number of draws that were made with this key before.
        columns: where they are added.

    Returns:
        `[P]` int64, the codes of the sources, which stand where their places belong.
    """
    codes = targets.codes[first:last]
    offsets = np.zeros(len(codes) + 1, np.int64)
    nodes = range(len(codes))
    pool.run(_count, nodes, len(nodes) >= _SERIAL, codes, rows[0], count, replace, offsets)
    most = int(offsets.max()) if count > FEW else 0
    np.cumsum(offsets, out=offsets)
    source, target, edge = columns.grown(int(offsets[-1]))
    pool.run(
        _pick, nodes, len(edge) >= _SERIAL, codes, first, *rows, count, replace, np.uint64(key),
        counter, offsets, _slots(most), edge, source, target,
    )  # fmt: skip
    return source


def _slots(most: int) -> int:
    """Slots of a set of so many numbers; one where the set is not used."""
    return 1 << int(2 * most).bit_length() if most > FEW else 1


@kernel
def _count(first, last, codes, rowptr, count, replace, offsets):
    for i in range(first, last):
        node = codes[i] & NODE
        degree = rowptr[node + 1] - rowptr[node]
        whole = count < 0 or (not replace and degree <= count)
        offsets[i + 1] = degree if whole or degree == 0 else count


@kernel
def _pick(
    first, last, codes, begin, rowptr, col, count, replace, key, counter, offsets, slots, edge,
    source, target,
):  # fmt: skip
    seen = np.full(slots, -1, np.int64)
    for i in range(first, last):
        node, place = codes[i] & NODE, offsets[i]
        number, start = offsets[i + 1] - place, rowptr[node]
        degree = rowptr[node + 1] - start
        if count < 0 or (not replace and degree <= count):
            for t in range(number):
                edge[place + t] = t
        elif replace:
            for t in range(number):
                edge[place + t] = below(key, counter + place + t, degree)
        else:
            distinct(key, counter + place, degree, number, edge, place, seen)
        for e in range(place, place + number):
            edge[e] += start
            source[e] = codes[i] & ~NODE
            target[e] = begin + i
    # By itself, so that many of these reads, which miss the cache, are under way at once.
    for e in range(offsets[first], offsets[last]):
        source[e] |= col[edge[e]]


def inside(
    targets: Places, sources: Places, rows: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All edges among nodes: `[P]` places of the sources and targets, and positions of the edges.

    They are sorted by target. A node that is there twice has its edges out at its first place only.

    Args:
        targets: the nodes that edges lead to.
        sources: those that they come from, of the same subgraphs.
        rows: `rowptr` int64 and `col` int32 of the edges by target.
    """
    codes = targets.codes
    offsets = np.zeros(len(codes) + 1, np.int64)
    nodes, parallel = range(len(codes)), len(codes) >= _SERIAL // 8
    pool.run(_count_inside, nodes, parallel, codes, *rows, *sources.table, offsets)
    np.cumsum(offsets, out=offsets)
    row, column, edge = (np.empty(offsets[-1], np.int64) for _ in range(3))
    pool.run(_inside, nodes, parallel, codes, *rows, *sources.table, offsets, row, column, edge)
    return row, column, edge


@kernel
def _count_inside(first, last, codes, rowptr, col, table, present, direct, offsets):
    for i in range(first, last):
        node, subgraph, number = codes[i] & NODE, codes[i] & ~NODE, 0
        for e in range(rowptr[node], rowptr[node + 1]):
            number += table[found(subgraph | col[e], table, present, direct)] != 0
        offsets[i + 1] = number


@kernel
def _inside(
    first, last, codes, rowptr, col, table, present, direct, offsets, row, column, edge
):  # fmt: skip
    for i in range(first, last):
        node, subgraph, place = codes[i] & NODE, codes[i] & ~NODE, offsets[i]
        for e in range(rowptr[node], rowptr[node + 1]):
            entry = table[found(subgraph | col[e], table, present, direct)]
            if entry != 0:
                row[place], column[place], edge[place] = entry - 1, i, e
                place += 1


@kernel
def _ascends(numbers):
    for i in range(1, numbers.size):  # noqa: SIM110  # numba compiles no generator
        if numbers[i] < numbers[i - 1]:
            return False
    return True


def ascends(numbers: np.ndarray) -> bool:
    """Whether no number is below the one before it, `[n]` int64."""
    return bool(_ascends(numbers))
