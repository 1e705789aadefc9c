"""Which heads matter, against heads that are silenced by hand."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from gattn.compare.models import Classic, OneLayer
from gattn.data import load
from gattn.inspection import ablated, head_importance
from gattn.metrics import accuracy
from gattn.nn import AttentionGNN, GATConv, GATv2Conv, GraphAttention, TransformerConv
from tests.inspection.graphs import EDGES, ball, features, stirred

CONCATENATED = {
    "blocks": lambda: GraphAttention(6, 4, 3, hop_bias=2, levels=("node", "hop")),
    "shared": lambda: GraphAttention(6, 4, 3, share_key_value=True),
    "tokens": lambda: GraphAttention(6, 4, 3, levels=("feature", "node")),
    "shared tokens": lambda: GraphAttention(
        6, 4, 3, levels=("feature", "node"), share_key_value=True
    ),
    "gat": lambda: GATConv(6, 4, 3),
    "gat residual": lambda: GATConv(6, 4, 3, residual=True),
    "gatv2": lambda: GATv2Conv(6, 4, 3),
    "gatv2 shared": lambda: GATv2Conv(6, 4, 3, share_weights=True),
    "transformer": lambda: TransformerConv(6, 4, 3, root_weight=False),
}


@pytest.mark.parametrize("name", CONCATENATED)
def test_a_silenced_head_says_what_is_added_to_it_and_nothing_else(name):
    layer = stirred(CONCATENATED[name]())
    x, around = features(), ball(2) if isinstance(layer, GraphAttention) else EDGES
    whole = layer(x, around)
    with ablated(layer, 1):
        found = layer(x, around)
    expected = whole.clone()
    bias = getattr(layer, "bias", None)
    expected[:, 4:8] = 0.0 if bias is None else bias[4:8]
    if getattr(layer, "res", None) is not None:
        expected[:, 4:8] += layer.res(x)[:, 4:8]
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(layer(x, around), whole)  # and it comes back


def test_a_mean_over_heads_loses_one_share():
    layer, x = stirred(GATConv(6, 4, 3, concat=False, bias=False)), features()
    parts = stirred(GATConv(6, 4, 3, bias=False))
    parts.load_state_dict(layer.state_dict())
    heads = parts(x, EDGES).unflatten(1, (3, 4))
    with ablated(layer, 2):
        torch.testing.assert_close(layer(x, EDGES), heads[:, :2].sum(1) / 3)


def test_values_of_edges_are_silenced_too():
    around, attr = ball(1), torch.ones(ball(1).num_pairs, 2, dtype=torch.float64)
    layer = stirred(GraphAttention(6, 4, 2, edge_dim=2, bias=False))
    with ablated(layer, 0):
        assert layer(features(), around, edge_attr=attr)[:, :4].abs().sum() == 0
    conv = stirred(TransformerConv(6, 4, 2, edge_dim=2, root_weight=False))
    with ablated(conv, 1):
        attr = torch.ones(EDGES.shape[1], 2, dtype=torch.float64)
        assert conv(features(), EDGES, attr)[:, 4:].abs().sum() == 0


def test_a_head_comes_back_after_an_error():
    layer = stirred(GATConv(6, 4, 3))
    before = layer.lin.weight.clone()
    with pytest.raises(RuntimeError), ablated(layer, 0):
        raise RuntimeError
    assert torch.equal(layer.lin.weight, before)


def test_what_has_no_heads_is_refused():
    expected = "layer: found Linear, expected a layer with heads"
    with pytest.raises(TypeError, match=expected), ablated(nn.Linear(2, 2), 0):
        pass
    with pytest.raises(ValueError, match="head: found 3"), ablated(GATConv(6, 4, 3), 3):
        pass


def test_importance_is_what_is_lost():
    task = load("karate")
    model = stirred(Classic(GATConv, task.x.shape[1], 4, task.num_classes, 2, 3, 0.5)).float()
    found = head_importance(model, task, task.edge_index)
    assert {each[:2] for each in found} == {("layers.0", h) for h in range(3)} | {("layers.1", 0)}
    nodes = task.split(0)[1]
    model.requires_grad_(False)
    logits = model(task.x, task.edge_index)[nodes]
    for each in found:
        with ablated(model.get_submodule(each.layer), each.head):
            without = model(task.x, task.edge_index)[nodes]
        drop = accuracy(logits, task.y[nodes]) - accuracy(without, task.y[nodes])
        rise = F.cross_entropy(without, task.y[nodes]) - F.cross_entropy(logits, task.y[nodes])
        assert each.drop == pytest.approx(drop)
        assert each.loss_rise == pytest.approx(float(rise), abs=1e-6)
    order = [(each.drop, each.loss_rise) for each in found]
    assert order == sorted(order, reverse=True)


def test_a_head_that_says_nothing_matters_nothing():
    task = load("minesweeper", size=6)
    model = stirred(OneLayer(7, 8, task.num_classes, 2, 0.0)).float()
    model.attention.lin_value.weight.data[4:] = 0
    last = head_importance(model, task, task.edge_index)
    quiet = next(each for each in last if each.head == 1)
    assert quiet.drop == 0
    assert quiet.loss_rise == pytest.approx(0, abs=1e-6)


def test_one_logit_for_two_classes():
    task = load("minesweeper", size=6)
    model = stirred(AttentionGNN(7, 8, 1, 1, heads=2)).float().train()
    assert len(head_importance(model, task, task.edge_index)) == 2
    assert model.training
