"""A pruned model computes what the model computes with those heads silenced, with fewer numbers."""

import copy
import pickle
from contextlib import ExitStack

import pytest
import torch
from torch import nn
from torch_geometric import nn as pyg

import gattn
from gattn import normalizers, scores
from gattn.compare.diffusing import Diffusing
from gattn.compare.models import Classic, OneLayer
from gattn.compare.surroundings import Surrounded, Surroundings
from gattn.inspection import ablated, attention_maps, prune_heads, savings
from gattn.inspection.heads import has_heads
from gattn.nn import (
    AttentionGNN,
    DepthBreadth,
    DiffusionAttention,
    GATConv,
    GATv2Conv,
    GraphAttention,
    TransformerConv,
)
from tests.inspection.graphs import EDGES, NODES, ball, features, stirred

EXACT = {"atol": 1e-12, "rtol": 1e-12}
POOLED = gattn.clusters(torch.tensor([0, 0, 0, 1, 1, 1, 1]))
ALL = ("feature", "node", "hop", "cluster")

LAYERS = {
    "plain": lambda: GraphAttention(6, 4, 3),
    "hop bias": lambda: GraphAttention(6, 4, 3, hop_bias=2),
    "rings": lambda: GraphAttention(6, 4, 3, hop_bias=2, levels=("node", "hop")),
    "channels": lambda: GraphAttention(
        6, 4, 3, hop_bias=2, levels=("node", "hop"), per_channel=True
    ),
    "gate": lambda: GraphAttention(6, 4, 3, hop_bias=2, levels=("node", "hop"), hop_mixing="gate"),
    "signed": lambda: GraphAttention(
        6, 4, 3, hop_bias=2, levels=("node", "hop"), hop_mixing="signed"
    ),
    "span": lambda: GraphAttention(6, 4, 3, hop_bias=2, span="learned"),
    "tokens": lambda: GraphAttention(6, 4, 3, levels=("feature", "node")),
    "shared": lambda: GraphAttention(6, 4, 3, share_key_value=True),
    "mean": lambda: GraphAttention(6, 4, 3, concat=False),
    "no bias": lambda: GraphAttention(6, 4, 3, bias=False),
    "tanh": lambda: GraphAttention(6, 4, 3, normalizer=normalizers.Tanh()),
    "diffusion": lambda: DiffusionAttention(6, 4, 3, rounds=2),
    "gat": lambda: GATConv(6, 4, 3),
    "gat mean": lambda: GATConv(6, 4, 3, concat=False),
    "gat residual": lambda: GATConv(6, 4, 3, residual=True),
    "gatv2": lambda: GATv2Conv(6, 4, 3),
    "gatv2 shared": lambda: GATv2Conv(6, 4, 3, share_weights=True, residual=True),
    "transformer": lambda: TransformerConv(6, 4, 3),
    "transformer beta": lambda: TransformerConv(6, 4, 3, beta=True),
    "transformer mean": lambda: TransformerConv(6, 4, 3, concat=False, beta=True),
    "transformer bare": lambda: TransformerConv(6, 4, 3, root_weight=False),
    "pyg gat": lambda: pyg.GATConv(6, 4, 3),
    "pyg gatv2": lambda: pyg.GATv2Conv(6, 4, 3),
    "pyg transformer": lambda: pyg.TransformerConv(6, 4, 3, beta=True),
} | {
    f"score {name}": lambda name=name: GraphAttention(6, 4, 3, score=getattr(scores, name))
    for name in scores.__dict__
    if isinstance(getattr(scores, name), type) and name not in ("Score",)
}


def structure_of(layer):
    return ball(2) if isinstance(layer, GraphAttention) else EDGES


@torch.no_grad()
def silenced(model, lost, *arguments):
    """The output with the values of some heads set to zero, one after the other."""
    named = dict(model.named_modules())
    with ExitStack() as stack:
        for name, heads in lost.items():
            for head in heads:
                stack.enter_context(ablated(named.get(name, model), head))
        return model(*arguments)


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_alone(name):
    layer, lost = stirred(LAYERS[name]()), [0, 2]
    title = type(layer).__name__
    arguments = features(), structure_of(layer)
    expected = silenced(layer, {title: lost}, *arguments)
    whole = layer(*arguments)
    smaller = prune_heads(layer, {title: lost})
    torch.testing.assert_close(smaller(*arguments), expected, **EXACT)
    assert smaller.heads == 3 - len(lost)
    assert numbers(smaller) < numbers(layer)
    torch.testing.assert_close(layer(*arguments), whole, **EXACT)  # the model itself stays


