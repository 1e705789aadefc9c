"""What a training tells: `Epoch`, one pass, and `FitResult`, the whole."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Epoch:
    """What one epoch gave: `loss` on the training nodes before the step, the rest after it.

    `loss` is what is minimised, without the penalties of modules; in mini-batches the mean over the
    nodes, each before the step of its batch. `seconds` covers the steps and the evaluation that
    follows, checkpoints excluded. `lr` is the learning rate of the epoch (None only in an epoch
    read from a checkpoint of an earlier version).
    """

    number: int
    loss: float
    val_loss: float
    val: float
    seconds: float
    lr: float | None = None


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
