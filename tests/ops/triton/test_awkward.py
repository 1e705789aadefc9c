"""What went wrong once, or could: numbers at the edge, layouts, threads, what is kept."""

import math
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

import gattn
from gattn import forms, normalizers
from gattn.normalizers import Rows
from gattn.ops import dispatch, operators, reference
from gattn.ops.triton import tiles
from tests.ops.triton.test_backend import EDGES, draw, gradients, problem
from tests.ops.triton.where import both


def attended(*sides, **options):
    return gattn.attend(*sides, backend="triton", **options)


@both
def test_nan_is_among_the_top_k(device):
    query = torch.ones(3, 1, 2, device=device)
    query[0] = math.nan
    around = gattn.from_edge_index(torch.tensor([[0, 1, 2], [0, 0, 1]], device=device), 3)
    ones = torch.ones(3, 1, 2, device=device)
    for k in (1, 2):
        found = attended(query, ones, ones, around, normalizer=normalizers.TopK(k))
        assert found[0].isnan().all()
        assert torch.equal(found[1:], torch.tensor([[[1.0, 1.0]], [[0.0, 0.0]]], device=device))


@both
def test_nan_of_a_node_without_pairs_stays_there(device):
    around = gattn.from_edge_index(EDGES.to(device), 5)
    left, right = draw(2, 5, 2, 3, device=device).unbind()
    left[4] = right[4] = math.nan
    leaves = [left.requires_grad_(), right.requires_grad_()]
    weight = draw(2, 3, seed=1, device=device).requires_grad_()
    asked = problem(forms.Additive(*leaves, weight), None, around)
    _, *found = gradients(dispatch.load("triton"), asked, [weight])
    assert found[0].isfinite().all()


@both
def test_the_gradient_of_a_query_is_rounded_once(device):
    around = gattn.from_edge_index(EDGES.to(device), 5)
    left = draw(5, 2, 4, device=device).half().requires_grad_()
    large = torch.full((5, 2, 4), 256.0, device=device)
    right = (large + draw(5, 2, 4, seed=1, device=device)).half()
    features = torch.ones(EDGES.shape[1], 1, device=device).half()
    table = -large[:1].half()  # takes most of the source away again
    asked = problem(
        forms.Multiplicative(left, right, 0.01),
        draw(5, 2, 4, seed=2, device=device).half(),
        around,
        normalizers.Sigmoid(),
        pair_features=features,
        pair_weight=table,
    )
    found, expected = (
        gradients(module, asked, [left])[1].float()
        for module in (dispatch.load("triton"), reference)
    )
    assert (found - expected).abs().max() <= 2e-3 * expected.abs().max()


@both
@pytest.mark.parametrize("size", [1e-1, 1e-3, 1e-6])
def test_a_tanh_keeps_its_digits_near_zero(device, size):
    around = gattn.from_edge_index(EDGES.to(device), 5)
    left, right = (draw(2, 5, 2, 3, device=device) * size).unbind()
    weight = torch.full((2, 3), 1 / size, device=device)
    found, expected = (
        dispatch.load(name).weights(problem(forms.Additive(*given, "tanh"), None, around))
        for name, given in (
            ("triton", (left, right, weight)),
            ("reference", (left.double(), right.double(), weight.double())),
        )
    )
    torch.testing.assert_close(found.double(), expected, rtol=3e-6, atol=3e-6)


@both
def test_gradients_are_as_torch_compile_expects_them(device):
    around = gattn.from_edge_index(EDGES.to(device), 5)
    leaves = [draw(5, 2, 3, seed=seed, device=device).requires_grad_() for seed in range(3)]
    tables = [draw(4, 2, 3, seed=seed, device=device).requires_grad_() for seed in (3, 4)]
    features = draw(EDGES.shape[1], 4, seed=5, device=device)

    def run(query, key, value, weight, table):
        more = {"pair_features": features, "pair_weight": weight, "pair_value": table}
        return attended(query, key, value, around, **more)

    compiled = torch.compile(run, backend="aot_eager", fullgraph=True)
    found, expected = (
        torch.autograd.grad(made(*leaves, *tables).square().sum(), [*leaves, *tables])
        for made in (compiled, run)
    )
    torch.testing.assert_close(found, expected)
    assert all(grad.is_contiguous() for grad in expected)


