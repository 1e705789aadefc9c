"""Weights of the layers of a model: those that the layers themselves tell, found by one pass."""

import pytest
import torch
from torch import nn
from torch_geometric import EdgeIndex
from torch_geometric import nn as pyg
from torch_geometric.data import Data

import gattn
from gattn.compare.models import Classic, OneLayer
from gattn.compare.surroundings import Surrounded, Surroundings
from gattn.inspection import attention_maps
from gattn.inspection.capture import attention_layers, distances
from gattn.nn import (
    AttentionGNN,
    DepthBreadth,
    DiffusionAttention,
    GATConv,
    GATv2Conv,
    GraphAttention,
    HopTokenAttention,
    SequenceAttention,
    TransformerConv,
)
from gattn.transforms import HopTokens
from tests.inspection.graphs import EDGES, NODES, ball, features, stirred

DROP_INS = [GATConv, GATv2Conv, TransformerConv]
PYG = [pyg.GATConv, pyg.GATv2Conv, pyg.TransformerConv]


def same(found, expected):
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)


def test_a_stack_of_blocks():
    model = stirred(AttentionGNN(6, 8, 2, 3, heads=2, hop_bias=2, levels=("node", "hop")))
    around, x = ball(2), features()
    maps = attention_maps(model, x, around)
    assert list(maps) == ["blocks.0.attention", "blocks.1.attention"]
    hidden = model.lin_in(x)
    block = model.blocks[0]
    same(
        maps["blocks.0.attention"].weights,
        block.attention.attention_weights(block.norm_attention(hidden), around),
    )
    block, hidden = model.blocks[1], block(hidden, around)
    same(
        maps["blocks.1.attention"].weights,
        block.attention.attention_weights(block.norm_attention(hidden), around),
    )


def test_pairs_have_the_order_of_the_weights():
    # Unsorted edges: the neighbourhood stores them in another order than it was given them.
    shuffled = EDGES[:, torch.randperm(EDGES.shape[1], generator=torch.Generator().manual_seed(3))]
    layer, x = stirred(GraphAttention(6, 4, 2, hop_bias=1)), features()
    found = attention_maps(layer, x, gattn.from_edge_index(shuffled, NODES))["GraphAttention"]
    same(found.edge_index, shuffled)
    same(found.hop.long(), (shuffled[0] != shuffled[1]).long())
    plain = attention_maps(layer, x, shuffled)["GraphAttention"]
    same(plain.weights, found.weights)
    same(plain.hop, found.hop.long())
    wrapped = EdgeIndex(shuffled, sparse_size=(NODES, NODES))
    same(attention_maps(layer, x, wrapped)["GraphAttention"].weights, found.weights)


@pytest.mark.parametrize("levels", [("node",), ("node", "hop"), ("feature", "node", "hop")])
def test_softmax_rows_sum_to_one(levels):
    layer = stirred(GraphAttention(6, 4, 2, hop_bias=2, levels=levels))
    found = attention_maps(layer, features(), ball(2))["GraphAttention"]
    same(found.dense().sum(1), torch.ones(NODES, 2, dtype=torch.float64))
    same(found.mass_by_hop().sum(0), torch.ones(2, dtype=torch.float64))


def test_streamed_pairs_are_written_out():
    layer, x = stirred(GraphAttention(6, 4, 2, hop_bias=2)), features()
    streamed = gattn.k_hop(EDGES, 2, NODES, streamed=True)
    found = attention_maps(layer, x, streamed)["GraphAttention"]
    expected = attention_maps(layer, x, ball(2))["GraphAttention"]
    same(found.dense(), expected.dense())
    same(found.mass_by_hop(), expected.mass_by_hop())


def test_a_window_has_distances_a_whole_sequence_has_none():
    layer, x = stirred(GraphAttention(6, 4, 2)), features()
    near = attention_maps(layer, x, gattn.window(NODES, 2))["GraphAttention"]
    assert near.hop.max() == 2
    signed = attention_maps(layer, x, gattn.window(NODES, 2, signed=True))["GraphAttention"]
    same(signed.hop.long(), near.hop.long())
    whole = attention_maps(layer, x, gattn.full(NODES))["GraphAttention"]
    assert whole.hop is None
    known = attention_maps(layer, x, gattn.full(NODES), hops=ball(2))["GraphAttention"]
    assert known.hop.max() == 3  # beyond two hops


