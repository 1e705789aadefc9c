"""How to train: `Settings`, plain values that a checkpoint, a row and a study file can hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

import torch

from gattn import _check as check

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
}

MONITORS = ("metric", "loss", "both")
SCHEDULERS = ("cosine", "linear", "step", "plateau")
PRECISIONS: dict[str, torch.dtype] = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}

_IN_STEPS = ("step", "plateau")


@dataclass(frozen=True)
class Settings:
    """How to train.

    The defaults are those of the GAT recipe for citation graphs (Velickovic et al., ICLR 2018),
    save for `monitor`: the paper's own code does what "both" does.

    Args:
        epochs: the largest number of passes over the graph, at least 1.
        lr: learning rate of the optimiser.
        weight_decay: of the optimiser (for "adam" an L2 penalty, for "adamw" decoupled).
        optimizer: a name in `OPTIMIZERS`.
        patience: stop after so many epochs without a better validation by `monitor`; None trains
            all epochs.
        monitor: which epoch is the best. "metric": the highest validation metric. "loss": the
            lowest validation loss. "both": the last whose metric was at least, and whose loss at
            most, the best seen so far; `patience` then counts epochs with neither.
        clip: the largest norm of the gradient of all parameters together; None clips nothing.
        scheduler: of the learning rate: "cosine" or "linear" (down to 0 after the last epoch),
            "step" (times `lr_factor` every `lr_every` epochs), "plateau" (times `lr_factor` after
            `lr_every` epochs without a lower validation loss); None leaves it.
        lr_factor: of "step" (None: 0.1) and "plateau" (None: 0.5).
        lr_every: of "step" (None: a third of the epochs, rounded up) and "plateau" (None: 10).
        warmup: epochs before the full learning rate: epoch e has (e + 1) / (warmup + 1) of it. The
            scheduler begins after them.
        label_smoothing: the share of a label that is spread evenly over all classes, in the loss
            that is minimised (the validation loss is without).
        precision: "float32" computes as the parameters are; "bfloat16" and "float16" under
            `torch.autocast`, the latter with a scaled loss. Parameters keep their type.
        region: train on balls of this radius, in hops, each around a training node drawn anew, in
            the place of the whole graph; None takes the whole. Validation sees the whole graph.
        halo: of a region: training nodes within so many hops of its border, which cuts off what
            they would see, are not learnt from.
        steps: of an epoch, each in a region of its own.
        batch_size: training nodes of a step, in a new order every epoch; None is all of them, in
            the whole graph.
        num_neighbors: neighbours that a node of a batch picks in each hop, -1 for all: one number
            for each hop that the model looks; None takes all, so that a batch is exact.

    Raises:
        TypeError: a number of the wrong type.
        ValueError: a value out of its range or an unknown name.
    """

    epochs: int = 200
    lr: float = 0.005
    weight_decay: float = 5e-4
    optimizer: str = "adam"
    patience: int | None = None
    monitor: str = "metric"
    clip: float | None = None
    scheduler: str | None = None
    lr_factor: float | None = None
    lr_every: int | None = None
    warmup: int = 0
    label_smoothing: float = 0.0
    precision: str = "float32"
    region: int | None = None
    halo: int = 0
    steps: int = 1
    batch_size: int | None = None
    num_neighbors: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        check.integer("epochs", self.epochs, 1)
        check.one_of("optimizer", self.optimizer, tuple(OPTIMIZERS))
        check.one_of("monitor", self.monitor, MONITORS)
        check.one_of("precision", self.precision, tuple(PRECISIONS))
        if self.patience is not None:
            check.integer("patience", self.patience, 1)
        _check_number("lr", self.lr, "> 0", lambda lr: 0 < lr < inf)
        _check_number("weight_decay", self.weight_decay, ">= 0", lambda share: 0 <= share < inf)
        _check_number("clip", self.clip, "> 0", lambda norm: 0 < norm < inf)
        _check_number("label_smoothing", self.label_smoothing, "in [0, 1)", lambda s: 0 <= s < 1)
        self._check_schedule()
        self._check_regions()
        self._check_batches()

    def _check_schedule(self) -> None:
        check.integer("warmup", self.warmup, 0)
        if self.scheduler is not None:
            check.one_of("scheduler", self.scheduler, SCHEDULERS)
        for name in ("lr_factor", "lr_every"):
            found = getattr(self, name)
            if found is not None and self.scheduler not in _IN_STEPS:
                expected = f"None: the scheduler {self.scheduler} has no steps"
                raise ValueError(f"{name}: found {found}, expected {expected}")
        _check_number("lr_factor", self.lr_factor, "in (0, 1)", lambda factor: 0 < factor < 1)
        if self.lr_every is not None:
            check.integer("lr_every", self.lr_every, 1)

    def _check_regions(self) -> None:
        check.integer("steps", self.steps, 1)
        if self.region is None:
            for name in ("halo", "steps"):
                found, expected = getattr(self, name), getattr(Settings, name)
                if found != expected:
                    raise ValueError(f"{name}: found {found}, expected {expected} without a region")
        else:
            check.integer("region", self.region, 1)
            if self.batch_size is not None:
                raise ValueError(
                    f"region: found {self.region} and a batch_size, expected one of them"
                )
            check.integer("halo", self.halo, 0, self.region)

    def _check_batches(self) -> None:
        if self.batch_size is not None:
            check.integer("batch_size", self.batch_size, 1)
        if self.num_neighbors is None:
            return
        if not isinstance(self.num_neighbors, (list, tuple)):
            found = f"found {self.num_neighbors!r}, expected one number for each hop"
            raise TypeError(f"num_neighbors: {found}")
        for count in self.num_neighbors:
            check.integer("num_neighbors", count, -1, 2**31 - 1)
        object.__setattr__(self, "num_neighbors", tuple(self.num_neighbors))
        if self.batch_size is None:
            raise ValueError(f"num_neighbors: found {self.num_neighbors} without a batch_size")


def _check_number(name: str, value: object, which: str, fits: Callable[[float], bool]) -> None:
    """A number for which `fits` holds, or None where that is the usual value."""
    if value is None and getattr(Settings, name) is None:
        return
    if not fits(check.number(name, value, f"a number {which}")):
        raise ValueError(f"{name}: found {value}, expected a number {which}")
