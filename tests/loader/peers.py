"""Graphs for the tests of samplers, and the walk of PyG's own sampler in plain Python."""

import torch
from torch_geometric.data import Data, HeteroData

SIZES = {"paper": 30, "author": 20, "venue": 4}
RELATIONS = [
    ("paper", "cites", "paper"),
    ("author", "writes", "paper"),
    ("paper", "by", "author"),
    ("paper", "at", "venue"),
]


def graph(num_nodes=60, num_edges=400, seed=0):
    """Loops, edges that come twice, and nodes without edges are among it."""
    draw = torch.Generator().manual_seed(seed)
    ends = torch.randint(0, max(num_nodes - 5, 1), (2, num_edges), generator=draw)
    if num_edges:
        ends = torch.cat([ends, ends[:, :20], torch.tensor([[3, 3], [3, 3]])], dim=1)
        ends = ends[:, torch.randperm(ends.shape[1], generator=draw)]
    return Data(
        x=torch.arange(num_nodes).float()[:, None],
        y=torch.arange(num_nodes) % 3,
        edge_index=ends,
        edge_attr=torch.arange(ends.shape[1]).float()[:, None],
    )


def hetero_graph(seed=0):
    draw = torch.Generator().manual_seed(seed)
    data = HeteroData()
    for name, size in SIZES.items():
        data[name].x = torch.arange(size).float()[:, None]
    for name in RELATIONS:
        sizes = SIZES[name[0]], SIZES[name[2]]
        ends = [torch.randint(0, size, (120,), generator=draw) for size in sizes]
        data[name].edge_index = torch.stack(ends)
        data[name].edge_attr = torch.arange(120).float()
    return data


def whole_walk(seeds, edges, num_hops, disjoint=False):
    """What PyG's sampler gives with all neighbours, for which nothing is left to chance.

    Args:
        seeds: nodes of each type.
        edges: `[2, E]` of each type, whose order is that of the compressed rows if sorted by
            target, stably.
        num_hops: how far.
        disjoint: every seed by itself.
    """
    types = sorted({k for name in edges for k in (name[0], name[-1])} | set(seeds), key=str)
    nodes, where = {k: [] for k in types}, {k: {} for k in types}
    number = 0
    for k, ids in seeds.items():
        for node in ids:
            code = (number if disjoint else 0, node)
            where[k].setdefault(code, len(nodes[k]))
            nodes[k].append(code)
            number += 1
    into = {name: _by_target(pairs) for name, pairs in edges.items()}
    out = {name: [] for name in edges}
    node_counts = {k: [len(nodes[k])] for k in types}
    edge_counts = {name: [] for name in edges}
    begin = dict.fromkeys(types, 0)
    for _ in range(num_hops):
        end = {k: len(nodes[k]) for k in types}
        for name in edges:
            before = len(out[name])
            for place in range(begin[name[-1]], end[name[-1]]):
                batch, target = nodes[name[-1]][place]
                for source, edge in into[name].get(target, []):
                    code = (batch, source)
                    if code not in where[name[0]]:
                        where[name[0]][code] = len(nodes[name[0]])
                        nodes[name[0]].append(code)
                    out[name].append((where[name[0]][code], place, edge))
            edge_counts[name].append(len(out[name]) - before)
        for k in types:
            node_counts[k].append(len(nodes[k]) - end[k])
        begin = end
    return nodes, out, node_counts, edge_counts


def _by_target(pairs):
    """Source and position in the data of the edges into each target."""
    found = {}
    for edge, (source, target) in enumerate(pairs.T.tolist()):
        found.setdefault(target, []).append((source, edge))
    return found