def test_weights_of_each_channel_are_averaged():
    options = {"hop_bias": 2, "levels": ("node", "hop"), "per_channel": True}
    layer, x = stirred(GraphAttention(6, 4, 2, **options)), features()
    found = attention_maps(layer, x, ball(2))["GraphAttention"]
    same(found.weights, layer.attention_weights(x, ball(2)).mean(-1))


def test_from_one_set_to_another():
    layer = stirred(GraphAttention((6, 5), 4, 2))
    nearby = gattn.full((3, 7))
    x = features(), torch.ones(3, 5, dtype=torch.float64)

    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = layer

        def forward(self, x, structure):
            return self.layer(x, neighborhood=structure)

    found = attention_maps(Both(), x, nearby)["layer"]
    assert (found.num_targets, found.num_sources) == (7, 3)


@pytest.mark.parametrize("layer", DROP_INS + PYG)
def test_layers_of_pyg_tell_their_own_weights(layer):
    model = stirred(Classic(layer, 6, 4, 3, 2, 2, 0.5))
    maps = attention_maps(model, features(), EDGES)
    assert list(maps) == ["layers.0", "layers.1"]
    _, (edges, weights) = model.layers[0](features(), EDGES, return_attention_weights=True)
    same(maps["layers.0"].weights, weights)
    same(maps["layers.0"].edge_index, edges)
    same(maps["layers.0"].hop, (edges[0] != edges[1]).long())


@pytest.mark.parametrize(("ours", "theirs"), list(zip(DROP_INS, PYG, strict=True)))
def test_drop_ins_have_the_maps_of_pyg(ours, theirs):
    mine = stirred(Classic(ours, 6, 4, 3, 2, 2, 0.5))
    other = Classic(theirs, 6, 4, 3, 2, 2, 0.5).double().eval()
    other.load_state_dict(mine.state_dict())
    found, expected = (attention_maps(each, features(), EDGES) for each in (mine, other))
    for name in expected:
        same(found[name].weights, expected[name].weights)


def test_edges_of_several_hops_get_their_distances():
    around = gattn.k_hop(EDGES, 2, NODES, shells=(1, 2))
    model = stirred(Classic(GATConv, 6, 4, 3, 1, 2, 0.5))
    edges = around.edge_index()
    found = attention_maps(model, features(), edges, hops=ball(2))["layers.0"]
    own = attention_maps(stirred(GraphAttention(6, 4, 2)), features(), around)["GraphAttention"]
    count = edges.shape[1]  # loops are behind them
    same(found.hop[:count], own.hop.long())
    assert (found.hop[count:] == 0).all()


def test_distances():
    assert distances(torch.tensor([[0, 0, 0], [0, 1, 3]]), None).tolist() == [0, 1, 1]
    assert distances(torch.tensor([[0, 0, 0], [0, 1, 6]]), ball(2)).tolist() == [0, 1, 3]
    nothing = gattn.k_hop(EDGES, 1, NODES, shells=())
    assert distances(torch.tensor([[0, 0], [0, 1]]), nothing).tolist() == [0, 2]
    with pytest.raises(ValueError, match="hops: found pairs without distances"):
        distances(EDGES, gattn.full(NODES).expand())


def test_diffusion_tells_of_one_round():
    layer = stirred(DiffusionAttention(6, 4, 2, rounds=3))
    found = attention_maps(layer, features(), EDGES)["DiffusionAttention"]
    same(found.weights, layer.attention_weights(features(), EDGES))


