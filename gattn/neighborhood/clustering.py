"""Clusters: who belongs together, and who looks at which cluster."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gattn import _check
from gattn.neighborhood._tensors import map_tensors, mover
from gattn.neighborhood.build import checked_count, checked_edges, from_edge_index
from gattn.neighborhood.span import Span
from gattn.neighborhood.sparse import Sparse


@dataclass(frozen=True, eq=False)
class Clusters:
    """A way from nodes to clusters, and from clusters to nodes: two neighbourhoods.

    Build one with `clusters`.

    Args:
        pool: rows are clusters, which attend to their members.
        look: rows are targets, which attend to clusters.

    Raises:
        TypeError: one of them is no neighbourhood.
        ValueError: they differ in the number of clusters.
    """

    pool: Sparse
    look: Sparse | Span

    def __post_init__(self) -> None:
        """The clusters of one are those of the other."""
        for name, kinds in (("pool", (Sparse,)), ("look", (Sparse, Span))):
            if not isinstance(getattr(self, name), kinds):
                found = type(getattr(self, name)).__name__
                raise TypeError(f"{name}: found {found}, expected a neighbourhood")
        if self.pool.num_targets != self.look.num_sources:
            found = f"{self.look.num_sources} clusters to look at"
            raise ValueError(f"look: found {found}, expected {self.pool.num_targets}, as pooled")

    @property
    def num_clusters(self) -> int:
        """K, the number of clusters."""
        return self.pool.num_targets

    @property
    def device(self) -> torch.device:
        """Where the tensors live."""
        return self.pool.device

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Clusters:
        """The same clusters on another device."""
        return map_tensors(self, mover(device, non_blocking))

    def pin_memory(self) -> Clusters:
        """The same clusters in page-locked memory."""
        return map_tensors(self, lambda tensor: tensor.pin_memory())


def clusters(assignment: Tensor, graph: Tensor | None = None) -> Clusters:
    """Clusters that are given: every node looks at all clusters of its own graph.

    Args:
        assignment: `[N]` integers, the cluster of each node; any numbers will do.
        graph: `[N]` integers, the graph of each node (`batch` of a PyG batch); one graph without
            it. Nodes of two graphs are never in one cluster.

    Raises:
        TypeError: the numbers are no integers.
        ValueError: the two differ in length or device.
    """
    _check.shape("assignment", _check.integers("assignment", assignment), ["N"])
    graph = torch.zeros_like(assignment) if graph is None else _check.integers("graph", graph)
    _check.shape("graph", graph, [len(assignment)])
    _check.same_device("graph", graph, assignment.device, "assignment")
    both = torch.stack([graph.long(), assignment.long()], 1)
    kinds, cluster = torch.unique(both, dim=0, return_inverse=True)
    node = torch.arange(len(assignment), device=assignment.device)
    pool = from_edge_index(torch.stack([node, cluster]), (len(node), len(kinds)))
    return Clusters(pool, _looking(graph.long(), kinds[:, 0].contiguous()))


def _looking(graph: Tensor, of_clusters: Tensor) -> Span:
    """Every node sees the clusters of its graph, which stand together: they are sorted by graph."""
    start = torch.searchsorted(of_clusters, graph)
    stop = torch.searchsorted(of_clusters, graph, right=True)
    one = bool((of_clusters == of_clusters[:1]).all())
    return Span(start, stop, len(of_clusters), "full" if one else "packed")


def communities(
    edge_index: Tensor, num_nodes: int | None = None, *, resolution: float = 1.0, seed: int = 0
) -> Tensor:
    """The cluster of each node, `[N]`, by Louvain's method, as networkx has it.

    Directions, loops and duplicates do not count. An isolated node is a cluster of its own.
    (Blondel et al., "Fast unfolding of communities in large networks", 2008.)

    Of many graphs at once it finds little more than the graphs, since a cut between two counts by
    the edges of all: take them one by one, and join the clusters with `gattn.batch`.

    Args:
        edge_index: `[2, E]` integers.
        num_nodes: N; without it the largest index decides.
        resolution: above 1 for more and smaller clusters.
        seed: of the order in which nodes are visited.

    Raises:
        TypeError, ValueError, IndexError: as `from_edge_index`.
    """
    import networkx

    source, target, count = _square(edge_index, num_nodes)
    # Each edge once, in one order: that of the edges would break ties between communities.
    ends = torch.stack([torch.minimum(source, target), torch.maximum(source, target)])
    graph = networkx.Graph()
    graph.add_nodes_from(range(count))
    graph.add_edges_from(ends[:, source != target].unique(dim=1).t().tolist())
    found = networkx.community.louvain_communities(graph, resolution=resolution, seed=seed)
    assignment = torch.empty(count, dtype=torch.int64, device=edge_index.device)
    for number, members in enumerate(found):
        assignment[torch.tensor(sorted(members))] = number
    return assignment


def components(edge_index: Tensor, num_nodes: int | None = None) -> Tensor:
    """The connected component of each node, `[N]`; directions do not count.

    Args:
        edge_index: `[2, E]` integers.
        num_nodes: N; without it the largest index decides.

    Raises:
        TypeError, ValueError, IndexError: as `from_edge_index`.
    """
    import numpy as np
    from scipy import sparse

    source, target, count = _square(edge_index, num_nodes)
    ends = source.cpu().numpy(), target.cpu().numpy()
    edges = sparse.coo_array((np.ones(len(source), np.int8), ends), shape=(count, count))
    _, component = sparse.csgraph.connected_components(edges, directed=False)
    return torch.from_numpy(component).long().to(edge_index.device)


def _square(edge_index: Tensor, num_nodes: int | None) -> tuple[Tensor, Tensor, int]:
    """Both ends of the edges within one set of nodes, and the number of nodes."""
    count = None if num_nodes is None else checked_count(num_nodes)
    source, target, (count, _) = checked_edges(edge_index, count)
    for name, ends in (("edge_index[0]", source), ("edge_index[1]", target)):
        _check.within(name, ends, count, "num_nodes")
    return source, target, count
