"""The edges of a graph by target, as a sampler walks them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data, HeteroData
from torch_geometric.data.storage import BaseStorage

from gattn import _check
from gattn.neighborhood.build import checked_edges

_MOST_EDGES = 2**32 - 1


@dataclass(frozen=True)
class Edges:
    """The edges of a type in compressed rows.

    Args:
        rowptr: `[N + 1]` int64; the edges into target i are `rowptr[i] : rowptr[i + 1]`.
        col: `[E]` int32 sources.
        perm: `[E]` int64, where each edge stands in the data; None = in the same place.
        source: the type of the sources; None where there is only one.
        target: the type of the targets.
    """

    rowptr: Tensor
    col: Tensor
    perm: Tensor | None
    source: str | None = None
    target: str | None = None

    def rows(self) -> tuple[np.ndarray, np.ndarray]:
        """`rowptr` and `col` for kernels."""
        return self.rowptr.numpy(), self.col.numpy()

    def are_probably(self, edge_index: Tensor) -> bool:
        """Whether edges of PyG's data are these: as many, and the same at a thousand places."""
        count = self.col.numel()
        if edge_index.shape[1] != count:
            return False
        some = torch.linspace(0, count - 1, min(count, 1000), dtype=torch.float64).long()
        target = torch.searchsorted(self.rowptr, some, right=True) - 1
        places = some if self.perm is None else self.perm[some]
        there = edge_index.cpu()[:, places]
        return torch.equal(there.long(), torch.stack([self.col[some].long(), target]))


@dataclass(frozen=True)
class Graph:
    """All edges, by type; in a homogeneous graph the one type is None.

    Args:
        num_nodes: of each type of nodes.
        edges: of each type of edges.
        hetero: whether there are types at all.
    """

    num_nodes: dict[Any, int]
    edges: dict[Any, Edges]
    hetero: bool


def graph_of(data: Data | HeteroData | tuple[Tensor, Tensor]) -> Graph:
    """The edges of PyG's data by target, or those of `(rowptr, col)` as they are.

    Raises:
        TypeError, ValueError, IndexError: it is something else, or an index is out of range.
    """
    if isinstance(data, HeteroData):
        return _of_hetero(data)
    if isinstance(data, Data):
        count = _count("data", data.node_stores[0].num_nodes)
        return Graph({None: count}, {None: _edges(data.edge_stores[0], (count, count))}, False)
    if isinstance(data, tuple) and len(data) == 2 and all(isinstance(t, Tensor) for t in data):
        edges = _given(*data)
        return Graph({None: edges.rowptr.numel() - 1}, {None: edges}, False)
    raise TypeError(
        f"data: found {type(data).__name__}, expected a Data, a HeteroData, or (rowptr, col)"
    )


def _of_hetero(data: HeteroData) -> Graph:
    counts = {name: _count(name, data[name].num_nodes) for name in data.node_types}
    edges = {}
    for name in data.edge_types:
        source, _, target = name
        missing = {source, target} - counts.keys()
        if missing:
            raise ValueError(f"data: found edges {name}, expected nodes of type {missing.pop()!r}")
        sizes = counts[source], counts[target]
        edges[name] = _edges(data[name], sizes, source, target)
    return Graph(counts, edges, True)


def _count(name: str, num_nodes: int | None) -> int:
    if num_nodes is None:
        raise ValueError(f"{name}: found no number of nodes, expected features or num_nodes")
    return _check.integer(f"num_nodes of {name}", num_nodes, 0, 2**31 - 1)


def _edges(
    store: BaseStorage,
    sizes: tuple[int, int],
    source: str | None = None,
    target: str | None = None,
) -> Edges:
    """The edges of a storage; none where it has none."""
    if "adj_t" in store or "adj" in store:
        raise TypeError("data: found a sparse adjacency, expected an edge_index")
    found = store.get("edge_index", None)
    pairs = torch.empty(2, 0, dtype=torch.int64) if found is None else found.cpu()
    return Edges(*_compressed(pairs, sizes), source, target)


def _compressed(edge_index: Tensor, sizes: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor | None]:
    from gattn._numba.sampling import ascends
    from gattn._numba.sort import compressed_rows

    source, target, _ = checked_edges(edge_index, sizes)
    _check.integer("the number of edges", source.numel(), 0, _MOST_EDGES)
    ends = source.contiguous().numpy(), target.contiguous().numpy()
    in_order = ascends(ends[1])
    found = compressed_rows(*ends, sizes, per_pair=not in_order)
    if found is None:
        _check.within("edge_index[0]", source, sizes[0], "num_nodes")
        _check.within("edge_index[1]", target, sizes[1], "num_nodes")
        raise AssertionError
    rowptr, col, perm = (torch.from_numpy(array) for array in found[:3])
    return rowptr, col, None if in_order else perm


def _given(rowptr: Tensor, col: Tensor) -> Edges:
    """Compressed rows of somebody else, checked once."""
    for name, tensor, size in (("rowptr", rowptr, "N + 1"), ("col", col, "E")):
        _check.shape(name, _check.integers(name, tensor), [size])
    rowptr, col = rowptr.cpu().long().contiguous(), col.cpu()
    count = _check.integer("num_nodes", rowptr.numel() - 1, 0, 2**31 - 1)
    _check.integer("the number of edges", col.numel(), 0, _MOST_EDGES)
    if int(rowptr[0]) != 0 or int(rowptr[-1]) != col.numel() or not _is_ascending(rowptr):
        raise ValueError(
            f"rowptr: found {int(rowptr[0])} ... {int(rowptr[-1])}, expected 0 <= ... <= "
            f"{col.numel()}, the number of edges"
        )
    _check.within("col", col, count, "num_nodes")
    return Edges(rowptr, col.int().contiguous(), None)


def _is_ascending(rowptr: Tensor) -> bool:
    from gattn._numba.sampling import ascends

    return ascends(rowptr.numpy())
