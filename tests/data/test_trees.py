import math

import networkx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gattn.data import Task
from gattn.data.trees import tree_neighbors_match


def matched(task: Task, leaves: int) -> dict[int, int]:
    """Every root's value: that of the leaf below it with its key."""
    key, value = (part.argmax(dim=1).tolist() for part in task.x.split(leaves + 1, dim=1))
    graph = networkx.DiGraph(task.edge_index.t().tolist())
    answers = {}
    for root in (node for node in graph if graph.out_degree(node) == 0):
        below = [node for node in networkx.ancestors(graph, root) if graph.in_degree(node) == 0]
        assert sorted(key[node] for node in below) == list(range(1, leaves + 1))
        assert sorted(value[node] for node in below) == list(range(1, leaves + 1))
        [leaf] = [node for node in below if key[node] == key[root]]
        answers[root] = value[leaf]
    return answers


@given(depth=st.integers(2, 4), permutations=st.integers(3, 8), seed=st.integers(0, 20))
def test_the_leaf_with_the_key_has_the_answer(depth, permutations, seed):
    leaves = 2**depth
    task = tree_neighbors_match(depth, permutations * leaves + leaves - 1, seed=seed)
    answers = matched(task, leaves)
    assert len(answers) == permutations * leaves
    assert sorted(answers) == (task.train_mask | task.test_mask)[:, 0].nonzero()[:, 0].tolist()
    assert [int(task.y[root]) for root in answers] == list(answers.values())
    assert (task.num_classes, int(task.y.max())) == (leaves + 1, leaves)


def test_the_numbers_of_a_tree_are_depth_first():
    task = tree_neighbors_match(3, 24)
    edges = task.edge_index[:, (task.edge_index < 15).all(dim=0)]
    graph = networkx.DiGraph(edges.flip(0).t().tolist())
    assert all(graph.out_degree(node) in (0, 2) for node in graph)
    for node in graph:
        graph.add_edges_from((node, child) for child in sorted(graph.successors(node)))
    walk = networkx.dfs_preorder_nodes(graph, 0, sort_neighbors=sorted)
    assert list(walk) == list(range(15))
    key = task.x[:15, :9].argmax(dim=1).tolist()
    assert key == [1, 0, 0, 1, 2, 0, 3, 4, 0, 0, 5, 6, 0, 7, 8]
    inner = [1, 2, 5, 8, 9, 12]
    assert task.x[inner].nonzero()[:, 1].tolist() == [0, 9] * 6


def test_every_permutation_comes_with_every_key():
    task = tree_neighbors_match(3, 80)
    key, value = (part.argmax(dim=1).view(80, 15) for part in task.x.split(9, dim=1))
    assert key[:, 0].tolist() == [1, 2, 3, 4, 5, 6, 7, 8] * 10
    groups = value.view(10, 8, 15)
    assert (groups == groups[:, :1]).all()
    assert len(groups[:, 0].unique(dim=0)) == 10


def test_splits_are_80_to_20_of_every_label():
    task = tree_neighbors_match(3, 8 * 50)
    for mask, share in ((task.train_mask, 40), (task.val_mask, 40), (task.test_mask, 10)):
        assert torch.bincount(task.y[mask[:, 0]]).tolist() == [0, *[share] * 8]
    assert torch.equal(task.train_mask, task.val_mask)
    assert task.num_splits == 1


def test_there_are_only_so_many_permutations():
    task = tree_neighbors_match(2)
    assert task.num_nodes == 7 * 4 * math.factorial(4)


def test_every_label_has_to_be_tested():
    with pytest.raises(ValueError, match=r"^num_graphs: found 47, expected an integer >= 48$"):
        tree_neighbors_match(4, 47)
    with pytest.raises(ValueError, match=r"^depth: found 1, expected an integer >= 2$"):
        tree_neighbors_match(1)
