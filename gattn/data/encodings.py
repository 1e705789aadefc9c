"""Where a node is in its graph, as further features: eigenvectors and walks that come back."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from gattn import _check
from gattn.data.graphs import undirected
from gattn.data.task import Task
from gattn.neighborhood import components

if TYPE_CHECKING:
    from torch_geometric.data import Data

EIGENVECTORS = 8
"""Columns of the encoding "laplacian"."""

WALK_LENGTH = 16
"""Columns of the encoding "random_walk"."""

_SEED = 0
_LARGEST = 0.99
"""What counts as an entry of the largest size: symmetric nodes differ by rounding only."""


def encoded(task: Task, name: str) -> Task:
    r"""Joins an encoding of positions to the features of a task.

    "laplacian" are the eigenvectors of the normalised Laplacian that belong to its 8 smallest
    eigenvalues, the trivial first one left out (Dwivedi et al., 2020, arXiv:2003.00982).
    "random_walk" are the chances to be back after 1, 2, ..., 16 steps of a random walk (Dwivedi et
    al., 2022, arXiv:2110.07875). Both are PyG's, for each connected component by itself, since
    across components eigenvectors of the eigenvalue 0 say nothing of a position; directions do not
    count. A component of n nodes has n - 1 further eigenvectors: where these are fewer than 8, the
    columns that are left hold zeros.

    The result is the same at each call and leaves all random generators as they were. The sign of
    an eigenvector is chosen so that the first of its largest entries is positive. Vectors of equal
    eigenvalues stay arbitrary among themselves.

    Args:
        task: with features `[N, F]`.
        name: one of `ENCODINGS`.

    Returns:
        The task with features `[N, F + 8]`, or `[N, F + 16]`.

    Raises:
        ValueError: the name is unknown.
    """
    _check.one_of("encoding", name, tuple(ENCODINGS))
    from torch_geometric.data import Data

    make, width = ENCODINGS[name]
    columns = task.x.new_zeros(task.num_nodes, width)
    edge_index = undirected(task.edge_index.cpu(), task.num_nodes)
    for node, edges in connected_parts(edge_index, task.num_nodes):
        found = make(Data(edge_index=edges, num_nodes=len(node)))
        columns[node, : found.shape[1]] = found.to(columns)
    return replace(task, x=torch.cat([task.x, columns], dim=1))


def connected_parts(edge_index: Tensor, num_nodes: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Nodes `[n]` and edges `[2, e]` of each connected component of two nodes or more.

    Args:
        edge_index: `[2, E]`, on the CPU.
        num_nodes: N.

    Yields:
        Nodes in ascending order, and edges that count them from 0.
    """
    component = components(edge_index, num_nodes)
    sizes = component.bincount()
    nodes = component.argsort(stable=True).split(sizes.tolist())
    of_edge = component[edge_index[0]]
    order = of_edge.argsort(stable=True)
    edges = edge_index[:, order].split(of_edge.bincount(minlength=len(sizes)).tolist(), dim=1)
    local = torch.empty(num_nodes, dtype=torch.int64)
    for node, pairs in zip(nodes, edges, strict=True):
        if len(node) > 1:
            local[node] = torch.arange(len(node))
            yield node, local[pairs]


def _eigenvectors(data: Data) -> Tensor:
    from torch_geometric.transforms import AddLaplacianEigenvectorPE

    count = int(data.num_nodes or 0)
    start = np.random.default_rng(_SEED).standard_normal(count)
    transform = AddLaplacianEigenvectorPE(
        min(EIGENVECTORS, count - 1), attr_name="pe", is_undirected=True, v0=start
    )
    with torch.random.fork_rng(devices=[]):  # PyG draws a sign for each vector
        torch.manual_seed(_SEED)
        found = transform(data).pe
    size = found.abs()
    first = (size >= _LARGEST * size.amax(dim=0)).int().argmax(dim=0)
    return found * found.gather(0, first[None]).sign()


def _returns(data: Data) -> Tensor:
    from torch_geometric.transforms import AddRandomWalkPE

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse")  # torch's, of the matrices of PyG
        return AddRandomWalkPE(WALK_LENGTH, attr_name="pe")(data).pe


ENCODINGS: dict[str, tuple[Callable[[Any], Tensor], int]] = {
    "laplacian": (_eigenvectors, EIGENVECTORS),
    "random_walk": (_returns, WALK_LENGTH),
}
"""How the columns of an encoding are made for a connected graph, and how many there are."""
