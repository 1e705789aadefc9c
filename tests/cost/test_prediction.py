"""Predicted costs: what they hold, how they scale, and how near they are."""

import dataclasses

import pytest
import torch

import gattn
from gattn import _memory
from gattn.benchmark.graphs import power_law
from gattn.cost import WAYS, Costs, calibration, clock, predict
from gattn.cost.calibration import Line
from gattn.cost.prediction import _batch

GRAPH = power_law(2000, 8000, 0.4, seed=0)


def predicted(**changes) -> Costs:
    arguments = {"num_nodes": 2000, "heads": 2, "channels": 16, **changes}
    return predict(GRAPH.edge_index, arguments.pop("breadths", [1, 2, 3]), **arguments)


def measured(around, **more) -> float:
    """The least seconds of a step."""
    generator = torch.Generator().manual_seed(0)
    leaves = [torch.randn(2000, 2, 16, generator=generator).requires_grad_() for _ in range(3)]
    taken = []
    for _ in range(4):
        begin = clock.now()
        out = gattn.attend(*leaves, around)
        torch.autograd.grad(out, leaves, out.detach())
        taken.append(clock.now() - begin)
    return min(taken[1:])


@pytest.fixture
def small_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neighbourhoods of this size are not measured as a whole."""
    monkeypatch.setattr(calibration, "_MOST_PAIRS", 20_000)


def test_slightly_more_pairs_than_a_sample_has(monkeypatch: pytest.MonkeyPatch) -> None:
    targets = torch.arange(398)[:, None]
    sources = (targets + torch.arange(1, 51)) % 398
    ring = torch.stack([sources.flatten(), targets.expand_as(sources).flatten()])
    monkeypatch.setattr(calibration, "_MOST_PAIRS", 398 * 51 - 1)
    (breadth,) = predict(ring, [1], 398, heads=1, channels=4).breadths
    assert breadth.pairs.value == 398 * 51 and breadth.counted


def test_every_breadth_has_every_way() -> None:
    costs = predicted()
    assert [breadth.num_hops for breadth in costs.breadths] == [1, 2, 3]
    for breadth in costs.breadths:
        truth = gattn.k_hop(GRAPH.edge_index, breadth.num_hops, 2000).num_pairs
        assert breadth.pairs.value == truth
        assert tuple(breadth.ways) == WAYS
        assert all(way.seconds > 0 and way.bytes > 0 for way in breadth.ways.values())
        assert breadth.ways["stored"].pairs == breadth.ways["streamed"].pairs == truth
        assert breadth.ways["diffusion"].pairs == costs.breadths[0].pairs.value
    assert (costs.num_nodes, costs.num_edges) == (2000, 8000)
    assert costs.threads == torch.get_num_threads()


def test_breadths_are_sorted_and_taken_once() -> None:
    costs = predicted(breadths=(3, 1, 3))
    assert [breadth.num_hops for breadth in costs.breadths] == [1, 3]


@pytest.mark.parametrize("streamed", [False, True], ids=["stored", "streamed"])
def test_seconds_are_near_those_of_a_step(streamed: bool, small_samples: None) -> None:
    way = "streamed" if streamed else "stored"
    around = gattn.k_hop(GRAPH.edge_index, 3, 2000, streamed=streamed)
    ratios = []
    for _ in range(5):  # a busy machine has less cache now and then
        (breadth,) = predicted(breadths=[3]).breadths
        ratios.append(breadth.ways[way].seconds / measured(around))
        if 0.5 < ratios[-1] < 2:
            return
    pytest.fail(f"predicted by measured seconds: {ratios}")


def test_a_wider_layer_takes_more_memory() -> None:
    narrow, wide = (predicted(breadths=[2], channels=c).breadths[0].ways for c in (8, 64))
    for way in WAYS:
        assert narrow[way].bytes < wide[way].bytes


def test_the_rng_of_torch_is_left_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    predicted(breadths=[1])
    assert torch.equal(torch.rand(1), expected)


def test_a_line() -> None:
    assert Line(2.0, 0.5)(4) == 4.0


def test_batches_of_few_seeds_grow_by_the_fan_out() -> None:
    arrived, edges = _batch(3, 10**9, 10, 5.0)
    assert edges == pytest.approx([50, 250, 1250], rel=1e-4)
    assert arrived == pytest.approx(1560, rel=1e-4)


def test_a_batch_has_no_more_nodes_than_the_graph() -> None:
    arrived, edges = _batch(9, 1000, 100, 5.0)
    assert arrived <= 1000
    assert sum(edges) <= 5.0 * 1000


def test_costs_are_frozen_and_plain() -> None:
    costs = predicted(breadths=[1])
    assert dataclasses.asdict(costs)["breadths"][0]["ways"]["stored"]["pairs"] > 0
    with pytest.raises(AttributeError):
        costs.heads = 3


def test_an_empty_graph_of_some_nodes() -> None:
    costs = predict(torch.empty(2, 0, dtype=torch.int64), [2], 5, heads=1, channels=2)
    assert costs.breadths[0].pairs.value == 5


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"breadths": []}, ValueError, "breadths: found none"),
        ({"breadths": [0]}, ValueError, "breadths: found 0"),
        ({"breadths": 3}, TypeError, "breadths: found 3, expected numbers of hops"),
        ({"breadths": [1.5]}, TypeError, "breadths: found 1.5"),
        ({"heads": 0}, ValueError, "heads: found 0"),
        ({"channels": 0}, ValueError, "channels: found 0"),
        ({"fan_out": 0}, ValueError, "fan_out: found 0"),
        ({"batch_size": 0}, ValueError, "batch_size: found 0"),
        ({"num_nodes": 3}, IndexError, "edge_index"),
    ],
)
def test_bad_arguments(changes: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        predicted(**changes)


def test_features_that_do_not_fit_are_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_memory, "available", lambda: 10**9)
    monkeypatch.setattr(calibration, "_features", lambda *sizes: pytest.fail("they were made"))
    with pytest.raises(ValueError, match=r"found 2,000, whose features .* 512000 GB, .* 1 GB"):
        predicted(channels=4 * 10**9)


def test_a_graph_without_nodes() -> None:
    with pytest.raises(ValueError, match="num_nodes: found 0"):
        predict(torch.empty(2, 0, dtype=torch.int64), [1], 0)
