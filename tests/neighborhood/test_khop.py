"""k_hop against networkx, and its budget."""

import networkx as nx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import gattn


@st.composite
def edge_lists(draw):
    """A number of nodes and directed edges: loops, duplicates, isolated nodes, none at all."""
    count = draw(st.integers(0, 9))
    node = st.integers(0, max(count - 1, 0))
    edges = draw(st.lists(st.tuples(node, node), max_size=25 if count else 0))
    return count, torch.tensor(edges, dtype=torch.int64).reshape(-1, 2).t()


def distances(edge_index, count):
    """{(source, target): hops} of all reachable pairs, by networkx."""
    graph = nx.DiGraph()
    graph.add_nodes_from(range(count))
    graph.add_edges_from(edge_index.t().tolist())
    lengths = dict(nx.all_pairs_shortest_path_length(graph))
    return {(u, v): hop for u, reached in lengths.items() for v, hop in reached.items()}


def pairs(neighborhood):
    """{(source, target): hop}, having checked that no pair occurs twice."""
    listed = [tuple(edge) for edge in neighborhood.edge_index().t().tolist()]
    assert len(listed) == len(set(listed))
    return dict(zip(listed, neighborhood.hop.tolist(), strict=True))


@settings(max_examples=150, deadline=None)
@given(edge_lists(), st.integers(0, 5))
def test_equals_shortest_paths(graph, num_hops):
    count, edges = graph
    expected = {pair: hop for pair, hop in distances(edges, count).items() if hop <= num_hops}
    assert pairs(gattn.k_hop(edges, num_hops, count)) == expected


@settings(max_examples=60, deadline=None)
@given(edge_lists(), st.integers(1, 4), st.sets(st.integers(0, 4)))
def test_shells_keep_the_distances_asked_for(graph, num_hops, shells):
    count, edges = graph
    shells = {shell for shell in shells if shell <= num_hops}
    expected = {pair: hop for pair, hop in distances(edges, count).items() if hop in shells}
    assert pairs(gattn.k_hop(edges, num_hops, count, shells=shells)) == expected


@settings(max_examples=60, deadline=None)
@given(edge_lists(), st.integers(0, 3))
def test_complete_adds_the_unreached(graph, num_hops):
    count, edges = graph
    found = pairs(gattn.k_hop(edges, num_hops, count, complete=True))
    hops = distances(edges, count)
    expected = {(u, v): hops.get((u, v), 99) for u in range(count) for v in range(count)}
    assert found == {pair: min(hop, num_hops + 1) for pair, hop in expected.items()}


@settings(max_examples=60, deadline=None)
@given(edge_lists(), st.integers(0, 4))
def test_rows_are_sorted_by_hop_then_source(graph, num_hops):
    count, edges = graph
    found = gattn.k_hop(edges, num_hops, count)
    keys = list(zip(found.rows().tolist(), found.hop.tolist(), found.col.tolist(), strict=True))
    assert keys == sorted(keys)


def test_blocks_of_rows_give_the_same(monkeypatch):
    edges = torch.randint(0, 40, (2, 120), generator=torch.Generator().manual_seed(3))
    whole = gattn.k_hop(edges, 3, 40)
    monkeypatch.setattr("gattn.neighborhood._boolean._BLOCK_ROWS", 7)
    parts = gattn.k_hop(edges, 3, 40)
    assert torch.equal(whole.col, parts.col) and torch.equal(whole.rowptr, parts.rowptr)
    assert torch.equal(whole.hop, parts.hop)


def test_budget_refuses_with_the_exact_count(monkeypatch):
    monkeypatch.setattr("gattn.neighborhood._boolean._BLOCK_ROWS", 5)
    ring = torch.stack([torch.arange(30), (torch.arange(30) + 1) % 30])
    with pytest.raises(ValueError, match=r"90 pairs .* max_pairs = 89; use fewer hops"):
        gattn.k_hop(ring, 2, 30, max_pairs=89, streamed=False)
    assert gattn.k_hop(ring, 2, 30, max_pairs=90).num_pairs == 90


def test_complete_is_refused_before_any_search():
    edges = torch.zeros(2, 1, dtype=torch.int64)
    with pytest.raises(ValueError, match="1,000,000,000,000 pairs"):
        gattn.k_hop(edges, 1, 10**6, complete=True)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"num_hops": -1}, ValueError, r"num_hops: found -1, expected an int in \[0, 254\]"),
        ({"num_hops": 255}, ValueError, "num_hops: found 255"),
        ({"num_hops": 1.5}, TypeError, "num_hops: found 1.5"),
        ({"num_hops": True}, TypeError, "num_hops: found True"),
        ({"shells": [3]}, ValueError, r"shells: found 3, expected an int in \[0, 2\]"),
        ({"num_nodes": 2}, IndexError, r"edge_index\[0\]: found the index 2, expected 0 <= index"),
        ({"edge_index": torch.rand(2, 3)}, TypeError, "edge_index: found dtype torch.float32"),
        (
            {"edge_index": torch.zeros(3, 2, dtype=torch.int64)},
            ValueError,
            "edge_index: found shape",
        ),
        ({"edge_index": [[0], [1]]}, TypeError, "edge_index: found list"),
    ],
)
def test_bad_input_is_named(change, error, message):
    edges = torch.tensor([[0, 1, 2], [1, 2, 0]])
    with pytest.raises(error, match=message):
        gattn.k_hop(**({"edge_index": edges, "num_hops": 2, "num_nodes": 3} | change))


def test_many_paths_of_one_length_do_not_cancel():
    middle = torch.arange(2, 258)  # 256 paths: a sum of them in eight bits would be zero
    there = torch.stack([torch.zeros_like(middle), middle])
    back = torch.stack([middle, torch.ones_like(middle)])
    found = gattn.k_hop(torch.cat([there, back], dim=1), 2, 258, shells=[2])
    assert found.edge_index().t().tolist() == [[0, 1]]
