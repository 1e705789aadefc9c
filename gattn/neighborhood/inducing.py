"""`induced`: what is left of a neighbourhood among some of its nodes."""

from __future__ import annotations

import torch
from torch import Tensor

from gattn import _check
from gattn.neighborhood._tensors import pointers
from gattn.neighborhood.sparse import Sparse


def induced(neighborhood: Sparse, nodes: Tensor) -> Sparse:
    """The pairs among some nodes, which are numbered anew; distances are those of the whole graph.

    Args:
        neighborhood: of nodes with themselves: as many targets as sources.
        nodes: `[n]` different nodes; node `nodes[i]` becomes i.

    Returns:
        A neighbourhood of n targets and sources. Its pairs have no order of the builder left: that
        of pair arguments is `col`'s.

    Raises:
        TypeError: no `Sparse`, or nodes that are no integers.
        ValueError: rings, targets that are other nodes than sources, or a node twice.
        IndexError: a node that is not there.
    """
    place = _places(neighborhood, nodes)
    row, col = place[neighborhood.rows()], place[neighborhood.col.long()]
    kept = ((row >= 0) & (col >= 0)).nonzero()[:, 0]
    kept = kept[torch.argsort(row[kept], stable=True)]
    hop, count = neighborhood.hop, nodes.numel()
    return Sparse(
        pointers(torch.bincount(row[kept], minlength=count)),
        col[kept].int(),
        count,
        None if hop is None else hop[kept],
        num_hops=neighborhood.num_hops,
        hops_sorted=neighborhood.hops_sorted,
    )


def _places(neighborhood: Sparse, nodes: Tensor) -> Tensor:
    """Where each node of the neighbourhood goes, `[N]`; -1 for those that go."""
    if not isinstance(neighborhood, Sparse):
        found = type(neighborhood).__name__
        raise TypeError(f"neighborhood: found {found}, expected Sparse")
    if neighborhood.groups != 1:
        raise ValueError(f"neighborhood: found groups = {neighborhood.groups}, expected 1")
    size = neighborhood.num_targets
    if size != neighborhood.num_sources:
        found = f"{size} targets and {neighborhood.num_sources} sources"
        raise ValueError(f"neighborhood: found {found}, expected the same nodes")
    nodes = _check.integers("nodes", nodes)
    _check.shape("nodes", nodes, ["n"])
    _check.within("nodes", nodes, size, "num_targets")
    place = nodes.new_full((size,), -1, dtype=torch.int64)
    place[nodes.long()] = torch.arange(nodes.numel(), device=nodes.device)
    if int((place >= 0).sum()) != nodes.numel():
        raise ValueError("nodes: found a node twice, expected different nodes")
    return place
