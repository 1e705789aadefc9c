"""What a trained model has learned about itself: radii and gates, and a summary for a row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from gattn.inspection.capture import Call, calls, evaluating, listen_to, map_of, num_weights
from gattn.neighborhood import Sparse

_GATES = ("lin_gate", "lin_beta")
_MOST = 10_000_000
"""Weights of one layer: reading more would take longer, and more memory, than training did."""


def radii(model: nn.Module) -> dict[str, Tensor]:
    """How far each head looks where that is learned, `[H]` int64 for each `LearnedSpan`.

    `LearnedSpan.radii` says how it is counted.

    Args:
        model: any.
    """
    return {name: module.radii().cpu() for name, module in _spans(model)}  # type: ignore[operator]


def gates(model: nn.Module, x: Any, structure: Any) -> dict[str, Tensor]:
    """What gates between two branches decide, `[..., N, H]` in (0, 1) by the name of the layer.

    `DepthBreadth`: 1 where a node takes the fine branch, 0 where the broad one. `TransformerConv`
    with `beta`: 1 where it takes its own features, 0 where those that it attends to.

    Args:
        model: called as `model(x, structure)`, once, in evaluation mode.
        x: features.
        structure: what else it takes.
    """
    found: dict[str, Tensor] = {}

    def listen(name: str) -> Callable[..., None]:
        def keep(module: nn.Module, args: Any, kwargs: Any, output: Tensor) -> None:
            found[name] = output.sigmoid()

        return keep

    parts = dict(_named(model, lambda name, _: name.rpartition(".")[2] in _GATES))
    listen_to(parts, listen, model, x, structure)  # what comes out before the sigmoid
    return found


def cluster_shares(model: nn.Module, x: Any, structure: Any) -> dict[str, Tensor]:
    """What layers with the level "cluster" give to clusters and not to pairs, `[N, H]` by name.

    Args: as `gates`.
    """
    found = {}
    heard = calls(model, x, structure)
    with evaluating(model), torch.no_grad():
        for call in heard:
            if getattr(call.layer, "cluster_level", None) is not None:
                inside = call.layer.inspect(**call.arguments)  # type: ignore[operator]
                if "share" in inside:
                    found[call.name] = inside["share"][..., 1, :]
    return found


def summary(
    model: nn.Module, x: Any, structure: Any, *, hops: Sparse | None = None
) -> dict[str, Any]:
    """A few numbers of a trained model, as plain lists for a row of results.

    Args:
        model: called as `model(x, structure)`.
        x: features.
        structure: what else it takes.
        hops: as `attention_maps`.

    Returns:
        "hop_mass": for each layer the mean attention by hop, over nodes and heads, so that it sums
        to one; `None` for a layer without distances, with streamed pairs, or with more than
        200 million weights; `None` for a model without layers that can be read. "gate": mean and
        a histogram of ten bins over [0, 1], or `None`. "radius": for each learned span the radii
        of its heads, or `None`.
    """
    heard = calls(model, x, structure)
    with evaluating(model), torch.no_grad():
        mass = [_hop_mass(call, hops) for call in heard]
    decided = list(gates(model, x, structure).values())
    reached = [found.tolist() for found in radii(model).values()]
    return {
        "hop_mass": mass or None,
        "gate": _histogram(decided) if decided else None,
        "radius": reached or None,
    }


def _spans(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """Learned spans by the name of their layer."""
    methods = ("radius", "radii")
    return _named(model, lambda _, m: all(callable(getattr(m, each, None)) for each in methods))


def _named(
    model: nn.Module, wanted: Callable[[str, nn.Module], bool]
) -> list[tuple[str, nn.Module]]:
    """Parts of layers that are wanted, by the name of the layer: that of its class if it is all."""
    found = [(name, module) for name, module in model.named_modules() if wanted(name, module)]
    return [(name.rpartition(".")[0] or type(model).__name__, module) for name, module in found]


def _hop_mass(call: Call, hops: Sparse | None) -> list[float] | None:
    if (num_weights(call) or 0) > _MOST:
        return None
    try:
        found = map_of(call, hops)
        mass = found.mass_by_hop().mean(1)
    except (ValueError, TypeError, MemoryError, RuntimeError):
        return None  # no pairs, no distances, a layer of another kind, not enough memory
    return [round(share, 6) for share in mass.tolist()]


def _histogram(decided: list[Tensor]) -> dict[str, Any] | None:
    gate = torch.cat([each.flatten().float().cpu() for each in decided])
    if not bool(gate.isfinite().all()):
        return None
    counts = torch.histc(gate, bins=10, min=0.0, max=1.0)
    return {"mean": round(float(gate.mean()), 6), "histogram": counts.long().tolist()}
