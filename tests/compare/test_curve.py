"""A learning curve in a row: few epochs, and those that matter."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gattn.compare.curve import POINTS, curve, thinned
from gattn.train import Epoch


def history(count):
    return [Epoch(k, 1 / (k + 1), 1 / 3, 2 / 3, 0.1) for k in range(count)]


@given(st.integers(1, 2000), st.data())
def test_first_best_and_last_are_kept_and_no_more_than_asked(count, data):
    best = data.draw(st.integers(0, count - 1))
    kept = curve(history(count), best)
    epochs = [point[0] for point in kept]
    assert len(kept) <= POINTS
    assert {0, best, count - 1} <= set(epochs) and epochs == sorted(set(epochs))


def test_numbers_are_short_and_in_order():
    assert curve(history(3), 1)[2] == [2, 0.333333, 0.333333, 0.666667]


@pytest.mark.parametrize(("count", "most", "kept"), [(3, 5, [0, 1, 2]), (9, 3, [0, 4, 8])])
def test_thinned_numbers_are_even(count, most, kept):
    assert thinned(count, most) == kept
