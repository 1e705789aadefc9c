"""The edges of a call: self-loops, sizes, features, and the weights in the shape PyG returns."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch_geometric import EdgeIndex
from torch_geometric.nn.dense.linear import Linear
from torch_geometric.typing import (
    SparseTensor,  # type: ignore[attr-defined]  # a stand-in where torch_sparse is missing
    torch_sparse,
)
from torch_geometric.utils import (
    add_self_loops,
    is_torch_sparse_tensor,
    remove_self_loops,
)
from torch_geometric.utils.sparse import set_sparse_value

from gattn.neighborhood import Span, Sparse, Streamed
from gattn.nn.structure import stored_one_hop

Size = tuple[int, int] | None


def refuse_neighborhood(edge_index: Any) -> None:
    """A drop-in takes what PyG's layer takes.

    Raises:
        TypeError: it is given a neighbourhood.
    """
    if isinstance(edge_index, (Sparse, Span, Streamed)):
        raise TypeError(
            f"edge_index: found {edge_index!r}, expected an edge_index: neighborhood.edge_index() "
            "is one, without the hops (GraphAttention takes the neighborhood itself)"
        )


def is_sparse_tensor(edge_index: Any) -> bool:
    """It is a `torch_sparse.SparseTensor`."""
    return isinstance(edge_index, SparseTensor)


def for_pyg(edge_index: Any) -> Any:
    """The edges for PyG's forward, which takes the single numbers of a `SparseTensor` as features.

    Only the general form of PyG's methods does, which the drop-ins use; its generated code ignores
    them.
    """
    if is_sparse_tensor(edge_index) and features_of(edge_index, None) is None:
        return edge_index.set_value(None, layout="coo")
    return edge_index


def needs_written_loops(edge_index: Any, edge_attr: Tensor | None, wants_weights: Any) -> bool:
    """Whether the edges have to be written out with their loops, or the kernel may add them.

    They have to where somebody sees them (features, weights) or where edges are no plain tensor.
    """
    plain = isinstance(edge_index, Tensor) and edge_index.layout == torch.strided
    return edge_attr is not None or bool(wants_weights) or not plain


def with_self_loops(
    edge_index: Any, edge_attr: Tensor | None, num_nodes: int, fill_value: Any
) -> tuple[Any, Tensor | None]:
    """The edges with the loop of every node exactly once, at the end: PyG's own utilities.

    Args:
        edge_index: `[2, E]`, or a sparse adjacency.
        edge_attr: `[E, F]` or `[E]`.
        num_nodes: how many nodes are both source and target.
        fill_value: features of a loop, or how they follow from those of the edges to its node.
    """
    if is_sparse_tensor(edge_index):
        return torch_sparse.set_diag(edge_index), edge_attr
    edge_index, edge_attr = remove_self_loops(edge_index, edge_attr)
    return add_self_loops(edge_index, edge_attr, fill_value=fill_value, num_nodes=num_nodes)


def one_hop(
    edge_index: Any,
    source: Tensor,
    target: Tensor | None,
    size: Size = None,
    loops: int | None = None,
    per_pair: bool = True,
) -> Sparse:
    """The edges as a neighbourhood.

    Args:
        edge_index: `[2, E]`, an `EdgeIndex`, or a transposed sparse adjacency.
        source: `[M, ...]`, features of the sources.
        target: `[N, ...]`, features of the targets, or `None`: then `size` or M tells N.
        size: `(M, N)`, if the caller gave it.
        loops: give the first nodes one loop each, in the place of any other, as
            `with_self_loops` does; `None` = take the edges as they are.
        per_pair: something is given or wanted for each pair, in the order of the edges; without,
            that order is forgotten, and so are the hops.

    Raises:
        ValueError: the sizes and the features differ.
        IndexError: an index is out of range.
    """
    wanted = _size_of(edge_index, size)
    for role, nodes, expected in zip(("source", "target"), (source, target), wanted, strict=True):
        if nodes is not None and expected is not None and nodes.shape[0] != expected:
            found = f"found {nodes.shape[0]} {role} nodes"
            raise ValueError(f"x: {found}, expected {expected}, the size of the graph")
    if target is not None:
        num_targets = target.shape[0]
    else:
        num_targets = source.shape[0] if wanted[1] is None else wanted[1]
    return stored_one_hop(edge_index, (source.shape[0], num_targets), loops, per_pair)


def _size_of(edge_index: Any, size: Size) -> tuple[int | None, int | None]:
    if isinstance(edge_index, EdgeIndex):
        return edge_index.num_rows, edge_index.num_cols
    if is_sparse_tensor(edge_index) or is_torch_sparse_tensor(edge_index):
        return edge_index.size(1), edge_index.size(0)
    return (None, None) if size is None else size


def features_of(edge_index: Any, edge_attr: Tensor | None) -> Tensor | None:
    """The features that PyG gives the edges: `edge_attr`, else the values of a sparse adjacency.

    A single number for each edge of a sparse adjacency merely says that there is an edge.

    Raises:
        ValueError: `edge_attr` and `edge_index` do not have the same number of edges.
    """
    sparse = is_sparse_tensor(edge_index) or is_torch_sparse_tensor(edge_index)
    if edge_attr is None and sparse:
        values = _values_of(edge_index)
        return values if values is not None and values.dim() > 1 else None
    if edge_attr is not None and not sparse and edge_attr.shape[0] != edge_index.shape[1]:
        rows, edges = edge_attr.shape[0], edge_index.shape[1]
        raise ValueError(f"edge_attr: found {rows} rows, expected {edges}, one for each edge")
    return edge_attr


def _values_of(adjacency: Any) -> Tensor | None:
    if is_sparse_tensor(adjacency):
        return adjacency.coo()[2]
    return adjacency._values() if adjacency.layout == torch.sparse_coo else adjacency.values()


def edge_weight(lin_edge: Linear, features: Tensor, heads: int) -> Tensor:
    """The weight of `lin_edge` as `[F, H, C]`, after initialising it if it is lazy."""
    return initialized(lin_edge, features).weight.unflatten(0, (heads, -1)).permute(2, 0, 1)


def initialized(lin: Linear, features: Tensor) -> Linear:
    """`lin` with its weight there: a lazy one is initialised as a call on `features` would."""
    if hasattr(lin, "_hook"):
        lin(features[:0])
    return lin


def with_weights(edge_index: Any, weights: Tensor) -> Any:
    """What GAT and GATv2 return beside the output: the edges and their weights."""
    if is_sparse_tensor(edge_index):
        return edge_index.set_value(weights, layout="coo")
    if is_torch_sparse_tensor(edge_index):
        return set_sparse_value(_marked(edge_index), weights), weights
    return edge_index, weights


def _marked(adjacency: Tensor) -> Tensor:
    """The adjacency, as one that PyG takes its indices from."""
    if adjacency.layout != torch.sparse_coo:
        return adjacency
    indices, values = adjacency._indices(), adjacency._values()
    return torch.sparse_coo_tensor(indices, values, adjacency.shape, is_coalesced=True)
