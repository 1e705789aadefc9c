"""Logits of a trained model, in half precision where that is enough."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from gattn import _check as check
from gattn.train.settings import PRECISIONS

if TYPE_CHECKING:
    from gattn.data.task import Task


@torch.no_grad()
def predict(model: nn.Module, task: Task, structure: Any, *, precision: str = "float32") -> Tensor:
    """Return the logits of every node, from a model that is left as it is.

    In half precision the model is copied and its parameters, buffers and features are cast: half
    the memory of them all, without autocast. The operators of this package still sum in float32.

    Args:
        model: called as `model(task.x, structure)`, as in `fit`.
        task: with the features.
        structure: whatever the model takes.
        precision: "float32" (the model as it is), "bfloat16" or "float16".

    Returns:
        `[N, num_classes]`, float32 where the computation was in half precision.

    Raises:
        ValueError: an unknown precision.
    """
    check.one_of("precision", precision, tuple(PRECISIONS))
    if precision == "float32":
        return _evaluated(model, task.x, structure)
    half = PRECISIONS[precision]
    return _evaluated(copy.deepcopy(model).to(half), task.x.to(half), structure).float()


def _evaluated(model: nn.Module, x: Tensor, structure: Any) -> Tensor:
    """Logits without dropout; every module is then in the mode that it was in."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        return model(x, structure)
    finally:
        for module, mode in modes:
            module.training = mode
