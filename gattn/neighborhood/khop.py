"""`k_hop`: every pair within k hops, once, with its distance."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gattn import _check
from gattn.neighborhood._tensors import DEFAULT_MAX_PAIRS, MAX_HOPS, check_budget, pointers
from gattn.neighborhood.build import checked_count, checked_edges
from gattn.neighborhood.sparse import Sparse

if TYPE_CHECKING:
    import numpy as np

# Entries that one block of rows may reach, however dense the graph: bounds the scratch memory.
_BLOCK_ENTRIES = 1 << 24
_BLOCK_ROWS = 4096


def k_hop(
    edge_index: Tensor,
    num_hops: int,
    num_nodes: int | None = None,
    *,
    shells: Iterable[int] | None = None,
    complete: bool = False,
    max_pairs: int = DEFAULT_MAX_PAIRS,
) -> Sparse:
    r"""Every pair at most `num_hops` edges apart, once, with its shortest-path distance.

    Node i attends to the nodes j from which i is reached along at most `num_hops` directed edges:

    $$ \mathcal B_K(i) = \{ j : d(j \to i) \le K \}, \qquad \text{hop}_{ij} = d(j \to i) $$

    with i itself at hop 0. The pairs of a row are sorted by hop, then by source.

    Args:
        edge_index: `[2, E]` integers, (source, target); loops and duplicates change nothing.
        num_hops: K, from 0 to 254.
        num_nodes: N; without it the largest index decides.
        shells: keep these distances only, instead of the whole ball `0 .. K`; for example
            `[2]` for the nodes exactly two hops away, `range(1, K + 1)` to leave out the node
            itself.
        complete: keep the pairs farther apart as well, at hop K + 1, "unreached".
        max_pairs: the number of pairs to allocate at the most.

    Raises:
        TypeError, ValueError, IndexError: an argument is out of range.
        ValueError: there are more pairs than `max_pairs`; the message has their number.
    """
    radius = _check.integer("num_hops", num_hops, 0, MAX_HOPS)
    if num_nodes is not None:
        checked_count(num_nodes)
    if not isinstance(complete, bool):
        raise TypeError(f"complete: found {complete!r}, expected True or False")
    source, target, (count, _) = checked_edges(edge_index, num_nodes)
    kept = _kept_hops(shells, radius, complete)
    for name, nodes in (("edge_index[0]", source), ("edge_index[1]", target)):
        _check.within(name, nodes, count, "num_nodes")
    budget = _check.integer("max_pairs", max_pairs, 0)
    advice = "use fewer hops or shells, or raise max_pairs"
    if complete and shells is None:
        check_budget(f"the complete graph of {count:,} nodes", count * count, budget, advice)
    blocks, total = _within_budget(_balls(source, target, count, radius, kept, complete), budget)
    check_budget(f"the {radius}-hop neighbourhood of {count:,} nodes", total, budget, advice)
    return _assembled(blocks, count, radius + complete).to(edge_index.device)


def _kept_hops(shells: Iterable[int] | None, radius: int, complete: bool) -> frozenset[int]:
    farthest = radius + complete
    if shells is None:
        return frozenset(range(farthest + 1))
    if not isinstance(shells, Iterable):
        raise TypeError(f"shells: found {shells!r}, expected distances, such as [2]")
    return frozenset(_check.integer("shells", shell, 0, farthest) for shell in shells)


def _balls(
    source: Tensor, target: Tensor, count: int, radius: int, kept: frozenset[int], complete: bool
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """(row, col, hop) of the kept pairs, block of rows by block of rows."""
    import numpy as np
    from scipy import sparse

    ends = (target.cpu().numpy(), source.cpu().numpy())
    ones = np.ones(len(ends[0]), dtype=bool)
    step = sparse.csr_matrix((ones, ends), shape=(count, count), dtype=bool)
    size = max(1, min(_BLOCK_ROWS, _BLOCK_ENTRIES // max(count, 1)))
    for first in range(0, count, size):
        rows = np.arange(first, min(first + size, count))
        rings = _rings(step, rows, radius, complete)
        yield _sorted_pairs([(hop, ring) for hop, ring in enumerate(rings) if hop in kept], first)


def _rings(step: Any, rows: np.ndarray, radius: int, complete: bool) -> list[Any]:
    """The shells around a block of rows, as boolean matrices `[rows, N]`, distance by distance."""
    import numpy as np
    from scipy import sparse

    shape = (len(rows), step.shape[0])
    at_home = (np.ones(len(rows), dtype=bool), (np.arange(len(rows)), rows))
    rings = [sparse.csr_matrix(at_home, shape=shape, dtype=bool)]
    visited = rings[0]
    for _ in range(radius):
        rings.append((rings[-1] @ step) > visited)
        visited = visited + rings[-1]
    if complete:
        rings.append(sparse.csr_matrix(~visited.toarray()))
    return rings


def _sorted_pairs(
    rings: list[tuple[int, Any]], first: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    import numpy as np

    if not rings:
        return np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0, np.uint8)
    found = [(hop, *ring.nonzero()) for hop, ring in rings]
    row = np.concatenate([rows for _, rows, _ in found]).astype(np.int64) + first
    col = np.concatenate([cols for _, _, cols in found]).astype(np.int32)
    hop = np.concatenate([np.full(len(rows), hop, np.uint8) for hop, rows, _ in found])
    order = np.lexsort((col, hop, row))
    return row[order], col[order], hop[order]


def _within_budget(
    blocks: Iterator[tuple[np.ndarray, ...]], budget: int
) -> tuple[list[tuple[np.ndarray, ...]], int]:
    """The blocks and the number of pairs; past the budget nothing is kept and only counted."""
    stored: list[tuple[np.ndarray, ...]] = []
    total = 0
    for block in blocks:
        total += len(block[1])
        if total > budget:
            stored.clear()
        else:
            stored.append(block)
    return stored, total


def _assembled(blocks: list[tuple[np.ndarray, ...]], count: int, num_hops: int) -> Sparse:
    row, col, hop = (
        torch.cat([torch.from_numpy(block[part]) for block in blocks] or [torch.empty(0)]).to(dtype)
        for part, dtype in enumerate((torch.int64, torch.int32, torch.uint8))
    )
    rowptr = pointers(torch.bincount(row, minlength=count))
    return Sparse(rowptr, col, count, hop, None, num_hops, hops_sorted=True)
