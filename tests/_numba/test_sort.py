"""Counting against torch's stable sort, for any number of threads."""

import numpy as np
import pytest
import torch

from gattn._numba import sort
from gattn.neighborhood import _compress


@pytest.fixture(params=[1, 2, 3, 8])
def threads(request, monkeypatch):
    monkeypatch.setattr(sort, "_SERIAL", 0)
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def random_edges(count, sources, targets, seed=0):
    draw = np.random.default_rng(seed)
    return draw.integers(0, sources, count), draw.integers(0, targets, count)


def rows_of(source, target, sizes, loops=None, per_pair=True):
    found = sort.compressed_rows(source, target, sizes, loops, per_pair)
    assert found is not None
    return found


SHAPES = [(0, 3, 4), (1, 1, 1), (40, 5, 7), (500, 30, 2), (500, 2, 30), (3000, 900, 900)]


@pytest.mark.parametrize(("count", "sources", "targets"), SHAPES)
@pytest.mark.parametrize("loops", [None, 0, 1, 1000])
def test_rows_are_those_of_a_stable_sort(count, sources, targets, loops, threads, monkeypatch):
    source, target = random_edges(count, sources, targets)
    loops = None if loops is None else min(loops, sources, targets)
    found = rows_of(source, target, (sources, targets), loops)
    monkeypatch.setattr(_compress, "_counts", lambda tensor: False)
    expected = _compress.compressed_rows(
        torch.from_numpy(source), torch.from_numpy(target), (sources, targets), loops, True
    )
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.equal(torch.from_numpy(ours), theirs)
        assert torch.from_numpy(ours).dtype == theirs.dtype


@pytest.mark.parametrize(("count", "sources", "targets"), SHAPES)
def test_columns_are_those_of_a_stable_sort(count, sources, targets, threads, monkeypatch):
    rowptr, col, _, _ = rows_of(*random_edges(count, sources, targets), (sources, targets))
    found = sort.compressed_columns(rowptr, col, sources)
    monkeypatch.setattr(_compress, "_counts", lambda tensor: False)
    expected = _compress.compressed_columns(
        torch.from_numpy(rowptr), torch.from_numpy(col), sources
    )
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.equal(torch.from_numpy(ours), theirs)


def test_a_hub_is_one_range(threads):
    source, target = np.arange(1000), np.full(1000, 3)
    rowptr, col, perm, _ = rows_of(source, target, (1000, 6))
    assert rowptr.tolist() == [0, 0, 0, 0, 1000, 1000, 1000]
    assert np.array_equal(col, source) and np.array_equal(perm, source)


@pytest.mark.parametrize("ends", [(-1, 0), (0, -1), (5, 0), (0, 7), (2**40, 0), (0, -(2**40))])
def test_an_edge_out_of_range_is_refused(ends):
    source, target = (np.array([0, end, 1]) for end in ends)
    assert sort.compressed_rows(source, target, (5, 7)) is None


def test_the_order_of_the_edges_and_hops_only_where_they_are_wanted():
    edges = random_edges(40, 7, 7)
    rowptr, col, perm, hop = rows_of(*edges, (7, 7))
    assert set(hop.tolist()) == {0, 1} and len(hop) == len(perm) == len(col)
    without = rows_of(*edges, (7, 7), per_pair=False)
    assert np.array_equal(without[0], rowptr) and np.array_equal(without[1], col)
    assert without[2].size == without[3].size == 0
