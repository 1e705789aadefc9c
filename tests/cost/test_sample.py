"""Samples: true balls, and what becomes of them when they are dealt out."""

import numpy as np
import pytest
import torch

import gattn
from gattn.benchmark.graphs import power_law
from gattn.cost.sample import draw, transposing
from gattn.neighborhood.estimating import by_target

GRAPH = power_law(400, 1600, 0.4, seed=0)
ROWS = tuple(map(torch.from_numpy, by_target(GRAPH.edge_index, 400)))


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def balls() -> list[list[int]]:
    """Sources of every target within two hops, ascending."""
    around = gattn.k_hop(GRAPH.edge_index, 2, 400)
    return [sorted(row.tolist()) for row in around.col.split(around.rowptr.diff().tolist())]


def rows_of(around: gattn.Sparse) -> list[list[int]]:
    return [sorted(row.tolist()) for row in around.col.split(around.rowptr.diff().tolist())]


def test_all_rows_are_the_neighbourhood() -> None:
    sample = draw(*ROWS, 2, 400, 10**6, rng())
    assert sample.whole and sample.num_nodes == 400
    assert rows_of(sample.together()) == balls()
    assert sample.num_pairs == gattn.k_hop(GRAPH.edge_index, 2, 400).num_pairs


@pytest.mark.parametrize("rows", [397, 398])
def test_runs_that_round_up_to_all_rows_are_one(rows: int) -> None:
    """Four runs of 100 would have more rows than there are."""
    graph = power_law(398, 1600, 0.4, seed=0)
    all_rows = tuple(map(torch.from_numpy, by_target(graph.edge_index, 398)))
    sample = draw(*all_rows, 2, rows, 10**6, rng())
    assert sample.whole
    assert sample.num_pairs == gattn.k_hop(graph.edge_index, 2, 398).num_pairs


def test_a_run_of_all_rows_that_is_cut_short_is_not_whole() -> None:
    sample = draw(*ROWS, 2, 400, 1000, rng())
    assert not sample.whole and len(sample.rowptr) - 1 < 400


def test_some_rows_are_balls_of_the_graph() -> None:
    sample = draw(*ROWS, 2, 40, 10**6, rng())
    assert not sample.whole
    assert len(sample.rowptr) - 1 == 40
    found = rows_of(sample.together())
    assert all(row in balls() for row in found)
    assert sample.together().num_sources == 400
    assert sample.counting > 0 and sample.finding > 0


def test_a_run_stops_at_the_most_pairs_but_has_a_row() -> None:
    few = draw(*ROWS, 2, 256, 800, rng())
    assert 4 <= len(few.rowptr) - 1 < 256
    one_each = draw(*ROWS, 2, 256, 1, rng())
    assert len(one_each.rowptr) - 1 == 4
    assert len(draw(*ROWS, 2, 40, 1, rng()).rowptr) - 1 == 1


def test_dealt_out_the_pairs_are_the_same_and_the_targets_are_not() -> None:
    sample = draw(*ROWS, 2, 10, 10**6, rng())
    apart = sample.apart(rng())
    assert (apart.num_targets, apart.num_sources) == (400, 400)
    assert sorted(apart.col.tolist()) == sorted(sample.col.tolist())
    used = (apart.rowptr.diff() > 0).nonzero().flatten()
    assert len(used) > 10
    assert int(used.max()) - int(used.min()) > 200  # all over the graph
    # Every piece is a run of one ball, in its order.
    whole = sample.col.tolist()
    for row in apart.col.split(apart.rowptr.diff().tolist()):
        piece = row.tolist()
        assert any(whole[i : i + len(piece)] == piece for i in range(len(whole)))


@pytest.mark.parametrize("rows", [1, 200, 399])
def test_pieces_are_never_more_than_nodes(rows: int) -> None:
    sample = draw(*ROWS, 3, rows, 10**7, rng())
    apart = sample.apart(rng())
    assert apart.num_pairs == sample.num_pairs
    assert apart.num_targets == 400


def test_a_transpose_takes_time() -> None:
    assert transposing(draw(*ROWS, 2, 400, 10**6, rng()).together()) > 0


def test_a_graph_without_edges() -> None:
    rowptr, col = by_target(torch.empty(2, 0, dtype=torch.int64), 5)
    sample = draw(torch.from_numpy(rowptr), torch.from_numpy(col), 2, 5, 100, rng())
    assert sample.whole and sample.col.tolist() == [0, 1, 2, 3, 4]
