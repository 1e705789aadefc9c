"""Places against a dictionary."""

import numpy as np
import pytest

from gattn._numba.places import NODE, Places


def expected(seeds, *steps):
    """The order of arrival and the places of each step, by a dictionary."""
    order, where, found = list(seeds), {}, []
    for i, code in enumerate(seeds):
        where.setdefault(code, i)
    for step in steps:
        for code in step:
            if code not in where:
                where[code] = len(order)
                order.append(code)
        found.append([where[code] for code in step])
    return order, found


def inserted(places, codes):
    """The places that codes are given."""
    codes = codes.copy()
    places.insert(codes)
    return codes.tolist()


@pytest.mark.parametrize("num_nodes", [None, 1000, 2**31 - 1])
@pytest.mark.parametrize("sizes", [(0, 0, 1), (3, 2, 5, 8), (20, 3000, 1, 5000), (1000, 10, 10)])
def test_arrivals_and_places(num_nodes, sizes):
    rng = np.random.default_rng(len(sizes))
    steps = [rng.integers(0, 1000, size) for size in sizes]
    order, found = expected(*(step.tolist() for step in steps))
    places = Places(steps[0].copy(), num_nodes)
    for step, there in zip(steps[1:], found, strict=True):
        assert inserted(places, step) == there
    assert places.codes.tolist() == order and places.size == len(order)


def test_codes_of_subgraphs_and_nodes_next_to_the_largest():
    rng = np.random.default_rng(0)
    largest = 2**31 - 2
    codes = (rng.integers(0, 40, 4000) << 32) | (largest - rng.integers(0, 5, 4000))
    places = Places(codes[:7].copy(), None)
    order, (found,) = expected(codes[:7].tolist(), codes[7:].tolist())
    assert inserted(places, codes[7:]) == found
    assert places.codes.tolist() == order
    assert (places.codes & NODE).max() == largest


def test_the_table_is_the_graph_itself_once_it_is_as_large():
    places = Places(np.arange(3), 50)
    assert len(places.table[0]) == 16 and not places.table[2]
    places.insert(np.arange(50))
    assert len(places.table[0]) == 50 and places.table[2]
    assert inserted(places, np.arange(50)) == list(range(50))


def test_memory_grows_with_the_batch_and_not_with_the_graph():
    places = Places(np.array([2**31 - 2]), 2**31 - 1)
    places.insert(np.arange(100))
    assert len(places.table[0]) < 1000


@pytest.mark.parametrize("num_nodes", [None, 0, 5, 1000])
def test_nodes_are_looked_up_where_there_are_none(num_nodes):
    table, _, direct = Places(np.empty(0, np.int64), num_nodes).table
    assert len(table) == (16 if num_nodes in (None, 1000) else num_nodes) and not table.any()
    assert direct == (num_nodes in (0, 5))


def test_another_order():
    places = Places(np.array([5, 9, 5, 7]), None)
    places.insert(np.array([9, 11]))
    places.reorder(np.array([3, 4, 0, 1, 2]))
    assert places.codes.tolist() == [7, 11, 5, 9, 5]
    assert inserted(places, np.array([5, 11, 9, 8])) == [2, 1, 3, 5]


def test_more_nodes_than_can_be_counted_are_refused():
    places = Places(np.arange(3), None)
    places.size = 2**31 - 2
    with pytest.raises(ValueError, match=r"^num_neighbors: found 2,147,483,651 nodes"):
        places.insert(np.arange(5))
