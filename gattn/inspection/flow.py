"""Attention rollout: where what a node ends up with comes from, across all layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from gattn import _check
from gattn.inspection.maps import AttentionMap

Maps = Mapping[str, AttentionMap] | Sequence[AttentionMap]


def rollout(maps: Maps, residual: float = 0.5) -> Tensor:
    r"""Attention rollout through layers in series, `[N, N]` sparse (COO): rows are targets.

    $$ R = \prod_{l = L}^{1} \big( r I + (1 - r) A^{(l)} \big) $$

    with A the mean over the heads of the shares of a layer, and r what a node keeps of itself past
    the layer: 1/2 where a residual connection adds what came in. The row of a node without pairs is
    that of the identity, so every row sums to one. It follows the weights alone: values, feed-
    forward networks and clusters are not in it. The result may have N * N entries: `rollout_from`
    has the row of one node.

    (Abnar & Zuidema, "Quantifying Attention Flow in Transformers", 2020.)

    Args:
        maps: of layers in series, the first first, all from N nodes to the same N: those of
            `attention_maps`, without one of two branches side by side.
        residual: r, in [0, 1].

    Raises:
        ValueError: there are no maps, or they are not among the same nodes.
    """
    steps = [_step(each, residual) for each in _in_series(maps)]
    found = steps[0]
    for step in steps[1:]:
        found = torch.sparse.mm(step, found)
    return found.coalesce()


def rollout_from(maps: Maps, node: int, residual: float = 0.5) -> Tensor:
    """The row of one node in `rollout`, `[N]`, by one product of a vector for each layer.

    Args:
        maps: as `rollout`.
        node: the node at whose output one looks.
        residual: as `rollout`.

    Raises:
        ValueError: as `rollout`, or there is no such node.
    """
    layers = _in_series(maps)
    _check.integer("node", node, 0, layers[-1].num_targets - 1)
    nodes = torch.tensor([node], device=layers[-1].weights.device)
    return rollout_rows(layers, nodes, residual)[0]


def rollout_rows(maps: Maps, nodes: Tensor, residual: float = 0.5) -> Tensor:
    """The rows of some nodes in `rollout`, `[B, N]`.

    Args:
        maps: as `rollout`.
        nodes: `[B]` int64.
        residual: as `rollout`.

    Raises:
        ValueError: as `rollout`.
    """
    layers = _in_series(maps)
    start = layers[0].weights.new_zeros(layers[0].num_targets, len(nodes))
    start[nodes, torch.arange(len(nodes), device=nodes.device)] = 1.0
    for each in reversed(layers):
        start = _step(each, residual).t() @ start
    return start.t()


def _step(each: AttentionMap, residual: float) -> Tensor:
    """What one layer does, `r I + (1 - r) A`; nodes without pairs keep what they have."""
    residual = _check.fraction("residual", residual)
    size = (each.num_targets, each.num_targets)
    kept = each.weights.new_full((each.num_targets,), residual)
    kept[~each.filled().any(1)] = 1.0
    # The mean over the heads that have something to share, so that rows sum to one.
    share = each.shares().sum(1) / each.filled().sum(1).clamp(min=1)[each.edge_index[1].long()]
    node = torch.arange(each.num_targets, device=share.device)
    places = torch.cat([torch.stack([node, node]), each.edge_index.long().flip(0)], 1)
    values = torch.cat([kept, (1 - residual) * share])
    return torch.sparse_coo_tensor(places, values, size, check_invariants=False).coalesce()


def _in_series(maps: Maps) -> list[AttentionMap]:
    layers = list(maps.values() if isinstance(maps, Mapping) else maps)
    if not layers:
        raise ValueError("maps: found none, expected one for each layer")
    sizes = {size for each in layers for size in (each.num_targets, each.num_sources)}
    if len(sizes) > 1:
        found = ", ".join(map(str, sorted(sizes)))
        raise ValueError(f"maps: found {found} nodes, expected the same nodes in all layers")
    return layers
