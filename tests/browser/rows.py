"""Rows of a study that was never run."""

from gattn.compare import Trial
from gattn.compare.breadth import hops_of


def row_of(trial: Trial, **changes):
    """A finished row with all that a row may have."""
    hops = hops_of(trial.breadth) or 1
    test = 0.7 + 0.03 * hops + 0.02 * trial.depth + 0.01 * trial.seed
    losses = [[e, 0.7 - 0.002 * e, 0.7 - 0.001 * e, test - 0.2 + 0.002 * e] for e in range(100)]
    return {
        **trial.row(),
        "status": "ok",
        "metric": "roc_auc",
        "split": trial.seed,
        "val": losses[90][3],
        "test": test,
        "best_epoch": 90,
        "epochs_run": 100,
        "seconds": 10.0 * hops,
        "seconds_per_epoch": 0.05 * hops * trial.depth,
        "peak_memory_bytes": (100 * hops) << 20,
        "pairs": 1000 * hops,
        "parameters": 1234,
        "curve": losses,
        "hop_mass": [[0.1, 0.6, 0.3], [0.2, 0.5, 0.3]],
        "gate": {"mean": 0.4, "histogram": [1, 2, 3, 4, 5, 6, 5, 4, 3, 2]},
        "radius": [[1.5, 2.0], [2.5, 3.0]],
        "device": "cpu",
        "threads": 1,
        "torch": "2.13.0",
        "finished_at": f"2026-11-21T09:05:3{trial.seed}+00:00",
        **changes,
    }
