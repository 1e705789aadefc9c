"""What no caller may notice: memory that is not cleared, and the number of threads."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

import gattn
from gattn import testing
from gattn.ops import cpu
from gattn.ops.cpu import arguments, gradients, launch
from gattn.ops.inputs import Inputs
from gattn.testing import check_backend
from tests.ops.cpu.subsets import keep_cases, main
from tests.ops.cpu.test_segments import NODES, hub_edges


@pytest.fixture
def poisoned(monkeypatch):
    """Fresh memory of tensors and arrays is NaN, or 255 in every byte."""
    made = []
    torch_empty, numpy_empty = torch.empty, np.empty

    def poison(fresh):
        made.append(fresh)
        return fresh.fill_(float("nan")) if fresh.is_floating_point() else fresh.fill_(-1)

    def tensor(*size, **options):
        return poison(torch_empty(*size, **options))

    def array(*size):
        return poison(torch.from_numpy(numpy_empty(*size))).numpy()

    monkeypatch.setattr(torch, "empty", tensor)
    monkeypatch.setattr(launch, "np", SimpleNamespace(**vars(np) | {"empty": array}))
    return made


@pytest.fixture
def many_blocks(monkeypatch):
    monkeypatch.setattr(gradients, "_MOST_HANDED", 1)
    monkeypatch.setattr(gradients, "_LEAST_HANDED", 1)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_memory_that_was_not_cleared_reaches_no_result(dtype, poisoned, monkeypatch):
    kept = keep_cases(monkeypatch, main)
    assert check_backend("cpu", dtype=dtype) == kept == 54
    assert poisoned


def test_memory_that_was_not_cleared_reaches_no_result_of_halves_and_blocks(
    poisoned, many_blocks, monkeypatch
):
    graphs = testing.graphs() | {"hub": gattn.from_edge_index(hub_edges(), NODES)}
    monkeypatch.setattr(testing, "graphs", lambda *hub: graphs)
    names = ("Softmax()", "Sparsemax()", "TopK(k=2)")
    kept = keep_cases(
        monkeypatch,
        lambda form, normalizer, graph: (
            form == "Multiplicative, all options"
            and normalizer in names
            and graph in ("no pairs", "bipartite", "hub", "no nodes")
        ),
    )
    assert check_backend("cpu", dtype=torch.float64) == kept == 12


@pytest.mark.parametrize("normalizer", ["Softmax()", "Sigmoid()", "TopK(k=2)", "Hard()"])
def test_every_output_of_the_operator_is_written(normalizer, poisoned):
    (case,) = [c for c in testing.cases() if c.name == f"Multiplicative, {normalizer}, bipartite"]
    problem = case.build(case.leaves)
    found = torch.ops.gattn.attend(*Inputs.of(problem, problem.neighborhood))
    assert poisoned and not any(tensor.isnan().any() for tensor in found)


def test_only_some_gradients_are_wanted():
    case = next(
        case
        for case in testing.cases()
        if case.name == "Multiplicative, all options, Softmax(), directed"
    )
    everything = {name: leaf.clone().requires_grad_() for name, leaf in case.leaves.items()}
    out, _ = cpu.forward(case.build(everything))
    expected = dict(
        zip(everything, torch.autograd.grad(out.square().sum(), everything.values()), strict=True)
    )
    for names in (["left"], ["hop_bias", "pair_value"]):
        some = dict(case.leaves)
        for name in names:
            some[name] = some[name].clone().requires_grad_()
        out, _ = cpu.forward(case.build(some))
        found = torch.autograd.grad(out.square().sum(), [some[name] for name in names])
        torch.testing.assert_close(found, tuple(expected[name] for name in names))


def test_nothing_is_kept_for_a_backward_that_nobody_wants():
    leaves = torch.randn(3, 8, 2, 3).unbind(0)
    graph = testing.graphs()["duplicates"]
    assert not gattn.attend(*leaves, graph, backend="cpu").requires_grad
    with torch.no_grad():
        leaf = leaves[0].clone().requires_grad_()
        assert not gattn.attend(leaf, *leaves[1:], graph, backend="cpu").requires_grad


@pytest.fixture
def threads(monkeypatch):
    """Every size of problem is worth threads; torch's number is restored."""
    monkeypatch.setattr(arguments, "_SERIAL", 0)
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


KINDS = [
    ("Multiplicative", "Softmax()"),
    ("Multiplicative", "TopK(k=2)"),
    ("Multiplicative, all options", "Softmax()"),
    ("Multiplicative, all options", "Sparsemax()"),
    ("Additive, value=None", "Softmax()"),
    ("Additive, all options", "Sigmoid()"),
]


@pytest.mark.parametrize(("form", "normalizer"), KINDS)
def test_every_number_of_threads_gives_the_same_bits(form, normalizer, threads, monkeypatch):
    graphs = {"hubs": gattn.from_edge_index(hub_edges(), NODES)}
    monkeypatch.setattr(testing, "graphs", lambda *hub: graphs)
    (case,) = [c for c in testing.cases() if c.name == f"{form}, {normalizer}, hubs"]
    same_bits(threads, lambda: case.run(cpu, torch.float64))


def test_every_number_of_threads_gives_the_same_bits_for_wide_parameters(threads):
    draw = torch.Generator().manual_seed(0)
    graph = gattn.from_edge_index(hub_edges(), NODES)
    size = 32, 64  # 64 tasks with a gradient of the weight each: torch's sum takes threads too
    sides = torch.randn(2, NODES, *size, generator=draw, dtype=torch.float64)
    bias = torch.where(torch.arange(graph.num_pairs) % 5 == 2, float("-inf"), 0.0)
    weight = torch.randn(size, generator=draw, dtype=torch.float64)

    def run():
        leaves = [leaf.clone().requires_grad_() for leaf in (*sides, weight)]
        form = gattn.forms.Additive(*leaves, negative_slope=0.2)
        out = gattn.attend_form(form, None, graph, pair_bias=bias, backend="cpu")
        grads = torch.autograd.grad(out.square().sum(), leaves)
        return dict(zip(("out", "left", "right", "weight"), (out, *grads), strict=True))

    same_bits(threads, run)


def same_bits(threads, run):
    threads(1)
    expected = run()
    for count in (1, 2, 4, 4, 3):
        threads(count)
        found = run()
        assert torch.get_num_threads() == count
        assert found.keys() == expected.keys()
        for name, tensor in expected.items():
            assert torch.equal(found[name], tensor), f"{name} differs with {count} threads"
