"""Shapes, strides and integer types that kernels never see, and results that do not change."""

import pytest
import torch

import gattn
from gattn import forms, testing

GRAPHS = testing.graphs()
GRAPH = GRAPHS["duplicates"]
MASK = torch.where(torch.arange(GRAPH.num_pairs) % 5 == 2, float("-inf"), 0.0)


def draw(*size, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(size, generator=generator, dtype=torch.float64)


def product(graph, heads, channels, width):
    leaves = [
        draw(graph.num_targets, heads, channels, seed=1),
        draw(graph.num_sources, heads, channels, seed=2),
        draw(graph.num_sources, heads, width, seed=3),
    ]
    return leaves, lambda backend, *leaves: gattn.attend(*leaves, graph, backend=backend)


def additive(graph, heads, channels, width):
    leaves = [draw(8, heads, channels, seed=1), draw(8, heads, channels, seed=2)]
    leaves.append(draw(heads, channels, seed=3))

    def run(backend, *leaves):
        form = forms.Additive(*leaves, negative_slope=0.3)
        return gattn.attend_form(form, None, graph, pair_bias=MASK, backend=backend)

    return leaves, run


def with_gradients(run, backend, leaves):
    leaves = [leaf.detach().requires_grad_() for leaf in leaves]
    out = run(backend, *leaves)
    upstream = draw(*out.shape, seed=4)
    return out, *torch.autograd.grad(out, leaves, upstream)


def same(run, leaves):
    found, expected = (with_gradients(run, name, leaves) for name in ("cpu", "reference"))
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=1e-10)


@pytest.mark.parametrize("heads", [1, 2, 3, 8, 9, 17, 32])
@pytest.mark.parametrize("channels", [1, 2, 3, 7, 33, 64])
@pytest.mark.parametrize("problem", [product, additive])
def test_any_number_of_heads_and_channels(problem, heads, channels):
    leaves, run = problem(GRAPH, heads, channels, channels)
    same(run, leaves)


@pytest.mark.parametrize(("channels", "width"), [(1, 64), (64, 1), (5, 3), (3, 5), (7, 0), (0, 7)])
def test_values_as_wide_as_they_like(channels, width):
    leaves, run = product(GRAPH, 3, channels, width)
    same(run, leaves)


@pytest.mark.parametrize("name", list(GRAPHS))
def test_every_awkward_neighborhood(name):
    leaves, run = product(GRAPHS[name], 3, 5, 4)
    same(run, leaves)


def test_more_graphs():
    one_loop = gattn.from_edge_index(torch.zeros(2, 1, dtype=torch.int64), 1)
    nobody = gattn.from_edge_index(torch.empty(2, 0, dtype=torch.int64), (0, 4))
    to_nobody = gattn.from_edge_index(torch.empty(2, 0, dtype=torch.int64), (4, 0))
    for graph in (one_loop, nobody, to_nobody):
        leaves, run = product(graph, 2, 3, 3)
        same(run, leaves)


def test_no_heads():
    leaves, run = product(GRAPH, 0, 3, 3)
    assert run(None, *leaves).shape == (8, 0, 3)
    with pytest.raises(ValueError, match="there are no heads"):
        run("cpu", *leaves)


def test_half_types_keep_their_dtype_and_are_computed_in_single():
    leaves, run = product(GRAPH, 2, 3, 3)
    for dtype in (torch.bfloat16, torch.float16):
        low = [leaf.to(dtype).requires_grad_() for leaf in leaves]
        out = run("cpu", *low)
        grads = torch.autograd.grad(out.float().sum(), low)
        assert {tensor.dtype for tensor in (out, *grads)} == {dtype}
        single = run("cpu", *(leaf.detach().float() for leaf in low))
        assert torch.equal(out, single.to(dtype))


def test_a_double_value_beside_single_scores_is_summed_in_double():
    leaves, run = product(GRAPH, 2, 3, 3)
    mixed = [leaves[0].float(), leaves[1].float(), leaves[2] + 1e6]
    exact = run("reference", *(leaf.double() for leaf in mixed))
    found = with_gradients(run, "cpu", mixed)
    torch.testing.assert_close(found[0], exact, atol=0, rtol=1e-13)
    assert [tensor.dtype for tensor in found[1:]] == [leaf.dtype for leaf in mixed]


def test_strides_change_nothing():
    leaves, run = product(GRAPH, 3, 4, 4)
    expected = with_gradients(run, "cpu", leaves)
    transposed = [leaf.permute(1, 2, 0).contiguous().permute(2, 0, 1) for leaf in leaves]
    sliced = [torch.cat([leaf, leaf], dim=2)[:, :, :4] for leaf in leaves]
    every_second = [torch.stack([leaf, leaf], dim=1).flatten(0, 1)[::2] for leaf in leaves]
    for changed in (transposed, sliced, every_second):
        assert not any(leaf.is_contiguous() for leaf in changed)
        for found, wanted in zip(with_gradients(run, "cpu", changed), expected, strict=True):
            assert torch.equal(found, wanted)


def test_expanded_gradients_and_inputs():
    leaves, run = product(GRAPH, 3, 4, 4)
    found, expected = (
        torch.autograd.grad(run(name, *given).sum(), given)  # the gradient of a sum is expanded
        for name in ("cpu", "reference")
        for given in [[leaf.clone().requires_grad_() for leaf in leaves]]
    )
    torch.testing.assert_close(found, expected)
    same(run, [leaf[:1].expand(8, -1, -1) for leaf in leaves])


def test_a_leading_batch_axis():
    leaves, _ = product(GRAPH, 3, 4, 4)
    batched = [torch.stack([leaf, leaf.flip(0)]) for leaf in leaves]
    found = gattn.attend(*batched, GRAPH, backend="cpu")
    torch.testing.assert_close(found, gattn.attend(*batched, GRAPH, backend="reference"))


def test_edges_of_32_bits():
    leaves, run = product(GRAPH, 3, 4, 4)
    small = gattn.from_edge_index(GRAPH.edge_index().int(), 8)
    assert torch.equal(gattn.attend(*leaves, small, backend="cpu"), run("cpu", *leaves))


def test_inputs_are_left_alone():
    leaves, run = product(GRAPH, 3, 4, 4)
    before = [leaf.clone() for leaf in leaves]
    with_gradients(run, "cpu", leaves)
    assert all(torch.equal(a, b) for a, b in zip(leaves, before, strict=True))
