"""The learning rate of every epoch: warm-up, then one of `SCHEDULERS`."""

from __future__ import annotations

import math

from gattn.train.records import Epoch
from gattn.train.settings import Settings


class Schedule:
    """The share of the learning rate that an epoch has.

    It follows from the settings, the number of the epoch and (for "plateau") the validation losses
    seen before, so a checkpoint does not hold it.

    Args:
        settings: with `scheduler` and `warmup`.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.lowest, self.waited, self.plateau = math.inf, 0, 1.0

    def share(self, number: int) -> float:
        """Return the share of `settings.lr` for the epoch of this number, counted from 0."""
        warmup = self.settings.warmup
        if number < warmup:
            return (number + 1) / (warmup + 1)
        gone, total = number - warmup, self.settings.epochs - warmup
        match self.settings.scheduler:
            case "cosine":
                return (1 + math.cos(math.pi * gone / total)) / 2
            case "linear":
                return 1 - gone / total
            case "step":
                every = self.settings.lr_every or math.ceil(total / 3)
                return (self.settings.lr_factor or 0.1) ** (gone // every)
        return self.plateau

    def see(self, epoch: Epoch) -> None:
        """Take note of the validation loss of an epoch that has ended."""
        if self.settings.scheduler != "plateau" or epoch.number < self.settings.warmup:
            return
        self.waited = 0 if epoch.val_loss < self.lowest else self.waited + 1
        self.lowest = min(self.lowest, epoch.val_loss)
        if self.waited >= (self.settings.lr_every or 10):
            self.plateau *= self.settings.lr_factor or 0.5
            self.waited = 0
