"""The dropout: the same weights as the reference, whatever the order, the heads, the duplicates."""

from dataclasses import replace

import pytest
import torch

import gattn
from gattn import testing
from gattn.ops import cpu, reference
from tests.ops.cpu.test_segments import NODES, hub_edges

DUPLICATES = testing.graphs()["duplicates"]


def draw(*size, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(size, generator=generator, dtype=torch.float64)


def attended(module, graph, heads, dropout, seed):
    """Output and gradients of a product under dropout."""
    sides = [
        draw(nodes, heads, 3, seed=number).requires_grad_()
        for number, nodes in enumerate((graph.num_targets, graph.num_sources, graph.num_sources))
    ]
    form = gattn.forms.Multiplicative(*sides[:2])
    problem = gattn.ops.problem.Problem(
        form,
        sides[2],
        graph,
        gattn.normalizers.Softmax(),
        dropout=dropout,
        seed=torch.tensor(seed),
    )
    out, _ = module.forward(problem)
    return out, *torch.autograd.grad(out.square().sum(), sides)


@pytest.mark.parametrize("heads", [1, 2, 3, 4, 5, 8, 9, 17])
@pytest.mark.parametrize("dropout", [0.1, 0.5, 1.0])
def test_the_same_weights_are_dropped_as_by_the_reference(heads, dropout):
    hub = gattn.from_edge_index(hub_edges(), NODES)
    for graph in (DUPLICATES, hub):
        for seed in (0, 7, 2**63 - 1, 12345678901234567):
            found = attended(cpu, graph, heads, dropout, seed)
            torch.testing.assert_close(found, attended(reference, graph, heads, dropout, seed))
            assert dropout < 1.0 or not found[0].any()


def test_another_seed_drops_others():
    first, second = (attended(cpu, DUPLICATES, 4, 0.5, seed)[0] for seed in (1, 2))
    assert not torch.equal(first, second)


def test_every_duplicate_is_dropped_by_itself():
    edges = torch.tensor([[0] * 64, [1] * 64])
    graph = gattn.from_edge_index(edges, 2)
    # Equal pairs have equal weights: the output counts those that were kept.
    kept = attended(cpu, graph, 8, 0.5, 3)[0] / draw(2, 8, 3, seed=2)[0] * 32
    assert torch.equal(kept[1, :, 0].round(), kept[1, :, 1].round())
    assert len(kept[1, :, 0].round().unique()) > 1
    assert (kept[1] > 8).all() and (kept[1] < 56).all()


def test_the_order_of_the_edges_does_not_matter_to_the_dropout():
    edges = DUPLICATES.edge_index()
    order = torch.randperm(edges.shape[1], generator=torch.Generator().manual_seed(1))
    other = gattn.from_edge_index(edges[:, order], 8)
    found, expected = (attended(cpu, graph, 3, 0.5, 7) for graph in (other, DUPLICATES))
    torch.testing.assert_close(found, expected)


def test_a_manual_seed_repeats_the_dropout_on_every_backend():
    leaves = [draw(8, 3, 4, seed=s) for s in range(3)]
    results = []
    for backend in ("cpu", "cpu", "reference"):
        torch.manual_seed(5)
        results.append(gattn.attend(*leaves, DUPLICATES, dropout=0.5, backend=backend))
    assert torch.equal(results[0], results[1])
    torch.testing.assert_close(results[0], results[2])
    again = gattn.attend(*leaves, DUPLICATES, dropout=0.5, backend="cpu")
    assert not torch.equal(results[0], again)


@pytest.mark.parametrize("graph", ["hub", "duplicates"])
def test_the_halves_drop_the_same(graph):
    (case,) = [
        case
        for case in testing.cases()
        if case.name == f"Multiplicative, all options, Softmax(), {graph}"
    ]
    for seed in (1, 2**40):
        problem = replace(case.build(case.leaves), seed=torch.tensor(seed))
        for found, expected in zip(cpu.halves(problem), cpu.forward(problem), strict=True):
            torch.testing.assert_close(found, expected)
