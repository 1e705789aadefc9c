from fractions import Fraction

import networkx
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gattn.data import Task, load
from gattn.data.graphs import king_grid
from gattn.data.synthetic import far_heterophily, minesweeper, shell_majority


def counts(task: Task) -> torch.Tensor:
    source, target = task.edge_index
    return torch.zeros_like(task.y).index_add_(0, target, task.y[source])


def assert_follows_the_recipe(task: Task, size: int) -> None:
    cells = size * size
    torch.testing.assert_close(task.edge_index, king_grid(size))
    assert int(task.y.sum()) == round(0.2 * cells)
    torch.testing.assert_close(task.x.sum(dim=1), torch.ones(cells))
    assert set(task.x.unique().tolist()) == {0.0, 1.0}
    unknown = task.x[:, 0] == 1
    assert int(unknown.sum()) == cells // 2
    shown = task.x[:, 1:].argmax(dim=1)
    torch.testing.assert_close(shown[~unknown], counts(task).clamp(max=5)[~unknown])
    masks = torch.stack([task.train_mask, task.val_mask, task.test_mask])
    assert (masks.sum(dim=0) == 1).all()
    for label in (0, 1):
        number = int((task.y == label).sum())
        sizes = masks[:, task.y == label].sum(dim=1)
        wanted = torch.tensor([0.5, 0.25, 0.25])[:, None] * number
        assert ((sizes - wanted).abs() <= 1).all()
    assert (task.metric, task.num_classes) == ("roc_auc", 2)


@given(size=st.integers(5, 20), seed=st.integers(0, 100))
def test_minesweeper_follows_the_recipe(size, seed):
    assert_follows_the_recipe(minesweeper(size, seed=seed), size)


def test_the_default_board_has_the_published_sizes():
    task = load("minesweeper")
    assert_follows_the_recipe(task, 100)
    degree = torch.bincount(task.edge_index[1], minlength=task.num_nodes)
    assert torch.bincount(degree)[[3, 5, 8]].tolist() == [4, 392, 9604]
    assert (task.num_splits, task.edge_index.shape[1]) == (10, 78804)
    for mask, size, mines in (
        (task.train_mask, 5000, 1000),
        (task.val_mask, 2500, 500),
        (task.test_mask, 2500, 500),
    ):
        assert set(mask.sum(dim=0).tolist()) == {size}
        assert set(mask[task.y == 1].sum(dim=0).tolist()) == {mines}


def test_the_published_board_follows_the_recipe_too(real_data):
    published, generated = load("minesweeper-file", real_data), load("minesweeper")
    assert_follows_the_recipe(published, 100)
    for part in ("edge_index", "train_mask", "val_mask", "test_mask"):
        ours, theirs = getattr(generated, part), getattr(published, part)
        assert ours.shape == theirs.shape
        assert ours.dtype == theirs.dtype
    torch.testing.assert_close(generated.edge_index, published.edge_index)
    torch.testing.assert_close(generated.train_mask.sum(dim=0), published.train_mask.sum(dim=0))
    torch.testing.assert_close(generated.test_mask.sum(dim=0), published.test_mask.sum(dim=0))


def random_statistics(task: Task) -> np.ndarray:
    """What the recipe leaves to chance: features by class, and adjacent pairs alike."""
    source, target = task.edge_index
    joint = torch.bincount(2 * task.x.argmax(dim=1) + task.y, minlength=14)
    unknown = task.x[:, 0]
    pairs = [int((kind[source] * kind[target]).sum()) for kind in (task.y, unknown)]
    both = int((task.train_mask[:, 0] & task.train_mask[:, 1]).sum())
    return np.array([*joint.tolist(), *torch.bincount(counts(task))[:6].tolist(), *pairs, both])


def test_chance_treats_both_boards_alike(real_data):
    ours = np.stack([random_statistics(minesweeper(seed=seed, num_splits=2)) for seed in range(30)])
    published = random_statistics(load("minesweeper-file", real_data))
    error = np.abs(published - ours.mean(axis=0)) / (ours.std(axis=0) + 0.5)
    assert error.max() < 4, error


@pytest.mark.parametrize("make", [minesweeper, shell_majority])
def test_the_seed_decides_everything(make):
    state = torch.get_rng_state()
    same, again, other = make(seed=3), make(seed=3), make(seed=4)
    for part in ("x", "edge_index", "y", "train_mask", "test_mask"):
        torch.testing.assert_close(getattr(same, part), getattr(again, part))
    assert not torch.equal(same.x, other.x)
    assert not torch.equal(same.train_mask, other.train_mask)
    assert torch.equal(torch.get_rng_state(), state)


