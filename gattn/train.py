"""Train a model on a node-classification task, full batch: `fit(model, task, structure)`.

The loop knows no layer: it calls `model(task.x, structure)`, whatever the structure is (an
edge_index, a Neighborhood), and expects logits `[N, K]`. It minimises the cross entropy of the
training nodes, plus what the modules of the model charge: `penalty()` of each that has one, such as
a learned span. It reports the test metrics of the epoch with the best validation metric; of equal
epochs the earliest counts.
"""

from __future__ import annotations

import math
import os
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gattn import _check as check
from gattn import _checkpoint
from gattn._memory import PeakMemory
from gattn.metrics import METRICS, evaluate

if TYPE_CHECKING:
    from gattn.data.task import Task

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
}


@dataclass(frozen=True)
class Settings:
    """How to train.

    The defaults are those of the GAT recipe for citation graphs (Velickovic et al., ICLR 2018).

    Args:
        epochs: the largest number of passes over the graph, at least 1.
        lr: learning rate of the optimiser.
        weight_decay: of the optimiser (for "adam" an L2 penalty, for "adamw" decoupled).
        optimizer: a name in `OPTIMIZERS`.
        patience: stop after so many epochs without a better validation metric; None trains all
            epochs.

    Raises:
        ValueError: a value out of its range or an unknown optimiser.
    """

    epochs: int = 200
    lr: float = 0.005
    weight_decay: float = 5e-4
    optimizer: str = "adam"
    patience: int | None = None

    def __post_init__(self) -> None:
        check.integer("epochs", self.epochs, 1)
        check.one_of("optimizer", self.optimizer, tuple(OPTIMIZERS))
        if self.patience is not None:
            check.integer("patience", self.patience, 1)
        if not 0 < self.lr < math.inf:
            raise ValueError(f"lr: found {self.lr}, expected a number > 0")
        if not 0 <= self.weight_decay < math.inf:
            raise ValueError(f"weight_decay: found {self.weight_decay}, expected a number >= 0")


@dataclass(frozen=True)
class Epoch:
    """What one epoch gave: `loss` on the training nodes before the step, the rest after it.

    `seconds` covers the step and the evaluation that follows it, checkpoints excluded.
    """

    number: int
    loss: float
    val_loss: float
    val: float
    seconds: float


@dataclass(frozen=True)
class FitResult:
    """The outcome of `fit`.

    `val` and `test` are the task's metric at `best_epoch` (counted from 0), `metrics` all test
    metrics of that epoch by name. `seconds` sums the epochs, `seconds_per_epoch` is their median.
    `peak_memory_bytes`: on CUDA the largest amount of memory allocated by torch, the model and the
    data included; on the CPU the growth of the process's resident memory during training above what
    was resident before it (a lower bound off Linux); None where the system does not tell.
    """

    best_epoch: int
    val: float
    test: float
    metrics: dict[str, float]
    epochs: int
    parameters: int
    seconds: float
    seconds_per_epoch: float
    peak_memory_bytes: int | None
    history: tuple[Epoch, ...] = field(repr=False)


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
    progress: Callable[[Epoch], None] | None = None,
) -> FitResult:
    """Train `model` on one split of `task`; it then holds the parameters of the best epoch.

    All random generators are seeded here, so two calls on equal models give equal results; seed the
    construction of the model as well (`seed_everything`). With a checkpoint, a run that was killed
    and is started again with the same arguments continues where it was and gives exactly the result
    of an uninterrupted one (times and memory aside).

    Args:
        model: called as `model(task.x, structure)`, returns logits `[N, num_classes]` (or `[N, 1]`
            for two classes).
        task: features, labels, masks and the metric.
        structure: an edge_index, a Neighborhood, or whatever the model takes.
        settings: how to train; None stands for `Settings()`.
        seed: of the generators of Python, NumPy and torch.
        split: which of the task's splits.
        checkpoint: a file, written atomically; continued from if it exists; None writes none.
        checkpoint_every: epochs between two writes (the last epoch is always written).
        progress: called after every epoch, for example to move a progress bar.

    Raises:
        ValueError: features or a loss that are not finite, a split that the task has not or that
            is empty, or a checkpoint of other settings.
        OSError: the checkpoint cannot be written.
    """
    settings = settings or Settings()
    _check_inputs(model, task, split)
    check.integer("checkpoint_every", checkpoint_every, 1)
    seed_everything(seed)
    run = _Run(model, task, structure, settings, seed, split)
    memory = PeakMemory(task.x.device)
    path = Path(checkpoint) if checkpoint is not None else None
    if path is not None:
        run.resume(path, memory)
    while not run.finished():
        epoch = run.epoch()
        if progress is not None:
            progress(epoch)
        if path is not None and (run.finished() or len(run.history) % checkpoint_every == 0):
            run.save(path, memory)  # after progress, which may draw random numbers of its own
    return run.result(memory)


