"""Seconds of several steps in one process, in turns: A B A B, so that all see the same machine."""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from gattn.benchmark.passes import synchronize

SHORTEST = 0.05
"""Seconds that one sample takes at least: shorter steps are repeated, and the mean counts."""

Step = Callable[[], object]


@dataclass(frozen=True)
class Ratio:
    """How long one takes by the time of another: by medians, and the extremes over the rounds."""

    median: float
    low: float
    high: float


def interleave(
    steps: Mapping[str, Step], rounds: int, device: torch.device, shortest: float = SHORTEST
) -> dict[str, list[float]]:
    """Return the seconds of every step in every round, by name.

    Every step runs twice before the first round, so nothing is timed that happens once only.

    Args:
        steps: what is timed, in turns.
        rounds: how many turns each has.
        device: waited for before and after a sample.
        shortest: seconds that a sample takes at least.
    """
    repeats: dict[str, int] = {}
    for name, step in steps.items():
        step()
        repeats[name] = max(1, math.ceil(shortest / max(seconds(step, 1, device), 1e-6)))
    gc.collect()
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            taken[name].append(seconds(step, repeats[name], device))
    return taken


def seconds(step: Step, repeats: int, device: torch.device) -> float:
    """Return the mean seconds of a step that is run so many times in a row.

    On a CUDA device by the device's own clock, from events before the first and behind the last.
    """
    if device.type == "cuda":
        return _device_seconds(step, repeats, device)
    synchronize(device)
    start = time.perf_counter()
    for _ in range(repeats):
        step()
    synchronize(device)
    return (time.perf_counter() - start) / repeats


def _device_seconds(step: Step, repeats: int, device: torch.device) -> float:
    with torch.cuda.device(device):
        start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        synchronize(device)
        start.record()
        for _ in range(repeats):
            step()
        stop.record()
        stop.synchronize()
    return start.elapsed_time(stop) / 1e3 / repeats


def ratio(taken: Sequence[float], base: Sequence[float]) -> Ratio:
    """Return the ratio of two lists of seconds, round by round.

    Args:
        taken: seconds by round.
        base: seconds of what it is divided by, in the same rounds.
    """
    by_round = [a / b for a, b in zip(taken, base, strict=True)]
    return Ratio(statistics.median(taken) / statistics.median(base), min(by_round), max(by_round))
