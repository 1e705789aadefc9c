"""Builders: one hop of a graph, the whole graph, a window of a sequence."""

from __future__ import annotations

import torch
from torch import Tensor

from gattn import _check
from gattn.neighborhood._compress import compressed_columns, compressed_rows
from gattn.neighborhood.span import Span, ranges
from gattn.neighborhood.sparse import Sparse


def from_edge_index(edge_index: Tensor, num_nodes: int | tuple[int, int] | None = None) -> Sparse:
    """One hop: every edge is a pair, loops and duplicates included, as PyG has it.

    Args:
        edge_index: `[2, E]` integers; edge e goes from `edge_index[0, e]`, the source, to
            `edge_index[1, e]`, the target.
        num_nodes: N, or PyG's `size`, `(num_sources, num_targets)`, for a bipartite graph,
            whose sources are other nodes than its targets. Without it the largest index decides.

    Returns:
        Pair arguments and results stay in the order of the edges. Loops have hop 0, all other
        pairs hop 1; a bipartite graph has no loops.

    Raises:
        TypeError: `edge_index` does not hold integers.
        ValueError: it is not `[2, E]`.
        IndexError: an index is out of range.
    """
    return one_hop(edge_index, num_nodes)


def one_hop(
    edge_index: Tensor,
    num_nodes: int | tuple[int, int] | None,
    loops: int | None = None,
    per_pair: bool = True,
) -> Sparse:
    """`from_edge_index`, and what layers ask of it besides, without copies of the edges.

    Args:
        edge_index: `[2, E]` integers.
        num_nodes: as `from_edge_index`.
        loops: drop the edges from a node to itself, and put one loop of each of the nodes
            `0 .. loops - 1` at the end: what GAT attends over. `None` = the edges as they are.
        per_pair: keep the order of the edges, and hops. Without, pair arguments and results would
            be in the order of the rows, and must not be used.

    Raises:
        TypeError, ValueError, IndexError: as `from_edge_index`.
    """
    source, target, sizes = checked_edges(edge_index, num_nodes)
    if loops is not None and loops > min(sizes):
        raise IndexError(f"size: found {loops} nodes with a loop, expected at most {min(sizes)}")
    rowptr, col, perm, hop = compressed_rows(source, target, sizes, loops, per_pair)
    if hop is not None and loops is None and isinstance(num_nodes, tuple):
        hop = torch.ones_like(hop)  # sources are other nodes than targets
    return Sparse.trusted(
        rowptr=rowptr,
        col=col,
        num_sources=sizes[0],
        hop=hop,
        perm=perm,
        num_hops=None if hop is None else 1,
        groups=1,
        transpose=compressed_columns(rowptr, col, sizes[0]),
    )


def full(num_nodes: int | None = None, *, ptr: Tensor | None = None) -> Span:
    """Every node attends to every node, or to every node of its own graph.

    Args:
        num_nodes: N, for one graph.
        ptr: `[num_graphs + 1]` integers, for packed graphs: graph g owns the nodes
            `ptr[g] : ptr[g + 1]` (`ptr` of a PyG batch).

    Raises:
        TypeError: none or both of the arguments are given.
        ValueError: `ptr` does not start at 0 or descends.
    """
    if (num_nodes is None) == (ptr is None):
        raise TypeError("full: expected either num_nodes or ptr, found none or both")
    if ptr is not None:
        return _packed(ptr)
    count = checked_count(num_nodes)
    return Span(torch.zeros(count, dtype=torch.int64), torch.full((count,), count), count, "full")


def _packed(ptr: Tensor) -> Span:
    _check.shape("ptr", _check.integers("ptr", ptr), ["num_graphs + 1"])
    ptr = ptr.long()
    sizes = ptr.diff()
    if ptr.numel() == 0 or int(ptr[0]) != 0 or bool((sizes < 0).any()):
        raise ValueError("ptr: found a descent or a start other than 0, expected 0 <= ... <= N")
    count = checked_count(int(ptr[-1]))
    start, stop = (
        torch.repeat_interleave(bound, sizes, output_size=count) for bound in (ptr[:-1], ptr[1:])
    )
    return Span(start, stop, count, "packed")


def window(
    num_nodes: int, radius: int | None, causal: bool = False, *, signed: bool = False
) -> Span:
    """Every position of a sequence attends to the positions within `radius` of its own.

    Args:
        num_nodes: N, the length of the sequence.
        radius: how far a position looks to either side, in positions; `None` = without limit.
        causal: look back only.
        signed: let `hop` tell before from after: `j - i + radius` instead of `|i - j|`.

    Raises:
        TypeError, ValueError: an argument is not a number of positions.
    """
    count = checked_count(num_nodes)
    if radius is not None:
        _check.integer("radius", radius, 0, 2**31 - 1)
    start, stop = ranges(count, radius, causal)
    return Span(start, stop, count, "window", radius, causal, signed)


def checked_edges(
    edge_index: Tensor, num_nodes: int | tuple[int, int] | None
) -> tuple[Tensor, Tensor, tuple[int, int]]:
    """Sources, targets and `(num_sources, num_targets)` of an `edge_index`, but for its range."""
    _check.shape("edge_index", _check.integers("edge_index", edge_index), [2, "E"])
    if edge_index.layout != torch.strided:
        raise TypeError(f"edge_index: found layout {edge_index.layout}, expected a dense [2, E]")
    as_tensor = getattr(edge_index, "as_tensor", None)  # PyG's EdgeIndex wraps a tensor
    edges = (edge_index if as_tensor is None else as_tensor()).long()
    sizes = _sizes(edges, num_nodes)
    return edges[0], edges[1], sizes


def _sizes(edge_index: Tensor, num_nodes: int | tuple[int, int] | None) -> tuple[int, int]:
    if num_nodes is None:
        count = checked_count(max(int(edge_index.max()) + 1, 0) if edge_index.numel() else 0)
        return count, count
    sources, targets = num_nodes if isinstance(num_nodes, tuple) else (num_nodes, num_nodes)
    return checked_count(sources), checked_count(targets)


def checked_count(num_nodes: object) -> int:
    """A number of nodes that 32-bit indices can tell apart."""
    return _check.integer("num_nodes", num_nodes, 0, 2**31 - 1)
