"""Searches by boolean matrices, for machines without a compiler: as `gattn._numba.search`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

# Entries that one block of rows may reach, however dense the graph: bounds the scratch memory.
_BLOCK_ENTRIES = 1 << 24
_BLOCK_ROWS = 4096


class BooleanSearch:
    """The searches of `gattn._numba.search.Search`, tens of times slower.

    Args: as there.
    """

    def __init__(
        self, rowptr: np.ndarray, col: np.ndarray, kept: np.ndarray, unreached: bool
    ) -> None:
        from scipy import sparse

        self.num_nodes = len(rowptr) - 1
        shape = (self.num_nodes, self.num_nodes)
        ones = np.ones(len(col), dtype=bool)
        self.step = sparse.csr_matrix((ones, col, rowptr), shape=shape, copy=True)
        self.step.sum_duplicates()
        self.kept, self.unreached = kept, unreached

    def count(self, rows: np.ndarray, by_hop: bool = False) -> np.ndarray:
        """As `Search.count`."""
        counts = np.zeros((len(rows), len(self.kept) + 1), np.int64)
        for first, block in self._blocks(rows):
            for hop, ring in self._rings(block):
                counts[first : first + len(block), hop] = np.diff(ring.indptr)
        return counts if by_hop else counts.sum(1)

    def fill(
        self, first: int, starts: np.ndarray, col: np.ndarray, hop: np.ndarray, rings: np.ndarray
    ) -> None:
        """As `Search.fill`."""
        rows = np.arange(first, first + len(starts) - 1)
        for offset, block in self._blocks(rows):
            found = [(d, *ring.nonzero()) for d, ring in self._rings(block)]
            row = np.concatenate([at for _, at, _ in found])
            source = np.concatenate([sources for _, _, sources in found])
            distance = np.repeat([d for d, _, _ in found], [len(at) for _, at, _ in found])
            order = np.lexsort((source, distance, row))
            here = slice(starts[offset], starts[offset + len(block)])
            col[here], hop[here] = source[order], distance[order]
            if rings.size:
                for d, at, _ in found:
                    rings[offset : offset + len(block), d] = np.bincount(at, minlength=len(block))

    def _blocks(self, rows: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        size = max(1, min(_BLOCK_ROWS, _BLOCK_ENTRIES // max(self.num_nodes, 1)))
        for first in range(0, len(rows), size):
            yield first, rows[first : first + size]

    def _rings(self, rows: np.ndarray) -> list[tuple[int, Any]]:
        """The kept shells around some rows, as boolean matrices `[rows, N]` by distance."""
        from scipy import sparse

        shape = (len(rows), self.num_nodes)
        at_home = (np.ones(len(rows), dtype=bool), (np.arange(len(rows)), rows))
        rings: list[Any] = [sparse.csr_matrix(at_home, shape=shape, dtype=bool)]
        visited = rings[0]
        for _ in range(len(self.kept) - 1):
            rings.append((rings[-1] @ self.step) > visited)
            visited = visited + rings[-1]
        found: list[tuple[int, Any]] = [*enumerate(rings)]
        found = [(hop, ring) for hop, ring in found if self.kept[hop]]
        if self.unreached:
            found.append((len(rings), sparse.csr_matrix(~visited.toarray())))
        return found or [(0, sparse.csr_matrix(shape, dtype=bool))]
