"""The Triton backend against the reference: results and every gradient, interpreted or compiled."""

import dataclasses

import pytest
import torch

import gattn
from gattn import forms, normalizers
from gattn.functional import _Unchanged
from gattn.ops import dispatch, reference
from gattn.ops.triton import launch, tiles
from gattn.testing import check_backend, graphs
from tests.ops.triton.where import both

FEW = ("Multiplicative, all options", "Additive, value=None")
FUSED = ("Softmax()", "Sigmoid()", "TopK(k=2)", "Hard()")
NAMED = [name for name in graphs() if name not in ("hub", "duplicates")]


@pytest.fixture
def short(monkeypatch):
    """Rows of more than three pairs count as long: they are cut, and put together again."""
    monkeypatch.setattr(tiles, "LONG", 3)
    monkeypatch.setattr(tiles, "PROGRAMS", 1 << 30)


@both
@pytest.mark.slow
def test_every_form_and_normaliser_agrees_with_the_reference(device, short):
    count = check_backend(
        "triton", device=device, only=lambda form, normalizer, graph: graph == "duplicates"
    )
    assert count == 30


@both
@pytest.mark.slow
def test_rows_that_are_not_cut_agree_with_the_reference(device):
    count = check_backend(
        "triton",
        device=device,
        only=lambda form, normalizer, graph: (
            graph == "duplicates" and normalizer in ("Softmax()", "Hard()")
        ),
    )
    assert count == 10


@both
@pytest.mark.slow
@pytest.mark.parametrize("name", NAMED)
def test_every_kind_of_neighbourhood_agrees_with_the_reference(device, name, short):
    count = check_backend(
        "triton",
        device=device,
        only=lambda form, normalizer, graph: (
            graph == name and form in FEW and normalizer == "Softmax()"
        ),
    )
    assert count == 2


@both
@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16], ids=str)
def test_every_dtype_agrees_with_the_reference(device, dtype, short):
    count = check_backend(
        "triton",
        dtype=dtype,
        device=device,
        only=lambda form, normalizer, graph: (
            graph == "two hops" and form in FEW and normalizer in FUSED[::2]
        ),
    )
    assert count == 4


@both
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_scores_up_to_3e4_agree_with_the_reference(device, dtype):
    count = check_backend(
        "triton",
        dtype=dtype,
        scale=80.0,
        device=device,
        only=lambda form, normalizer, graph: (
            graph == "directed" and form in FEW and normalizer == "Softmax()"
        ),
    )
    assert count == 2


@both
def test_a_hub_agrees_with_the_reference(device, monkeypatch):
    monkeypatch.setattr(tiles, "LONG", 7)  # six pieces, of which the last is short
    count = check_backend(
        "triton",
        device=device,
        hub=40,
        only=lambda form, normalizer, graph: (
            graph == "hub" and form in FEW[:1] and normalizer in FUSED[:2]
        ),
    )
    assert count == 2


def problem(form, value, around, normalizer=None, **options):
    normalizer = normalizer or normalizers.Softmax()
    return dispatch.Problem(form, value, around, normalizer, **options)


def draw(*size, seed=0, device="cpu", dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(size, generator=generator, dtype=torch.float64).to(device, dtype)


def gradients(module, problem, leaves):
    out, _ = module.forward(problem)
    return [out, *torch.autograd.grad(out.sum() + out.square().sum(), leaves)]


EDGES = torch.tensor([[0, 1, 2, 3, 3, 1, 1, 0], [1, 1, 0, 2, 2, 3, 3, 3]])


@both
@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 3, 7), (3, 1, 17), (9, 33, 1)], ids=str)
def test_heads_and_channels_of_any_number(device, shape, monkeypatch):
    heads, channels, width = shape
    monkeypatch.setattr(tiles, "TILE", 64)  # so that some need several blocks of heads
    around = gattn.from_edge_index(EDGES.to(device), 5)
    sizes = (channels, channels, width)
    leaves = [draw(5, heads, size, seed=size, device=device).requires_grad_() for size in sizes]
    asked = problem(forms.Multiplicative(*leaves[:2], 0.3), leaves[2], around)
    found = gradients(dispatch.load("triton"), asked, leaves)
    torch.testing.assert_close(found, gradients(reference, asked, leaves), rtol=1e-4, atol=1e-5)


