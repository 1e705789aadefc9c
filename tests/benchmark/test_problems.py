"""The problems have the sizes that are claimed, and the same inputs for the same seed."""

from functools import partial

import pytest
import torch

from gattn import Sparse
from gattn.benchmark import PROBLEMS, PROVIDERS
from gattn.benchmark.passes import PASSES
from gattn.benchmark.problems import Layer, make_inputs
from gattn.benchmark.providers import provider


@pytest.mark.parametrize(
    ("name", "nodes", "edges"),
    [("cora", 2708, 10556), ("50k", 50_000, 700_000), ("star", 100_001, 200_000)],
)
def test_sizes(name, nodes, edges):
    graph = PROBLEMS[name].graph(0)
    assert (graph.num_nodes, graph.edge_index.size(1)) == (nodes, edges)


def test_the_star_is_held_against_a_graph_of_its_size():
    star, regular = (PROBLEMS[name] for name in ("star", "regular"))
    assert star.against == "regular"
    assert star.layers == regular.layers
    for make in ("graph", "quick"):
        graphs = [getattr(problem, make)(0) for problem in (star, regular)]
        assert graphs[0].num_nodes == graphs[1].num_nodes
        assert graphs[0].edge_index.shape == graphs[1].edge_index.shape
    degrees = PROBLEMS["star"].graph(0).edge_index[1].bincount()
    assert int(degrees.max()) == 100_000
    assert int(PROBLEMS["regular"].graph(0).edge_index[1].bincount().max()) == 2


def test_products_is_behind_a_flag_and_has_its_size():
    problem = PROBLEMS["products"]
    assert not problem.usual
    assert problem.alone
    made = problem.graph
    assert isinstance(made, partial)
    assert made.args == (2_449_029, 123_718_280, 0.4)


@pytest.mark.parametrize(
    ("name", "nodes", "pairs", "usual"),
    [
        ("full", 4096, 4096**2, True),
        ("causal", 4096, 4096 * 4097 // 2, True),
        ("packed", 18_432, 6_413_156, True),
        ("window", 16_384, 257 * 16_384 - 128 * 129, False),
        ("window4k", 4096, 257 * 4096 - 128 * 129, False),
    ],
)
def test_sizes_of_sequences(name, nodes, pairs, usual):
    problem = PROBLEMS[name]
    span, tiny = problem.graph(0), problem.quick(0)
    assert (span.num_targets, span.num_pairs) == (nodes, pairs)
    assert tiny.kind == span.kind
    assert tiny.num_pairs < 2000
    assert problem.usual is usual


@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=list(PROBLEMS))
def test_problems_name_what_there_is(problem):
    assert set(problem.passes) <= set(PASSES)
    assert {provider(name).name for name in problem.providers} == set(problem.providers)
    assert provider(problem.reference)
    names = [layer.name for layer in problem.layers]
    assert len(set(names)) == len(names)
    assert all(layer.in_channels == 64 for layer in problem.layers)


def test_inputs_follow_the_seed():
    problem = PROBLEMS["cora"]
    layer, graph = problem.layers[0], problem.quick(0)
    first, again, other = (make_inputs(problem, layer, graph, seed) for seed in (0, 0, 1))
    assert first.tensors["x"].shape == (60, 64)
    assert torch.equal(first.tensors["x"], again.tensors["x"])
    assert not torch.equal(first.tensors["x"], other.tensors["x"])
    assert first.state.keys() == again.state.keys()
    assert all(torch.equal(first.state[name], again.state[name]) for name in first.state)
    assert not torch.equal(first.state["lin.weight"], other.state["lin.weight"])


def test_inputs_leave_the_global_generator_alone():
    problem = PROBLEMS["cora"]
    state = torch.get_rng_state()
    make_inputs(problem, problem.layers[0], problem.quick(0), 0)
    assert torch.equal(torch.get_rng_state(), state)


def test_attend_has_a_ball_of_two_hops():
    problem = PROBLEMS["ball"]
    inputs = make_inputs(problem, problem.layers[0], problem.quick(0), 0)
    assert isinstance(inputs.structure, Sparse)
    assert inputs.structure.num_hops == 2
    assert inputs.num_pairs == inputs.structure.num_pairs > 240
    assert inputs.tensors["hop_bias"].shape == (3, 4)
    assert inputs.tensors["query"].shape == (60, 4, 64)


def test_attend_on_a_span_has_no_bias():
    problem = PROBLEMS["window"]
    (layer,), span = problem.layers, problem.quick(0)
    first, again = (make_inputs(problem, layer, span, seed) for seed in (3, 3))
    assert repr(first.structure) == repr(span)
    assert (first.num_nodes, first.num_pairs) == (60, span.num_pairs)
    assert {name: tuple(tensor.shape) for name, tensor in first.tensors.items()} == dict.fromkeys(
        ("query", "key", "value"), (60, 8, 64)
    )
    assert all(torch.equal(first.tensors[name], again.tensors[name]) for name in first.tensors)


def test_a_layer_of_pyg_takes_no_span():
    problem = PROBLEMS["cora"]
    with pytest.raises(
        TypeError, match=r"graph: found Span\(.*\), expected a Graph, which GATConv"
    ):
        make_inputs(problem, problem.layers[0], PROBLEMS["full"].quick(0), 0)


def test_the_names_of_providers_are_their_keys():
    assert {name: found.name for name, found in PROVIDERS.items()} == {n: n for n in PROVIDERS}


@pytest.mark.parametrize(("kind", "expected"), [("GATConv", "x"), ("attend", "query")])
def test_a_layer_has_a_dtype(kind, expected):
    problem = PROBLEMS["cora"]
    layer = Layer(kind, 2, 4, precision="bfloat16")
    inputs = make_inputs(problem, layer, problem.quick(0), 0)
    assert layer.name == f"{kind}-2x4-bfloat16"
    assert inputs.tensors[expected].dtype == torch.bfloat16
    model = provider("gattn").build(inputs)
    assert {leaf.dtype for leaf in model.leaves.values()} == {torch.bfloat16}
    assert PASSES["forward"](model).dtype == torch.bfloat16
