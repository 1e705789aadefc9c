"""What a model is called with beside the features, where that is more than one neighbourhood."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

import gattn
from gattn.data.encodings import connected_parts
from gattn.nn import DEPTHS


@dataclass(frozen=True, eq=False)
class Surroundings:
    """A neighbourhood, and the clusters that the level "cluster" looks at.

    Args:
        neighborhood: pairs of nodes.
        clusters: of the same nodes.
    """

    neighborhood: gattn.Neighborhood
    clusters: gattn.Clusters

    @property
    def num_pairs(self) -> int:
        """All that is attended to: pairs of nodes, of nodes in clusters, of nodes and clusters."""
        inside, look = self.clusters.pool, self.clusters.look
        return self.neighborhood.num_pairs + inside.num_pairs + look.num_pairs

    def to(self, device: torch.device | str) -> Surroundings:
        """The same on another device."""
        return Surroundings(self.neighborhood.to(device), self.clusters.to(device))


Structure = Tensor | gattn.Neighborhood | Surroundings
"""What a model of a study is called with: an edge_index, a neighbourhood, or clusters with it."""


class Surrounded(nn.Module):
    """A model of features, neighbourhood and clusters, called with `Surroundings`.

    Args:
        model: called as `model(x, neighborhood, clusters)`.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor, around: Surroundings) -> Tensor:
        """Return what the model makes of features `x` `[N, F]`."""
        return self.model(x, around.neighborhood, around.clusters)


def needs_clusters(depth: int) -> bool:
    """Return whether a layer of this depth looks at clusters."""
    return "cluster" in DEPTHS[depth]


def surrounded(neighborhood: gattn.Neighborhood, edge_index: Tensor) -> Surroundings:
    """Return a neighbourhood with clusters: the communities of each connected component.

    A node looks at those of its own component. Of a graph of many components Louvain's method, run
    once for all, would find little more than the components: its modularity counts all edges.

    Args:
        neighborhood: of any breadth.
        edge_index: `[2, E]`, the edges of the graph.
    """
    count = neighborhood.num_targets
    edge_index = edge_index.cpu()
    assignment = torch.zeros(count, dtype=torch.int64)
    for node, edges in connected_parts(edge_index, count):
        assignment[node] = gattn.communities(edges, len(node))
    found = gattn.clusters(assignment, gattn.components(edge_index, count))
    return Surroundings(neighborhood, found.to(neighborhood.device))


def num_pairs(structure: Structure) -> int:
    """Return the number of pairs that a layer attends to."""
    return structure.size(1) if isinstance(structure, Tensor) else structure.num_pairs