def test_both_branches():
    options = {"fine": {"hop_bias": 1, "levels": ("node", "hop")}, "broad": {}}
    layer = stirred(DepthBreadth(6, 4, 2, **options))

    class Near(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = layer

        def forward(self, x, structure):
            return self.layer(x, *structure)

    maps = attention_maps(Near(), features(), (ball(1), ball(3)))
    assert list(maps) == ["layer.fine", "layer.broad"]
    assert [found.num_hops for found in maps.values()] == [1, 3]


def test_with_clusters():
    model = stirred(Surrounded(OneLayer(6, 8, 3, 2, 0.0, levels=("node", "cluster"))))
    pooled = gattn.clusters(torch.tensor([0, 0, 0, 1, 1, 1, 1]))
    found = attention_maps(model, features(), Surroundings(ball(2), pooled))
    rows = found["model.attention"].dense().sum(1)
    assert (rows < 1).all()  # the rest is what clusters hold
    same(found["model.attention"].mass_by_hop().sum(0), torch.ones(2, dtype=torch.float64))


def test_tokens_of_hops():
    data = HopTokens(3)(Data(x=features().float(), edge_index=EDGES, num_nodes=NODES))
    layer = stirred(HopTokenAttention(6, 4, 2)).float()

    class Tokens(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = layer

        def forward(self, x, structure):
            return self.layer(x)

    maps = attention_maps(Tokens(), data.hop_tokens, None)
    assert set(maps) == {"layer", "layer.blocks.0.attention"}
    found = maps["layer"].node_mass_by_hop()[:, 1:, 0]
    torch.testing.assert_close(found, layer.attention_weights(data.hop_tokens))


@pytest.mark.parametrize("layer", [nn.MultiheadAttention, SequenceAttention])
def test_sequences(layer):
    layer = stirred(layer(8, 2, batch_first=True))
    x = torch.randn(3, 5, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    class Self(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = layer

        def forward(self, x, structure):
            return self.layer(x, x, x, need_weights=False)[0]

    found = attention_maps(Self(), x, None)["layer"]
    expected = layer(x, x, x, average_attn_weights=False)[1]
    assert (found.num_targets, found.num_hops) == (15, 4)
    same(found.dense()[5:10, 5:10], expected[1].permute(1, 2, 0))
    assert found.dense()[5:10, :5].abs().sum() == 0


def test_the_model_is_left_as_it_was():
    model = Classic(GATConv, 6, 4, 3, 2, 2, 0.5).double().train()
    model.layers[0].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    attention_maps(model, features(), EDGES)
    assert model.training and model.layers[1].training and not model.layers[0].training
    assert not any(module._forward_hooks for module in model.modules())
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


def test_hooks_are_gone_when_the_model_fails():
    model = Classic(GATConv, 6, 4, 3, 2, 2, 0.5)
    with pytest.raises(RuntimeError):
        attention_maps(model, features(channels=5).float(), EDGES)
    assert not any(module._forward_hooks for module in model.modules())


def test_a_layer_that_is_called_twice_has_two_maps():
    layer = stirred(GraphAttention(6, 3, 2))

    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = layer

        def forward(self, x, structure):
            return self.layer(self.layer(x, structure), structure)

    assert list(attention_maps(Twice(), features(), EDGES)) == ["layer", "layer:2"]


def test_models_without_attention_have_no_maps():
    assert attention_layers(pyg.GCNConv(6, 3)) == {}


def test_what_cannot_be_told_is_refused():
    layer = stirred(GraphAttention(6, 4, 2, levels=("feature",)))
    with pytest.raises(ValueError, match="levels: found"):
        attention_maps(layer, features(), EDGES)
    with pytest.raises(ValueError, match=r"x: found shape \[2, 7, 6\] in GraphAttention"):
        batch = features().expand(2, -1, -1)
        attention_maps(stirred(GraphAttention(6, 4, 2)), batch, EDGES)
    ones, size = torch.ones(EDGES.shape[1], dtype=torch.float64), (NODES, NODES)
    sparse = torch.sparse_coo_tensor(EDGES.flip(0), ones, size, check_invariants=True)
    with pytest.raises(ValueError, match="edge_index: found a sparse adjacency"):
        attention_maps(stirred(TransformerConv(6, 4, 2)), features(), sparse)
