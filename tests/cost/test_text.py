"""Two digits and a unit."""

import pytest

from gattn.cost.text import counted, duration, size


@pytest.mark.parametrize(
    ("function", "number", "text"),
    [
        (counted, 0, "0"),
        (counted, 12, "12"),
        (counted, 999, "999"),
        (counted, 12_345, "12 k"),
        (counted, 1.35e9, "1.4 G"),
        (size, 0, "0 B"),
        (size, 72e6, "72 MB"),
        (size, 741.3e6, "741 MB"),
        (size, 1.25e9, "1.2 GB"),
        (duration, 0.00012, "0.12 ms"),
        (duration, 0.0356, "36 ms"),
        (duration, 1.0, "1 s"),
        (duration, 119, "119 s"),
        (duration, 150, "2.5 min"),
        (duration, 9000, "2.5 h"),
    ],
)
def test_text(function, number: float, text: str) -> None:
    assert function(number) == text
