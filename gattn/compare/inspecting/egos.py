"""The nodes that a page can walk among: what each attends to, in few enough numbers to embed."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gattn.compare.inspecting.checkpoint import Opened
from gattn.compare.inspecting.numbers import Findings
from gattn.inspection import AttentionMap
from gattn.inspection.flow import rollout_rows

TOP = 32
"""Neighbours of a node that are shown at the most, in a layer."""

SCALE = 10_000
"""Shares are whole numbers of this."""

Top = tuple[Tensor, Tensor, Tensor]

_NUMBERS = 600_000
_PRODUCTS = 20_000_000_000


def egos(opened: Opened, found: Findings) -> dict[str, Any]:
    """What a page embeds: nodes with their labels and their strongest neighbours.

    All nodes of a small graph; of a large one the chosen node and what is within two moves of it.

    Args:
        opened: of `open_checkpoint`.
        found: of `findings`.
    """
    maps = {name: each for name, each in found.maps.items() if _among(each, opened)}
    tops = {name: _top(each) for name, each in maps.items()}
    nodes = _chosen(found.node, list(tops.values()), opened.task.num_nodes, _most(maps))
    flow = _flows(opened, list(maps.values()), nodes)
    embedded = {str(node): _labels(opened, found, node) for node in nodes}
    for name, each in maps.items():
        _add_layer(embedded, nodes, each, tops[name])
    for node, row in zip(nodes, flow or (), strict=False):
        embedded[str(node)]["flow"] = row
    return {
        "node": found.node,
        "classes": opened.task.num_classes,
        "scale": SCALE,
        "top": TOP,
        "of": opened.task.num_nodes,
        "layers": [_layer(name, each) for name, each in maps.items()],
        "flow": flow is not None,
        "nodes": embedded,
    }


def _among(each: AttentionMap, opened: Opened) -> bool:
    count = opened.task.num_nodes
    return each.num_targets == each.num_sources == count


def _most(maps: dict[str, AttentionMap]) -> int:
    """How many nodes a page has room for."""
    each = sum((TOP + (m.num_hops or 0)) * (m.heads + 2) for m in maps.values()) + 4 * TOP
    return min(max(_NUMBERS // max(each, 1), 100), 4000)


def _layer(name: str, each: AttentionMap) -> dict[str, Any]:
    mass = None if each.hop is None else _whole(each.mass_by_hop().T)
    return {"name": name, "heads": each.heads, "mass": mass}


def _top(each: AttentionMap) -> Top:
    """The strongest pairs of all nodes, target by target: sources, pairs, where targets begin."""
    share, target = each.shares().mean(1), each.edge_index[1].long()
    order = torch.argsort(share, descending=True, stable=True)
    order = order[torch.argsort(target[order], stable=True)]
    start = torch.bincount(target, minlength=each.num_targets).cumsum(0)
    start = torch.cat([start.new_zeros(1), start])
    rank = torch.arange(len(order)) - start[target[order]]
    kept = order[(rank < TOP) & (share[order] > 0)]
    counts = torch.bincount(target[kept], minlength=each.num_targets)
    return each.edge_index[0][kept], kept, torch.cat([counts.new_zeros(1), counts.cumsum(0)])


def _sources(top: Top, node: int) -> list[int]:
    source, _, start = top
    return source[int(start[node]) : int(start[node + 1])].tolist()


def _chosen(node: int, tops: list[Top], count: int, most: int) -> list[int]:
    """All nodes if they fit, else the node and those within two moves, nearest first."""
    if count <= most:
        return list(range(count))
    found, edge = {node: None}, [node]
    for _ in range(2):
        moves = [source for each in edge for top in tops for source in _sources(top, each)]
        edge = [each for each in dict.fromkeys(moves) if each not in found]
        found |= dict.fromkeys(edge)
    return list(found)[:most]


def _add_layer(embedded: dict[str, Any], nodes: list[int], each: AttentionMap, top: Top) -> None:
    _, pairs, start = top
    source, share = each.edge_index[0], each.shares()
    mass = None if each.hop is None else each.node_mass_by_hop()
    for node in nodes:
        own = pairs[int(start[node]) : int(start[node + 1])]
        hop = [-1] * len(own) if each.hop is None else each.hop[own].tolist()
        rows = zip(source[own].tolist(), hop, _whole(share[own]), strict=True)
        embedded[str(node)]["near"].append([[j, d, *shares] for j, d, shares in rows])
        embedded[str(node)]["mass"].append(None if mass is None else _whole(mass[node].T))


def _labels(opened: Opened, found: Findings, node: int) -> dict[str, Any]:
    logits = found.logits[node]
    two = torch.stack([torch.zeros_like(logits[0]), logits[0]]) if len(logits) == 1 else logits
    chance = two.softmax(0)
    parts = zip(("train", "val", "test"), opened.task.split(opened.split), strict=True)
    return {
        "y": int(opened.task.y[node]),
        "p": int(chance.argmax()),
        "sure": round(float(chance.max()), 3),
        "part": next((name for name, mask in parts if mask[node]), ""),
        "near": [],
        "mass": [],
    }


def _flows(opened: Opened, maps: list[AttentionMap], nodes: list[int]) -> list[Any] | None:
    """The strongest entries of the rollout of some nodes; `None` where that costs too much."""
    work = sum(each.weights.shape[0] for each in maps) * len(nodes)
    if not maps or work > _PRODUCTS:
        return None
    reach = sum(max(each.num_hops or 1, 1) for each in maps)
    found = []
    for some in torch.tensor(nodes).split(64):
        rows = rollout_rows(maps, some)
        share, source = rows.topk(min(TOP, rows.shape[1]), dim=1)
        hops = _distances(opened, some, min(reach, 12)).gather(1, source)
        for line in zip(source.tolist(), hops.tolist(), _whole(share), strict=True):
            found.append([list(entry) for entry in zip(*line, strict=True) if entry[2] > 0])
    return found


def _distances(opened: Opened, nodes: Tensor, reach: int) -> Tensor:
    """The hops from every node to some, `[B, N]`; -1 beyond the reach."""
    count, edges = opened.task.num_nodes, opened.task.edge_index.unique(dim=1)
    ones = torch.ones(edges.shape[1])
    back = torch.sparse_coo_tensor(edges, ones, (count, count), check_invariants=False)
    front = torch.zeros(count, len(nodes))
    front[nodes, torch.arange(len(nodes))] = 1.0
    found = torch.where(front > 0, 0, -1)
    for hop in range(1, reach + 1):
        front = ((back @ front > 0) & (found < 0)).float()
        found = torch.where(front > 0, hop, found)
    return found.T


def _whole(shares: Tensor) -> list[Any]:
    return (shares * SCALE).round().long().tolist()
