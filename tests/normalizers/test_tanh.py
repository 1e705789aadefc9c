"""Signed weights: the formula, masks, backends, and FAGCN's layer."""

from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from torch_geometric.nn import FAConv
from torch_geometric.utils import add_remaining_self_loops, degree

import gattn
from gattn.nn import GraphAttention
from gattn.normalizers import Sigmoid, Tanh
from gattn.scores import GAT, Additive, Distance
from gattn.testing import check_normalizer, graphs

EDGES = torch.randint(0, 12, (2, 40), generator=torch.Generator().manual_seed(0))
ROUNDING = {torch.bfloat16: 3e-2, torch.float32: 2e-5, torch.float64: 1e-12}


def drawn(*size, dtype=torch.float64):
    return torch.randn(size, generator=torch.Generator().manual_seed(1), dtype=dtype)


@dataclass(frozen=True)
class Unannounced(Tanh):
    signed: ClassVar[bool] = False


def test_negative_weights_have_to_be_announced():
    assert Tanh().signed and not Sigmoid().signed
    with pytest.raises(AssertionError, match="a weight is negative"):
        check_normalizer(Unannounced())


def test_a_masked_pair_has_no_weight_and_no_gradient():
    around = gattn.from_edge_index(EDGES, 12)
    mask = torch.where(torch.arange(40) % 3 == 0, float("-inf"), 0.0).double()
    query, key, value = (side.requires_grad_() for side in drawn(3, 12, 2, 3).unbind(0))
    options = {"normalizer": Tanh(), "pair_bias": mask}
    weights = gattn.attention_weights(query, key, around, **options)
    score = gattn.pair_scores(gattn.scores.ScaledDot()(query, key), around)
    kept = mask == 0
    torch.testing.assert_close(weights[kept], score[kept].tanh())
    assert (weights[~kept] == 0).all() and (weights < 0).any()
    fewer = gattn.from_edge_index(EDGES[:, kept], 12)
    outs = [
        gattn.attend(query, key, value, around, **options),
        gattn.attend(query, key, value, fewer, normalizer=Tanh()),
    ]
    grads = [torch.autograd.grad(out.square().sum(), (query, key, value)) for out in outs]
    for masked, absent in zip((outs[0], *grads[0]), (outs[1], *grads[1]), strict=True):
        torch.testing.assert_close(masked, absent)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("score", [GAT, Additive, Distance])
@pytest.mark.parametrize("name", ["directed", "duplicates", "hub", "two hops", "no pairs"])
def test_compiled_and_plain_agree(name, score, dtype):
    around = graphs()[name]
    torch.manual_seed(0)
    made = score.for_heads(2, 5).to(dtype)
    sides = (around.num_targets, around.num_sources, around.num_sources)
    leaves = [drawn(size, 2, 5).to(dtype).requires_grad_() for size in sides]
    bias = torch.where(torch.arange(around.num_pairs) % 5 == 2, float("-inf"), 0.0).to(dtype)
    found = {}
    for backend in ("cpu", "reference"):
        out = gattn.attend(
            *leaves, around, score=made, normalizer=Tanh(), pair_bias=bias, backend=backend
        )
        wanted = (*leaves, *made.parameters())
        found[backend] = (out, *torch.autograd.grad(out.square().sum(), wanted))
    for fast, plain in zip(*found.values(), strict=True):
        largest = plain.detach().abs().max().item() if plain.numel() else 0.0  # sums cancel
        rounding = ROUNDING[dtype]
        torch.testing.assert_close(fast, plain, rtol=rounding, atol=rounding * max(largest, 1.0))


@pytest.mark.parametrize("loops", [True, False])
def test_it_is_the_propagation_of_fagcn(loops):
    torch.manual_seed(0)
    layer = FAConv(5, eps=0.3, add_self_loops=loops).double()
    score = GAT(1, 5, negative_slope=1.0).double()
    score.load_state_dict({"att_src": layer.att_l.weight, "att_dst": layer.att_r.weight})
    x, first = drawn(2, 12, 5).requires_grad_()
    edges = add_remaining_self_loops(EDGES, num_nodes=12)[0] if loops else EDGES
    size = degree(edges[1], 12, torch.float64)[:, None, None]
    factor = torch.where(size > 0, size.clamp(min=1).rsqrt(), 0.0)
    heads = x[:, None]
    around = gattn.from_edge_index(edges, 12)
    out = gattn.attend(heads, heads, heads * factor, around, score=score, normalizer=Tanh())
    found, expected = (out * factor).squeeze(1) + 0.3 * first, layer(x, first, EDGES)
    torch.testing.assert_close(found, expected)
    ours, theirs = (x, score.att_src, score.att_dst), (x, layer.att_l.weight, layer.att_r.weight)
    wanted = torch.autograd.grad(expected.square().sum(), theirs)
    for have, want in zip(torch.autograd.grad(found.square().sum(), ours), wanted, strict=True):
        torch.testing.assert_close(have, want)


@pytest.mark.parametrize("levels", [("node",), ("node", "hop")])
def test_in_a_layer_the_weights_are_those_of_the_output(levels):
    torch.manual_seed(0)
    ball = gattn.k_hop(EDGES, 2, 12)
    options = {"normalizer": Tanh(), "hop_bias": 2, "levels": levels, "bias": False}
    layer = GraphAttention(4, 3, 2, **options).double()
    x = drawn(12, 4)
    weights, value = layer.attention_weights(x, ball), layer.lin_value(x).view(12, 2, 3)
    source, target = ball.edge_index()
    expected = torch.zeros(12, 2, 3, dtype=torch.float64)
    expected.index_add_(0, target, weights[:, :, None] * value[source])
    torch.testing.assert_close(layer(x, ball), expected.flatten(1))