def numbers(model):
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("name", LAYERS)
def test_as_many_numbers_as_a_layer_that_never_had_more_heads(name):
    """Up to what is added behind the heads, which stays as wide as it was."""
    kept = prune_heads(made := stirred(LAYERS[name]()), {type(made).__name__: [0]}).layer
    state = {key: tuple(value.shape) for key, value in kept.named_parameters()}
    for key, shape in state.items():
        before = dict(made.named_parameters())[key].shape
        same = shape == tuple(before)
        assert same == (
            key
            in (
                "score.log_temperature",
                "feature_level.lin_token.weight",
                "feature_level.lin_token.bias",
            )
        ), key


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"hop_bias": 2, "levels": ("node", "hop")},
        {"score": scores.GATv2, "normalizer": normalizers.Entmax15()},
        {"score": scores.MLP(2, 4)},  # one score, shared by the blocks
        {"jk": "attention"},
    ],
)
def test_a_stack_of_blocks_shrinks_with_what_reads_its_heads(options):
    model = stirred(AttentionGNN(6, 8, 2, 3, heads=2, **options))
    lost = {"blocks.0.attention": [1], "blocks.1.attention": [0]}
    around = ball(2)
    smaller = prune_heads(model, lost)
    expected = silenced(model, lost, features(), around)
    torch.testing.assert_close(smaller(features(), around), expected, **EXACT)
    assert smaller.blocks[0].merge.in_features == 4
    assert type(smaller.blocks[0].attention) is GraphAttention
    assert smaller.blocks[0].attention.heads == 1


def test_with_every_level():
    model = stirred(AttentionGNN(6, 8, 1, 3, heads=2, hop_bias=2, levels=ALL))
    arguments = features(), ball(2), POOLED
    lost = {"blocks.0.attention": [0]}
    expected = silenced(model, lost, *arguments)
    torch.testing.assert_close(prune_heads(model, lost)(*arguments), expected, **EXACT)


def test_one_layer_between_two():
    model = stirred(Surrounded(OneLayer(6, 12, 3, 3, 0.0, hop_bias=2, levels=ALL)))
    around = Surroundings(ball(2), POOLED)
    lost = {"model.attention": [0, 1]}
    smaller = prune_heads(model, lost)
    expected = silenced(model, lost, features(), around)
    torch.testing.assert_close(smaller(features(), around), expected, **EXACT)
    assert smaller.model.lin_out.in_features == 4


@pytest.mark.parametrize("layer", [GATConv, GATv2Conv, TransformerConv, pyg.GATConv])
def test_the_gat_recipe(layer):
    model = stirred(Classic(layer, 6, 4, 3, 2, 3, 0.5))
    smaller = prune_heads(model, {"layers.0": [2, 0]})
    expected = silenced(model, {"layers.0": [0, 2]}, features(), EDGES)
    torch.testing.assert_close(smaller(features(), EDGES), expected, **EXACT)
    found = attention_maps(smaller, features(), EDGES)
    assert list(found) == ["layers.0.layer", "layers.1"]
    assert found["layers.0.layer"].heads == 1


def test_the_model_of_diffusion():
    model = stirred(Diffusing(6, 4, 3, 2, 3, 0.5, 0.2, rounds=2))
    lost = {"layers.0": [1]}
    expected = silenced(model, lost, features(), EDGES)
    torch.testing.assert_close(prune_heads(model, lost)(features(), EDGES), expected, **EXACT)


def test_a_branch_keeps_its_width_for_the_gate():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = DepthBreadth(6, 4, 3)

        def forward(self, x, structure):
            return self.layer(x, *structure)

    model, around = stirred(Model()), (ball(1), ball(3))
    lost = {"layer.broad": [1]}
    smaller = prune_heads(model, lost)
    expected = silenced(model, lost, features(), around)
    torch.testing.assert_close(smaller(features(), around), expected, **EXACT)
    assert smaller.layer.inspect(features(), *around)["gate"].shape == (NODES, 3)


