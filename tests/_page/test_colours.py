"""Scales go from end to end, and the ink is readable on all of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gattn._page.colours import COST, GOOD, colour, ink_on, luminance


@pytest.mark.parametrize("scale", [GOOD, COST])
def test_ends_and_what_lies_outside(scale):
    assert colour(scale, 0.0) == colour(scale, -3.0) == f"#{scale[0]}"
    assert colour(scale, 1.0) == colour(scale, 7.0) == f"#{scale[-1]}"


@pytest.mark.parametrize(("scale", "direction"), [(GOOD, 1), (COST, -1)])
def test_lightness_alone_orders_a_scale(scale, direction):
    steps = [direction * luminance(colour(scale, k / 50)) for k in range(51)]
    assert steps == sorted(steps)


def test_luminance_is_that_of_wcag():
    assert luminance("#ffffff") == pytest.approx(1.0) and luminance("#000000") == 0.0
    assert luminance("#777777") == pytest.approx(0.184, abs=1e-3)


@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_ink_has_contrast_on_any_colour(channels):
    name = "#" + "".join(f"{value:02x}" for value in channels)
    ink, paper = luminance(ink_on(name)), luminance(name)
    assert (max(ink, paper) + 0.05) / (min(ink, paper) + 0.05) >= 4.5
