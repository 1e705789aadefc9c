"""The scores of SuperGAT against PyG's layer, with its parameters."""

import pytest
import torch
from torch_geometric.nn import SuperGATConv

import gattn
from gattn.scores import SuperGATMX, SuperGATSD

EDGES = torch.randint(0, 12, (2, 40), generator=torch.Generator().manual_seed(0))


def built(kind, slope=0.3):
    """PyG's layer, and the score with its parameters."""
    torch.manual_seed(0)
    layer = SuperGATConv(
        6, 4, 3, attention_type=kind, negative_slope=slope, add_self_loops=False, bias=False
    )
    layer = layer.double().eval()
    if kind == "SD":
        return layer, SuperGATSD(slope)
    score = SuperGATMX(3, 4, slope).double()
    score.load_state_dict({"att_src": layer.att_l[0], "att_dst": layer.att_r[0]})
    return layer, score


def attended(layer, score, x):
    hidden = layer.lin(x).view(-1, 3, 4)
    return gattn.attend(hidden, hidden, None, gattn.from_edge_index(EDGES, 12), score=score)


@pytest.mark.parametrize("kind", ["MX", "SD"])
def test_outputs_and_gradients_are_pygs(kind):
    layer, score = built(kind)
    x = torch.randn(12, 6, dtype=torch.float64, requires_grad=True)
    expected, found = layer(x, EDGES), attended(layer, score, x).flatten(1)
    torch.testing.assert_close(found, expected)
    theirs = [x, layer.lin.weight] + ([layer.att_l, layer.att_r] if kind == "MX" else [])
    ours = [x, layer.lin.weight] + ([score.att_src, score.att_dst] if kind == "MX" else [])
    wanted = torch.autograd.grad(expected.square().sum(), theirs)
    for have, want in zip(torch.autograd.grad(found.square().sum(), ours), wanted, strict=True):
        torch.testing.assert_close(have, want.view_as(have))


@pytest.mark.parametrize("kind", ["MX", "SD"])
def test_weights_are_pygs(kind):
    layer, score = built(kind)
    x = torch.randn(12, 6, dtype=torch.float64)
    hidden = layer.lin(x).view(-1, 3, 4)
    source, target = EDGES
    expected = layer.get_attention(target, hidden[target], hidden[source], num_nodes=12)
    around = gattn.from_edge_index(EDGES, 12)
    found = gattn.attention_weights(hidden, hidden, around, score=score)
    torch.testing.assert_close(found, expected)


def test_the_defaults_are_pygs():
    assert SuperGATSD().negative_slope == SuperGATMX(1, 2).negative_slope == 0.2
