"""Scores of the form `Given` inside a layer: edge features, weights, both depths, half types."""

import itertools

import pytest
import torch

import gattn
from gattn import scores
from gattn.nn import GraphAttention

EDGES = torch.randint(0, 9, (2, 30), generator=torch.Generator().manual_seed(0))
BALL = gattn.k_hop(EDGES, 2, 9)
KINDS = [scores.SuperGATMX, scores.SuperGATSD, scores.MLP, scores.Distance, scores.Tempered]
SIZES = list(itertools.product((0, 2), (0, 3)))


def drawn(*size, dtype=torch.float64):
    return torch.randn(size, generator=torch.Generator().manual_seed(1), dtype=dtype)


@pytest.mark.parametrize("kind", KINDS)
def test_the_weights_are_those_of_the_output(kind):
    torch.manual_seed(0)
    layer = GraphAttention(4, 3, 2, score=kind, edge_dim=2, bias=False).double()
    x, edge_attr = drawn(9, 4), drawn(30, 2)
    weights = layer.attention_weights(x, EDGES, edge_attr=edge_attr)
    value = layer.lin_value(x).view(9, 2, 3)[EDGES[0]]
    value = value + torch.einsum("ef,fhd->ehd", edge_attr, layer.edge_value)
    expected = torch.zeros(9, 2, 3, dtype=torch.float64)
    expected.index_add_(0, EDGES[1], weights[:, :, None] * value)
    torch.testing.assert_close(layer(x, EDGES, edge_attr=edge_attr), expected.flatten(1))


@pytest.mark.parametrize("kind", KINDS)
def test_edge_features_reach_the_score(kind):
    torch.manual_seed(0)
    layer = GraphAttention(4, 3, 2, score=kind, edge_dim=2).double()
    x, edge_attr = drawn(9, 4), drawn(30, 2).requires_grad_()
    weights = layer.attention_weights(x, EDGES, edge_attr=edge_attr)
    weights.square().sum().backward()
    assert edge_attr.grad.abs().sum() > 0 and layer.edge_key.grad.abs().sum() > 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_layer_draws_its_score_anew(kind):
    layer = GraphAttention(4, 3, 2, score=kind, hop_bias=2, levels=("node", "hop"))
    for parameter in layer.parameters():
        torch.nn.init.constant_(parameter, float("nan"))
    layer.reset_parameters()
    assert layer(drawn(9, 4, dtype=torch.float32), BALL).isfinite().all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("size", [0.0, 1.0, 1e4])
def test_huge_inputs_of_every_dtype_stay_finite(kind, dtype, size):
    torch.manual_seed(0)
    score = kind.for_heads(2, 3).to(dtype)
    leaves = (drawn(3, 9, 2, 3) * size).clamp(-6e4, 6e4).to(dtype).requires_grad_()
    out = gattn.attend(*leaves.unbind(0), BALL, score=score)
    (out.float().sum() / max(size, 1.0)).backward()
    assert out.dtype == dtype and out.isfinite().all() and leaves.grad.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in score.parameters())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("num_nodes", [0, 4])
@pytest.mark.parametrize(("heads", "channels"), SIZES)
def test_nothing_is_a_size_too(kind, num_nodes, heads, channels):
    score = kind.for_heads(heads, channels)
    leaves = torch.randn(3, num_nodes, heads, channels)
    for edges in (torch.empty(2, 0, dtype=torch.int64), torch.arange(num_nodes).repeat(2, 1)):
        around = gattn.from_edge_index(edges, num_nodes)
        out = gattn.attend(*leaves.unbind(0), around, score=score)
        assert out.shape == leaves.shape[1:] and out.isfinite().all()
