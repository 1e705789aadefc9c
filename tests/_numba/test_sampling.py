"""The passes of a sampler: picks, and the edges among nodes."""

import numpy as np
import pytest
import torch

from gattn._numba import sampling
from gattn._numba.places import Places
from gattn._numba.sampling import Columns, ascends, inside, pick


def random_rows(num_nodes, num_edges, seed=0):
    rng = np.random.default_rng(seed)
    target = np.sort(rng.integers(0, num_nodes, num_edges))
    rowptr = np.searchsorted(target, np.arange(num_nodes + 1)).astype(np.int64)
    return rowptr, rng.integers(0, num_nodes, num_edges).astype(np.int32)


class Picked:
    """What one call picks."""

    def __init__(self, *args):
        columns = Columns()
        self.codes = pick(*args, columns)
        self.source, self.target, self.edge = columns.all
        assert self.codes.size == 0 or np.shares_memory(self.codes, self.source)


@pytest.mark.parametrize("count", [-1, 0, 1, 3, 40, 10**9])
@pytest.mark.parametrize("replace", [False, True])
def test_picks_are_edges_of_their_targets_and_as_many_as_wanted(count, replace):
    if replace and count > 1000:
        return  # that many are wanted of each
    rows = random_rows(60, 900)
    nodes = np.array([4, 7, 4, 59, 0, 33])
    found = Picked(Places(nodes, 60), 1, 5, rows, count, replace, 3, 0)
    degree = np.diff(rows[0])
    for place in range(1, 5):
        node, edges = nodes[place], found.edge[found.target == place]
        assert ((rows[0][node] <= edges) & (edges < rows[0][node + 1])).all()
        wanted = degree[node] if count < 0 else count if replace else min(count, degree[node])
        assert len(edges) == wanted
        assert replace or len(set(edges.tolist())) == len(edges)
    assert np.array_equal(found.source, rows[1][found.edge])
    assert set(found.target.tolist()) <= {1, 2, 3, 4} and (np.diff(found.target) >= 0).all()


def test_columns_keep_what_they_have():
    columns = Columns()
    for size in (2, 0, 5):
        columns.grown(size)[:] = size
    assert columns.all.tolist() == [[2, 2, 5, 5, 5, 5, 5]] * 3


def test_sources_stay_in_the_subgraph_of_their_target():
    rows = random_rows(20, 200)
    codes = np.array([5 | 7 << 32, 5 | 8 << 32])
    found = Picked(Places(codes, None), 0, 2, rows, -1, False, 0, 0)
    assert np.array_equal(found.source >> 32, np.array([7, 8])[found.target])
    assert np.array_equal(found.source & 0xFFFFFFFF, rows[1][found.edge])


@pytest.mark.parametrize("replace", [False, True])
@pytest.mark.parametrize("count", [4, 50])
def test_the_same_bits_for_any_number_of_threads(count, replace, monkeypatch):
    monkeypatch.setattr(sampling, "_SERIAL", 0)
    rows, nodes, before = random_rows(300, 20_000), np.arange(300), torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2, 3, 8):
            torch.set_num_threads(threads)
            places = Places(nodes, 300)
            some = Picked(places, 0, 300, rows, count, replace, 2**64 - 1, 17)
            places.insert(some.source)
            parts = some.source, some.target, some.edge
            found.append((*parts, *inside(places, places, rows)))
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(found[0], other, strict=True))


def test_a_counter_and_a_key_change_the_picks():
    rows, places = random_rows(300, 20_000), Places(np.arange(300), 300)
    picks = [
        Picked(places, 0, 300, rows, 5, False, *some).edge for some in ((1, 0), (1, 1), (2, 0))
    ]
    assert not any(np.array_equal(picks[i], picks[j]) for i, j in ((0, 1), (0, 2), (1, 2)))


@pytest.mark.parametrize("num_nodes", [None, 30])
def test_inside_is_every_edge_between_two_nodes(num_nodes):
    rows = random_rows(30, 400)
    nodes = np.array([3, 8, 3, 20, 21, 0])
    found = set(
        zip(*(part.tolist() for part in inside(*[Places(nodes, num_nodes)] * 2, rows)), strict=True)
    )
    first = {3: 0, 8: 1, 20: 3, 21: 4, 0: 5}
    expected = {
        (first[rows[1][e]], place, e)
        for place, node in enumerate(nodes.tolist())
        for e in range(rows[0][node], rows[0][node + 1])
        if rows[1][e] in first
    }
    assert found == expected


def test_nothing_to_pick_from():
    rows = np.zeros(1, np.int64), np.zeros(0, np.int32)
    places = Places(np.zeros(0, np.int64), 0)
    assert len(Picked(places, 0, 0, rows, 3, False, 0, 0).edge) == 0
    assert [len(part) for part in inside(places, places, rows)] == [0, 0, 0]


@pytest.mark.parametrize(
    ("numbers", "expected"), [([], True), ([4], True), ([1, 1, 3], True), ([1, 3, 2], False)]
)
def test_ascends(numbers, expected):
    assert ascends(np.array(numbers, np.int64)) is expected