def seed_everything(seed: int) -> None:
    """Seed the global generators of Python, NumPy and torch (all devices).

    Args:
        seed: 0 <= seed < 2**32.
    """
    check.integer("seed", seed, 0, 2**32 - 1)
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


class _Run:
    """The state of one training: everything that a checkpoint holds."""

    def __init__(
        self,
        model: nn.Module,
        task: Task,
        structure: object,
        settings: Settings,
        seed: int,
        split: int,
    ) -> None:
        self.model, self.task, self.structure, self.settings = model, task, structure, settings
        self.train, self.val, self.test = (mask.nonzero()[:, 0] for mask in task.split(split))
        self.optimizer = OPTIMIZERS[settings.optimizer](
            model.parameters(), lr=settings.lr, weight_decay=settings.weight_decay
        )
        self.identity = _identity(task, settings, seed, split)
        self.history: list[Epoch] = []
        self.best: dict[str, Any] | None = None
        self.earlier_memory = 0

    def finished(self) -> bool:
        settings, done = self.settings, len(self.history)
        if settings.patience is not None and self.best is not None:
            return done >= settings.epochs or done - 1 - self.best["epoch"] >= settings.patience
        return done >= settings.epochs

    def epoch(self) -> Epoch:
        start = _now(self.task.x.device)
        number = len(self.history)
        loss = self._step(number)
        logits = self._logits()
        val_loss = _checked_loss(logits[self.val], self.task.y[self.val], number)
        val = METRICS[self.task.metric](logits[self.val], self.task.y[self.val])
        if self.best is None or val > self.best["val"]:
            self._keep(number, val, logits)
        epoch = Epoch(number, loss.item(), val_loss.item(), val, _now(self.task.x.device) - start)
        self.history.append(epoch)
        return epoch

    def _step(self, number: int) -> Tensor:
        self.model.train()
        self.optimizer.zero_grad()
        logits = self.model(self.task.x, self.structure)
        loss = _checked_loss(logits[self.train], self.task.y[self.train], number)
        (loss + _penalty(self.model)).backward()
        self.optimizer.step()
        return loss.detach()

    @torch.no_grad()
    def _logits(self) -> Tensor:
        self.model.eval()
        return self.model(self.task.x, self.structure)

    def _keep(self, number: int, val: float, logits: Tensor) -> None:
        self.best = {
            "epoch": number,
            "val": val,
            "metrics": evaluate(logits[self.test], self.task.y[self.test]),
            "model": {name: value.clone() for name, value in self.model.state_dict().items()},
        }

    def resume(self, path: Path, memory: PeakMemory) -> None:
        if path.exists():
            self.restore(path)
        else:
            self.save(path, memory)  # a path that cannot be written shows before the work

    def save(self, path: Path, memory: PeakMemory) -> None:
        payload = {
            "identity": self.identity,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generators": _checkpoint.generators(),
            "history": [list(asdict(epoch).values()) for epoch in self.history],
            "best": self.best,
            "peak_memory": max(self.earlier_memory, memory.read() or 0),
        }
        _checkpoint.write_atomically(path, payload)

    def restore(self, path: Path) -> None:
        saved = _checkpoint.read(path, self.task.x.device)
        _check_identity(path, saved["identity"], self.identity)
        _check_identity(path, _shapes(saved["model"]), _shapes(self.model.state_dict()))
        self.model.load_state_dict(saved["model"])
        self.optimizer.load_state_dict(saved["optimizer"])
        _checkpoint.set_generators(saved["generators"])
        self.history = [Epoch(*values) for values in saved["history"]]
        self.best, self.earlier_memory = saved["best"], saved["peak_memory"]

    def result(self, memory: PeakMemory) -> FitResult:
        assert self.best is not None  # `epochs` is at least 1
        peak = memory.read()
        self.model.load_state_dict(self.best["model"])
        times = [epoch.seconds for epoch in self.history]
        return FitResult(
            best_epoch=self.best["epoch"],
            val=self.best["val"],
            test=self.best["metrics"][self.task.metric],
            metrics=self.best["metrics"],
            epochs=len(self.history),
            parameters=sum(p.numel() for p in self.model.parameters()),
            seconds=sum(times),
            seconds_per_epoch=statistics.median(times),
            peak_memory_bytes=None if peak is None else max(peak, self.earlier_memory),
            history=tuple(self.history),
        )


