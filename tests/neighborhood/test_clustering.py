"""Clusters that are given, and two ways to find some."""

import pickle

import networkx as nx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric import EdgeIndex

import gattn

KARATE = torch.tensor(list(nx.karate_club_graph().edges)).t()


@st.composite
def labelled(draw):
    """A cluster and a graph for each node: any numbers, in any order."""
    count = draw(st.integers(0, 12))
    numbers = st.integers(-(2**40), 2**40) | st.integers(-2, 2)
    sides = st.lists(numbers, min_size=count, max_size=count)
    return tuple(torch.tensor(draw(sides), dtype=torch.int64) for _ in range(2))


def pairs(neighborhood):
    stored = neighborhood if isinstance(neighborhood, gattn.Sparse) else neighborhood.expand()
    return [tuple(pair) for pair in stored.edge_index().t().tolist()]


@settings(max_examples=100, deadline=None)
@given(labelled(), st.booleans())
def test_members_and_what_they_look_at(sides, several):
    assignment, graph = sides
    made = gattn.clusters(assignment, graph if several else None)
    of_graph = graph.tolist() if several else [0] * len(graph)
    names = list(zip(of_graph, assignment.tolist(), strict=True))
    kinds = sorted(set(names))
    assert made.num_clusters == len(kinds)
    assert pairs(made.pool) == [(node, kinds.index(name)) for node, name in enumerate(names)]
    assert pairs(made.look) == [
        (number, node)
        for node, own in enumerate(of_graph)
        for number, (owner, _) in enumerate(kinds)
        if owner == own
    ]
    assert made.look.kind == ("full" if len(set(of_graph)) < 2 else "packed")


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32])
def test_any_integers_will_do(dtype):
    made = gattn.clusters(torch.tensor([3, 1, 3], dtype=dtype), torch.tensor([9, 9, 9]))
    assert pairs(made.pool) == [(0, 1), (1, 0), (2, 1)]


def test_clusters_move_and_pickle():
    made = gattn.clusters(torch.tensor([0, 1, 1]), torch.tensor([0, 0, 1]))
    moved = made.to("meta")
    assert moved.device.type == moved.look.device.type == "meta" and moved.num_clusters == 3
    assert made.to("cpu").device.type == "cpu"
    again = pickle.loads(pickle.dumps(made))
    assert pairs(again.pool) == pairs(made.pool) and pairs(again.look) == pairs(made.look)
    assert repr(made).startswith("Clusters(pool=Sparse(targets=3, sources=3")
    with pytest.raises(TypeError, match=r"device: found torch\.float16"):
        made.to(torch.float16)


def test_clusters_by_hand():
    pool = gattn.from_edge_index(torch.tensor([[0, 1], [0, 1]]), (4, 2))
    look = gattn.from_edge_index(torch.tensor([[1], [2]]), (2, 5))
    made = gattn.Clusters(pool, look)
    assert (made.num_clusters, made.pool.num_sources, made.look.num_targets) == (2, 4, 5)


ONES = torch.ones(3, dtype=torch.int64)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: gattn.clusters(ONES.float()), TypeError, "assignment: found dtype torch.float32"),
        (lambda: gattn.clusters(ONES.bool()), TypeError, "assignment: found dtype torch.bool"),
        (lambda: gattn.clusters([0, 1]), TypeError, "assignment: found list, expected a torch"),
        (
            lambda: gattn.clusters(ONES[None]),
            ValueError,
            r"assignment: found shape \[1, 3\], expected \[N\]",
        ),
        (lambda: gattn.clusters(ONES, ONES.float()), TypeError, "graph: found dtype torch.float32"),
        (lambda: gattn.clusters(ONES, ONES[:2]), ValueError, r"graph: found shape \[2\], expected"),
        (
            lambda: gattn.clusters(ONES, ONES.to("meta")),
            ValueError,
            "graph: found device meta, expected cpu, that of assignment",
        ),
        (
            lambda: gattn.Clusters(ONES, gattn.full(3)),
            TypeError,
            "pool: found Tensor, expected a neighbourhood",
        ),
        (
            lambda: gattn.Clusters(gattn.k_hop(ONES[None].expand(2, -1), 1, 3), ONES),
            TypeError,
            "look: found Tensor, expected a neighbourhood",
        ),
        (
            lambda: gattn.Clusters(gattn.clusters(ONES).pool, gattn.full(3)),
            ValueError,
            "look: found 3 clusters to look at, expected 1, as pooled",
        ),
        (
            lambda: gattn.communities(KARATE, 20),
            IndexError,
            r"edge_index\[0\]: found the index 32, expected 0 <= index < num_nodes = 20",
        ),
        (
            lambda: gattn.components(KARATE.float()),
            TypeError,
            "edge_index: found dtype torch.float32",
        ),
        (
            lambda: gattn.components(torch.tensor([[0], [-1]])),
            IndexError,
            r"edge_index\[1\]: found the index -1",
        ),
        (
            lambda: gattn.communities(KARATE, (34, 34)),
            TypeError,
            r"num_nodes: found \(34, 34\), expected an int",
        ),
        (lambda: gattn.communities(KARATE[0]), ValueError, r"edge_index: found shape \[78\]"),
    ],
)
def test_errors_name_what_is_wrong(make, error, message):
    with pytest.raises(error, match=message) as raised:
        make()
    assert "\n" not in str(raised.value)


