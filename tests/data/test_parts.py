import math

import networkx
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gattn.data.parts import (
    disjoint_copies,
    masks_among,
    masks_of,
    neighbors_of_regular,
    no_part_empty,
    one_hots,
    permutations,
    random_regular,
    shells,
)


def test_one_hot_codes_stand_side_by_side():
    x = one_hots((np.array([1, -1]), 2), (np.array([0, 2]), 3))
    assert x.tolist() == [[0, 1, 1, 0, 0], [0, 0, 0, 0, 1]]
    assert x.dtype == torch.float32


@given(size=st.integers(1, 7), number=st.integers(1, 200), seed=st.integers(0, 50))
def test_permutations_are_different_ones(size, number, seed):
    found = permutations(size, number, np.random.default_rng(seed))
    assert len(set(map(tuple, found.tolist()))) == len(found)
    assert len(found) == min(number, math.factorial(size))
    assert (np.sort(found, axis=1) == np.arange(size)).all()


def test_every_permutation_has_the_same_chance():
    rng = np.random.default_rng(0)
    drawn = [tuple(row) for _ in range(3000) for row in permutations(3, 2, rng).tolist()]
    counts = [drawn.count(row) for row in sorted(set(drawn))]
    assert len(counts) == 6
    assert max(abs(count - 1000) for count in counts) < 100, counts


def test_copies_of_a_graph_do_not_touch():
    edges = disjoint_copies(np.array([[0, 1], [2, 0]]), 3, 2)
    assert edges.tolist() == [[0, 1, 3, 4], [2, 0, 5, 3]]


@given(num_nodes=st.integers(3, 12).map(lambda half: 2 * half), degree=st.integers(2, 5))
def test_shells_are_the_distances_of_networkx(num_nodes, degree):
    edge_index = random_regular(num_nodes, degree, seed=num_nodes)
    graph = networkx.Graph(edge_index.t().tolist())
    distances = dict(networkx.all_pairs_shortest_path_length(graph))
    outwards = shells(neighbors_of_regular(edge_index, num_nodes))
    for hops in range(num_nodes):
        row, col = np.divmod(next(outwards), num_nodes)
        found = list(zip(row.tolist(), col.tolist(), strict=True))
        wanted = [(i, j) for i in distances for j, far in distances[i].items() if far == hops]
        assert found == sorted(wanted)


def test_parts_by_number():
    train, val, test = masks_of(np.array([[0], [2], [-1], [1]]))
    assert train[:, 0].tolist() == [True, False, False, False]
    assert val[:, 0].tolist() == [False, False, False, True]
    assert test[:, 0].tolist() == [False, True, False, False]


def test_only_the_given_nodes_are_split():
    nodes, y = torch.arange(1, 81, 2), torch.arange(100) // 50
    masks = torch.stack(masks_among(nodes, y, (0.5, 0.25), 3, np.random.default_rng(0)))
    assert masks.shape == (3, 100, 3)
    assert (masks.sum(dim=0) == torch.isin(torch.arange(100), nodes)[:, None]).all()
    # Of 25 nodes of class 0, and of 15 of class 1.
    assert (masks[:, y == 0].sum(dim=1) - torch.tensor([[12], [6], [7]])).abs().max() <= 1
    assert (masks[:, y == 1].sum(dim=1) - torch.tensor([[8], [3], [4]])).abs().max() <= 1


def test_an_empty_part_is_named():
    masks = masks_of(np.array([[0], [0], [2]]))
    with pytest.raises(
        ValueError, match=r"size: found 3 with 2, 0 and 1 nodes to train, .* some in each"
    ):
        no_part_empty("size", 3, masks)
