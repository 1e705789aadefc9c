"""Numbers as one writes them."""

import pytest

from gattn.compare.html import text
from gattn.compare.html.shown import Spread


@pytest.mark.parametrize(
    ("value", "said"),
    [
        *((None, "–"), (0.0000123, "12.3 µs"), (0.0268, "26.8 ms"), (0.5, "500 ms")),
        *((1.5, "1.50 s"), (119.0, "119 s"), (240.0, "4.00 min"), (7200.0, "2.00 h")),
    ],
)
def test_times(value, said):
    assert text.seconds(value) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [(None, "–"), (2048, "2.00 KiB"), (25 << 20, "25.0 MiB"), (3 << 30, "3.00 GiB")],
)
def test_bytes(value, said):
    assert text.memory(value) == said


def test_intervals_end_where_fractions_do():
    assert text.interval(Spread(0.9, 0.1, 0.58, 1.22)) == "58.0 to 100.0"
    assert text.spread(Spread(0.9, 0.1, 0.58, 1.22)) == "90.0 ± 10.0"
    assert text.spread(Spread(0.9, None, None, None), 2) == "90.00"
    assert text.interval(Spread(0.9, None, None, None)) == text.interval(None) == "–"


@pytest.mark.parametrize(
    ("written", "short"), [("50.0 ms", "50 ms"), ("2.50 s", "2.5 s"), ("100 ms", "100 ms")]
)
def test_round_numbers_have_no_zeros_behind_the_point(written, short):
    assert text.round_number(written) == short


def test_dates_of_one_day_are_told_once():
    times = ["2026-11-21T09:09:09+00:00", "2026-11-21T09:05:34+00:00"]
    assert text.when(times) == "2026-11-21 09:05 to 09:09 UTC"
    assert text.when(times[:1]) == "2026-11-21 09:09 UTC"
    assert text.when([*times, "2026-11-22T01:00:00+00:00"]).endswith("to 2026-11-22 01:00 UTC")
    assert text.when([]) == ""
