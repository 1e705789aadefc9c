"""Which heads matter: what a model loses when one of them says nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gattn import _check
from gattn.inspection.capture import attention_layers, evaluating
from gattn.inspection.parameters import has_heads, values_of
from gattn.metrics import METRICS

if TYPE_CHECKING:
    from gattn.data.task import Task


class HeadImportance(NamedTuple):
    """What the validation nodes lose without one head.

    Args:
        layer: its name in the model.
        head: counted from 0.
        drop: how much lower the metric of the task is; negative where it is higher.
        loss_rise: how much higher the cross entropy is.
    """

    layer: str
    head: int
    drop: float
    loss_rise: float


def head_importance(
    model: nn.Module, task: Task, structure: Any, split: int = 0
) -> list[HeadImportance]:
    """All heads of a model, those first that the validation nodes miss most.

    The output of one head is set to zero at a time, in evaluation mode: a forward pass for each
    head. Heads are ordered by the drop in the metric, and by the rise in loss where that is equal.
    Heads may stand in for one another, so two that do not matter by themselves may together.

    (Voita et al., "Analyzing Multi-Head Self-Attention", 2019; Michel et al., "Are Sixteen Heads
    Really Better than One?", 2019.)

    Args:
        model: called as `model(task.x, structure)`, returns logits.
        task: features, labels, masks and the metric.
        structure: what else the model takes.
        split: which of the task's splits.

    Raises:
        IndexError: the task has no such split.
        ValueError: the split has no validation nodes.
    """
    nodes = task.split(split)[1].nonzero()[:, 0]
    with evaluating(model):
        whole = _judged(model, task, structure, nodes)
        found = []
        for name, layer in attention_layers(model).items():
            for head in range(int(layer.heads)) if has_heads(layer) else ():  # type: ignore[arg-type]
                with ablated(layer, head):
                    metric, loss = _judged(model, task, structure, nodes)
                found.append(HeadImportance(name, head, whole[0] - metric, loss - whole[1]))
    return sorted(found, key=lambda each: (each.drop, each.loss_rise), reverse=True)


@contextmanager
def ablated(layer: nn.Module, head: int) -> Iterator[None]:
    """A layer with one head whose output is zero: its value is, and comes back afterwards.

    Args:
        layer: an attention layer with a number of `heads`.
        head: one of them.

    Raises:
        TypeError: the heads of such a layer cannot be told apart.
        ValueError: there is no such head.
    """
    if not has_heads(layer):
        raise TypeError(f"layer: found {type(layer).__name__}, expected a layer with heads")
    heads = int(layer.heads)  # type: ignore[arg-type]
    _check.integer("head", head, 0, heads - 1)
    with torch.no_grad():
        views = values_of(layer, head)
        kept = [view.clone() for view in views]
        for view in views:
            view.zero_()
    try:
        yield
    finally:
        with torch.no_grad():
            for view, value in zip(views, kept, strict=True):
                view.copy_(value)


@torch.no_grad()
def _judged(model: nn.Module, task: Task, structure: Any, nodes: Tensor) -> tuple[float, float]:
    """The metric of the task on some nodes, and their cross entropy."""
    logits, y = model(task.x, structure)[nodes], task.y[nodes]
    metric = METRICS[task.metric](logits, y)
    if logits.shape[1] == 1:
        return metric, float(F.binary_cross_entropy_with_logits(logits[:, 0], y.to(logits.dtype)))
    return metric, float(F.cross_entropy(logits, y))
