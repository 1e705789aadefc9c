"""Hop by hop from the seeds outwards: the one walk of all samplers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from gattn.loader.graph import Edges, Graph

if TYPE_CHECKING:
    from gattn._numba.places import Places
    from gattn._numba.sampling import Columns

NODE = 0xFFFFFFFF


@dataclass(frozen=True)
class Walk:
    """How far and how widely to look.

    Args:
        fan_outs: for each type of edges, neighbours to pick at each hop; -1 = all.
        num_hops: the length of each.
        replace: whether an edge may be picked twice.
        disjoint: give every seed a subgraph of its own.
    """

    fan_outs: dict[Any, list[int]]
    num_hops: int
    replace: bool
    disjoint: bool


@dataclass
class Sampled:
    """What a walk found.

    Args:
        nodes: of each type, in the order of their arrival, seeds first.
        edges: of each type `(row, col, edge)`, `[P]` int64 each: places of source and target, and
            the position among the compressed rows.
        num_nodes: of each type, those that arrived at each hop, seeds at hop 0.
        num_edges: of each type, those picked at each hop.
    """

    nodes: dict[Any, Places]
    edges: dict[Any, tuple[np.ndarray, ...]]
    num_nodes: dict[Any, list[int]]
    num_edges: dict[Any, list[int]]

    def node_ids(self) -> dict[Any, Tensor]:
        """The nodes of each type, `[n]` int64."""
        return {name: torch.from_numpy(p.codes & NODE) for name, p in self.nodes.items()}

    def subgraphs(self) -> dict[Any, Tensor]:
        """The number of the seed whose subgraph each node is in, `[n]` int64."""
        return {name: torch.from_numpy(p.codes >> 32) for name, p in self.nodes.items()}


def expand(graph: Graph, seeds: dict[Any, Tensor], walk: Walk, key: int) -> Sampled:
    """Walk from the seeds along edges against their direction.

    Args:
        graph: the edges.
        seeds: nodes `[n]` int64 of some types, within their range.
        walk: how far.
        key: 64 random bits; they and the arguments decide on everything.
    """
    from gattn._numba.sampling import Columns

    found = _start(graph, seeds, walk.disjoint)
    picked = {name: Columns() for name in graph.edges}
    begin, counter = dict.fromkeys(found.nodes, 0), 0
    for hop in range(walk.num_hops):
        end = {name: places.size for name, places in found.nodes.items()}
        for name in graph.edges:
            edges, count = graph.edges[name], walk.fan_outs[name][hop]
            frontier = found.nodes[edges.target], begin[edges.target], end[edges.target]
            more = _step(edges, found, frontier, count, walk.replace, (key, counter), picked[name])
            found.num_edges[name].append(more)
            counter += more
        for name, places in found.nodes.items():
            found.num_nodes[name].append(places.size - end[name])
        begin = end
    found.edges = {name: tuple(columns.all) for name, columns in picked.items()}
    return found


def _start(graph: Graph, seeds: dict[Any, Tensor], disjoint: bool) -> Sampled:
    from gattn._numba.places import Places

    nodes, first = {}, 0
    codes = {name: tensor.numpy().astype(np.int64) for name, tensor in seeds.items()}
    if disjoint:
        for name, ids in codes.items():
            codes[name] = ids | np.arange(first, first + len(ids)) << 32
            first += len(ids)
    for name, count in graph.num_nodes.items():
        given = codes.get(name, np.empty(0, np.int64))
        nodes[name] = Places(given, None if disjoint else count)
    sizes = {name: [places.size] for name, places in nodes.items()}
    return Sampled(nodes, {}, sizes, {name: [] for name in graph.edges})


def _step(
    edges: Edges,
    found: Sampled,
    frontier: tuple[Places, int, int],
    count: int,
    replace: bool,
    draws: tuple[int, int],
    columns: Columns,
) -> int:
    """One hop along one type of edges; the number of edges."""
    from gattn._numba.sampling import pick

    if count == 0 or frontier[1] == frontier[2]:
        return 0
    sources = pick(*frontier, edges.rows(), count, replace, *draws, columns)
    found.nodes[edges.source].insert(sources)
    return len(sources)


def induce(graph: Graph, found: Sampled) -> None:
    """Put all edges among the nodes in the place of those that were picked."""
    from gattn._numba.sampling import inside

    for name, edges in graph.edges.items():
        targets, sources = found.nodes[edges.target], found.nodes[edges.source]
        found.edges[name] = inside(targets, sources, edges.rows())