def majority_by_networkx(task: Task, num_hops: int) -> list[int]:
    graph = networkx.Graph(task.edge_index.t().tolist())
    token = task.x.argmax(dim=1).tolist()
    labels = []
    for node in range(task.num_nodes):
        distance = networkx.single_source_shortest_path_length(graph, node)
        votes = [token[other] for other, hops in distance.items() if hops == num_hops]
        labels.append(min(set(votes), key=lambda kind: (-votes.count(kind), kind)))
    return labels


@given(
    num_nodes=st.integers(20, 40),
    num_hops=st.integers(1, 2),
    num_tokens=st.integers(2, 5),
    graph=st.sampled_from(["regular", "ring"]),
    seed=st.integers(0, 50),
)
def test_shell_majority_is_the_vote_at_that_distance(num_nodes, num_hops, num_tokens, graph, seed):
    task = shell_majority(num_nodes, num_hops, num_tokens, graph=graph, seed=seed)
    assert task.y.tolist() == majority_by_networkx(task, num_hops)


def test_every_node_of_a_varied_shell_majority_has_its_own_distance():
    task = shell_majority(300, 3, varied=True, seed=1)
    graph = networkx.Graph(task.edge_index.t().tolist())
    token, wanted = task.x[:, :4].argmax(1), task.x[:, 4:].argmax(1) + 1
    assert task.x.shape == (300, 7) and set(wanted.tolist()) == {1, 2, 3}
    for node in range(0, 300, 7):
        away = networkx.single_source_shortest_path_length(graph, node, cutoff=3)
        there = [other for other, hops in away.items() if hops == int(wanted[node])]
        assert int(task.y[node]) == int(torch.bincount(token[there], minlength=4).argmax())
    plain, same = shell_majority(300, 3, seed=1), task.x[:, :4]
    assert torch.equal(plain.x, same)


def test_shell_majority_on_a_long_ring():
    task = load("shell-majority", graph="ring", num_nodes=200, num_hops=7, degree=4)
    assert task.y.tolist() == majority_by_networkx(task, 7)
    nodes = np.arange(200)
    near = {((i + d) % 200, i) for d in (-2, -1, 1, 2) for i in nodes}
    assert set(map(tuple, task.edge_index.t().tolist())) == near


def test_every_node_of_the_regular_graph_has_the_degree():
    task = load("shell-majority", num_nodes=300, degree=5)
    assert torch.bincount(task.edge_index[0]).tolist() == [5] * 300
    assert (task.metric, task.num_classes, task.num_splits) == ("accuracy", 4, 10)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"num_nodes": 200, "num_hops": 40},
            r"num_hops: found 40 with 200 nodes that have no node at that dist",
        ),
        ({"num_hops": 0}, "num_hops: found 0, expected an integer >= 1"),
        ({"graph": "tree"}, "graph: found 'tree', expected 'regular' or 'ring'"),
        ({"graph": "ring", "degree": 3}, "degree: found 3, expected an even number < num_nodes"),
        ({"num_nodes": 5, "degree": 3}, "degree: found 3, expected .* even product"),
        ({"num_nodes": 4, "degree": 4}, "degree: found 4, expected a number < num_nodes = 4"),
        ({"num_tokens": 1}, "num_tokens: found 1, expected an integer >= 2"),
        ({"seed": -1}, "seed: found -1, expected an integer >= 0"),
        ({"num_splits": 0}, "num_splits: found 0, expected an integer >= 1"),
    ],
)
def test_shell_majority_names_what_it_cannot_do(options, message):
    with pytest.raises(ValueError, match=message):
        shell_majority(**options)


def test_minesweeper_needs_room_for_mines_in_every_part():
    with pytest.raises(ValueError, match="size: found 4, expected an integer >= 5"):
        minesweeper(4)


def test_a_switch_takes_true_and_false_only():
    with pytest.raises(
        TypeError, match="normalize_features: found 'maybe', expected True or False"
    ):
        load("cora", normalize_features="maybe")


@pytest.mark.parametrize(("near", "far"), [(1, 2), (2, 1), (0, 2)])
def test_far_heterophily_is_the_largest_difference_of_shares(near, far):
    task = far_heterophily(60, near, far, 3, seed=1)
    nodes = networkx.Graph(task.edge_index.t().tolist())
    token = task.x.argmax(dim=1).tolist()
    for node in range(60):
        away = networkx.single_source_shortest_path_length(nodes, node)
        there = [[token[o] for o, hops in away.items() if hops == d] for d in (near, far)]
        excess = [
            Fraction(there[0].count(kind), len(there[0]))
            - Fraction(there[1].count(kind), len(there[1]))
            for kind in range(3)
        ]
        assert int(task.y[node]) == excess.index(max(excess))


def test_far_heterophily_names_what_it_cannot_do():
    with pytest.raises(ValueError, match="far: found 1, expected another distance than near = 1"):
        far_heterophily(far=1)
    with pytest.raises(ValueError, match="near: found -1"):
        far_heterophily(near=-1)
