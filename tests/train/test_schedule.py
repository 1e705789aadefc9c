"""Learning rates against torch's own schedulers."""

import math

import pytest
import torch
from torch.optim import lr_scheduler

from gattn.train import Epoch, Settings
from gattn.train.schedule import Schedule

LOSSES = [1.0, 0.9, 0.95, 0.91, 0.92, 0.8, 0.85, 0.86, 0.87, 0.88, 0.9, 0.91, 0.7, 0.75, 0.7, 0.71]


def rates(settings):
    schedule, found = Schedule(settings), []
    for number in range(settings.epochs):
        found.append(settings.lr * schedule.share(number))
        schedule.see(Epoch(number, 0.0, LOSSES[number], 0.0, 0.0))
    return found


def of_torch(make):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1)
    scheduler, found = make(optimizer), []
    for loss in LOSSES:
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        is_plateau = isinstance(scheduler, lr_scheduler.ReduceLROnPlateau)
        scheduler.step(loss) if is_plateau else scheduler.step()
    return found


@pytest.mark.parametrize(
    ("settings", "make"),
    [
        ({"scheduler": "cosine"}, lambda o: lr_scheduler.CosineAnnealingLR(o, 16)),
        ({"scheduler": "linear"}, lambda o: lr_scheduler.LinearLR(o, 1.0, 1e-300, 16)),
        ({"scheduler": "step"}, lambda o: lr_scheduler.StepLR(o, 6, 0.1)),
        (
            {"scheduler": "step", "lr_every": 3, "lr_factor": 0.7},
            lambda o: lr_scheduler.StepLR(o, 3, 0.7),
        ),
        (
            {"scheduler": "plateau", "lr_every": 3},
            lambda o: lr_scheduler.ReduceLROnPlateau(o, factor=0.5, patience=2, threshold=0.0),
        ),
        ({}, lambda o: lr_scheduler.ConstantLR(o, 1.0)),
    ],
)
def test_rates_are_those_of_torch(settings, make):
    assert rates(Settings(epochs=16, lr=0.1, **settings)) == pytest.approx(of_torch(make))


def test_warmup_rises_evenly_and_the_schedule_begins_after_it():
    found = rates(Settings(epochs=10, lr=1.0, warmup=3, scheduler="cosine"))
    assert found[:4] == pytest.approx([1 / 4, 2 / 4, 3 / 4, 1.0])
    assert found[3:] == pytest.approx([(1 + math.cos(math.pi * e / 7)) / 2 for e in range(7)])


def test_without_a_scheduler_the_rate_is_the_one_given_to_the_bit():
    assert set(rates(Settings(epochs=9, lr=0.005))) == {0.005}