def test_communities_are_those_of_networkx():
    found = gattn.communities(KARATE)
    assert found.shape == (34,) and found.dtype == torch.int64
    groups = [set((found == number).nonzero()[:, 0].tolist()) for number in found.unique()]
    graph = nx.Graph(KARATE.t().tolist())
    assert nx.community.is_partition(graph, groups)
    assert nx.community.modularity(graph, groups) > 0.4
    finer = gattn.communities(KARATE, resolution=3.0)
    assert finer.max() > found.max()


@pytest.mark.parametrize("seed", range(5))
def test_communities_do_not_depend_on_how_the_edges_are_written(seed):
    expected = gattn.communities(KARATE, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    flip = torch.rand(78, generator=generator) < 0.5
    mixed = torch.where(flip, KARATE.flip(0), KARATE)[:, torch.randperm(78, generator=generator)]
    loops = torch.arange(0, 34, 3).repeat(2, 1)
    for written in (KARATE.flip(0), mixed, torch.cat([KARATE, KARATE.flip(0), mixed, loops], 1)):
        assert torch.equal(gattn.communities(written, seed=seed), expected)


def test_nodes_without_edges_are_clusters_of_their_own():
    edges = torch.tensor([[0, 1, 4], [1, 0, 4]])
    for find in (gattn.communities, gattn.components):
        found = find(edges, 6)
        assert found[0] == found[1] and len(found.unique()) == 5
        none = torch.empty(2, 0, dtype=torch.int64)
        assert len(find(none, 3).unique()) == 3 and find(none).shape == (0,)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 9), st.data())
def test_components_are_those_of_networkx(count, data):
    node = st.integers(0, count - 1)
    edges = data.draw(st.lists(st.tuples(node, node), max_size=12))
    found = gattn.components(torch.tensor(edges, dtype=torch.int64).reshape(-1, 2).t(), count)
    graph = nx.Graph(edges)
    graph.add_nodes_from(range(count))
    groups = {frozenset((found == n).nonzero()[:, 0].tolist()) for n in found.unique()}
    assert groups == set(map(frozenset, nx.connected_components(graph)))


def test_many_duplicates_are_one_edge():
    assert gattn.components(torch.tensor([[0] * 256, [1] * 256])).tolist() == [0, 0]


def test_edges_as_pyg_has_them():
    edges = EdgeIndex(KARATE.contiguous(), sparse_size=(34, 34))
    for find in (gattn.communities, gattn.components):
        assert torch.equal(find(edges), find(KARATE))
        assert torch.equal(find(KARATE.int()), find(KARATE))


def test_clusters_join_into_a_batch():
    first, second = torch.tensor([0, 0, 1]), torch.tensor([5, 3, 3, 5])
    joined = gattn.batch([gattn.clusters(first), gattn.clusters(second)])
    graph = torch.tensor([0] * 3 + [1] * 4)
    whole = gattn.clusters(torch.cat([first, second]), graph)
    assert torch.equal(joined.pool.edge_index(), whole.pool.edge_index())
    for bound in ("start", "stop"):
        assert torch.equal(getattr(joined.look, bound), getattr(whole.look, bound))
    with pytest.raises(TypeError, match="found Clusters, Span, expected all of one kind"):
        gattn.batch([gattn.clusters(first), gattn.full(3)])
