import networkx
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gattn.data.graphs import (
    at_least,
    king_grid,
    rows_normalized,
    stratified_masks,
    undirected,
)


def edges_of(graph: networkx.Graph) -> set[tuple[int, int]]:
    return set(graph.to_directed().edges)


@given(st.integers(1, 7))
def test_king_grid_joins_cells_a_kings_move_apart(size):
    cells = [(row, col) for row in range(size) for col in range(size)]
    expected = [
        (size * a + b, size * c + d)
        for a, b in cells
        for c, d in cells
        if max(abs(a - c), abs(b - d)) == 1
    ]
    assert list(map(tuple, king_grid(size).t().tolist())) == sorted(expected)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=20))
def test_undirected_is_networkx_graph(pairs):
    edge_index = torch.tensor(pairs, dtype=torch.int64).view(-1, 2).t()
    found = list(map(tuple, undirected(edge_index, 6).t().tolist()))
    assert found == sorted(edges_of(networkx.Graph(pairs)))


@given(
    counts=st.lists(st.integers(0, 40), min_size=1, max_size=5),
    fractions=st.sampled_from([(0.5, 0.25), (0.6, 0.2)]),
    seed=st.integers(0, 9),
)
def test_stratified_masks_part_every_class(counts, fractions, seed):
    y = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    masks = stratified_masks(y, fractions, 3, np.random.default_rng(seed))
    torch.testing.assert_close(sum(mask.int() for mask in masks), torch.ones(len(y), 3).int())
    wanted = (*fractions, 1 - sum(fractions))
    for label, count in enumerate(counts):
        for mask, fraction in zip(masks, wanted, strict=True):
            sizes = mask[y == label].sum(dim=0)
            assert ((sizes - fraction * count).abs() <= 1).all()


def test_rows_normalized_is_pygs_transform():
    from torch_geometric.data import Data
    from torch_geometric.transforms import NormalizeFeatures

    x = torch.tensor([[1.0, 3.0], [0.0, 0.0], [0.25, 0.25]])
    expected = NormalizeFeatures()(Data(x=x.clone())).x
    torch.testing.assert_close(rows_normalized(x), expected)


def test_at_least():
    at_least("size", 5, 5)
    with pytest.raises(ValueError, match="size: found 4, expected an integer >= 5"):
        at_least("size", 4, 5)
    for value in (5.0, True, "5", None):
        with pytest.raises(TypeError, match=r"size: found .*, expected an integer >= 5"):
            at_least("size", value, 5)  # pyright: ignore[reportArgumentType]
