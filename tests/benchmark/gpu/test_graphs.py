"""Graphs made on the device have the sizes and degrees that were asked for, and follow the seed."""

from functools import partial

import pytest
import torch

from gattn.benchmark.gpu.graphs import hub, molecules, power_law, regular

MAKERS = {
    "power law": (partial(power_law, 2_000, 30_000, 600), 2_000, 30_000),
    "hub": (partial(hub, 1_000, 6_000), 1_000, 6_000),
    "regular": (partial(regular, 500, 6), 500, 3_000),
    "molecules": (partial(molecules, 64), None, None),
}


def made(name, seed=0, device="cpu"):
    return MAKERS[name][0](seed, device)


def into(graph):
    return graph.edge_index[1].bincount(minlength=graph.num_nodes)


@pytest.mark.parametrize("name", MAKERS)
def test_sizes_order_and_both_directions(name):
    graph, (_, nodes, edges) = made(name), MAKERS[name]
    source, target = graph.edge_index
    place, back = source * graph.num_nodes + target, target * graph.num_nodes + source
    assert nodes in (None, graph.num_nodes)
    assert edges in (None, graph.edge_index.shape[1])
    assert bool((place.diff() >= 0).all())
    assert torch.equal(back.sort().values, place)
    assert bool((source != target).all())
    assert int(graph.edge_index.min()) >= 0
    assert int(graph.edge_index.max()) < graph.num_nodes


@pytest.mark.parametrize("name", MAKERS)
def test_the_seed_decides(name):
    edges = [made(name, seed).edge_index for seed in (1, 1, 2)]
    assert torch.equal(edges[0], edges[1])
    assert edges[0].shape != edges[2].shape or not torch.equal(edges[0], edges[2])


def test_a_power_law_has_its_largest_degree():
    largest = [int(into(made("power law", seed)).max()) for seed in range(5)]
    assert sum(largest) / 5 == pytest.approx(600, rel=0.08)


def test_a_power_law_follows_the_law():
    degrees = into(made("power law")).double().sort(descending=True).values
    power = float(torch.tensor(30_000 / 600.0).log() / torch.tensor(2_000.0).log())
    assert float(degrees[:200].sum() / 30_000) == pytest.approx(0.1**power, rel=0.05)


def test_a_hub_has_a_third_of_all_pairs():
    graph = made("hub")
    touched = (graph.edge_index == 500).any(0)
    assert int(touched.sum()) == pytest.approx(2_000, rel=0.02)
    assert int(into(graph).max()) >= 999
    assert int(into(graph).min()) >= 1


def test_regular_means_regular():
    assert into(made("regular")).unique().tolist() == [6]


def test_molecules_are_apart_and_connected():
    graph = made("molecules")
    assert graph.num_nodes == pytest.approx(64 * 25, abs=5)
    assert graph.edge_index.shape[1] / graph.num_nodes == pytest.approx(2.2, abs=0.05)
    assert into(graph).max() <= 8
    label = torch.arange(graph.num_nodes)
    for _ in range(40):
        label = label.scatter_reduce(0, graph.edge_index[1], label[graph.edge_index[0]], "amin")
    assert len(label.unique()) == 64


@pytest.mark.gpu
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("name", MAKERS)
def test_a_device_makes_them_too(name):
    graph, (_, nodes, edges) = made(name, device="cuda"), MAKERS[name]
    assert graph.edge_index.is_cuda
    assert nodes in (None, graph.num_nodes)
    assert edges in (None, graph.edge_index.shape[1])
