"""What a trial raises becomes a row with a reason and a cause."""

import pytest
import torch

from gattn.compare import Trial, attempt
from gattn.compare.attempt import Bench, cause_of, reason_of

TRIAL = Trial.of("karate", epochs=2, hidden=8, heads=2, layers=1)


@pytest.mark.parametrize(
    ("error", "cause", "reason"),
    [
        (MemoryError(), "memory", "MemoryError"),
        (torch.OutOfMemoryError("CUDA out of memory"), "memory", "OutOfMemoryError: CUDA out of"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "memory", "DefaultCPU"),
        (ValueError("loss: found nan, expected a finite number"), "not finite", "loss: found nan"),
        (ValueError("heads: found 3"), "error", "heads: found 3"),
        (RuntimeError("a\nb"), "error", "a b"),
        (AttributeError("no such thing"), "error", "AttributeError: no such thing"),
        (KeyError("x"), "error", "KeyError: 'x'"),
    ],
)
def test_a_failure_is_a_row(monkeypatch, error, cause, reason):
    def wild(*_, **__):
        raise error

    monkeypatch.setattr(attempt, "run_trial", wild)
    row = attempt.attempt(TRIAL, Bench(None))
    assert (row["status"], row["cause"], row["metric"]) == ("failed", cause, "accuracy")
    assert row["reason"].startswith(reason)
    assert row["key"] == TRIAL.key() and row["wall_seconds"] >= 0
    assert (cause_of(error), reason_of(error)) == (cause, row["reason"])


def test_a_loss_that_is_not_finite_is_called_so():
    # The learning rate is what makes it so, whatever the model.
    wild = Trial.of("karate", epochs=50, hidden=8, heads=2, layers=1, lr=1e30)
    row = attempt.attempt(wild, Bench(None))
    assert (row["status"], row["cause"]) == ("failed", "not finite")


def test_who_asks_to_stop_is_heard():
    def stop(epoch):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        attempt.attempt(TRIAL, Bench(None), progress=stop)
