"""Graphs and sequences are what their names say, follow the seed, and cost little to make."""

import tracemalloc

import pytest
import torch

from gattn.benchmark import graphs
from gattn.benchmark.graphs import compressed_power_law, power_law, ring, sequences, star


def is_sorted(edge_index, num_nodes):
    order = edge_index[0] * num_nodes + edge_index[1]
    return bool((order.diff() >= 0).all())


@pytest.mark.parametrize("block", [1 << 22, 64])
@pytest.mark.parametrize(("num_nodes", "num_edges", "skew"), [(50, 700, 0.5), (2, 9, 0.0)])
def test_a_power_law_has_its_sizes(monkeypatch, block, num_nodes, num_edges, skew):
    monkeypatch.setattr(graphs, "BLOCK", block)
    graph = power_law(num_nodes, num_edges, skew, seed=3)
    source, target = graph.edge_index
    assert graph.num_nodes == num_nodes
    assert graph.edge_index.shape == (2, num_edges)
    assert graph.edge_index.dtype == torch.int64
    assert int(graph.edge_index.min()) >= 0
    assert int(graph.edge_index.max()) < num_nodes
    assert bool((source != target).all())
    assert is_sorted(graph.edge_index, num_nodes)


def test_the_seed_decides():
    edges = [power_law(100, 500, 0.5, seed).edge_index for seed in (1, 1, 2)]
    assert torch.equal(edges[0], edges[1])
    assert not torch.equal(edges[0], edges[2])


def test_degrees_fall_with_the_rank_both_ways():
    graph = power_law(1000, 200_000, 0.5, seed=0)
    into, out = (graph.edge_index[side].bincount(minlength=1000).double() for side in (1, 0))
    for degrees in (into, out):
        ordered = degrees.sort(descending=True).values
        # By N u^-1/2 the first quarter of the nodes has half of the edges.
        assert float(ordered[:250].sum() / ordered.sum()) == pytest.approx(0.5, abs=0.02)
    assert float(torch.corrcoef(torch.stack([into, out]))[0, 1]) > 0.9
    # Hubs are not the first nodes.
    assert float(into[:250].sum() / into.sum()) < 0.4


def test_no_skew_is_no_hub():
    degrees = power_law(100, 100_000, 0.0, seed=0).edge_index[1].bincount()
    assert int(degrees.max()) < 1.5 * int(degrees.min())


def test_blocks_bound_what_is_needed_beside_the_edges(monkeypatch):
    monkeypatch.setattr(graphs, "BLOCK", 1 << 12)
    tracemalloc.start()
    edges = power_law(1000, 400_000, 0.3, seed=0).edge_index
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1.3 * edges.numel() * edges.element_size()


def test_a_star():
    graph = star(5)
    into, out = (graph.edge_index[side].bincount().tolist() for side in (1, 0))
    assert into == out == [5, 1, 1, 1, 1, 1]
    assert is_sorted(graph.edge_index, graph.num_nodes)


def test_sequences_have_the_same_lengths_in_another_order():
    spans = [sequences(5, 3, 15, seed) for seed in (0, 0, 1)]
    lengths = [span.start.unique(return_counts=True)[1].tolist() for span in spans]
    assert [sorted(found) for found in lengths] == [[3, 6, 9, 12, 15]] * 3
    assert lengths[0] == lengths[1] != lengths[2]
    assert {(span.kind, span.num_rows, span.num_pairs) for span in spans} == {("packed", 45, 495)}


def test_a_ring():
    graph = ring(6, 12)
    into, out = (graph.edge_index[side].bincount().tolist() for side in (1, 0))
    assert into == out == [2] * 6
    assert ring(6, 10).edge_index.shape == (2, 10)
    assert {tuple(edge) for edge in graph.edge_index.T.tolist()} == {
        (i, (i + step) % 6) for i in range(6) for step in (-1, 1)
    }


def test_a_compressed_power_law():
    rowptr, col = compressed_power_law(300, 5000, 0.5, 0)
    assert (rowptr.dtype, col.dtype) == (torch.int64, torch.int32)
    assert rowptr[0] == 0 and rowptr[-1] == len(col) == 5000 and (rowptr.diff() >= 0).all()
    into, out = rowptr.diff().double(), col.bincount(minlength=300).double()
    assert into.max() > 3 * into.mean() and out.max() > 3 * out.mean()
    assert torch.corrcoef(torch.stack([into, out]))[0, 1] > 0.5, "a hub is a hub both ways"
    again, other = (compressed_power_law(300, 5000, 0.5, seed)[1] for seed in (0, 1))
    assert torch.equal(col, again) and not torch.equal(col, other)
