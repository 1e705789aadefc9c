"""Streamed pairs: the same numbers as stored ones, the reference, and a dense mask."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck, gradgradcheck

import gattn
from gattn import forms, nn
from gattn.normalizers import Entmax15, Hard, Sigmoid, Softmax, Sparsemax, TopK
from gattn.ops import blocks
from gattn.ops import operators as backend
from gattn.ops.cpu import streamed
from gattn.ops.inputs import Inputs
from gattn.ops.problem import Problem

HEADS, CHANNELS, WIDTH = 2, 3, 4
NORMALIZERS = [Softmax(), Sparsemax(), Entmax15(), Sigmoid(), TopK(2), Hard()]
FUSED = [Softmax(), Sigmoid(), TopK(2), Hard()]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Several blocks, whose borders fall anywhere."""
    monkeypatch.setattr(streamed, "MOST_PAIRS", 23)
    monkeypatch.setattr(backend, "MOST_PAIRS_OF_BLOCK", 17)
    monkeypatch.setattr(blocks, "_OF_PAIRS", 90)


def graph(count, edges, seed, hub=False):
    draw = torch.Generator().manual_seed(seed)
    edge_index = torch.randint(0, max(count, 1), (2, edges if count else 0), generator=draw)
    if hub and count:
        everyone = torch.arange(count)
        edge_index = torch.cat([edge_index, torch.stack([everyone, everyone * 0])], dim=1)
    return edge_index


def leaves_of(count, dtype=torch.float64, hops=4):
    torch.manual_seed(0)
    sizes = {
        "left": (count, HEADS, CHANNELS),
        "right": (count, HEADS, CHANNELS),
        "value": (count, HEADS, WIDTH),
        "hop_bias": (hops, HEADS),
        "weight": (HEADS, CHANNELS),
        "source_bias": (count, HEADS),
        "target_bias": (count, HEADS),
    }
    return {name: torch.randn(size, dtype=dtype).requires_grad_() for name, size in sizes.items()}


def form_of(kind, leaves):
    left, right, weight = (leaves[name] for name in ("left", "right", "weight"))
    if kind == "product":
        return forms.Multiplicative(left, right, 0.5)
    if kind == "biased":
        return forms.Multiplicative(left, right, 2.0, leaves["source_bias"], leaves["target_bias"])
    if kind == "sum":
        return forms.Additive(left, right, weight)

    def fn(query, key, hop):
        return ((query - key).abs() * weight).sum(-1) + 0.1 * hop[:, None]

    return forms.Given(left, right, fn)


def results(kind, leaves, around, *, loss_of_statistic=True, **options):
    """Output, statistic and all gradients."""
    normalizer = options.get("normalizer", Softmax())
    torch.manual_seed(1)
    args = form_of(kind, leaves), leaves["value"], around
    options["hop_bias"] = leaves["hop_bias"]
    if normalizer.has_statistic:
        out, statistic = gattn.attend_form_with_statistic(*args, **options)
        finite = statistic.masked_fill(statistic == -torch.inf, 0.0)
    else:
        out, finite = gattn.attend_form(*args, **options), torch.zeros(())
    torch.manual_seed(2)
    loss = (out * torch.randn(out.shape, dtype=out.dtype)).sum() + finite.sin().sum()
    grads = torch.autograd.grad(
        loss, list(leaves.values()), allow_unused=True, materialize_grads=True
    )
    return {"out": out, "statistic": finite, **dict(zip(leaves, grads, strict=True))}


def assert_same(found, expected, **tolerance):
    for name, tensor in expected.items():
        torch.testing.assert_close(
            found[name], tensor, msg=lambda m, n=name: f"{n}: {m}", **tolerance
        )


@pytest.mark.parametrize("dropout", [0.0, 0.4])
@pytest.mark.parametrize("kind", ["product", "biased", "sum", "given"])
@pytest.mark.parametrize("normalizer", NORMALIZERS, ids=str)
def test_streamed_equals_stored_and_the_reference(normalizer, kind, dropout):
    edges, leaves = graph(25, 60, 4, hub=True), leaves_of(25)
    options = {"normalizer": normalizer, "dropout": dropout}
    stored = gattn.k_hop(edges, 3, 25)
    around = gattn.k_hop(edges, 3, 25, streamed=True)
    assert len(around.blocks(23)) > 3
    found = results(kind, leaves, around, backend="cpu", **options)
    assert_same(found, results(kind, leaves, stored, backend="cpu", **options))
    expected = results(kind, leaves, stored, backend="reference", **options)
    rounded = {"rtol": 1e-6, "atol": 1e-6} if dropout else {}  # it scales in float32
    assert_same(found, expected, **rounded)
    assert_same(results(kind, leaves, around, backend="blocks", **options), expected)
    assert_same(results(kind, leaves, around, backend="reference", **options), expected)