@both
def test_the_same_weights_are_dropped_as_by_the_reference(device):
    around = gattn.from_edge_index(EDGES.to(device), 5)
    leaves = [draw(5, 5, 2, seed=seed, device=device).requires_grad_() for seed in range(3)]
    for dropout, seed in ((0.0, 3), (0.3, -5), (0.7, 2**62), (1.0, 1)):
        key = torch.tensor(seed, device=device)
        form = forms.Multiplicative(*leaves[:2])
        asked = problem(form, leaves[2], around, dropout=dropout, seed=key, first_row=2**31)
        found = gradients(dispatch.load("triton"), asked, leaves)
        torch.testing.assert_close(found, gradients(reference, asked, leaves), rtol=1e-4, atol=1e-5)


@both
def test_weights_and_scores_are_those_of_the_reference_in_the_order_of_the_edges(device):
    around = gattn.from_edge_index(EDGES.to(device), 5)
    asked = problem(forms.Multiplicative(*draw(2, 5, 2, 3, device=device).unbind()), None, around)
    found = dispatch.load("triton").weights(asked)
    torch.testing.assert_close(found, reference.weights(asked))
    scored = dataclasses.replace(asked, normalizer=_Unchanged())
    torch.testing.assert_close(dispatch.load("triton").weights(scored), reference.scores(asked))


@both
def test_a_gradient_of_a_gradient_is_the_references(device):
    around = gattn.from_edge_index(EDGES.to(device), 5)
    leaves = [
        draw(5, 1, 2, seed=seed, device=device, dtype=torch.float64).requires_grad_()
        for seed in range(3)
    ]

    def run(*leaves):
        return gattn.attend(*leaves, around, backend="triton")

    assert torch.autograd.gradcheck(run, leaves, fast_mode=True)
    assert torch.autograd.gradgradcheck(run, leaves, fast_mode=True)


@both
def test_the_output_is_kept_only_where_a_backward_may_follow(device, monkeypatch):
    around = gattn.from_edge_index(EDGES.to(device), 5)
    x = draw(5, 2, 4, device=device, dtype=torch.bfloat16)
    kept, attend = [], launch.attend

    def spied(inputs, keep):
        found = attend(inputs, keep)
        kept.append((keep, found[-1].numel()))
        return found

    monkeypatch.setattr(launch, "attend", spied)
    gattn.attend(x, x, x, around, backend="triton")
    leaf = x.clone().requires_grad_()
    with torch.no_grad():
        gattn.attend(leaf, x, x, around, backend="triton")
    gattn.attend(leaf, x, x, around, backend="triton")
    assert kept == [(False, 0), (False, 0), (True, x.numel())]


@both
def test_what_is_kept_may_not_be_changed_before_the_backward(device):
    around = gattn.from_edge_index(EDGES.to(device), 5)
    leaf = draw(5, 2, 4, device=device).requires_grad_()
    out = gattn.attend(leaf, leaf, leaf, around, backend="triton")
    out.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out.sum().backward()


@both
def test_layers_add_their_bias_without_touching_what_is_kept(device):
    from torch_geometric import nn as pyg

    from gattn import nn

    edges, x = EDGES.to(device), draw(5, 6, device=device)
    for ours, theirs in ((nn.GATConv, pyg.GATConv), (nn.GATv2Conv, pyg.GATv2Conv)):
        torch.manual_seed(0)
        expected = theirs(6, 3, heads=2).to(device)
        conv = ours(6, 3, heads=2).to(device)
        conv.load_state_dict(expected.state_dict())
        conv.backend = "triton"
        torch.nn.init.normal_(conv.bias)
        expected.load_state_dict(conv.state_dict())
        found, wanted = conv(x, edges), expected(x, edges)
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
        found.sum().backward()
        wanted.sum().backward()
        for mine, its in zip(conv.parameters(), expected.parameters(), strict=True):
            torch.testing.assert_close(mine.grad, its.grad, rtol=1e-4, atol=1e-4)


def test_where_it_cannot_compute_it_says_why(monkeypatch):
    module = dispatch.load("triton")
    around = gattn.from_edge_index(EDGES, 5)
    x = draw(5, 1, 2)
    monkeypatch.setattr(module, "INTERPRETED", False)
    asked = problem(forms.Multiplicative(x, x), x, around)
    assert module.reasons(asked) == ["the device is cpu, not cuda"]
    monkeypatch.setattr(module, "INTERPRETED", True)
    wide = draw(5, 1, 8193)
    asked = problem(forms.Multiplicative(wide, wide), x, around)
    assert module.reasons(asked) == ["a head has 8,193 channels, more than 8,192"]
    with pytest.raises(ValueError, match="triton: a head has 8,193 channels, more than 8,192"):
        gattn.attend(wide, wide, x, around, backend="triton")
