"""The training of one trial: its model and structure, in one process or in several."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from os import PathLike
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from gattn.compare.models import MODELS, Edges
from gattn.compare.surroundings import Structure, needs_clusters, surrounded
from gattn.nn import FillingIn
from gattn.train import BatchStructure, Epoch, FitResult, Logger, fit, seed_everything
from gattn.train.distributed import World, device_of, together

if TYPE_CHECKING:
    from gattn.compare.trial import Trial
    from gattn.data import Task


def build_structure(trial: Trial, task: Task) -> Structure:
    """Return what the trial's model is called with, on the CPU.

    These are the pairs of `trial.breadth` hops, with clusters where `trial.depth` needs them.
    """
    pairs = MODELS[trial.model].structure(task, trial.breadth)
    if not isinstance(pairs, Tensor) and needs_clusters(trial.depth):
        return surrounded(pairs, task.edge_index)
    return pairs


def build_model(trial: Trial, task: Task) -> nn.Module:
    """Return the trial's model, its parameters drawn by torch's generator."""
    build, features, classes = MODELS[trial.model].build, task.x.size(1), task.num_classes
    if trial.hide is None:
        return build(trial, features, classes)
    one_hot = bool(((task.x == 0) | (task.x == 1)).all() and (task.x.sum(1) == 1).all())
    model, kind = build(trial, features, classes + features), "category" if one_hot else "values"
    assert trial.fill is not None  # set by Trial
    return FillingIn(model, features, trial.hide, trial.fill, kind)


def in_batches(trial: Trial, structure: Structure) -> Structure | BatchStructure:
    """Return what `gattn.train.fit` is given: with a batch size, how a batch gets its structure.

    Args:
        trial: with its `batch_size`.
        structure: of the whole graph, for the evaluation.
    """
    if trial.batch_size is None:
        return structure

    def build(edge_index: Tensor, num_nodes: int) -> Structure:
        return MODELS[trial.model].structure(Edges(edge_index, num_nodes), trial.breadth)

    return BatchStructure(build, trial.reach(), structure)


def trained(
    trial: Trial,
    task: Task,
    structure: Structure,
    split: int,
    device: str | torch.device = "cpu",
    checkpoint: str | PathLike[str] | None = None,
    *,
    progress: Callable[[Epoch], None] | None = None,
    logger: Logger | None = None,
) -> tuple[nn.Module, FitResult]:
    """Return the trained model of a trial, and what came out.

    Under `torchrun` the first process calls it, and the others, which `follow`, take part.

    Args:
        trial: what to train.
        task: its dataset.
        structure: of the whole graph.
        split: which of the task's.
        device: where; plain `cuda` under `torchrun` is the one of the process.
        checkpoint: see `gattn.train.fit`, as for the next two.
        progress: called after every epoch.
        logger: told every epoch and the result.
    """
    if World.here().size > 1:
        World.here().send((trial, task.to("cpu"), split, str(device), checkpoint))
    with together():
        return _trained(trial, task, structure, split, device, checkpoint, progress, logger)


def follow() -> int:
    """Take part in every training of the first process; return its exit code when it ends."""
    while not isinstance(order := World.here().received(), int):
        trial, task, *rest = order
        try:
            with together():
                _trained(trial, task, build_structure(trial, task), *rest)
        except (ValueError, TypeError):
            pass  # the first process has the same error, and says so
    return order


def _trained(
    trial: Trial,
    task: Task,
    structure: Structure,
    split: int,
    device: str | torch.device,
    checkpoint: str | PathLike[str] | None,
    progress: Callable[[Epoch], None] | None = None,
    logger: Logger | None = None,
) -> tuple[nn.Module, FitResult]:
    device = device_of(str(device))
    seed_everything(trial.seed)
    model = build_model(trial, task).to(device)
    task = task if trial.judged_by is None else replace(task, metric=trial.judged_by)
    result = fit(
        model,
        task.to(device),
        in_batches(trial, structure.to(device)),
        settings=trial.settings(),
        seed=trial.seed,
        split=split,
        checkpoint=checkpoint,
        about=trial.row(),
        progress=progress,
        logger=logger,
    )
    return model, result
