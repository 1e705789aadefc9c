"""`Places`: which nodes a batch has, in the order of their arrival, and where each one stands."""

from __future__ import annotations

import numpy as np

from gattn._numba.compile import kernel, piece

NODE = 0xFFFFFFFF
"""The bits of a code that are the node; those above are the number of its subgraph."""

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MOST = 2**31 - 1


class Places:
    """The nodes of a type in a batch. What it takes grows with the batch, never with the graph.

    A node is a code, `subgraph << 32 | node`. The table has the place of a code plus one, at a slot
    found by hashing, or at the code itself as soon as the whole graph is no larger than the table.

    Args:
        seeds: `[n]` int64 codes; of a code that comes twice, the first place counts.
        num_nodes: of the graph, if all codes are below it.
    """

    def __init__(self, seeds: np.ndarray, num_nodes: int | None) -> None:
        self._codes = seeds
        self._num_nodes = num_nodes
        self._table = np.zeros(0, np.int32)
        self._direct = False
        self.size = len(seeds)
        self._reserve(0)

    @property
    def codes(self) -> np.ndarray:
        """`[size]` int64, in the order of arrival."""
        return self._codes[: self.size]

    @property
    def table(self) -> tuple[np.ndarray, np.ndarray, bool]:
        """What `found` needs to look a code up."""
        return self._table, self._codes, self._direct

    def insert(self, codes: np.ndarray) -> None:
        """Put the place of every code in its stead, `[n]` int64; those that are new are added.

        Raises:
            ValueError: the batch has more nodes than 31 bits can count.
        """
        self._reserve(len(codes))
        self.size = int(_insert(codes, self._table, self._codes, self._direct, self.size))

    def reorder(self, order: np.ndarray) -> None:
        """Put the nodes into another order, `[size]` places."""
        self._codes = self.codes[order]
        self._table[:] = 0
        _enter(self._codes, self._table, self._codes, self._direct)

    def _reserve(self, more: int) -> None:
        if self._num_nodes is not None:
            more = min(more, self._num_nodes)
        needed = self.size + more
        if needed > _MOST:
            raise ValueError(
                f"num_neighbors: found {needed:,} nodes for one batch, expected at most {_MOST:,}"
            )
        if needed > len(self._codes):
            grown = np.empty(max(needed, 2 * self.size), np.int64)
            grown[: self.size] = self.codes
            self._codes = grown
        # Never a table of no slots, even of no nodes: `found` reads one wherever it looks.
        needed = max(needed, 1)
        if not self._direct and 2 * needed > len(self._table):
            self._enlarge(1 << max(4, int(2 * needed - 1).bit_length()))

    def _enlarge(self, slots: int) -> None:
        if self._num_nodes is not None and self._num_nodes <= slots:
            slots, self._direct = self._num_nodes, True
        self._table = np.zeros(slots, np.int32)
        _enter(self.codes, self._table, self._codes, self._direct)


@piece
def found(code, table, codes, direct):
    """The slot of a code: what it holds is the place plus one, or 0 where there is none."""
    if direct:
        return code
    mask = table.size - 1
    slot = np.int64((np.uint64(code) * _GOLDEN) >> np.uint64(32)) & mask
    while table[slot] != 0 and codes[table[slot] - 1] != code:
        slot = (slot + 1) & mask
    return slot


@kernel
def _enter(present, table, codes, direct):
    for i in range(present.size):
        slot = found(present[i], table, codes, direct)
        if table[slot] == 0:
            table[slot] = i + 1


@kernel
def _insert(wanted, table, codes, direct, size):
    for j in range(wanted.size):
        slot = found(wanted[j], table, codes, direct)
        if table[slot] == 0:
            codes[size] = wanted[j]
            size += 1
            table[slot] = size
        wanted[j] = table[slot] - 1
    return size
