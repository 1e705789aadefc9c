"""Graphs to measure on, made from a seed: power laws of any size, a star, a ring; sequences.

Edges are sorted by source, then by target, as PyG's own datasets come.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

import gattn

BLOCK = 1 << 22
"""Edges drawn at once: what is needed beside the edges themselves stays below 200 MB."""


@dataclass(frozen=True)
class Graph:
    """A graph.

    Args:
        edge_index: `[2, E]`, int64.
        num_nodes: N.
    """

    edge_index: Tensor
    num_nodes: int


def power_law(num_nodes: int, num_edges: int, skew: float, seed: int) -> Graph:
    r"""Return a graph whose expected in- and out-degrees fall with the rank of the node.

    $$ \mathbb E[\deg(r)] \propto r^{-\text{skew}} $$

    The ranks are dealt at random, one for both directions, so that a hub is a hub both ways. There
    are no loops; a pair may come twice. Memory: the edges, and a block of them.

    Args:
        num_nodes: N.
        num_edges: E, exactly.
        skew: 0 for equal degrees, below 1.
        seed: of everything random.
    """
    rng = np.random.default_rng(seed)
    node_of_rank = rng.permutation(num_nodes)
    degrees = np.empty(num_nodes, dtype=np.int64)
    shares = np.diff((np.arange(num_nodes + 1) / num_nodes) ** (1 - skew))
    degrees[node_of_rank] = rng.multinomial(num_edges, shares)
    edges = np.empty((2, num_edges), dtype=np.int64)
    stops = np.cumsum(degrees)
    for first, last in _blocks(stops):
        source = np.repeat(np.arange(first, last), degrees[first:last])
        ranks = num_nodes * rng.random(len(source)) ** (1 / (1 - skew))
        target = node_of_rank[ranks.astype(np.int64)]
        target = np.where(target == source, (target + 1) % num_nodes, target)
        both = np.sort(source * num_nodes + target)
        start = stops[last - 1] - len(both)
        np.divmod(both, num_nodes, out=tuple(edges[:, start : stops[last - 1]]))
    return Graph(torch.from_numpy(edges), num_nodes)


def compressed_power_law(
    num_nodes: int, num_edges: int, skew: float, seed: int
) -> tuple[Tensor, Tensor]:
    """Return `(rowptr, col)` of a graph like those of `power_law`, never written out as edges.

    Loops are possible, and sources come in no order. Memory: 4 bytes for each edge, 40 for each
    node while it is made, and a block of edges.

    Args:
        num_nodes: N.
        num_edges: E, exactly.
        skew: 0 for equal degrees, below 1.
        seed: of everything random.
    """
    rng = np.random.default_rng(seed)
    node_of_rank = rng.permutation(num_nodes).astype(np.int32)
    shares = np.diff((np.arange(num_nodes + 1) / num_nodes) ** (1 - skew))
    rowptr = np.zeros(num_nodes + 1, dtype=np.int64)
    rowptr[1 + node_of_rank] = rng.multinomial(num_edges, shares)
    np.cumsum(rowptr, out=rowptr)
    col = np.empty(num_edges, dtype=np.int32)
    for first in range(0, num_edges, BLOCK):
        block = col[first : first + BLOCK]
        ranks = num_nodes * rng.random(len(block)) ** (1 / (1 - skew))
        block[:] = node_of_rank[ranks.astype(np.int64)]
    return torch.from_numpy(rowptr), torch.from_numpy(col)


def _blocks(stops: np.ndarray) -> Iterator[tuple[int, int]]:
    """Ranges of sources that have about `BLOCK` edges each."""
    inner = np.searchsorted(stops, np.arange(BLOCK, stops[-1], BLOCK))
    return pairwise(np.unique([0, *inner.tolist(), len(stops)]).tolist())


def star(num_leaves: int) -> Graph:
    """Return one hub with an edge to and from each of its leaves; the hub is node 0."""
    leaves, hub = torch.arange(1, num_leaves + 1), torch.zeros(num_leaves, dtype=torch.int64)
    edges = torch.stack([torch.cat([hub, leaves]), torch.cat([leaves, hub])])
    return Graph(edges, num_leaves + 1)


def ring(num_nodes: int, num_edges: int) -> Graph:
    """Return nodes with an edge to either neighbour, without the last `2 * num_nodes - num_edges`.

    Every node is in a cache when it is needed, as in a star. A random regular graph would be slower
    for that reason alone, and a poor control.
    """
    source = torch.arange(num_nodes).repeat_interleave(2)
    steps = torch.tensor([-1, 1]).repeat(num_nodes)
    return Graph(torch.stack([source, (source + steps) % num_nodes])[:, :num_edges], num_nodes)


def sequences(count: int, shortest: int, longest: int, seed: int) -> gattn.Span:
    """Return sequences packed one behind the other, each of which attends to all of itself.

    Their lengths are spread evenly between the two bounds, so that every seed makes as many pairs;
    the seed decides on the order.
    """
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    lengths = torch.linspace(shortest, longest, count).round().long()[order]
    return gattn.full(ptr=torch.cat([lengths.new_zeros(1), lengths.cumsum(0)]))
