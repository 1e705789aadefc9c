import itertools
import time

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gattn.data import attainable_auc, load, mine_log_odds
from gattn.data.belief_propagation import _roc_auc
from gattn.data.graphs import undirected


@st.composite
def boards_on_trees(draw):
    """A tree, its mines and which cells are unknown."""
    nodes = draw(st.integers(2, 9))
    parents = [draw(st.integers(0, node - 1)) for node in range(1, nodes)]
    mines = draw(st.lists(st.booleans(), min_size=nodes, max_size=nodes))
    unknown = draw(st.lists(st.booleans(), min_size=nodes, max_size=nodes))
    edges = undirected(torch.tensor([parents, list(range(1, nodes))]), nodes)
    return edges, np.array(mines, int), np.array(unknown)


def features(edge_index, mines, unknown) -> tuple[torch.Tensor, np.ndarray]:
    near = np.zeros((len(mines), len(mines)), int)
    near[tuple(edge_index.numpy())] = 1
    shown = np.minimum(near @ mines, 5)
    columns = np.where(unknown, 0, shown + 1)
    return torch.eye(7)[torch.from_numpy(columns)], near


def posterior_by_enumeration(x, near, prior) -> np.ndarray:
    boards = np.array(list(itertools.product((0, 1), repeat=len(near))))
    shown = x.argmax(dim=1).numpy() - 1
    fits = ((np.minimum(boards @ near, 5) == shown) | (shown < 0)).all(axis=1)
    chance = np.prod(np.where(boards == 1, prior, 1 - prior), axis=1) * fits
    return (chance @ boards) / chance.sum()


@given(boards_on_trees(), st.sampled_from([0.2, 0.5]))
def test_exact_on_trees(board, prior):
    edge_index, mines, unknown = board
    x, near = features(edge_index, mines, unknown)
    belief = mine_log_odds(x, edge_index, rounds=len(mines), damping=1.0, prior=prior)
    found = 1 / (1 + np.exp(-belief))
    np.testing.assert_allclose(found, posterior_by_enumeration(x, near, prior), atol=1e-9)


@pytest.mark.parametrize("mines", [4, 5, 8])
def test_a_count_of_five_means_five_or_more(mines):
    edges = undirected(torch.stack([torch.zeros(8).long(), torch.arange(1, 9)]), 9)
    board = np.array([0] + [1] * mines + [0] * (8 - mines))
    x, near = features(edges, board, np.array([False] + [True] * 8))
    belief = mine_log_odds(x, edges, rounds=1, damping=1.0)
    expected = posterior_by_enumeration(x, near, 0.2)
    np.testing.assert_allclose(1 / (1 + np.exp(-belief)), expected, atol=1e-9)


@pytest.mark.parametrize("rounds", [1, 2, 3])
def test_a_round_widens_the_radius_by_two(rounds):
    task = load("minesweeper", size=15, seed=1)
    centre, radius = 7 * 15 + 7, 2 * rounds - 1
    row, col = np.divmod(np.arange(15 * 15), 15)
    distance = np.maximum(abs(row - 7), abs(col - 7))
    x = task.x.clone()
    x[centre] = torch.eye(7)[0 if x[centre, 0] == 0 else 3]
    before = mine_log_odds(task.x, task.edge_index, rounds)
    after = mine_log_odds(x, task.edge_index, rounds)
    assert (before == after)[distance > radius].all()
    assert (before != after)[distance == radius].any()


def test_unknown_cells_far_from_counts_keep_the_prior():
    edges = undirected(torch.tensor([[0, 1], [1, 2]]), 4)
    belief = mine_log_odds(torch.eye(7)[[0, 0, 0, 0]], edges, rounds=3)
    np.testing.assert_allclose(belief, np.log(0.2 / 0.8))


def test_finite_on_a_board_that_contradicts_itself():
    edges = undirected(torch.tensor([[0], [1]]), 2)
    assert np.isfinite(mine_log_odds(torch.eye(7)[[5, 5]], edges, rounds=50)).all()


# The attainable AUC on the published board, in per cent, from an independent computation.
PUBLISHED_BOARD = {
    0.3: {1: 86.1, 2: 92.0, 3: 94.5, 6: 97.2, 10: 98.4, 20: 99.1, 30: 99.1},
    0.4: {1: 86.1, 2: 92.3, 3: 95.1, 6: 97.8, 10: 98.8, 20: 99.0, 30: 99.1},
}


@pytest.mark.parametrize("damping", [0.3, 0.4])
def test_the_published_board(real_data, damping):
    expected = PUBLISHED_BOARD[damping]
    rows = attainable_auc(load("minesweeper-file", real_data), list(expected), damping=damping)
    assert [row.rounds for row in rows] == list(expected)
    assert [row.radius for row in rows] == [2 * rounds - 1 for rounds in expected]
    found = [100 * row.mean for row in rows]
    np.testing.assert_allclose(found, list(expected.values()), atol=0.15)
    assert 0.6 < 100 * rows[0].std < 0.75
    assert max(100 * row.std for row in rows[3:]) <= 0.3


def test_a_generated_board_is_as_hard_as_the_published_one():
    means = [attainable_auc(load("minesweeper", seed=s), (1, 3))[1].mean for s in range(4)]
    assert abs(100 * np.mean(means) - 94.5) < 0.5


def test_a_small_board_takes_less_than_five_seconds():
    task, start = load("minesweeper", size=40), time.perf_counter()
    rows = attainable_auc(task)
    assert time.perf_counter() - start < 5
    means = [row.mean for row in rows]
    assert means == sorted(means)


@given(
    st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=30).filter(
        lambda pairs: len({label for _, label in pairs}) == 2
    )
)
def test_roc_auc_counts_pairs_in_order(pairs):
    score, label = (np.array(column) for column in zip(*pairs, strict=True))
    gap = score[label][:, None] - score[~label][None, :]
    expected = ((gap > 0) + 0.5 * (gap == 0)).mean()
    np.testing.assert_allclose(_roc_auc(score, label), expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rounds": ()}, r"rounds: found \[\], expected integers >= 1"),
        ({"rounds": (1, 0)}, r"rounds: found \[1, 0\], expected integers >= 1"),
        ({"damping": 0.0}, "damping: found 0.0, expected 0 < damping <= 1"),
        ({"prior": 1.0}, "prior: found 1.0, expected 0 < prior < 1"),
    ],
)
def test_arguments_out_of_range_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        attainable_auc(load("minesweeper", size=10), **options)


def test_only_minesweeper_has_mines():
    with pytest.raises(ValueError, match="task: found 4 classes, expected 2"):
        attainable_auc(load("karate"))
    with pytest.raises(ValueError, match="x: found 4 columns that are not one-hot"):
        mine_log_odds(torch.ones(3, 4), torch.zeros(2, 0).long(), rounds=1)
    with pytest.raises(ValueError, match="rounds: found 0, expected an integer >= 1"):
        mine_log_odds(torch.eye(7), torch.zeros(2, 0).long(), rounds=0)
