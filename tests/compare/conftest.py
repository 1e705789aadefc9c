"""Rows of a study that was never run, and haste: the trials here are tiny."""

import random

import pytest
import torch

from gattn.compare import Trial, grid


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """One thread, and no full garbage collection before each of the many tiny trainings."""
    monkeypatch.setattr("gattn._memory.gc.collect", lambda: 0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def row_of(trial: Trial, test: float, **changes):
    return {
        **trial.row(),
        "status": "ok",
        "metric": "roc_auc",
        "split": trial.seed,
        "val": test + 0.01,
        "test": test,
        "seconds": 10.0,
        "seconds_per_epoch": 0.05 * trial.breadth,
        "peak_memory_bytes": trial.breadth << 20,
        "pairs": 1000 * trial.breadth,
        "parameters": 1234,
        **changes,
    }


@pytest.fixture
def study():
    """Breadth 1 2 3 x depth 1 2 x two seeds: test = 0.70 + 0.05 breadth + 0.02 depth -+ 0.01."""
    trials = grid(
        dataset=["minesweeper"], breadth=[1, 2, 3], depth=[1, 2], seeds=2, options=(("size", 8),)
    )
    rows = [
        row_of(t, 0.7 + 0.05 * t.breadth + 0.02 * t.depth + 0.01 * (2 * t.seed - 1)) for t in trials
    ]
    random.Random(0).shuffle(rows)
    return rows


@pytest.fixture
def reference():
    means = (0.86, 0.92, 0.94, 0.96)
    return [
        {"rounds": t, "radius": 2 * t - 1, "mean": mean, "std": 0.01}
        for t, mean in enumerate(means, start=1)
    ]