def _check_inputs(model: nn.Module, task: Task, split: int) -> None:
    x = check.floating("x", task.x)
    bad = ~x.isfinite()
    if bool(bad.any()):
        node, feature = bad.nonzero()[0].tolist()
        raise ValueError(
            f"x: found {int(bad.sum())} values that are not finite (the first at node {node}, "
            f"feature {feature}), expected finite features"
        )
    check.integer("split", split, 0, task.num_splits - 1)
    for name, mask in zip(("train_mask", "val_mask", "test_mask"), task.split(split), strict=True):
        if not bool(mask.any()):
            raise ValueError(f"{name}: found no nodes in split {split}, expected at least one")
    device = next((p.device for p in model.parameters()), x.device)
    if device != x.device:
        raise ValueError(
            f"model: found parameters on {device}, expected {x.device}, that of the task"
        )


def _checked_loss(logits: Tensor, y: Tensor, epoch: int) -> Tensor:
    if logits.size(1) == 1:
        loss = F.binary_cross_entropy_with_logits(logits[:, 0], y.to(logits.dtype))
    else:
        loss = F.cross_entropy(logits, y)
    if not bool(loss.isfinite()):
        raise ValueError(
            f"loss: found {loss.item()} at epoch {epoch}, expected a finite number "
            "(a smaller lr may help)"
        )
    return loss


def _penalty(model: nn.Module) -> Tensor | float:
    """What the modules of a model charge, those in its depths included."""
    total: Any = 0.0
    for module in model.modules():
        charge = getattr(module, "penalty", None)
        total = total + charge() if callable(charge) else total
    return total


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def _identity(task: Task, settings: Settings, seed: int, split: int) -> dict[str, Any]:
    """Return what must agree between a checkpoint and the run that continues it."""
    return {
        "task": task.name,
        "features": list(task.x.shape),
        "edges": task.edge_index.size(1),
        "metric": task.metric,
        "seed": seed,
        "split": split,
        **asdict(settings),
    }


def _shapes(state: dict[str, Tensor]) -> dict[str, Any]:
    return {name: list(value.shape) for name, value in state.items()}


def _check_identity(path: Path, saved: dict[str, Any], expected: dict[str, Any]) -> None:
    for name in saved | expected:
        if saved.get(name) != expected.get(name):
            raise ValueError(
                f"checkpoint: found {name} = {saved.get(name)} in {path}, expected "
                f"{expected.get(name)} (another run wrote it: name another file, or delete it)"
            )
