"""`fit`: a training from its first epoch, or from its checkpoint, to its result."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from gattn import _check as check
from gattn._memory import PeakMemory
from gattn.metrics import BETTER_MORE, OF_TWO
from gattn.train.logger import Logger, Silent
from gattn.train.records import Epoch, FitResult
from gattn.train.run import Run
from gattn.train.settings import Settings

if TYPE_CHECKING:
    from gattn.data.task import Task


def fit(
    model: nn.Module,
    task: Task,
    structure: object,
    *,
    settings: Settings | None = None,
    seed: int = 0,
    split: int = 0,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: int = 20,
    about: Mapping[str, Any] | None = None,
    progress: Callable[[Epoch], None] | None = None,
    logger: Logger | None = None,
) -> FitResult:
    """Train `model` on one split of `task`; it then holds the parameters of the best epoch.

    All random generators are seeded here, so two calls on equal models give equal results; seed the
    construction of the model as well (`seed_everything`). With a checkpoint, a run that was killed
    and is started again with the same arguments continues where it was and gives exactly the result
    of an uninterrupted one (times and memory aside).

    Args:
        model: called as `model(task.x, structure)`, returns logits `[N, num_classes]` (or `[N, 1]`
            for two classes); in training also those of several readouts, `[T, N, num_classes]`.
        task: features, labels, masks and the metric.
        structure: an edge_index, a Neighborhood, or whatever the model takes; or a function that
            makes it of edge_index and num_nodes; with a `batch_size` a `BatchStructure`, or such a
            function with `num_neighbors`.
        settings: how to train; None stands for `Settings()`.
        seed: of the generators of Python, NumPy and torch.
        split: which of the task's splits.
        checkpoint: a file, written atomically; continued from if it exists; None writes none.
        checkpoint_every: epochs between two writes (the last epoch is always written).
        about: kept in the checkpoint under "about", for whoever opens it: what JSON can hold.
        progress: called after every epoch, for example to move a progress bar.
        logger: told every epoch, those of the checkpoint first, and the result; such as a
            `gattn.train.TensorBoard`.

    Raises:
        TypeError: `about` is not what JSON can hold.
        ValueError: features or a loss that are not finite, a split that the task has not or that
            is empty, or a checkpoint of other settings.
        OSError: the checkpoint cannot be written.
    """
    settings = settings or Settings()
    check_inputs(model, task, split)
    check.integer("checkpoint_every", checkpoint_every, 1)
    seed_everything(seed)
    run = Run(model, task, structure, settings, seed, split, about)
    memory = PeakMemory(task.x.device)
    path = Path(checkpoint) if checkpoint is not None else None
    if path is not None:
        run.resume(path, memory)
    logger = Silent() if logger is None else logger
    for epoch in run.history:
        logger.epoch(epoch)
    while not run.finished():
        epoch = run.epoch()
        logger.epoch(epoch)
        if progress is not None:
            progress(epoch)
        if path is not None and (run.finished() or len(run.history) % checkpoint_every == 0):
            run.save(path, memory)  # after progress, which may draw random numbers of its own
    result = run.result(memory)
    logger.finished(result)
    return result


def seed_everything(seed: int) -> None:
    """Seed the global generators of Python, NumPy and torch (all devices).

    Args:
        seed: 0 <= seed < 2**32.
    """
    check.integer("seed", seed, 0, 2**32 - 1)
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def check_inputs(model: nn.Module, task: Task, split: int) -> None:
    """Refuse what cannot be trained: features, a split, a device."""
    x = check.floating("x", task.x)
    bad = ~x.isfinite()
    if bool(bad.any()):
        node, feature = bad.nonzero()[0].tolist()
        raise ValueError(
            f"x: found {int(bad.sum())} values that are not finite (the first at node {node}, "
            f"feature {feature}), expected finite features"
        )
    check.one_of("metric", task.metric, BETTER_MORE)
    check.integer("split", split, 0, task.num_splits - 1)
    for name, mask in zip(("train_mask", "val_mask", "test_mask"), task.split(split), strict=True):
        if not bool(mask.any()):
            raise ValueError(f"{name}: found no nodes in split {split}, expected at least one")
        if name != "train_mask" and task.metric in OF_TWO and len(task.y[mask].unique()) != 2:
            classes = task.y[mask].unique().tolist()
            raise ValueError(
                f"{name}: found the classes {classes} in split {split}, expected two for "
                f"the metric {task.metric}"
            )
    device = next((p.device for p in model.parameters()), x.device)
    if device != x.device:
        raise ValueError(
            f"model: found parameters on {device}, expected {x.device}, that of the task"
        )
