"""Builders: one hop of a graph, the whole graph, a window of a sequence."""

from __future__ import annotations

import torch
from torch import Tensor

from gattn import _check
from gattn.neighborhood._compress import compressed_columns, compressed_rows
from gattn.neighborhood._tensors import MAX_HOPS
from gattn.neighborhood.span import Span, ranges
from gattn.neighborhood.sparse import Sparse, replaced


def from_edge_index(
    edge_index: Tensor,
    num_nodes: int | tuple[int, int] | None = None,
    *,
    hop: Tensor | None = None,
) -> Sparse:
    """One hop: every edge is a pair, loops and duplicates included, as PyG has it.

    Args:
        edge_index: `[2, E]` integers; edge e goes from `edge_index[0, e]`, the source, to
            `edge_index[1, e]`, the target.
        num_nodes: N, or PyG's `size`, `(num_sources, num_targets)`, for a bipartite graph,
            whose sources are other nodes than its targets. Without it the largest index decides.
        hop: `[E]` integers, the distance of each pair, at most 255: such as the `edge_hop` of
            `gattn.transforms.KHop`. Without it loops have hop 0, all other pairs hop 1; a bipartite
            graph has no loops.

    Returns:
        Pair arguments and results stay in the order of the edges.

    Raises:
        TypeError: `edge_index` does not hold integers.
        ValueError: it is not `[2, E]`.
        IndexError: an index is out of range.
    """
    found = one_hop(edge_index, num_nodes)
    return found if hop is None else _at(found, hop)


def _at(pairs: Sparse, hop: Tensor) -> Sparse:
    """The same pairs at given distances, which are in the order of the edges."""
    _check.shape("hop", _check.integers("hop", hop), [pairs.num_pairs])
    _check.same_device("hop", hop, pairs.device, "edge_index")
    _check.within("hop", hop, MAX_HOPS + 2, "256")
    farthest = int(hop.max()) if hop.numel() else 0
    distance = hop if pairs.perm is None else hop[pairs.perm]
    return replaced(pairs, hop=distance.to(torch.uint8), num_hops=farthest)


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


Ptr = Tensor | tuple[Tensor, Tensor]


def full(num_nodes: int | tuple[int, int] | None = None, *, ptr: Ptr | None = None) -> Span:
    """Every node attends to every node, or to every node of its own graph.

    Args:
        num_nodes: N, for one graph; or PyG's `size`, `(num_sources, num_targets)`, where targets
            attend to other nodes than themselves (cross-attention).
        ptr: `[num_graphs + 1]` integers, for packed graphs: graph g owns the nodes
            `ptr[g] : ptr[g + 1]` (`ptr` of a PyG batch); or a pair of them,
            `(ptr_source, ptr_target)`.

    Raises:
        TypeError: none or both of the arguments are given.
        ValueError: `ptr` does not start at 0 or descends; the two of a pair have not as many
            graphs.
    """
    if (num_nodes is None) == (ptr is None):
        raise TypeError("full: expected either num_nodes or ptr, found none or both")
    if ptr is not None:
        return _packed(ptr)
    count, targets = _checked_size(num_nodes)
    start = torch.zeros(targets, dtype=torch.int64)
    return Span(start, torch.full_like(start, count), count, "full")


def _packed(ptr: Ptr) -> Span:
    sides = ptr if isinstance(ptr, tuple) else (ptr, ptr)
    if len(sides) != 2:
        raise ValueError(f"ptr: found {len(sides)} tensors, expected (ptr_source, ptr_target)")
    first, second = (_check.tensor("ptr", side) for side in sides)
    _check.same_device("ptr", second, first.device, "ptr_source")
    source, target = (_checked_ptr(side) for side in sides)
    if len(source) != len(target):
        found = f"{len(source) - 1} graphs of sources and {len(target) - 1} of targets"
        raise ValueError(f"ptr: found {found}, expected as many")
    count = checked_count(int(target[-1]))
    start, stop = (
        torch.repeat_interleave(bound, target.diff(), output_size=count)
        for bound in (source[:-1], source[1:])
    )
    return Span(start, stop, checked_count(int(source[-1])), "packed")


def _checked_ptr(ptr: Tensor) -> Tensor:
    _check.shape("ptr", _check.integers("ptr", ptr), ["num_graphs + 1"])
    ptr = ptr.long()
    if ptr.numel() == 0 or int(ptr[0]) != 0 or bool((ptr.diff() < 0).any()):
        raise ValueError("ptr: found a descent or a start other than 0, expected 0 <= ... <= N")
    return ptr


def window(
    num_nodes: int | None = None,
    radius: int | None = None,
    causal: bool = False,
    *,
    ptr: Tensor | None = None,
    signed: bool = False,
) -> Span:
    """Every position of a sequence attends to the positions within `radius` of its own.

    Args:
        num_nodes: N, the length of the sequence.
        radius: how far a position looks to either side, in positions; `None` = without limit.
        causal: look back only.
        ptr: `[num_sequences + 1]` integers, for packed sequences, instead of `num_nodes`:
            sequence s owns the positions `ptr[s] : ptr[s + 1]`.
        signed: let `hop` tell before from after: `j - i + radius` instead of `|i - j|`.

    Raises:
        TypeError: none or both of `num_nodes` and `ptr` are given.
        TypeError, ValueError: an argument is not a number of positions; or `ptr` descends.
    """
    if (num_nodes is None) == (ptr is None):
        raise TypeError("window: expected either num_nodes or ptr, found none or both")
    if radius is not None:
        _check.integer("radius", radius, 0, 2**31 - 1)
    for name, switch in (("causal", causal), ("signed", signed)):
        if not isinstance(switch, bool):
            raise TypeError(f"{name}: found {switch!r}, expected True or False")
    bounds = torch.tensor([0, checked_count(num_nodes)]) if ptr is None else _checked_ptr(ptr)
    checked_count(int(bounds[-1]))
    size = bounds.diff()
    start, stop = ranges(size, radius, causal)
    kind = "window" if ptr is None else "packed_window"
    return Span(start, stop, start.numel(), kind, radius, causal, signed)


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
    return _checked_size(num_nodes)


def _checked_size(num_nodes: object) -> tuple[int, int]:
    """N twice, or PyG's `size`."""
    sides = num_nodes if isinstance(num_nodes, tuple) else (num_nodes, num_nodes)
    if len(sides) != 2:
        raise ValueError(f"num_nodes: found {num_nodes}, expected (num_sources, num_targets)")
    return checked_count(sides[0]), checked_count(sides[1])


def checked_count(num_nodes: object) -> int:
    """A number of nodes that 32-bit indices can tell apart."""
    return _check.integer("num_nodes", num_nodes, 0, 2**31 - 1)
