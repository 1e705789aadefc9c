import networkx
import torch

from gattn.data import load


def test_is_zacharys_club():
    task = load("karate")
    club = networkx.Graph(task.edge_index.t().tolist())
    expected = networkx.karate_club_graph()
    assert set(club.to_directed().edges) == set(expected.to_directed().edges)
    assert (task.num_nodes, task.edge_index.shape[1], task.num_classes) == (34, 156, 4)
    torch.testing.assert_close(task.x, torch.eye(34))


def test_the_split_is_the_documented_one():
    train, val, test = (mask.nonzero().flatten().tolist() for mask in load("karate").split(0))
    assert sorted(load("karate").y[train].tolist()) == [0, 1, 2, 3]
    others = [node for node in range(34) if node not in train]
    assert (val, test) == (others[::2], others[1::2])
