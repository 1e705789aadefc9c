"""The table of costs: a line for each breadth."""

import pytest
from rich.console import Console

from gattn.cost import WAYS, Breadth, Costs, Way
from gattn.cost.table import HEAD, rich_table
from gattn.neighborhood import Interval

WAY = Way(1.5, 2e9, 10.0)
BREADTHS = tuple(
    Breadth(hops, pairs, dict.fromkeys(WAYS, WAY), counted)
    for hops, pairs, counted in (
        (1, Interval(5e4, 5e4, 5e4), True),
        (2, Interval(2e6, 1.9e6, 2.1e6), False),
        (3, Interval(3e6, 3e6, 3e6), False),
    )
)


@pytest.mark.parametrize("limit", [None, 1e9])
def test_a_line_for_each_breadth(limit: float | None) -> None:
    console = Console(width=150)
    with console.capture() as captured:
        console.print(rich_table(Costs(1000, 1, 1, 1, 1, 10, 10, BREADTHS), limit))
    head, _, first, second, third, *_ = [
        line for line in captured.get().splitlines() if line.strip()
    ]
    assert head.split("  ")[0].strip() == HEAD[0]
    mark = "" if limit is None else " !"
    assert first.split() == f"1 50 k counted 50 {' '.join([f'1.5 s, 2 GB{mark}'] * 4)}".split()
    assert "1.9 M to 2.1 M" in second and "2 k" in second
    assert "3 M to 3 M" in third and "counted" not in third  # estimated, though without width