def test_features_of_edges():
    attr = torch.rand(EDGES.shape[1], 2, dtype=torch.float64)
    for layer in (GATConv, GATv2Conv, TransformerConv):
        conv = stirred(layer(6, 4, 3, edge_dim=2))
        smaller = prune_heads(conv, {layer.__name__: [1]})
        expected = silenced(conv, {layer.__name__: [1]}, features(), EDGES, attr)
        torch.testing.assert_close(smaller(features(), EDGES, attr), expected, **EXACT)
    own = stirred(GraphAttention(6, 4, 3, edge_dim=2))
    smaller = prune_heads(own, {"GraphAttention": [1]})
    with ablated(own, 1):
        expected = own(features(), EDGES, edge_attr=attr)
    torch.testing.assert_close(smaller(features(), EDGES, edge_attr=attr), expected, **EXACT)


def test_pruned_twice():
    model = stirred(Classic(GATConv, 6, 4, 3, 2, 3, 0.5))
    once = prune_heads(model, {"layers.0": [1]})
    twice = prune_heads(once, {"layers.0.layer": [1]})
    expected = silenced(model, {"layers.0": [1, 2]}, features(), EDGES)
    torch.testing.assert_close(twice(features(), EDGES), expected, **EXACT)


def test_weights_are_returned_by_the_heads_that_are_left():
    conv = stirred(GATConv(6, 4, 3))
    smaller = prune_heads(conv, {"GATConv": [0]})
    out, (_, weights) = smaller(features(), EDGES, return_attention_weights=True)
    whole = conv(features(), EDGES, return_attention_weights=True)[1][1]
    assert out.shape == (NODES, 12)
    torch.testing.assert_close(weights, whole[:, 1:], **EXACT)


def test_a_pruned_model_trains_and_travels():
    smaller = prune_heads(stirred(Classic(GATConv, 6, 4, 3, 2, 3, 0.5)), {"layers.0": [1]})
    smaller(features(), EDGES).sum().backward()
    assert all(parameter.grad is not None for parameter in smaller.parameters())
    other = pickle.loads(pickle.dumps(copy.deepcopy(smaller)))
    torch.testing.assert_close(other(features(), EDGES), smaller(features(), EDGES), **EXACT)
    other.load_state_dict(smaller.state_dict())
    assert "kept=[0, 2] of 3" in repr(smaller)


def test_to_prune_nothing_is_a_copy():
    model = stirred(Classic(GATConv, 6, 4, 3, 2, 3, 0.5))
    same = prune_heads(model, {"layers.0": []})
    assert same is not model
    torch.testing.assert_close(same(features(), EDGES), model(features(), EDGES))


def test_savings():
    model = stirred(AttentionGNN(6, 8, 1, 3, heads=2))
    smaller = prune_heads(model, {"blocks.0.attention": [0]})
    found = savings(model, smaller, features(), EDGES, runs=2)
    # Query, key, value and the layer that reads the heads have 8 * 4 each, the bias has 4.
    assert found.parameters == 4 * 8 * 4 + 4
    assert found.share == found.parameters / numbers(model)
    assert all(seconds > 0 for seconds in found.seconds)


@pytest.mark.parametrize(
    ("lost", "kind", "message"),
    [
        ({"blocks.7": [0]}, KeyError, "heads: found the layer 'blocks.7', expected one of blocks"),
        ({"lin_in": [0]}, TypeError, "heads: found Linear at lin_in"),
        ({"blocks.0.attention": [2]}, ValueError, "heads: found 2 for blocks.0.attention"),
        ({"blocks.0.attention": [-1]}, ValueError, "expected 0 <= head < 2"),
        ({"blocks.0.attention": [0, 1]}, ValueError, "found all 2 of blocks.0.attention"),
    ],
)
def test_what_cannot_be_pruned_is_refused(lost, kind, message):
    with pytest.raises(kind, match=message):
        prune_heads(AttentionGNN(6, 8, 1, 3, heads=2), lost)


def test_modules_without_heads():
    assert not has_heads(nn.Linear(2, 2))
    assert not has_heads(pyg.GCNConv(2, 2))
