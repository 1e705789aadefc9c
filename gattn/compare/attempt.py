"""One trial, whatever happens: its row, or a failed row that says why."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import Any

import torch

from gattn.compare.models import MODELS
from gattn.compare.surroundings import Structure, needs_clusters
from gattn.compare.trial import (
    Row,
    Trial,
    build_structure,
    circumstances,
    load_task,
    run_trial,
)
from gattn.data import Task

FAILURES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    MemoryError,
    NameError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What a trial may raise without ending the study: all that a library or a mistake in one model
raises. What is left out asks the process to end (KeyboardInterrupt, SystemExit)."""

_PLAIN = (ValueError, RuntimeError, MemoryError)


class Bench:
    """Tasks, and the one structure in use, shared by the trials that need the same.

    Args:
        root: of the datasets, see `gattn.data.load`.
    """

    def __init__(self, root: str | os.PathLike[str] | None) -> None:
        self.root = root
        self.tasks: dict[Any, Task] = {}
        self.last: tuple[Any, Structure] | None = None

    def task(self, trial: Trial) -> Task:
        """Return the trial's dataset, loaded once."""
        name = (trial.dataset, trial.dataset_sha256, trial.options, trial.encoding)
        if name not in self.tasks:
            self.tasks[name] = load_task(trial, self.root)
        return self.tasks[name]

    def structure(self, trial: Trial) -> Structure:
        """Return what the trial's model is called with; the last one is kept."""
        kind = MODELS[trial.model].structure
        data = (trial.dataset, trial.dataset_sha256, trial.options)
        name = (*data, kind, trial.breadth, needs_clusters(trial.depth))
        if self.last is None or self.last[0] != name:
            self.last = None  # two large neighbourhoods at once may be one too many
            self.last = (name, build_structure(trial, self.task(trial)))
        return self.last[1]

    def warm(self, trial: Trial, device: str) -> None:
        """Train one epoch unmeasured: what libraries set up once is not a cost of the first."""
        attempt(replace(trial, epochs=1), self, device=device)


def attempt(trial: Trial, bench: Bench, *, device: str = "cpu", **options: Any) -> Row:
    """Return the trial's row, a failed one if it raised one of `FAILURES`.

    Args:
        trial: what to train.
        bench: where its dataset is.
        device: where to train.
        **options: further arguments of `run_trial`.
    """
    start, metric = time.perf_counter(), ""
    try:
        task = bench.task(trial)
        metric = task.metric
        row = run_trial(trial, task, bench.structure(trial), device=device, **options)
    except FAILURES as error:
        row = failed_row(trial, reason_of(error), cause_of(error), metric, device)
    return {**row, "wall_seconds": time.perf_counter() - start}


def failed_row(trial: Trial, reason: str, cause: str, metric: str, device: str) -> Row:
    """Return the row of a trial that has no result.

    Args:
        trial: which.
        reason: in one line.
        cause: "memory", "not finite" or "error".
        metric: of its dataset.
        device: where it was to be trained.
    """
    failed = {"status": "failed", "reason": reason, "cause": cause, "metric": metric}
    return {**trial.row(), **failed, **circumstances(device)}


def reason_of(error: BaseException) -> str:
    """Return an error in one line; its type comes first where the text does not stand alone."""
    text = " ".join(str(error).split())[:300]
    name = type(error).__name__
    if not text:
        return name
    return text if type(error) in _PLAIN else f"{name}: {text}"


def cause_of(error: BaseException) -> str:
    """Return "memory", "not finite" or "error"."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return "memory"
    text = str(error)
    # torch's allocator on the CPU raises a plain RuntimeError.
    if isinstance(error, RuntimeError) and ("out of memory" in text or "can't allocate" in text):
        return "memory"
    # A loss is refused by training, logits by the metrics, whichever sees them first.
    if isinstance(error, ValueError) and ("expected a finite number" in text or " NaN" in text):
        return "not finite"
    return "error"
