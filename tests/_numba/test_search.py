"""Searches, compiled and by matrices: the same pairs, whatever the order that is asked for."""

import contextlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gattn._numba import search as module
from gattn._numba.order import positions
from gattn._numba.search import Search
from gattn._numba.sort import column_starts, compressed_columns, compressed_rows
from gattn.neighborhood._boolean import BooleanSearch


@contextlib.contextmanager
def together(switch):
    """Search around many nodes at once always, or never."""
    before = module._WIDE, module._MANY
    module._WIDE, module._MANY = (-1, 1) if switch else (2, 1)
    try:
        yield
    finally:
        module._WIDE, module._MANY = before


def graph_of(source, target, count):
    found = compressed_rows(source, target, (count, count), None, False)
    assert found is not None
    return found[:2]


@st.composite
def searches(draw):
    """A graph, which distances are kept, and whether those out of reach are."""
    count = draw(st.integers(1, 90))
    seed = draw(st.integers(0, 10_000))
    edges = torch.randint(
        0, count, (2, draw(st.integers(0, 200))), generator=torch.Generator().manual_seed(seed)
    )
    source, target = edges.numpy()
    rowptr, col = graph_of(source, target, count)
    kept = np.array(draw(st.lists(st.booleans(), min_size=1, max_size=5)))
    return rowptr, col, kept, draw(st.booleans())


def room(search, count):
    """Pointers of the pairs, and room for them."""
    counts = search.count(np.arange(count))
    starts = np.concatenate([[0], counts.cumsum()])
    return starts, np.empty(starts[-1], np.int32), np.empty(starts[-1], np.uint8)


def written(search, count):
    starts, col, hop = room(search, count)
    rings = np.zeros((count, len(search.graph[2]) + 1), np.int64)
    search.fill(0, starts, col, hop, rings)
    assert (rings == search.count(np.arange(count), by_hop=True)).all()
    assert (rings.sum(1) == np.diff(starts)).all()
    return starts, col, hop


@settings(max_examples=150, deadline=None)
@given(searches(), st.booleans())
def test_both_kinds_find_the_same(graph, at_once):
    count = len(graph[0]) - 1
    slow, rows = BooleanSearch(*graph), np.arange(count)
    counts = slow.count(rows, by_hop=True)
    fast = Search(*graph)
    with together(at_once):
        assert (fast.count(rows, by_hop=True) == counts).all()
        assert (fast.count(rows) == counts.sum(1)).all()
    with together(at_once):
        starts, col, hop = written(fast, count)
    expected = np.empty_like(col), np.empty_like(hop)
    rings = np.zeros((count, counts.shape[1]), np.int64)
    slow.fill(0, starts, *expected, rings)
    assert (col == expected[0]).all() and (hop == expected[1]).all() and (rings == counts).all()


@settings(max_examples=60, deadline=None)
@given(searches())
def test_both_orders_of_a_row_at_once(graph):
    count, search = len(graph[0]) - 1, Search(*graph)
    starts, col, hop = room(search, count)
    row, far = np.empty_like(col), np.empty_like(hop)
    search.fill_both(starts, col, hop, row, far)
    _, expected, distance = written(search, count)
    assert (col == expected).all() and (hop == distance).all()
    by_number = np.lexsort((col, np.repeat(np.arange(count), np.diff(starts))))
    assert (row == col[by_number]).all() and (far == hop[by_number]).all()


@settings(max_examples=60, deadline=None)
@given(searches())
def test_searches_against_the_edges_are_the_transpose(graph):
    rowptr, edges, kept, unreached = graph
    count = len(rowptr) - 1
    starts, col, hop = written(Search(*graph), count)
    back = compressed_columns(rowptr, edges, count)
    columns = column_starts(col, count)
    row, distance = np.empty_like(col), np.empty_like(hop)
    Search(*back[:2], kept, unreached).fill_by_node(columns, row, distance)
    expected = compressed_columns(starts, col, count)
    assert (columns == expected[0]).all() and (row == expected[1]).all()
    shells = np.unique(hop).tolist()
    found = positions(starts, hop, row, distance, shells)
    assert (found == expected[2]).all()


def test_a_row_may_be_asked_for_twice_and_scratch_is_left_clean():
    ring = np.arange(4), np.roll(np.arange(4), 1)
    rowptr, col = graph_of(*map(np.int64, ring), 4)
    search = Search(rowptr, col, np.ones(3, bool), False)
    assert search.count(np.array([2, 2, 0])).tolist() == [3, 3, 3]
    seen, _, (words, summary) = search._scratch()
    assert not seen.any() and not words.any() and not summary.any()


@pytest.mark.parametrize("count", [1, 63, 64, 65, 4095, 4096, 4097, 10_000])
def test_sets_of_bits_at_the_borders_of_words(count):
    rowptr = np.zeros(count + 1, np.int64)
    search = Search(rowptr, np.empty(0, np.int32), np.ones(1, bool), True)
    starts = np.array([0, count], np.int64)
    col, hop = np.empty(count, np.int32), np.empty(count, np.uint8)
    search.fill_by_node(starts, col, hop)
    assert (col == np.arange(count)).all()
    assert hop.tolist() == [0] + [1] * (count - 1)


@pytest.mark.parametrize("at_once", [True, False])
def test_threads_do_not_matter(at_once):
    rng = np.random.default_rng(0)
    source, target = rng.integers(0, 3000, (2, 20_000))
    rowptr, col = graph_of(source, target, 3000)
    found = []
    before = torch.get_num_threads()
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            search = Search(rowptr, col, np.ones(4, bool), False)
            with together(at_once):
                found.append(written(search, 3000))
    finally:
        torch.set_num_threads(before)
    assert all((one == other).all() for one, other in zip(*found, strict=True))
