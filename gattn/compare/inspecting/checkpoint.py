"""From the checkpoint of a trial back to its dataset and its model."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import nn

import gattn
from gattn import _check as check
from gattn import _checkpoint
from gattn._arguments import options_of
from gattn.compare.surroundings import Structure
from gattn.compare.training import build_model
from gattn.compare.trial import Trial, build_structure, known_distances, load_task
from gattn.data import Task


@dataclass(frozen=True, eq=False)
class Opened:
    """A trained model and all that it was trained on.

    Args:
        path: of the checkpoint.
        trial: what was trained.
        task: its dataset.
        structure: what the model is called with.
        hops: distances of pairs that have none themselves, or `None`.
        model: with the parameters of its best epoch, in evaluation mode.
        split: of the task.
        epoch: the best one, counted from 0.
        metrics: its metrics on the test nodes.
        val: its metric on the validation nodes.
    """

    path: Path
    trial: Trial
    task: Task
    structure: Structure
    hops: gattn.Sparse | None
    model: nn.Module
    split: int
    epoch: int
    metrics: dict[str, float]
    val: float


def open_checkpoint(
    path: str | os.PathLike[str],
    root: str | os.PathLike[str] | None = None,
    split: int | None = None,
) -> Opened:
    """Open the checkpoint of a trial: the file is read without running any code in it.

    Args:
        path: a file that `gattn train` or `gattn compare` kept (`--checkpoints`).
        root: of the datasets, see `gattn.data.load`.
        split: of the dataset; None for that of the training.

    Raises:
        ValueError: it is no checkpoint of a trial, none of this version, or its dataset is another.
        OSError: there is no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"checkpoint: found no file {path}, expected one of --checkpoints")
    saved = _checkpoint.read(path, torch.device("cpu"))
    trial = _trial(path, saved.get("about"))
    task = load_task(trial, root)
    _check_task(path, saved["identity"], task)
    if saved.get("best") is None:
        raise ValueError(f"checkpoint: found {path} before its first epoch, expected a later one")
    structure = build_structure(trial, task)
    split = saved["identity"]["split"] if split is None else split
    return Opened(
        path,
        trial,
        task,
        structure,
        known_distances(trial, task, structure),
        _model(path, trial, task, saved["best"]["model"]),
        check.integer("split", split, 0, task.num_splits - 1),
        saved["best"]["epoch"],
        saved["best"]["metrics"],
        saved["best"]["val"],
    )


def _trial(path: Path, about: Mapping[str, Any] | None) -> Trial:
    if not isinstance(about, Mapping) or "dataset" not in about:
        raise ValueError(
            f"checkpoint: found {path}, which does not say what trial it is of, expected one that "
            "gattn train or gattn compare kept (--checkpoints)"
        )
    known = {field.name: about[field.name] for field in fields(Trial) if field.name in about}
    known["options"] = options_of(str(about.get("options", "")).split())
    trial = Trial(**known)
    if trial.key() != about.get("key"):
        raise ValueError(
            f"checkpoint: found settings in {path} that make the key {trial.key()}, expected "
            f"{about.get('key')} (another version of gattn wrote it)"
        )
    return trial


def _check_task(path: Path, identity: Mapping[str, Any], task: Task) -> None:
    sizes = {"features": list(task.x.shape), "edges": task.edge_index.shape[1]}
    for name, found in sizes.items():
        if identity.get(name) != found:
            raise ValueError(
                f"checkpoint: found {name} = {identity.get(name)} in {path}, expected {found}, "
                f"those of {task.name} (its dataset was another)"
            )


def _model(path: Path, trial: Trial, task: Task, state: Mapping[str, Any]) -> nn.Module:
    model = build_model(trial, task)
    own = {name: value.shape for name, value in model.state_dict().items()}
    wrong = sorted(name for name in {*own, *state} if _shape(state, name) != own.get(name))
    if wrong:
        raise ValueError(
            f"checkpoint: found {wrong[0]} of another shape in {path}, expected that of the model "
            f"{trial.model} (another version of gattn wrote it)"
        )
    model.load_state_dict(dict(state))
    return model.eval()


def _shape(state: Mapping[str, Any], name: str) -> Any:
    return state[name].shape if name in state else None
