"""Networks of published results: what is dropped, what goes round, what a stack is made of."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import gattn
from gattn.compare import MODELS, Trial
from gattn.compare.classics import Decoupled, PaperGAT, Stack
from gattn.compare.trial import build_structure
from gattn.data import load
from gattn.nn import DiffusionAttention, GATConv, GraphAttention

KARATE = load("karate")
NEAR = gattn.k_hop(KARATE.edge_index, 1, 34)
SIZES = (34, 8, 4)


def built(trial, seed=0):
    torch.manual_seed(seed)
    return MODELS[trial.model].build(trial, 34, 4).eval()


def test_the_paper_gat_is_gatconv_where_nothing_is_dropped():
    torch.manual_seed(0)
    made = PaperGAT(*SIZES, 2, 8, 0.6).eval()
    x = KARATE.x
    for number, (heads, channels) in enumerate(((8, 8), (1, 4))):
        score, lin = made.layers[number].score, made.projections[number]
        peer = GATConv(34 if number == 0 else 64, channels, heads).eval()
        weight = lin.weight[:, 0].T if number == 0 else lin[1].weight
        state = {"lin.weight": weight, "bias": made.layers[number].bias}
        state |= {"att_src": score.att_src[None], "att_dst": score.att_dst[None]}
        peer.load_state_dict(state)
        x = peer(F.elu(x) if number else x, KARATE.edge_index)
    torch.testing.assert_close(made(KARATE.x, NEAR), x, rtol=1e-4, atol=1e-5)


def test_the_paper_gat_drops_values_too():
    made = PaperGAT(*SIZES, 1, 8, 0.5)
    with torch.no_grad():
        made.layers[0].score.att_src.zero_()
        made.layers[0].score.att_dst.zero_()
    made.layers[0].dropout.p = 0.0  # neither values nor weights
    made.projections[0].dropout = 0.0
    expected = made.train()(KARATE.x, NEAR)
    torch.testing.assert_close(made.eval()(KARATE.x, NEAR), expected)
    made.layers[0].dropout.p = 1.0  # all values are dropped: the bias is left
    assert torch.equal(made.train()(KARATE.x, NEAR), made.layers[0].bias.expand(34, 4))


@pytest.mark.parametrize("readout", ["gate", "last"])
@pytest.mark.parametrize("restart", [0.0, 0.2])
def test_rounds_by_degree_are_those_of_diffuse(readout, restart):
    torch.manual_seed(0)
    made = Decoupled(*SIZES, 0.5, 0.5, rounds=4, restart=restart, readout=readout).eval()
    value = made.rounds.lin((made.lin_in(KARATE.x) + made.bias).relu())[:, None]
    weights = gattn.degree_weights(NEAR)[:, None]
    settings = {"rounds": 4, "restart": restart, "every": readout == "gate"}
    found = gattn.diffuse(weights, value, NEAR, **settings)
    found = found if readout == "last" else made.rounds.gate(found)
    torch.testing.assert_close(made(KARATE.x, NEAR), found[:, 0])
    other = gattn.k_hop(KARATE.edge_index, 2, 34)
    assert not torch.allclose(made(KARATE.x, other), found[:, 0])


def test_the_gradient_of_rounds_by_degree_is_that_of_diffuse():
    torch.manual_seed(0)
    made = Decoupled(*SIZES, 0.0, 0.0, rounds=3, restart=0.1, readout="last")
    x = torch.randn(34, 8, requires_grad=True)
    made.rounds(x, NEAR).square().sum().backward()
    other = x.detach().clone().requires_grad_()
    weights = gattn.degree_weights(NEAR)[:, None]
    value = made.rounds.lin(other)[:, None]
    gattn.diffuse(weights, value, NEAR, rounds=3, restart=0.1).square().sum().backward()
    torch.testing.assert_close(x.grad, other.grad)


def test_a_score_makes_rounds_of_attention():
    trial = Trial.of("karate", "decoupled", breadth=5, restart=0.3, attention_dropout=0.4)
    made = built(trial).rounds
    assert isinstance(made, DiffusionAttention) and made.round_gate is not None
    assert (made.rounds, made.restart, made.dropout, made.heads) == (5, 0.3, 0.4, 1)
    assert isinstance(made.score, gattn.scores.GAT)
    plain = built(Trial.of("karate", "decoupled", readout="last")).rounds
    assert plain.round_gate is None


@pytest.mark.parametrize("norm", ["layer", "batch", "none"])
@pytest.mark.parametrize("residual", [False, True])
def test_a_stack_is_layer_residual_norm_relu(norm, residual):
    torch.manual_seed(0)
    made = Stack(GATConv, *SIZES, 2, 0.5, norm, residual).eval()
    x = KARATE.x
    for number, layer in enumerate(made.layers):
        found = layer(x, KARATE.edge_index)
        found = found + made.residuals[number](x) if residual else found
        x = made.norms[number](found).relu()
    torch.testing.assert_close(made(KARATE.x, KARATE.edge_index), made.lin_out(x))
    kinds = {"layer": nn.LayerNorm, "batch": nn.BatchNorm1d, "none": nn.Identity}
    assert all(isinstance(part, kinds[norm]) for part in made.norms)


def test_a_linear_layer_may_come_first():
    made = built(Trial.of("karate", "stack", pre_linear=True, hidden=16, heads=2, layers=1))
    (layer,) = made.layers
    assert isinstance(layer, GraphAttention) and layer.in_channels == 16
    assert (layer.heads, layer.out_channels) == (2, 8)
    found = made(KARATE.x, build_structure(Trial.of("karate", "stack"), KARATE))
    assert found.shape == (34, 4)


def test_no_linear_layer_before_is_the_usual():
    plain, said = Trial.of("karate", "stack"), Trial.of("karate", "stack", pre_linear=False)
    assert plain == said and plain.pre_linear is None
    assert built(plain).lin_in is None
    assert replace(plain, seed=3).pre_linear is None  # and it can be made again from what it holds


@pytest.mark.parametrize("depth", [2, 4])
def test_a_stack_has_levels(depth):
    trial = Trial.of("karate", "stack", breadth=2, depth=depth)
    assert built(trial)(KARATE.x, build_structure(trial, KARATE)).shape == (34, 4)


def test_settings_of_other_models_are_refused():
    with pytest.raises(ValueError, match="readout: found 'gate' for the model gat"):
        Trial.of("karate", "gat", readout="gate")
    with pytest.raises(ValueError, match="residual: found 3, expected one of False, True"):
        Trial.of("karate", "stack", residual=3)
    with pytest.raises(ValueError, match="norm: found 'group'"):
        Trial.of("karate", "stack", norm="group")
    with pytest.raises(ValueError, match="hidden: found 9, expected a multiple of 2"):
        built(Trial.of("karate", "stack", hidden=9, heads=2))
