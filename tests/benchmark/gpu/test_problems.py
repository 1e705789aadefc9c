"""The plan has what was asked for, in an order that keeps the graph."""

from itertools import groupby

import pytest

from gattn.benchmark.gpu.problems import AGREEMENT, PROBLEMS, cases, quick_cases
from gattn.benchmark.gpu.providers import baseline_of, believed, is_ours, providers_of
from gattn.benchmark.problems import Layer, layer_inputs


def test_no_case_comes_twice():
    names = [case.name for case in cases()]
    assert len(names) == len(set(names))
    assert {case.problem for case in cases()} | {"regular"} == set(PROBLEMS)


def test_every_form_size_and_type_is_in_it():
    found = {case.layer.name for case in cases() if case.problem == "arxiv"}
    for kind in ("gat", "gatv2", "dot", "GATConv", "GATv2Conv", "TransformerConv"):
        for size in ("4x32", "8x64"):
            assert {f"{kind}-{size}", f"{kind}-{size}-bfloat16"} <= found


def test_a_graph_is_made_a_few_times_only():
    assert len([name for name, _ in groupby(case.problem for case in cases())]) <= 16


def test_captures_come_last():
    captured = [case.captured for case in cases()]
    assert captured == sorted(captured)
    assert not captured[0]


@pytest.mark.parametrize("problem", [*PROBLEMS.values(), AGREEMENT], ids=lambda p: p.name)
def test_tiny_graphs_are_tiny(problem):
    graph = problem.quick(0, "cpu")
    assert graph.num_nodes <= 200
    assert graph.edge_index.shape[1] <= 2_000


def test_sizes_are_those_of_the_datasets():
    for name, sizes in {"cora": (2_708, 10_556), "arxiv": (169_343, 2_315_598)}.items():
        graph = PROBLEMS[name].make(0, "cpu")
        assert (graph.num_nodes, graph.edge_index.shape[1]) == sizes


def test_who_takes_turns():
    names = {
        case.name: [provider.name for provider in providers_of(case, "triton")] for case in cases()
    }
    assert names["arxiv dot-4x32"] == ["gattn:triton", "anemoi", "turbo-gnn"]
    assert names["arxiv dot+edges-4x32"] == ["gattn:triton", "anemoi"]
    assert names["arxiv gat-4x32"] == names["hub dot-4x32"] == ["gattn:triton"]
    layers = ["pyg", "pyg-compile", "gattn:triton", "gattn:triton+stored"]
    assert names["arxiv GATConv-4x32"] == layers
    assert names["products GATConv-4x32"] == [layers[0], *layers[2:]]
    assert names["cora GATConv-4x32 captured"] == ["gattn:triton+stored"]


def test_the_baseline_comes_first():
    for case in cases():
        base = baseline_of(case)
        if base is not None and not case.captured:
            assert providers_of(case, None)[0].name == base
    assert is_ours("gattn:triton+stored")
    assert not is_ours("pyg")


def test_the_quick_plan_runs_everything_once():
    found = quick_cases()
    assert (
        {case.is_operator for case in found} == {case.captured for case in found} == {True, False}
    )
    assert any(case.against for case in found)
    assert any(PROBLEMS[case.problem].alone for case in found)


def test_a_layer_is_believed_in_float32():
    layer = Layer("GATConv", 2, 8, precision="bfloat16")
    model = believed(layer_inputs(layer, AGREEMENT.quick(0, "cpu"), 0))
    assert {str(leaf.dtype) for leaf in model.leaves.values()} == {"torch.float32"}
