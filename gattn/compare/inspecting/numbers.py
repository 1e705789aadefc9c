"""All numbers of an inspection: layers, heads, radii, gates, and what pruning would bring."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gattn import _check as check
from gattn.compare.inspecting.checkpoint import Opened
from gattn.inspection import (
    AttentionMap,
    HeadImportance,
    attention_maps,
    cluster_shares,
    gates,
    head_importance,
    prune_heads,
    radii,
    savings,
)
from gattn.inspection.capture import calls, num_weights
from gattn.metrics import METRICS

MOST_WEIGHTS = 200_000_000
"""Weights of a layer, pairs times heads, that are written out at the most."""


@dataclass(frozen=True, eq=False)
class Findings:
    """What was found.

    Args:
        node: whose surroundings are shown first.
        maps: of every layer.
        logits: `[N, K]`.
        heads: ranked.
        numbers: all of it that is not per node, as plain values.
    """

    node: int
    maps: dict[str, AttentionMap]
    logits: Tensor
    heads: list[HeadImportance]
    numbers: dict[str, Any]


def findings(opened: Opened, node: int | None = None, prune: int = 0) -> Findings:
    """Look inside a trained model.

    Args:
        opened: of `open_checkpoint`.
        node: whose surroundings are shown first; None for the test node that looks farthest.
        prune: how many heads to remove, those first that matter least, to see what that brings.

    Raises:
        ValueError: no such node, too many heads to remove, or a model whose weights cannot be told
            or are too many to write out.
    """
    task, model, structure = opened.task, opened.model, opened.structure
    if node is not None:
        check.integer("node", node, 0, task.num_nodes - 1)
    check.integer("prune", prune, 0)
    _check_size(opened)
    maps = attention_maps(model, task.x, structure, hops=opened.hops)
    with torch.no_grad():
        logits = model(task.x, structure)
    ranked = head_importance(model, task, structure, opened.split)
    numbers = {
        "checkpoint": opened.path.name,
        "trial": opened.trial.row(),
        "split": opened.split,
        "best_epoch": opened.epoch,
        "val": opened.val,
        "test": opened.metrics[task.metric],
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "layers": [_layer(name, found) for name, found in maps.items()],
        "radii": {name: found.tolist() for name, found in radii(model).items()},
        "gates": _means(gates(model, task.x, structure)),
        "clusters": _means(cluster_shares(model, task.x, structure)),
        "heads": [each._asdict() for each in ranked],
        "pruned": _pruned(opened, ranked, prune) if prune else None,
    }
    node = _farthest(opened, maps) if node is None else node
    return Findings(node, maps, logits, ranked, _rounded(numbers))


def lost_heads(ranked: list[HeadImportance], count: int) -> dict[str, list[int]]:
    """The heads that matter least, so many, with one left in every layer.

    Args:
        ranked: of `head_importance`.
        count: how many.

    Raises:
        ValueError: not as many can be spared.
    """
    left = {name: sum(each.layer == name for each in ranked) for name in {r.layer for r in ranked}}
    lost: dict[str, list[int]] = {}
    for each in reversed(ranked):
        if sum(map(len, lost.values())) < count and left[each.layer] > 1:
            lost.setdefault(each.layer, []).append(each.head)
            left[each.layer] -= 1
    if sum(map(len, lost.values())) < count:
        most = len(ranked) - len(left)
        raise ValueError(f"prune: found {count}, expected at most {most}: a layer keeps one head")
    return {name: sorted(heads) for name, heads in lost.items()}


def _check_size(opened: Opened) -> None:
    for call in calls(opened.model, opened.task.x, opened.structure):
        if (num_weights(call) or 0) > MOST_WEIGHTS:
            raise ValueError(
                f"checkpoint: found {call.name} with streamed pairs or more than {MOST_WEIGHTS:,} "
                "weights, expected fewer: a narrower breadth, or gattn.inspection on a part"
            )


def _layer(name: str, found: AttentionMap) -> dict[str, Any]:
    mass = None if found.hop is None else found.mass_by_hop().T.tolist()
    return {
        "name": name,
        "heads": found.heads,
        "pairs": found.weights.shape[0],
        "mass_by_hop": mass,
        "entropy": found.mean_entropy().tolist(),
        "effective_neighbors": found.mean_effective_neighbors().tolist(),
    }


def _means(found: dict[str, Tensor]) -> dict[str, Any]:
    """Mean over the nodes for each head, and a histogram of ten bins over [0, 1]."""
    return {
        name: {
            "mean": each.flatten(0, -2).mean(0).tolist(),
            "histogram": torch.histc(each.float(), 10, 0.0, 1.0).long().tolist(),
        }
        for name, each in found.items()
    }


def _pruned(opened: Opened, ranked: list[HeadImportance], count: int) -> dict[str, Any]:
    lost = lost_heads(ranked, count)
    smaller = prune_heads(opened.model, lost)
    found = savings(opened.model, smaller, opened.task.x, opened.structure)
    values = zip(("val", "test"), opened.task.split(opened.split)[1:], strict=True)
    metric = METRICS[opened.task.metric]
    y = opened.task.y
    with torch.no_grad():
        logits = smaller(opened.task.x, opened.structure)
    judged = {name: metric(logits[nodes], y[nodes]) for name, nodes in values}
    before, after = found.seconds
    times = {"seconds_before": before, "seconds_after": after}
    saved = {"parameters_saved": found.parameters, "share_saved": found.share}
    return {"heads": lost, **saved, **times, **judged}


def _farthest(opened: Opened, maps: dict[str, AttentionMap]) -> int:
    """The test node whose attention goes farthest, in mean hops over layers and heads."""
    nodes = opened.task.split(opened.split)[2].nonzero()[:, 0]
    far = torch.zeros(opened.task.num_nodes)
    for found in maps.values():
        if found.hop is not None and found.num_targets == len(far):
            mass = found.node_mass_by_hop().mean(2)
            far += mass @ torch.arange(mass.shape[1], dtype=mass.dtype)
    return int(nodes[far[nodes].argmax()])


def _rounded(value: Any) -> Any:
    """Six digits are enough for whoever reads them."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    return [_rounded(each) for each in value] if isinstance(value, (list, tuple)) else value
