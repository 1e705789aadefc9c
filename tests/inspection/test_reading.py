"""Radii, gates, shares of clusters, and the summary of a row."""

import pytest
import torch
from torch import nn

import gattn
from gattn.compare.models import Classic, OneLayer
from gattn.compare.surroundings import Surrounded, Surroundings
from gattn.inspection import attention_maps, cluster_shares, gates, radii, reading, summary
from gattn.nn import AttentionGNN, DepthBreadth, GATConv, GraphAttention, TransformerConv
from tests.inspection.graphs import EDGES, NODES, ball, features, stirred


class Balanced(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = DepthBreadth(6, 4, 2, broad={"hop_bias": 3})

    def forward(self, x, structure):
        return self.layer(x, *structure)


def test_radii():
    model = AttentionGNN(6, 8, 2, 3, heads=2, hop_bias=4, span="learned")
    model.blocks[0].attention.span.share.data = torch.tensor([0.5, 0.1])
    found = radii(model)
    assert list(found) == ["blocks.0.attention", "blocks.1.attention"]
    assert [each.tolist() for each in found.values()] == [[2, 1], [4, 4]]
    assert radii(GATConv(6, 4)) == {}
    assert list(radii(GraphAttention(6, 4, hop_bias=2, span="learned"))) == ["GraphAttention"]


def test_gates():
    model, around = stirred(Balanced()), (ball(1), ball(3))
    found = gates(model, features(), around)
    expected = model.layer.inspect(features(), *around)["gate"]
    torch.testing.assert_close(found["layer"], expected)
    assert not any(module._forward_hooks for module in model.modules())


def test_the_gate_of_a_transformer():
    model = stirred(Classic(lambda *a, **k: TransformerConv(*a, beta=True, **k), 6, 4, 3, 2, 2, 0))
    found = gates(model, features(), EDGES)
    assert {name: tuple(gate.shape) for name, gate in found.items()} == {
        "layers.0": (NODES, 1),
        "layers.1": (NODES, 1),
    }
    assert gates(stirred(Classic(GATConv, 6, 4, 3, 2, 2, 0)), features(), EDGES) == {}


def test_shares_of_clusters():
    layer = GraphAttention(6, 4, 2, levels=("node", "cluster"))
    model = stirred(Surrounded(OneLayer(6, 8, 3, 2, 0.0, levels=("node", "cluster"))))
    around = Surroundings(ball(1), gattn.clusters(torch.tensor([0, 0, 0, 1, 1, 1, 1])))
    found = cluster_shares(model, features(), around)["model.attention"]
    held = attention_maps(model, features(), around)["model.attention"].dense().sum(1)
    torch.testing.assert_close(found + held, torch.ones(NODES, 2, dtype=torch.float64))
    assert cluster_shares(stirred(GraphAttention(6, 4)), features(), EDGES) == {}
    assert layer.cluster_level is not None


def test_a_summary_is_plain():
    model = stirred(AttentionGNN(6, 8, 2, 3, heads=2, hop_bias=2, span="learned"))
    found = summary(model, features(), ball(2))
    maps = attention_maps(model, features(), ball(2))
    for mass, each in zip(found["hop_mass"], maps.values(), strict=True):
        assert mass == pytest.approx(each.mass_by_hop().mean(1).tolist(), abs=1e-6)
        assert sum(mass) == pytest.approx(1, abs=1e-5)
    assert found["gate"] is None
    assert len(found["radius"]) == 2


def test_a_summary_of_a_gate():
    found = summary(stirred(Balanced()), features(), (ball(1), ball(3)))
    assert [len(mass) for mass in found["hop_mass"]] == [2, 4]
    assert sum(found["gate"]["histogram"]) == NODES * 2
    assert len(found["gate"]["histogram"]) == 10
    assert 0 < found["gate"]["mean"] < 1
    assert found["radius"] is None


def test_a_gate_that_is_shut_is_counted():
    model = Balanced().double()
    model.layer.lin_gate.bias.data.fill_(1000.0)
    found = summary(model, features(), (ball(1), ball(3)))["gate"]
    assert found == {"mean": 1.0, "histogram": [0] * 9 + [NODES * 2]}


def test_layers_that_tell_nothing_are_none():
    layer = stirred(GraphAttention(6, 4, 2))
    assert summary(layer, features(), gattn.full(NODES))["hop_mass"] == [None]
    streamed = gattn.k_hop(EDGES, 2, NODES, streamed=True)
    assert summary(layer, features(), streamed)["hop_mass"] == [None]
    alone = stirred(GraphAttention(6, 4, 2, levels=("feature",)))
    assert summary(alone, features(), EDGES)["hop_mass"] == [None]
    nothing = summary(nn.Bilinear(6, 2, 3).double(), features(), torch.zeros(7, 2).double())
    assert nothing == {"hop_mass": None, "gate": None, "radius": None}


def test_more_weights_than_are_worth_it_are_not_made(monkeypatch):
    monkeypatch.setattr(reading, "_MOST", 2 * ball(2).num_pairs - 1)
    layer = stirred(GraphAttention(6, 4, 2))
    assert summary(layer, features(), ball(2))["hop_mass"] == [None]
    assert summary(layer, features(), ball(1))["hop_mass"] != [None]
    conv = stirred(GATConv(6, 4, 2))
    monkeypatch.setattr(reading, "_MOST", 2 * EDGES.shape[1] - 1)
    assert summary(conv, features(), EDGES)["hop_mass"] == [None]
