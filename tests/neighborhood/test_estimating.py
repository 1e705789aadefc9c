"""Estimated pairs: exact where all are counted, right within the interval where they are not."""

import tracemalloc
from functools import partial

import numpy as np
import pytest
import torch

import gattn
from gattn.benchmark.graphs import power_law
from gattn.neighborhood import Estimate, Interval, estimate, estimating
from gattn.neighborhood._stratified import stratified, total


def graph(num_nodes: int, num_edges: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(num_nodes, (2, num_edges), generator=generator)


def values(found: tuple[Interval, ...]) -> list[float]:
    return [part.value for part in found]


@pytest.fixture
def nothing_is_cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimating, "_EDGES", 1)
    monkeypatch.setattr(estimating, "_EDGES_PLAIN", 1)


@pytest.mark.parametrize("samples", [None, 60, 1000])
@pytest.mark.parametrize("hops", [0, 1, 3])
def test_a_small_graph_is_counted(hops: int, samples: int | None) -> None:
    edges = graph(60, 150)  # directed, with loops and duplicates
    found = estimate(edges, hops, 60, samples=samples)
    truth = [gattn.k_hop(edges, k, 60) for k in range(hops + 1)]
    assert found.is_exact and found.counted == found.num_hops == hops
    assert found.num_nodes == found.num_samples == 60
    assert values(found.pairs) == [around.num_pairs for around in truth]
    assert values(found.per_hop) == torch.bincount(truth[-1].hop, minlength=hops + 1).tolist()
    assert found.largest_ball == tuple(int(around.rowptr.diff().max()) for around in truth)
    assert found.mean_ball == tuple(around.num_pairs / 60 for around in truth)
    assert all(part.low == part.value == part.high for part in (*found.pairs, *found.per_hop))


def test_shells_are_counted_alone() -> None:
    edges = graph(60, 150)
    found = estimate(edges, 3, 60, shells=[1, 3])
    assert values(found.pairs)[-1] == gattn.k_hop(edges, 3, 60, shells=[1, 3]).num_pairs
    assert found.per_hop[0].value == found.per_hop[2].value == found.pairs[0].value == 0


def test_shells_of_a_sample() -> None:
    edges = graph(400, 1200)
    found = estimate(edges, 3, 400, shells=[0, 3], samples=200)
    truth = gattn.k_hop(edges, 3, 400, shells=[0, 3]).num_pairs
    assert found.per_hop[2].value == 0 and not found.is_exact
    assert abs(found.pairs[3].value / truth - 1) < 0.1


def test_the_direction_of_edges_counts() -> None:
    one_way = torch.tensor([[0, 0, 0], [1, 2, 3]])  # three targets see one source
    assert estimate(one_way, 1, 4).largest_ball == (1, 2)
    assert estimate(one_way.flip(0), 1, 4).largest_ball == (1, 4)


@pytest.mark.parametrize("count", [0, 5])
def test_a_graph_without_edges(count: int) -> None:
    found = estimate(torch.empty(2, 0, dtype=torch.int64), 3, count)
    assert values(found.pairs) == [count] * 4
    assert values(found.per_hop) == [count, 0, 0, 0]
    assert found.is_exact


def test_the_interval_covers_the_truth() -> None:
    found = power_law(1500, 6000, 0.5, seed=0)
    truth = [gattn.k_hop(found.edge_index, k, 1500).num_pairs for k in range(4)]
    runs = [
        estimate(found.edge_index, 3, 1500, samples=200, seed=seed).pairs for seed in range(200)
    ]
    for hops in (1, 2, 3):
        covered = sum(run[hops].low <= truth[hops] <= run[hops].high for run in runs)
        assert covered >= 180  # of 200; 95 % are 190, with a deviation of 3
        mean = np.mean([run[hops].value for run in runs])
        assert abs(mean / truth[hops] - 1) < 0.01  # no bias
    assert np.mean([run[3].high - run[3].low for run in runs]) > 0


@pytest.mark.parametrize(
    "make",
    [partial(graph, 3000, 12_000), lambda: power_law(3000, 12_000, 0.7, seed=1).edge_index],
    ids=["even", "hubs"],
)
def test_a_default_sample_is_close(make, nothing_is_cheap: None) -> None:
    edges = make()
    found = estimate(edges, 3, 3000)
    assert found.num_samples == estimating._FEWEST and found.counted == 0
    for hops in (2, 3):
        truth = gattn.k_hop(edges, hops, 3000).num_pairs
        assert abs(found.pairs[hops].value / truth - 1) < 0.25


def test_what_is_cheap_is_counted_and_the_rest_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimating, "_EDGES", 20_000)
    monkeypatch.setattr(estimating, "_EDGES_PLAIN", 20_000)
    edges = graph(2000, 6000)
    found = estimate(edges, 3, 2000)
    truth = [gattn.k_hop(edges, k, 2000).num_pairs for k in range(4)]
    assert found.counted == 1 and 64 <= found.num_samples < 2000
    assert values(found.pairs)[:2] == truth[:2]
    assert found.pairs[3].low < truth[3] < found.pairs[3].high
    total_of_hops = sum(values(found.per_hop))
    assert total_of_hops == pytest.approx(found.pairs[3].value)