def dense(leaves, hop, present):
    """A masked softmax over all nodes; a row with nothing to see is zero."""
    left, right, value, bias = (leaves[n] for n in ("left", "right", "value", "hop_bias"))
    score = torch.einsum("nhc,mhc->hnm", left, right) * 0.5 + bias[hop].permute(2, 0, 1)
    weights = torch.softmax(score.masked_fill(~present, -torch.inf), -1)
    weights = weights.masked_fill(~present.any(1)[:, None], 0.0).nan_to_num()
    return torch.einsum("hnm,mhd->nhd", weights, value)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 24),
    st.integers(0, 60),
    st.integers(0, 3),
    st.integers(0, 99),
    st.booleans(),
    st.sampled_from([None, [1, 2], [0]]),
)
def test_streamed_equals_a_dense_mask(count, edges, num_hops, seed, hub, shells):
    if shells is not None:
        shells = [shell for shell in shells if shell <= num_hops]
    edge_index, leaves = graph(count, edges, seed, hub), leaves_of(count)
    around = gattn.k_hop(edge_index, num_hops, count, shells=shells, streamed=True)
    pairs = around.expand()
    hop, present = torch.zeros(2, count, count, dtype=torch.int64)
    source, target = pairs.edge_index()
    hop[target, source], present[target, source] = pairs.hop.long(), 1
    used = {n: leaves[n] for n in ("left", "right", "value", "hop_bias")}
    found = gattn.attend_form(
        form_of("product", leaves), leaves["value"], around, hop_bias=leaves["hop_bias"]
    )
    expected = dense(leaves, hop, present.bool())
    torch.testing.assert_close(found, expected)
    upstream = torch.randn_like(found)
    for one, other in zip(
        *(torch.autograd.grad(out, list(used.values()), upstream) for out in (found, expected)),
        strict=True,
    ):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("kind", ["product", "sum", "given"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_half_types_are_as_exact_as_with_stored_pairs(dtype, kind):
    edges, leaves = graph(25, 60, 1), leaves_of(25, dtype)
    around = gattn.k_hop(edges, 2, 25, streamed=True)
    found = results(kind, leaves, around)
    expected = results(kind, leaves, around.expand())
    assert found["out"].dtype == dtype and found["right"].dtype == dtype
    tolerance = {torch.float32: 1e-5, torch.float16: 1e-2, torch.bfloat16: 5e-2}[dtype]
    assert_same(found, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("normalizer", [Softmax(), Sparsemax()], ids=str)
def test_gradients_are_right_twice(normalizer):
    around = gattn.k_hop(graph(6, 9, 2), 2, 6, streamed=True)
    sides = [torch.randn(6, 1, 2, dtype=torch.float64, requires_grad=True) for _ in range(3)]

    def attended(*sides):
        return gattn.attend(*sides, around, normalizer=normalizer)

    assert gradcheck(attended, sides)
    assert gradgradcheck(attended, sides)


@pytest.mark.parametrize("normalizer", FUSED, ids=str)
def test_value_may_be_the_forms_own_side(normalizer):
    edges, leaves = graph(25, 60, 3), leaves_of(25)
    found = []
    for streaming in (True, False):
        around = gattn.k_hop(edges, 2, 25, streamed=streaming)
        out = gattn.attend_form(form_of("sum", leaves), None, around, normalizer=normalizer)
        used = [leaves[name] for name in ("left", "right", "weight")]
        found.append([out, *torch.autograd.grad(out.sin().sum(), used)])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


def test_threads_and_runs_give_the_same_bits(monkeypatch):
    monkeypatch.setattr(streamed, "MOST_PAIRS", 4000)
    edges, leaves = graph(600, 3000, 5), leaves_of(600, torch.float32)
    around, before, found = gattn.k_hop(edges, 2, 600, streamed=True), torch.get_num_threads(), []
    try:
        for threads in (1, 3, 3):
            torch.set_num_threads(threads)
            found.append(results("product", leaves, around, dropout=0.3))
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        assert all(torch.equal(found[0][name], other[name]) for name in other)


def test_nothing_is_kept_for_each_pair():
    """What the backward keeps is the features and two numbers for each row and head."""
    edges, leaves, kept = graph(300, 3000, 6), leaves_of(300), {}
    around = gattn.k_hop(edges, 3, 300, streamed=True)
    assert around.num_pairs > 80_000

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.numel()
        return tensor

    for normalizer in (Softmax(), TopK(2), Sparsemax()):
        kept.clear()
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            out = gattn.attend_form(
                form_of("product", leaves), leaves["value"], around, normalizer=normalizer
            )
        assert kept or normalizer == Sparsemax()
        assert max(kept.values(), default=0) <= max(out.numel(), around.col.numel())


@pytest.mark.parametrize("normalizer", [Softmax(), Sigmoid()], ids=str)
@pytest.mark.parametrize("levels", [("node",), ("node", "hop"), ("hop",)])
@pytest.mark.parametrize("score", [gattn.scores.ScaledDot, gattn.scores.GATv2, gattn.scores.MLP])
def test_layers_of_every_depth_take_them(levels, score, normalizer, monkeypatch):
    monkeypatch.setattr(gattn.Streamed, "expand", None)  # nothing needs the pairs themselves
    torch.manual_seed(0)
    options = {"score": score, "hop_bias": 3, "levels": levels, "normalizer": normalizer}
    layer = nn.GraphAttention(5, 4, heads=2, **options).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_()
    x = torch.randn(25, 5, dtype=torch.float64)
    edges, found = graph(25, 50, 8), []
    around = gattn.k_hop(edges, 3, 25, streamed=True)
    whole = around.block(0, 25)
    for structure in (around, whole):
        out = layer(x, structure)
        grads = torch.autograd.grad(
            out.sin().sum(), list(layer.parameters()), allow_unused=True, materialize_grads=True
        )
        found.append([out, *grads])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


def test_layers_can_be_looked_into():
    around = gattn.k_hop(graph(25, 50, 8), 3, 25, streamed=True)
    layer = nn.GraphAttention(5, 4, heads=2, hop_bias=3, levels=("node", "hop"))
    x = torch.randn(25, 5)
    sides = (layer.inspect(x, structure) for structure in (around, around.expand()))
    for one, other in zip(*(side.values() for side in sides), strict=True):
        torch.testing.assert_close(one, other)


def test_a_batch_axis_folds_into_the_heads():
    around = gattn.k_hop(graph(9, 20, 8), 2, 9, streamed=True)
    query, key, value = torch.randn(3, 4, 9, 2, 5)
    together = gattn.attend(query, key, value, around)
    for b in range(4):
        torch.testing.assert_close(together[b], gattn.attend(query[b], key[b], value[b], around))


@pytest.mark.parametrize("normalizer", [TopK(2), Hard()], ids=str)
def test_of_equal_scores_the_same_are_selected(normalizer):
    """On a graph whose balls are narrow as well: everywhere the earlier pair counts."""
    edges = graph(600, 900, 9)
    x = torch.zeros(600, 1, 2, dtype=torch.float64)
    value = torch.randn(600, 1, 3, dtype=torch.float64, requires_grad=True)
    around = gattn.k_hop(edges, 3, 600, streamed=True)
    found = []
    for structure, name in ((around, "cpu"), (around.expand(), "cpu"), (around, "reference")):
        out = gattn.attend(x, x, value, structure, normalizer=normalizer, backend=name)
        found.append((out, *torch.autograd.grad(out.pow(2).sum(), value)))
    for other in found[1:]:
        for one, another in zip(found[0], other, strict=True):
            torch.testing.assert_close(one, another)


@pytest.mark.parametrize("normalizer", [Softmax(), Sparsemax()], ids=str)
@pytest.mark.parametrize("name", ["cpu", "blocks"])
def test_an_input_that_changes_before_the_backward_is_noticed(normalizer, name):
    around = gattn.k_hop(graph(25, 60, 1), 2, 25, streamed=True)
    leaf = torch.randn(25, 1, 2, requires_grad=True)
    for changed in range(3):
        sides = [leaf * 1 for _ in range(3)]
        out = gattn.attend(*sides, around, normalizer=normalizer, backend=name)
        with torch.no_grad():
            sides[changed].mul_(0)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            out.sum().backward()


def test_gradients_of_half_types_are_rounded_once():
    edges = torch.stack([torch.arange(1, 40), torch.zeros(39, dtype=torch.int64)])
    edges = torch.cat([edges, edges.flip(0)], dim=1)
    around = gattn.k_hop(edges, 1, 40, streamed=True)
    assert len(around.blocks(23)) > 1
    x, bias = torch.randn(40, 1, 2), torch.zeros(2, 1, dtype=torch.float16, requires_grad=True)
    upstream = torch.randn(40, 1, 2) * 1e6
    upstream[20:] *= -1
    grads = []
    for structure in (around, around.expand()):
        out = gattn.attend(x, x, x, structure, hop_bias=bias)
        grads.append(torch.autograd.grad(out, bias, upstream)[0])
    torch.testing.assert_close(*grads, equal_nan=True)


@pytest.mark.parametrize("normalizer", [Softmax(), Sparsemax()], ids=str)
def test_functional_derivatives_go_through_the_reference(normalizer):
    around = gattn.k_hop(graph(12, 30, 3), 2, 12, streamed=True)
    x = torch.randn(12, 1, 2, dtype=torch.float64)

    def loss(query, structure):
        return gattn.attend(query, x, x, structure, normalizer=normalizer).sin().sum()

    grads = [torch.func.grad(loss)(x, structure) for structure in (around, around.expand())]
    torch.testing.assert_close(*grads)


def test_neighbourhoods_may_be_built_inside_of_what_is_compiled():
    def attended(x, edges):
        return gattn.attend(x, x, x, gattn.k_hop(edges, 2, 40))

    compiled, x = torch.compile(attended, backend="aot_eager"), torch.randn(40, 1, 2)
    for count in (90, 70):
        edges = graph(40, count, 1)
        torch.testing.assert_close(compiled(x, edges), attended(x, edges))


def test_gradients_are_contiguous_whatever_the_inputs_are():
    """As the shapes say that a compiler is told."""
    around = gattn.k_hop(graph(12, 30, 3), 2, 12, streamed=True)
    sides = [torch.randn(2, 4, 12).permute(2, 0, 1).requires_grad_() for _ in range(3)]
    for structure in (around, around.expand()):

        def layer(*sides, structure=structure):
            return gattn.attend(*sides, structure).sin()

        compiled = torch.compile(layer, backend="inductor")
        grads = (torch.autograd.grad(f(*sides).sum(), sides) for f in (layer, compiled))
        for one, other in zip(*grads, strict=True):
            torch.testing.assert_close(one, other)


def test_huge_scores_stay_finite():
    around = gattn.k_hop(graph(20, 60, 8), 2, 20, streamed=True)
    query = (torch.randn(20, 2, 3) * 1e18).requires_grad_()
    out = gattn.attend(query, query, query, around)
    out.sum().backward()
    assert out.isfinite().all() and query.grad.isfinite().all()


@pytest.mark.parametrize("name", ["pair_bias", "pair_features"])
def test_what_belongs_to_pairs_is_refused(name):
    around = gattn.k_hop(graph(5, 9, 0), 2, 5, streamed=True)
    x = torch.randn(5, 1, 2)
    with pytest.raises(ValueError, match=rf"{name}: found one, but Streamed.* stores no pairs"):
        gattn.attend(x, x, x, around, **{name: torch.zeros(around.num_pairs)})


def test_reasons_say_what_cannot():
    around = gattn.k_hop(graph(5, 9, 0), 2, 5, streamed=True)
    x = torch.randn(5, 1, 2)
    reasons = gattn.backend_reasons(x, x, x, around)
    assert reasons["cpu"] == [] == reasons["blocks"]
    assert reasons["sdpa"] == ["the neighbourhood is Streamed, not Span"]


@pytest.mark.parametrize("needs_grad", [True, False])
@pytest.mark.parametrize("count", [9, 0])
def test_it_is_a_proper_operator(needs_grad, count):
    around = gattn.k_hop(graph(count, 20, 3), 2, count, streamed=True)
    leaves = {n: t.detach().requires_grad_(needs_grad) for n, t in leaves_of(count).items()}
    problem = Problem(
        form_of("biased", leaves), leaves["value"], around, Softmax(), leaves["hop_bias"]
    )
    search = around.starts, around.num_hops, around.shells, around.complete
    args = *Inputs.of(problem, around), *search
    torch.library.opcheck(torch.ops.gattn.attend_streamed.default, args)


def test_a_compiled_layer_is_one_graph_with_the_same_results():
    around = gattn.k_hop(graph(12, 30, 3), 2, 12, streamed=True)

    def layer(query, key, value):
        return torch.tanh(gattn.attend(query, key, value, around)) * 2

    sides = [torch.randn(12, 2, 3, requires_grad=True) for _ in range(3)]
    expected = layer(*sides)
    found = torch.compile(layer, fullgraph=True, backend="aot_eager")(*sides)
    torch.testing.assert_close(found, expected)
    grads = (torch.autograd.grad(out.sum(), sides) for out in (found, expected))
    for one, other in zip(*grads, strict=True):
        torch.testing.assert_close(one, other)
