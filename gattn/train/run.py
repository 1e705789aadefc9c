"""The state of one training: everything that a checkpoint holds, and how it changes in an epoch."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from dataclasses import astuple, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from gattn import _checkpoint
from gattn._memory import PeakMemory
from gattn.metrics import METRICS, evaluate
from gattn.train.batches import Part, source_of
from gattn.train.distributed import World, parallel
from gattn.train.identity import check_identity, identity, plain, shapes
from gattn.train.loss import check_finite, cross_entropy, penalty
from gattn.train.monitor import Monitor
from gattn.train.records import Epoch, FitResult
from gattn.train.regions import Regions
from gattn.train.schedule import Schedule
from gattn.train.settings import OPTIMIZERS, PRECISIONS, Settings

if TYPE_CHECKING:
    from gattn.data.task import Task


class Run:
    """A training on one split of a task; see `gattn.train.fit` for the arguments."""

    def __init__(
        self,
        model: nn.Module,
        task: Task,
        structure: object,
        settings: Settings,
        seed: int,
        split: int,
        about: Mapping[str, Any] | None = None,
    ) -> None:
        self.model, self.task, self.settings = model, task, settings
        train, self.val, self.test = (mask.nonzero()[:, 0] for mask in task.split(split))
        if settings.region is None:
            self.source = source_of(task, structure, settings, train, seed)
        else:
            self.source = Regions(task, structure, train, settings)
        self.world = World.here()
        self.parallel = parallel(model, self.world)
        self.optimizer = OPTIMIZERS[settings.optimizer](
            model.parameters(), lr=settings.lr, weight_decay=settings.weight_decay
        )
        self.device = task.x.device
        self.scaler = torch.amp.GradScaler(
            self.device.type, enabled=settings.precision == "float16"
        )
        self.monitor, self.schedule = Monitor(settings.monitor), Schedule(settings)
        self.identity = identity(task, settings, seed, split, self.world.size)
        self.about = plain(about)
        self.history: list[Epoch] = []
        self.best: dict[str, Any] | None = None
        self.earlier_memory = 0

    def finished(self) -> bool:
        """Whether all epochs are done, or patience is at its end."""
        settings, done = self.settings, len(self.history)
        if settings.patience is not None and self.monitor.since >= settings.patience:
            return True
        return done >= settings.epochs

    def epoch(self) -> Epoch:
        """Train and evaluate once more."""
        start = _now(self.device)
        number = len(self.history)
        rate = self._set_rate(number)
        loss = self._steps(number)
        logits = self._logits()
        y = self.task.y[self.val]
        # Of one process: they have to stop together, and rounding may differ between machines.
        val_loss = self.world.of_first(cross_entropy(logits[self.val], y).item())
        check_finite(val_loss, number)
        val = self.world.of_first(METRICS[self.task.metric](logits[self.val], y))
        seen = Epoch(number, loss, val_loss, val, 0.0, rate)
        if self._see(seen):
            self._keep(seen, logits)
        epoch = replace(seen, seconds=_now(self.device) - start)
        self.history.append(epoch)
        return epoch

    def _set_rate(self, number: int) -> float:
        rate = self.settings.lr * self.schedule.share(number)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        return rate

    def _see(self, epoch: Epoch) -> bool:
        self.schedule.see(epoch)
        return self.monitor.see(epoch)

    def _steps(self, number: int) -> float:
        """Train for an epoch and return the mean loss over the training nodes."""
        total = count = 0.0
        for part in self.source.parts(number):
            loss = self._step(part, number)
            total, count = total + loss * part.count, count + part.count
        return total / count

    def _step(self, part: Part, number: int) -> float:
        self.model.train()
        self.optimizer.zero_grad()
        with self._autocast():
            logits = self.parallel(part.x, part.structure)
        loss = cross_entropy(logits[..., part.rows, :], part.y, self.settings.label_smoothing)
        loss = loss * part.weight
        mean = self.world.mean(loss.detach()).item()
        check_finite(mean, number)
        self.scaler.scale(loss + penalty(self.model)).backward()
        if self.settings.clip is not None:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return mean

    @torch.no_grad()
    def _logits(self) -> Tensor:
        self.model.eval()
        return self.source.logits(self._forward, torch.cat([self.val, self.test]))

    def _forward(self, x: Tensor, structure: Any) -> Tensor:
        with self._autocast():
            logits = self.model(x, structure)
        return logits if logits.dtype == torch.float64 else logits.float()

    def _autocast(self) -> torch.autocast:
        half = PRECISIONS[self.settings.precision]
        return torch.autocast(self.device.type, half, enabled=half != torch.float32)

    def _keep(self, epoch: Epoch, logits: Tensor) -> None:
        self.best = {
            "epoch": epoch.number,
            "val": epoch.val,
            "metrics": evaluate(logits[self.test], self.task.y[self.test]),
            "model": {name: value.clone() for name, value in self.model.state_dict().items()},
        }

    def resume(self, path: Path, memory: PeakMemory) -> None:
        """Continue from a checkpoint that is there, or write the first one."""
        saved = self.world.by_first(lambda: self._read(path))
        if saved is not None:
            self.restore(saved, path)
            return
        # A path that cannot be written shows before the work.
        self.world.by_first(lambda: self.save(path, memory))

    def _read(self, path: Path) -> dict[str, Any] | None:
        device = self.device if self.world.size == 1 else torch.device("cpu")
        return _checkpoint.read(path, device) if path.exists() else None

    def save(self, path: Path, memory: PeakMemory) -> None:
        """Write everything that `restore` needs; one process does it for all."""
        if self.world.rank:
            return
        payload = {
            "identity": self.identity,
            "about": self.about,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "generators": _checkpoint.generators(),
            "history": [list(astuple(epoch)) for epoch in self.history],
            "best": self.best,
            "peak_memory": max(self.earlier_memory, memory.read() or 0),
        }
        _checkpoint.write_atomically(path, payload)

    def restore(self, saved: dict[str, Any], path: Path) -> None:
        """Become the run that wrote a checkpoint."""
        check_identity(path, saved["identity"], self.identity)
        check_identity(path, shapes(saved["model"]), shapes(self.model.state_dict()))
        self.model.load_state_dict(saved["model"])
        self.optimizer.load_state_dict(saved["optimizer"])
        if self.scaler.is_enabled():
            self.scaler.load_state_dict(saved["scaler"])
        _checkpoint.set_generators(saved["generators"])
        self.history = [Epoch(*values) for values in saved["history"]]
        for epoch in self.history:
            self._see(epoch)
        self.about = saved.get("about") if self.about is None else self.about
        self.best, self.earlier_memory = saved["best"], saved["peak_memory"]

    def result(self, memory: PeakMemory) -> FitResult:
        """Put the best parameters into the model and say what came out."""
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


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