@pytest.mark.parametrize("samples", [None, 40])
def test_the_same_without_a_compiler(monkeypatch: pytest.MonkeyPatch, samples: int | None) -> None:
    edges = graph(300, 900)
    compiled = estimate(edges, 3, 300, samples=samples)
    monkeypatch.setattr(estimating, "missing", lambda: "there is none")
    assert estimate(edges, 3, 300, samples=samples) == compiled


def test_the_seed_decides_the_draws() -> None:
    edges = graph(500, 2000)
    first, again, other = (estimate(edges, 2, 500, samples=50, seed=s) for s in (0, 0, 1))
    assert first == again != other


def test_strata_hold_every_node_once_and_hubs_are_all_drawn() -> None:
    size = np.array([1.0] * 990 + [500.0] * 10)
    drawn = stratified(size, size, 160, np.random.default_rng(0))
    assert sum(of for of, _ in drawn) == 1000
    nodes = np.concatenate([part for _, part in drawn])
    assert len(np.unique(nodes)) == len(nodes) <= 160
    assert set(range(990, 1000)) <= set(nodes.tolist())


def test_a_total_by_hand() -> None:
    found = total([4, 2], [np.array([1, 3]), np.array([5, 5])])
    # The first stratum: 4 * 2 = 8, variance 4 * (4 - 2) * 2 / 2 = 8, one degree of freedom, whose
    # quantile is 12.7; the second is counted. No fewer than were seen.
    assert found.value == 18
    assert found.low == 14
    assert found.high == pytest.approx(18 + 12.7062 * 8**0.5, abs=1e-3)


def test_draws_that_are_all_alike_are_not_certain() -> None:
    found = total([10, 2], [np.array([3, 3, 3]), np.array([5, 5])])
    # As if a fourth were 0 or 6: variance 9 / 4, two degrees of freedom, whose quantile is 4.3.
    assert found.value == 40
    assert found.high == pytest.approx(40 + 4.30265 * (10 * 7 * 9 / 4 / 3) ** 0.5, abs=1e-3)
    # Without any, as if a fourth had the mean of all nodes, 10 / 12.
    none = total([10, 2], [np.array([0, 0, 0]), np.array([5, 5])])
    assert none.high == pytest.approx(10 + 4.30265 * (70 * (10 / 12) ** 2 / 4 / 3) ** 0.5, abs=1e-3)
    assert total([10, 2], [np.zeros(3), np.zeros(2)]) == Interval(0, 0, 0)


def test_rare_balls_that_no_draw_meets_are_in_the_interval() -> None:
    generator = torch.Generator().manual_seed(0)
    nodes = torch.arange(4000)
    double = torch.rand(4000, generator=generator) < 0.02  # the same edge twice
    second = torch.where(double, nodes + 1, nodes + 2) % 4000
    edges = torch.stack([torch.cat([(nodes + 1) % 4000, second]), torch.cat([nodes, nodes])])
    truth = gattn.k_hop(edges, 1, 4000).num_pairs
    found = [estimate(edges, 1, 4000, samples=16, seed=s).pairs[1] for s in range(50)]
    assert all(part.low < part.high for part in found)
    assert sum(part.low <= truth <= part.high for part in found) >= 45


def test_counts_are_reduced_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    edges = graph(300, 900)
    at_once = estimate(edges, 3, 300, shells=[0, 2, 3])
    monkeypatch.setattr(estimating, "_BLOCK", 64)
    assert estimate(edges, 3, 300, shells=[0, 2, 3]) == at_once


def test_memory_does_not_grow_with_nodes_times_hops() -> None:
    nothing = torch.empty(2, 0, dtype=torch.int64)
    estimate(nothing, 1, 300)  # what is compiled is not counted
    tracemalloc.start()
    found = estimate(nothing, 254, 60_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.is_exact and found.pairs[254].value == 60_000
    assert peak < 60_000 * 255 * 8 / 2  # of one number for each node and distance


def test_an_estimate_is_frozen() -> None:
    found = estimate(graph(10, 20), 1, 10)
    assert isinstance(found, Estimate)
    with pytest.raises(AttributeError):
        found.num_nodes = 3


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"num_hops": -1}, ValueError, "num_hops: found -1"),
        ({"num_hops": 255}, ValueError, "num_hops: found 255"),
        ({"num_nodes": 2}, IndexError, "edge_index"),
        ({"num_nodes": (5, 5)}, TypeError, "num_nodes: found"),
        ({"shells": 2}, TypeError, "shells: found 2"),
        ({"shells": [3]}, ValueError, "shells: found 3"),
        ({"samples": 1}, ValueError, "samples: found 1"),
        ({"samples": 2.5}, TypeError, "samples: found 2.5"),
        ({"seed": -1}, ValueError, "seed: found -1"),
        ({"edge_index": torch.zeros(2, 3)}, TypeError, "edge_index: found dtype"),
        ({"edge_index": torch.zeros(3, 2).long()}, ValueError, "edge_index: found shape"),
    ],
)
def test_bad_arguments(change: dict, error: type[Exception], message: str) -> None:
    usual = {"edge_index": torch.tensor([[0, 1], [1, 4]]), "num_hops": 2, "num_nodes": 5}
    arguments = {**usual, **change}
    with pytest.raises(error, match=message):
        estimate(
            arguments.pop("edge_index"),
            arguments.pop("num_hops"),
            arguments.pop("num_nodes"),
            **arguments,
        )
