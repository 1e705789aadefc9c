"""Which epoch counts, against the paper's own loop and by hand."""

import math

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gattn.train import Epoch
from gattn.train.monitor import Monitor


def kept(kind, pairs):
    """Numbers of the epochs that were kept, and how long ago one was better, after each."""
    monitor = Monitor(kind)
    signs = [
        (monitor.see(Epoch(number, 0.0, loss, metric, 0.0)), monitor.since)
        for number, (metric, loss) in enumerate(pairs)
    ]
    return [n for n, (keep, _) in enumerate(signs) if keep], [since for _, since in signs]


def of_the_paper(pairs):
    """The bookkeeping of the GAT authors' training script, line for line."""
    best_metric, best_loss, saved, waited, waits = 0.0, math.inf, [], 0, []
    for number, (metric, loss) in enumerate(pairs):
        if metric >= best_metric or loss <= best_loss:
            if metric >= best_metric and loss <= best_loss:
                saved.append(number)
            best_metric, best_loss = max(metric, best_metric), min(loss, best_loss)
            waited = 0
        else:
            waited += 1
        waits.append(waited)
    return saved, waits


PAIRS = [(0.5, 1.0), (0.7, 1.2), (0.6, 0.9), (0.7, 0.9), (0.6, 1.5), (0.6, 1.6), (0.8, 0.8)]


@pytest.mark.parametrize(
    ("kind", "numbers", "waits"),
    [
        ("metric", [0, 1, 6], [0, 0, 1, 2, 3, 4, 0]),
        ("loss", [0, 2, 6], [0, 1, 0, 1, 2, 3, 0]),
        ("both", [0, 3, 6], [0, 0, 0, 0, 1, 2, 0]),
    ],
)
def test_by_hand(kind, numbers, waits):
    assert kept(kind, PAIRS) == (numbers, waits)


unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
tenths = st.integers(0, 10).map(lambda value: value / 10)


@unhurried
@given(st.lists(st.tuples(tenths, tenths), min_size=1, max_size=15))
def test_both_is_the_papers(pairs):
    assert kept("both", pairs) == of_the_paper(pairs)


@unhurried
@given(st.lists(st.tuples(tenths, tenths), min_size=1, max_size=15))
def test_metric_and_loss_are_the_first_of_the_best(pairs):
    metrics, losses = zip(*pairs, strict=True)
    assert kept("metric", pairs)[0][-1] == int(torch.tensor(metrics).argmax())
    assert kept("loss", pairs)[0][-1] == losses.index(min(losses))
