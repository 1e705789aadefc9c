"""Rates are measured, and mean what they say."""

import pytest
import torch

from gattn.benchmark.graphs import power_law
from gattn.cost import calibration
from gattn.cost.calibration import Sizes, calibrate
from gattn.neighborhood import estimate
from gattn.neighborhood.estimating import by_target

GRAPH = power_law(500, 3000, 0.4, seed=0)
ROWS = tuple(map(torch.from_numpy, by_target(GRAPH.edge_index, 500)))


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int, int]]:
    """A machine on which a target takes 1 ms and a pair 1 µs; what was timed: targets, pairs."""
    seen = []

    def step(around, sizes):
        seen.append((around.num_targets, around.num_pairs))
        return 1e-3 * around.num_targets + 1e-6 * around.num_pairs

    for name in ("_step", "_weights", "_round"):
        monkeypatch.setattr(calibration, name, step)
    return seen


@pytest.mark.parametrize("most", [1 << 20, 1000], ids=["whole", "sample"])
def test_a_linear_machine_is_found_out(most: int, seconds, monkeypatch) -> None:
    monkeypatch.setattr(calibration, "_MOST_PAIRS", most)
    found = estimate(GRAPH.edge_index, 3, 500)
    rates, one_hop = calibrate(ROWS, found, [2, 3], Sizes(1, 1), 0)
    for hops in (2, 3):
        assert rates[hops].stored.base == pytest.approx(0.5)
        assert rates[hops].stored.each == pytest.approx(1e-6)
        assert rates[hops].streamed.each > 1e-6  # it also finds the pairs
        assert rates[hops].building > rates[hops].counting > 0
    for line in (one_hop.attention, one_hop.weights, one_hop.round):
        assert line.base == pytest.approx(0.5)
        assert line.each == pytest.approx(1e-6)
    largest = max(pairs for _, pairs in seconds)
    assert largest == found.pairs[3].value if most > 10**5 else largest < 10_000


def test_seconds_of_this_machine() -> None:
    dense = power_law(500, 40_000, 0.4, seed=0).edge_index
    rows = tuple(map(torch.from_numpy, by_target(dense, 500)))
    rates, one_hop = calibrate(rows, estimate(dense, 2, 500), [1, 2], Sizes(4, 64), 0)
    assert set(rates) == {1, 2}
    assert rates[2].stored.base > 0 and rates[2].stored.each > 0
    assert 0 < one_hop.weights.each < 1e-4 and 0 < one_hop.round.each < 1e-4


def test_rates_without_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    from gattn.neighborhood import streamed
    from gattn.ops import cpu

    monkeypatch.setattr(cpu, "_MISSING", "there is none")
    monkeypatch.setattr(streamed, "missing", lambda: "there is none")
    found = estimate(GRAPH.edge_index, 2, 500)
    rates, one_hop = calibrate(ROWS, found, [2], Sizes(2, 4), 0)
    assert rates[2].streamed.each > 0
    assert one_hop.round.base > 0
