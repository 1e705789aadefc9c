"""What of a model is measured: the model of a provider, and the passes through it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


def _unchanged(tensor: Tensor) -> Tensor:
    return tensor


@dataclass(frozen=True)
class Model:
    """A layer of some library on the inputs of a problem, ready to run.

    Args:
        forward: computes the output, `[N, ...]` in the common layout.
        leaves: what gradients are taken of, by the names that all providers share: `x`, and the
            parameters under PyG's names; of `attend` query, key and value.
        common: turns the output, and the gradient of a leaf, from the library's own layout into the
            one that all providers share. It is for comparisons, and in no time.
    """

    forward: Callable[[], Tensor]
    leaves: Mapping[str, Tensor]
    common: Callable[[Tensor], Tensor] = _unchanged


def forward(model: Model) -> Tensor:
    """Run an inference: no gradient is prepared."""
    with torch.no_grad():
        return model.forward()


def forward_backward(model: Model) -> Tensor:
    """Run forward and backward of half the squared output, and leave the gradients in the leaves.

    The gradient of that loss is the output itself: it differs from place to place, and no provider
    needs memory for it.
    """
    clear(model)
    out = model.forward()
    out.backward(out.detach())
    return out.detach()


def clear(model: Model) -> None:
    """Drop all gradients."""
    for leaf in model.leaves.values():
        leaf.grad = None


PASSES: dict[str, Callable[[Model], Tensor]] = {
    "forward": forward,
    "forward+backward": forward_backward,
}


def synchronize(device: torch.device) -> None:
    """Wait for what is still running on the device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
