"""Learning curves small enough for a row: `thinned` keeps the epochs that tell the most."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gattn.train import Epoch

POINTS = 100
"""Epochs that a row keeps at most."""


def curve(history: Sequence[Epoch], best: int, most: int = POINTS) -> list[list[float]]:
    """Return `[epoch, training loss, validation loss, validation metric]` of some epochs.

    The first, the best and the last epoch are among them, the others evenly spaced. Numbers have
    six significant digits.

    Args:
        history: all epochs, in order.
        best: the number of the best one.
        most: how many to keep.
    """
    kept = {history[k].number: history[k] for k in thinned(len(history), most, (best,))}
    return [
        [epoch.number, *map(_short, (epoch.loss, epoch.val_loss, epoch.val))]
        for epoch in kept.values()
    ]


def thinned(count: int, most: int, always: Sequence[int] = ()) -> list[int]:
    """Return at most so many of the numbers from 0, evenly spaced, with the first and the last.

    Args:
        count: how many numbers there are, at least 1.
        most: how many to keep, at least 2 more than `always`.
        always: numbers to keep besides.
    """
    if count <= most:
        return list(range(count))
    steps = most - 1 - len(always)
    even = (round(k * (count - 1) / steps) for k in range(steps + 1))
    return sorted({*even, *always})


def _short(value: float) -> float:
    return float(f"{value:.6g}")
