"""Settings are plain, and each is checked in one line."""

import math
from dataclasses import fields

import pytest

from gattn.train import Settings


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"epochs": 0}, "epochs: found 0"),
        ({"lr": math.nan}, "lr: found nan"),
        ({"weight_decay": -1.0}, "weight_decay: found -1.0"),
        ({"patience": 0}, "patience: found 0"),
        ({"optimizer": "sgd"}, "optimizer: found 'sgd', expected one of adam, adamw"),
        ({"monitor": "f1"}, "monitor: found 'f1', expected one of metric, loss, both"),
        ({"clip": 0.0}, "clip: found 0.0, expected a number > 0"),
        ({"scheduler": "exp"}, "scheduler: found 'exp', expected one of cosine"),
        ({"lr_factor": 0.5}, "lr_factor: found 0.5, expected None: the scheduler None has no"),
        ({"lr_every": 5, "scheduler": "cosine"}, "the scheduler cosine has no steps"),
        ({"lr_factor": 1.0, "scheduler": "step"}, "lr_factor: found 1.0, expected a number in"),
        ({"lr_every": 0, "scheduler": "step"}, "lr_every: found 0, expected an int >= 1"),
        ({"warmup": -1}, "warmup: found -1, expected an int >= 0"),
        ({"label_smoothing": 1.0}, r"label_smoothing: found 1.0, expected a number in \[0, 1\)"),
        ({"batch_size": 0}, "batch_size: found 0, expected an int >= 1"),
        ({"batch_size": 2, "num_neighbors": (1, -2)}, "num_neighbors: found -2, expected an int"),
        ({"num_neighbors": (5, 5)}, r"num_neighbors: found \(5, 5\) without a batch_size"),
        ({"precision": "half"}, "precision: found 'half', expected one of float32, bfloat16"),
    ],
)
def test_settings_are_checked(wrong, message):
    with pytest.raises(ValueError, match=message):
        Settings(**wrong)


def test_settings_have_only_plain_values():
    assert all(
        isinstance(getattr(Settings(), f.name), int | float | str | None) for f in fields(Settings)
    )


@pytest.mark.parametrize("name", ["lr", "weight_decay", "clip", "label_smoothing"])
def test_what_is_no_number_is_named(name):
    with pytest.raises(TypeError, match=f"{name}: found '1', expected a number"):
        Settings(**{name: "1"})


def test_neighbours_are_given_as_any_sequence():
    assert Settings(batch_size=2, num_neighbors=[3, -1]).num_neighbors == (3, -1)
    with pytest.raises(TypeError, match="num_neighbors: found 5, expected one number for each"):
        Settings(batch_size=2, num_neighbors=5)
