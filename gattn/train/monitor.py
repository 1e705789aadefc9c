"""Which epoch is the best so far, and how long ago one was better."""

from __future__ import annotations

import math

from gattn.train.records import Epoch


class Monitor:
    """Sees the epochs of a training in order; see `Settings.monitor`.

    Its state follows from the epochs it has seen, so a checkpoint does not hold it.

    Args:
        kind: a name in `MONITORS`.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.metric, self.loss = -math.inf, math.inf
        self.since = 0

    def see(self, epoch: Epoch) -> bool:
        """Take note of an epoch and return whether it is the one to keep."""
        if self.kind == "both":
            signs = (epoch.val >= self.metric, epoch.val_loss <= self.loss)
        elif self.kind == "loss":
            signs = (epoch.val_loss < self.loss,)
        else:
            signs = (epoch.val > self.metric,)
        self.metric, self.loss = max(self.metric, epoch.val), min(self.loss, epoch.val_loss)
        self.since = 0 if any(signs) else self.since + 1
        return all(signs)
