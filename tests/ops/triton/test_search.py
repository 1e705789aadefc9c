"""Pairs found by sets of bits: the same as by the searches of the CPU, bit for bit."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import gattn

pytest.importorskip("triton")

from gattn.neighborhood._compress import compressed_columns
from gattn.ops.triton import search
from tests.ops.triton.where import on_gpu

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


@pytest.fixture(autouse=True, scope="module")
def small_tiles():
    """Of several steps in tiny graphs; an interpreter takes its time for each number."""
    with pytest.MonkeyPatch.context() as patch:
        if DEVICE.type == "cpu":
            patch.setattr(search, "_TILE", 4)
            patch.setattr(search, "_WORDS", 2)
        patch.setattr(search, "MOST_EDGES", 5)
        yield


def random(count, edges, seed=0):
    return torch.randint(0, count, (2, edges), generator=torch.Generator().manual_seed(seed))


def star(count):
    return torch.stack([torch.zeros(count - 1, dtype=torch.int64), torch.arange(1, count)])


GRAPHS = {
    "a hub that sees all": (star(40).flip(0), 40),
    "a hub that all see": (star(40), 40),
    "a hub both ways, many targets": (torch.cat([star(71), star(71).flip(0)], 1), 71),
    "directed": (random(33, 50), 33),
    "isolated nodes": (random(9, 12), 21),
    "loops and duplicates": (random(13, 20).repeat(1, 3) % torch.tensor([[13], [4]]), 13),
    "a path": (torch.stack([torch.arange(8), torch.arange(1, 9)]), 9),
    "no edges": (random(5, 0), 5),
    "one node": (random(1, 2), 1),
}
SEARCHES = {
    "ball": {"num_hops": 2},
    "far": {"num_hops": 6},
    "only itself": {"num_hops": 0},
    "shells": {"num_hops": 3, "shells": [1, 3]},
    "no shells": {"num_hops": 2, "shells": []},
    "complete": {"num_hops": 1, "complete": True},
    "unreached": {"num_hops": 2, "complete": True, "shells": [3]},
}


def assert_same(around, first, last, together=None):
    made = search.Search(around, DEVICE)
    made.together = together or made.together
    for found, expected in zip(made(first, last), around.pairs(first, last), strict=True):
        assert found.device.type == DEVICE.type and found.dtype == expected.dtype
        assert torch.equal(found.cpu(), expected)


@pytest.mark.parametrize("asked", SEARCHES.values(), ids=SEARCHES)
@pytest.mark.parametrize(("edges", "count"), GRAPHS.values(), ids=GRAPHS)
def test_pairs_are_those_of_the_cpu(edges, count, asked):
    around = gattn.k_hop(edges, num_nodes=count, streamed=True, **asked)
    assert_same(around, 0, count)
    assert_same(around.rings(), 0, count)


def test_words_go_to_several_programs():
    """Three of them to two, the last of which has one."""
    path = torch.stack([torch.arange(129), torch.arange(1, 130)])
    assert_same(gattn.k_hop(path, 1, 130, streamed=True), 0, 130)


@settings(max_examples=15, deadline=None)
@given(
    st.integers(1, 20),
    st.integers(0, 40),
    st.integers(0, 3),
    st.booleans(),
    st.integers(0, 999),
    st.integers(1, 9),
)
def test_blocks_and_batches_may_end_anywhere(count, edges, num_hops, complete, seed, together):
    around = gattn.k_hop(
        random(count, edges, seed), num_hops, count, complete=complete, streamed=True
    )
    first, last = count // 3, count - count // 4
    assert_same(around, first, last, together)
    assert_same(around.rings(), first, last, together)
    assert_same(around, last, last)


def test_the_edges_of_a_hub_are_cut():
    """About as many pieces as a piece has edges: neither step is long."""
    around = gattn.k_hop(star(901), 1, 901, streamed=True)
    edges = search.Edges.of(around.rowptr.to(DEVICE), around.col.to(DEVICE))
    length = edges.pieces.end - edges.pieces.begin
    assert length.max() == 31 and length.sum() == 900 and len(length) == 30
    assert (edges.nodes.end - edges.nodes.begin).max() == 30
    pieces = edges.col[int(edges.nodes.begin[0]) : int(edges.nodes.end[0])]
    assert torch.equal(pieces.cpu(), torch.arange(901, 931, dtype=torch.int32))


@pytest.mark.parametrize(("nodes", "expected"), [(0, 1 << 28), (1000, 268416), (1 << 22, 64)])
def test_what_is_read_out_at_once_is_bounded(nodes, expected):
    assert search.at_once(nodes) == expected
    assert search.at_once(1 << 25) == 8 and search.at_once(1 << 30) == 1


def test_the_transpose_is_that_of_the_cpu():
    stored = gattn.k_hop(random(30, 90), 2, 30).rings()
    found = search.columns(stored.rowptr.to(DEVICE), stored.col.to(DEVICE), 30)
    expected = compressed_columns(stored.rowptr, stored.col, 30)
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype and torch.equal(one.cpu(), other)


@on_gpu
@pytest.mark.parametrize(
    "edges", [random(5000, 20_000), torch.cat([random(5000, 9), star(5000)], 1)]
)
def test_large_graphs_are_the_same(edges):
    around = gattn.k_hop(edges, 4, 5000, streamed=True)
    assert_same(around, 0, 700)
    assert_same(around.rings(), 4900, 5000, together=64)
    assert_same(around, 4000, 4900, together=192)
