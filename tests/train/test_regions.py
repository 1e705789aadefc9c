"""Training on balls of a graph."""

import pytest
import torch
from torch import nn

import gattn
from gattn.data import load
from gattn.nn import GraphAttention
from gattn.train import Settings, fit, seed_everything
from gattn.train.regions import Regions

TASK = load("minesweeper", size=12)
BALL = gattn.k_hop(TASK.edge_index, 2, TASK.num_nodes)
TRAIN = TASK.split(0)[0].nonzero()[:, 0]


def far(nodes, root):
    """Distances on the board, where a step goes to any of eight neighbours."""
    return torch.maximum((nodes // 12 - root // 12).abs(), (nodes % 12 - root % 12).abs())


def regions(structure=BALL, **settings):
    return Regions(TASK, structure, TRAIN, Settings(**settings))


def test_a_region_is_a_ball_around_a_training_node():
    torch.manual_seed(0)
    board, balls = torch.arange(144), regions(region=3, halo=1)
    for _ in range(20):
        nodes, rows = balls.draw()
        roots = [root for root in TRAIN if torch.equal(board[far(board, root) <= 3], nodes)]
        learnt = [TRAIN[far(TRAIN, root) <= 2] for root in roots]
        assert any(torch.equal(nodes[rows], some) for some in learnt)


def test_parts_are_the_graph_among_the_nodes():
    torch.manual_seed(0)
    drawn = [regions(region=3).draw() for _ in range(3)]
    torch.manual_seed(0)
    for part, (nodes, rows) in zip(regions(region=3, steps=3).parts(0), drawn, strict=True):
        assert torch.equal(part.structure.col, gattn.induced(BALL, nodes).col)
        assert torch.equal(part.x, TASK.x[nodes]) and torch.equal(part.rows, rows)
        assert torch.equal(part.y, TASK.y[nodes][rows]) and part.count == len(rows)


def test_edges_are_a_structure():
    torch.manual_seed(0)
    part = next(regions(TASK.edge_index, region=2).parts(0))
    assert part.structure.num_targets == len(part.x) <= 25


def test_another_structure_is_refused():
    with pytest.raises(TypeError, match="region: found Span, expected a Sparse neighbourhood"):
        regions(gattn.full(144), region=2)


class Model(nn.Module):
    """One layer that remembers how many nodes it was given."""

    def __init__(self):
        super().__init__()
        self.layer, self.seen = GraphAttention(7, 2, hop_bias=2), []

    def forward(self, x, structure):
        self.seen.append(len(x))
        assert structure.num_targets == len(x)
        out = self.layer(x, structure)
        return torch.stack([out, 2 * out]) if self.training else out


def trained(**settings):
    seed_everything(0)
    model = Model()
    settings = Settings(epochs=3, lr=0.05, **settings)
    return fit(model, TASK, BALL, settings=settings), model


def test_steps_see_regions_and_validation_sees_everything():
    result, model = trained(region=2, halo=1, steps=4)
    assert len(model.seen) == 15 and model.seen[4::5] == [144] * 3
    assert max(model.seen[:4]) <= 25 and result.history[-1].loss < result.history[0].loss
    again, _ = trained(region=2, halo=1, steps=4)
    assert [e.loss for e in again.history] == [e.loss for e in result.history]


def test_without_a_region_a_step_sees_everything():
    _, model = trained()
    assert model.seen == [144] * 6


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"region": 0}, "region: found 0, expected an int >= 1"),
        ({"region": 3, "halo": 4}, r"halo: found 4, expected an int in \[0, 3\]"),
        ({"halo": 1}, "halo: found 1, expected 0 without a region"),
        ({"steps": 2}, "steps: found 2, expected 1 without a region"),
        ({"region": 3, "batch_size": 2}, "region: found 3 and a batch_size, expected one"),
        ({"region": 3, "steps": 0}, "steps: found 0, expected an int >= 1"),
    ],
)
def test_settings_of_regions_are_checked(wrong, message):
    with pytest.raises(ValueError, match=message):
        Settings(**wrong)