@both
def test_a_sigmoid_keeps_no_output(device):
    around = gattn.from_edge_index(EDGES.to(device), 5)
    x = draw(5, 2, 4, device=device).requires_grad_()
    attended(x, x, x, around, normalizer=normalizers.Sigmoid()).mul_(2).sum().backward()
    assert x.grad.isfinite().all()


@both
def test_layers_without_a_bias_may_be_followed_by_something_in_place(device):
    from gattn import nn

    edges, x = EDGES.to(device), draw(5, 6, device=device)
    for conv in (
        nn.GATConv(6, 3, heads=2, bias=False),
        nn.GATv2Conv(6, 3, heads=2, bias=False),
        nn.TransformerConv(6, 3, heads=2, root_weight=False),
    ):
        conv = conv.to(device)
        conv.backend = "triton"
        torch.relu_(conv(x, edges)).sum().backward()
        assert next(conv.parameters()).grad.isfinite().all()


@both
def test_rows_are_summed_by_kernels_as_by_torch(device, monkeypatch):
    monkeypatch.setattr(tiles, "LONG", 2)
    around, backend = gattn.from_edge_index(EDGES.to(device), 5), dispatch.load("triton")
    plain = Rows(around.rows(), around.rowptr)
    rows = operators.SummedRows(around.rows(), around.rowptr, around, backend._OPERATORS)
    pairs = draw(EDGES.shape[1], 3, device=device).requires_grad_()
    for other in (pairs, pairs[:, 0], pairs > 0):  # what is no table of numbers goes torch's way
        torch.testing.assert_close(rows.sum(other), plain.sum(other))
    for normalizer in (normalizers.Sparsemax(), normalizers.Entmax15()):
        found, expected = (normalizer.normalize(pairs, kind) for kind in (rows, plain))
        torch.testing.assert_close(found, expected)
        upstream = draw(EDGES.shape[1], 3, seed=1, device=device)
        grads = (torch.autograd.grad(made[0], pairs, upstream) for made in (found, expected))
        torch.testing.assert_close(*grads)


@both
def test_threads_compute_what_one_does(device):
    around = gattn.from_edge_index(EDGES.to(device), 5)
    x = draw(5, 2, 4, device=device)
    expected = attended(x, x, x, around)
    with ThreadPoolExecutor(4) as threads:
        for found in threads.map(lambda _: attended(x, x, x, around), range(12)):
            assert torch.equal(found, expected)


@both
def test_tables_of_features_are_summed_in_parts_that_fit(device, monkeypatch):
    from gattn.ops.triton import parameters

    monkeypatch.setattr(parameters, "_TABLES", 1)  # one program for all pairs
    monkeypatch.setattr(tiles, "TILE", 16)  # two blocks of heads, two pairs at a time
    around = gattn.from_edge_index(EDGES.to(device), 5)
    leaves = [draw(5, 4, 3, seed=seed, device=device).requires_grad_() for seed in range(2)]
    weight = draw(4, 3, seed=2, device=device)
    features = draw(EDGES.shape[1], 2, seed=3, device=device).requires_grad_()
    table = draw(2, 4, 3, seed=4, device=device).requires_grad_()
    asked = problem(
        forms.Additive(*leaves, weight), None, around, pair_features=features, pair_weight=table
    )
    wanted = [*leaves, features, table]
    found = gradients(dispatch.load("triton"), asked, wanted)
    torch.testing.assert_close(found, gradients(reference, asked, wanted), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("said", ["false", "off", "0", ""])
def test_who_says_no_to_the_interpreter_is_understood(said):
    import subprocess
    import sys

    code = "from gattn.ops import triton; print(triton.INTERPRETED)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ".", "TRITON_INTERPRET": said},
    )
    assert done.stdout.strip() == "False"
