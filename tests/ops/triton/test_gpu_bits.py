"""The same bits in every run, whatever else the GPU does; hubs, and rows that end at a cut."""

import contextlib

import pytest
import torch

import gattn
from gattn import forms, normalizers
from gattn.ops import dispatch
from gattn.ops.problem import Problem
from gattn.ops.triton import tiles
from tests.ops.triton.where import (
    BACKEND,
    at,
    attended,
    both,
    draw,
    gradients,
    near,
    on_gpu,
    on_the_cpu,
    random_graph,
    rows_of,
    sides,
)

SEEDS = (0, 7, 2**63 - 1)


@pytest.fixture
def cut(device, monkeypatch):
    """Pairs of the longest row that is not cut; few where kernels are interpreted."""
    if device == "cpu":
        monkeypatch.setattr(tiles, "_LONG", 32)
    return tiles.Cut.of(1, 1).length


def dropped(graph, seed, backend, dropout):
    """Weights after the dropout, `[rows, heads, sources]`, and the gradient of their values."""
    heads, device = 5, graph.device
    left = draw(graph.num_targets, heads, 4, device=str(device))
    right = draw(graph.num_sources, heads, 4, device=str(device), seed=1)
    ones = torch.eye(graph.num_sources, device=device)[:, None].repeat(1, heads, 1)
    value = ones.requires_grad_()
    problem = Problem(
        forms.Multiplicative(left, right),
        value,
        graph,
        normalizers.Softmax(),
        dropout=dropout,
        seed=torch.tensor(seed, device=device),
    )
    out = dispatch.load(backend).forward(problem)[0]
    return [found.cpu() for found in (out, *gradients(out, [value]))]


@both
@pytest.mark.parametrize("dropout", [0.5, 0.1])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_seed_drops_the_same_weights_as_on_the_cpu(device, seed, dropout):
    rows = rows_of([3, 1, 0, 20, 7], 21, device)
    found = dropped(rows, seed, BACKEND, dropout)
    expected = dropped(rows.to("cpu"), seed, "cpu", dropout)
    assert 0 < int((expected[0] == 0).sum()) < expected[0].numel()
    assert torch.equal(found[0] == 0, expected[0] == 0)
    for one, other in zip(found, expected, strict=True):
        near(one, other)


@both
def test_duplicate_edges_are_dropped_one_by_one_as_on_the_cpu(device):
    graph = gattn.from_edge_index(torch.zeros(2, 40, dtype=torch.int64), 1)
    found = dropped(graph.to(device), 3, BACKEND, 0.5)
    near(found[0], dropped(graph, 3, "cpu", 0.5)[0])


@both
def test_the_device_s_generator_repeats_a_dropout(device):
    graph = random_graph(at(device, 12, 1000), at(device, 40, 10_000), device)
    leaves = sides(graph, 2, 4)
    runs = []
    for seed in (5, 5, 6):
        torch.manual_seed(seed)
        runs.append(attended(graph, leaves, dropout=0.4))
    assert all(torch.equal(*pair) for pair in zip(runs[0], runs[1], strict=True))
    assert not torch.equal(runs[0][0], runs[2][0])


@contextlib.contextmanager
def busy(device):
    """Other work on another stream, and memory at other places."""
    if device == "cpu":
        yield
        return
    other = torch.cuda.Stream()
    taken = [torch.empty(size, device=device) for size in (1_000_003, 77, 12_345_678)]
    with torch.cuda.stream(other):
        matrix = torch.randn(4096, 4096, device=device)
        for _ in range(20):
            matrix = torch.tanh(matrix @ matrix)
    yield
    other.synchronize()
    del taken


@both
@pytest.mark.parametrize("normalizer", [normalizers.Softmax(), normalizers.Sigmoid()], ids=str)
@pytest.mark.parametrize("score", ["dot", "gatv2"])
def test_two_runs_have_the_same_bits(device, normalizer, score):
    sizes = at(device, (8, 60, 0), (20_000, 300_000, 30_000))
    graph = random_graph(*sizes[:2], device, hub=sizes[2])
    made = None if score == "dot" else gattn.scores.GATv2(2, 8).to(device)
    leaves = sides(graph, 2, 8)
    learned = [*leaves, *(() if made is None else made.parameters())]
    runs = []
    for place in range(at(device, 2, 4)):
        with busy(device) if place % 2 else contextlib.nullcontext():
            out = gattn.attend(*leaves, graph, score=made, normalizer=normalizer, backend=BACKEND)
            runs.append([out, *gradients(out, learned)])
    for run in runs[1:]:
        assert all(torch.equal(one, other) for one, other in zip(run, runs[0], strict=True))


@both
@pytest.mark.parametrize(
    "lengths",
    [
        lambda cut: [cut, cut, cut],
        lambda cut: [cut - 1, 1, cut + 1, cut - 1, 5],
        lambda cut: [2 * cut, 3, 0],
        lambda cut: [cut - 7, 7, 2 * cut + 1, cut],
    ],
    ids=["exact", "one off", "double", "in the middle"],
)
def test_rows_that_start_and_end_at_multiples_of_the_cut(device, cut, lengths):
    graph = rows_of(lengths(cut), max(lengths(cut)), device)
    leaves = sides(graph, 1, 2)
    for found, expected in zip(attended(graph, leaves), on_the_cpu(graph, leaves), strict=True):
        near(found, expected)


@both
@pytest.mark.parametrize("normalizer", [normalizers.Softmax(), normalizers.TopK(5)], ids=str)
def test_a_column_longer_than_the_cut(device, cut, normalizer):
    """One source that everybody attends to: the same cuts in the other direction."""
    target = torch.arange(cut + 3)
    hub, own = torch.stack([torch.zeros_like(target), target]), torch.stack([target, target])
    graph = gattn.from_edge_index(torch.cat([hub, own], 1), cut + 3).to(device)
    leaves = sides(graph, 1, 2)
    run = attended(graph, leaves, normalizer=normalizer)
    expected = on_the_cpu(graph, leaves, normalizer=normalizer)
    for found, wanted in zip(run, expected, strict=True):
        near(found, wanted)


@on_gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("width", [16, 64])
def test_a_hub_of_200_000_pairs(width, dtype):
    graph = random_graph(200_000, 100_000, "cuda", hub=200_000)
    leaves = sides(graph, 2, width, dtype=dtype)
    limit = 5e-5 if dtype == torch.float32 else 1e-12
    for found, expected in zip(attended(graph, leaves), on_the_cpu(graph, leaves), strict=True):
        near(found, expected, limit)
