"""What is minimised: cross entropy of logits, and what modules charge."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def cross_entropy(logits: Tensor, y: Tensor, smoothing: float = 0.0) -> Tensor:
    r"""Return the mean cross entropy, in float32 at least.

    With a smoothing of s a node of class y counts as (1 - s) of class y and s / K of each of K.

    Args:
        logits: `[n, K]`, or `[n, 1]` for two classes; with an axis before for several readouts,
            whose losses are averaged.
        y: `[n]`.
        smoothing: s.
    """
    logits = logits if logits.dtype == torch.float64 else logits.float()
    y = y.expand(logits.shape[:-1]).flatten()
    logits = logits.flatten(0, -2)
    if logits.size(1) > 1:
        return F.cross_entropy(logits, y, label_smoothing=smoothing)
    wanted = y.to(logits.dtype)
    if smoothing:
        wanted = wanted * (1 - smoothing) + smoothing / 2
    return F.binary_cross_entropy_with_logits(logits[:, 0], wanted)


def check_finite(loss: float, epoch: int) -> None:
    """Refuse a loss that is not finite, with the number of its epoch."""
    if not math.isfinite(loss):
        raise ValueError(
            f"loss: found {loss} at epoch {epoch}, expected a finite number (a smaller lr may help)"
        )


def penalty(model: nn.Module) -> Tensor | float:
    """Return what the modules of a model charge, those in its depths included."""
    total: Any = 0.0
    for module in model.modules():
        charge = getattr(module, "penalty", None)
        total = total + charge() if callable(charge) else total
    return total
