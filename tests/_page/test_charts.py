"""Scales keep order and ends, ticks are round and inside, paths return to where they were."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gattn._page.charts import Frame, Scale, chart, path, spanning

NUMBERS = st.floats(1e-6, 1e9)


def test_a_scale_takes_ends_to_ends():
    scale = Scale(1, 100, 10, 50, log=True)
    assert [scale(v) for v in (1, 10, 100)] == [10, 30, 50]
    assert Scale(0, 4, 100, 0)(1) == 75


@given(st.lists(NUMBERS, min_size=1, max_size=8), st.booleans())
def test_all_values_have_room_and_ticks_are_inside(values, log):
    scale = spanning(values, 0, 100, log=log)
    assert all(0 <= scale(value) <= 100 for value in values)
    ticks = scale.ticks(5)
    assert len(ticks) <= 7 and ticks == sorted(ticks)
    slack = 1e-6 * max(abs(scale.low), abs(scale.high))
    assert all(scale.low - slack <= tick <= scale.high + slack for tick in ticks)


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(0, 10, [0, 2, 4, 6, 8, 10]), (83.2, 87.6, [84, 85, 86, 87]), (-1, 1, [-1, -0.5, 0, 0.5, 1])],
)
def test_ticks_are_round(low, high, ticks):
    assert Scale(low, high, 0, 1).ticks(5) == pytest.approx(ticks)


def test_zero_has_no_logarithm_and_gets_an_even_scale():
    assert not spanning([0.0, 1.0], 0, 1, log=True).log


def test_a_path_is_steps():
    assert path([(0, 0), (1.2, 2.4), (1.1, 2.2), (5, 0)]) == "M0 0l1 2 4 -2"
    assert path([(3, 4)]) == "M3 4"


def test_a_chart_names_its_axes():
    scale = Scale(0, 1, 0, 1)
    made = chart(
        Frame(), scale, scale, [], names=("x < y", "b"), label="what", texts=(str, str), most=(2, 2)
    )
    assert 'role="img" aria-label="what"' in made and "x &lt; y" in made
