"""Spans on the backends that never write their pairs out, against the reference, which does."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck, gradgradcheck

import gattn
from gattn import forms
from gattn.normalizers import Entmax15, Hard, Sigmoid, Softmax, Sparsemax, TopK
from gattn.ops import blocks, reference, sdpa
from gattn.ops import given as scored_in_blocks
from gattn.ops.problem import Problem
from gattn.ops.tiling import pick, tiles

PTR = torch.tensor([0, 3, 3, 50, 51, 54, 101])
SPANS = {
    "full": gattn.full(9),
    "cross": gattn.full((5, 7)),
    "packed": gattn.full(ptr=torch.tensor([0, 3, 3, 7, 10])),
    "packed cross": gattn.full(ptr=(torch.tensor([0, 3, 5, 5, 6]), torch.tensor([0, 2, 4, 7, 7]))),
    "window": gattn.window(50, 3),
    "causal window": gattn.window(50, 3, True),
    "without a radius": gattn.window(20, None),
    "causal": gattn.window(20, None, True),
    "radius 0": gattn.window(5, 0),
    "packed window": gattn.window(ptr=PTR, radius=4),
    "packed causal": gattn.window(ptr=PTR, causal=True),
    "signed": gattn.window(40, 3, signed=True),
    "one row": gattn.window(1, 2),
    "rows out of order": gattn.Span(
        torch.tensor([3, 0, 3, 0, 2]), torch.tensor([6, 3, 6, 3, 2]), 6, "packed"
    ),
}
NORMALIZERS = [Softmax(), Sparsemax(), Entmax15(), Sigmoid(), TopK(2), Hard()]
HEADS, CHANNELS, WIDTH = 2, 3, 4
SMALL = 40


def drawn(*size):
    return torch.randn(size, dtype=torch.float64).requires_grad_()


def leaves_of(span, form):
    nodes = {
        "left": drawn(span.num_rows, HEADS, CHANNELS),
        "right": drawn(span.num_sources, HEADS, CHANNELS),
        "value": drawn(span.num_sources, HEADS, WIDTH),
    }
    if form == "biased":
        nodes["source_bias"] = drawn(span.num_sources, HEADS)
        nodes["target_bias"] = drawn(span.num_rows, HEADS)
    return nodes | ({"weight": drawn(HEADS, CHANNELS)} if form in ("sum", "given") else {})


def form_of(kind, leaves):
    left, right = leaves["left"], leaves["right"]
    if kind == "sum":
        return forms.Additive(left, right, leaves["weight"], "tanh")
    if kind == "given":

        def fn(query, key, hop):
            score = ((query - key).abs() * leaves["weight"]).sum(-1)
            return score if hop is None else score + 0.1 * hop[:, None]

        return forms.Given(left, right, fn)
    return forms.Multiplicative(
        left, right, 0.5, leaves.get("source_bias"), leaves.get("target_bias")
    )


def options_of(span, leaves):
    bias = torch.randn(span.num_pairs, HEADS, dtype=torch.float64)
    bias[::5] = -torch.inf
    leaves["pair_bias"] = bias.requires_grad_()
    if span.num_hops is not None:
        leaves["hop_bias"] = drawn(3, HEADS)
    return {name: leaves[name] for name in ("pair_bias", "hop_bias") if name in leaves}


def results(module, problem, leaves):
    """Output, statistic and every gradient; a statistic of -inf is a constant."""
    out, statistic = module.forward(problem)
    statistic = statistic if problem.wants_statistic else None
    torch.manual_seed(1)
    loss = (out * torch.randn(out.shape, dtype=out.dtype)).sum()  # not in the layout of out
    if statistic is not None:
        finite = statistic.masked_fill(statistic == -torch.inf, 0.0)
        loss = loss + (finite * torch.randn_like(finite)).sum()
    grads = torch.autograd.grad(
        loss, list(leaves.values()), allow_unused=True, materialize_grads=True
    )
    return {"out": out, "statistic": statistic, **dict(zip(leaves, grads, strict=True))}


def assert_same(module, problem, leaves):
    assert module.reasons(problem) == []
    expected = results(reference, problem, leaves)
    for name, found in results(module, problem, leaves).items():
        torch.testing.assert_close(found, expected[name], msg=lambda m, n=name: f"{n}: {m}")


@pytest.fixture(params=["one tile", "many tiles"])
def tiled(request, monkeypatch):
    """Everything in one tile, and tiles so small that nothing is kept for the backward pass."""
    if request.param == "many tiles":
        monkeypatch.setattr(blocks, "_NUMBERS", SMALL)
        monkeypatch.setattr(sdpa, "_PAIRS", SMALL)


@pytest.mark.parametrize("options", ["plain", "biases", "biases and dropout"])
@pytest.mark.parametrize("kind", ["product", "biased", "sum", "given"])
@pytest.mark.parametrize("name", SPANS)
def test_blocks_equal_the_reference(name, kind, options, tiled):
    torch.manual_seed(0)
    span = SPANS[name]
    leaves = leaves_of(span, kind)
    more = {} if options == "plain" else options_of(span, leaves)
    if "dropout" in options:
        more |= {"dropout": 0.4, "seed": torch.tensor(5)}
    for normalizer in NORMALIZERS if options == "plain" else [Softmax(), TopK(2), Hard()]:
        wants = normalizer.has_statistic
        problem = Problem(
            form_of(kind, leaves), leaves["value"], span, normalizer, wants_statistic=wants, **more
        )
        assert_same(blocks, problem, leaves)


@pytest.mark.parametrize("name", SPANS)
def test_sdpa_equals_the_reference_on_every_span(name, tiled):
    torch.manual_seed(0)
    leaves = leaves_of(SPANS[name], "product")
    form = form_of("product", leaves)
    assert_same(sdpa, Problem(form, leaves["value"], SPANS[name], Softmax()), leaves)


@pytest.mark.parametrize("per_head", [False, True])
@pytest.mark.parametrize("name", ["full", "packed cross", "window", "packed causal"])
def test_sdpa_takes_biases_and_masks_of_pairs(name, per_head, tiled):
    span = SPANS[name]
    leaves = leaves_of(span, "product")
    options = options_of(span, leaves)
    bias = options["pair_bias"].detach()
    bias[: int((span.stop - span.start)[0])] = -torch.inf  # the first row sees nothing
    leaves = {name: leaf for name, leaf in leaves.items() if name != "hop_bias"}
    leaves["pair_bias"] = (bias if per_head else bias[:, 0]).clone().requires_grad_()
    form = form_of("product", leaves)
    problem = Problem(form, leaves["value"], span, Softmax(), pair_bias=leaves["pair_bias"])
    assert_same(sdpa, problem, leaves)


def test_a_value_that_is_the_key_gets_both_gradients(tiled):
    leaves = leaves_of(SPANS["window"], "sum")
    del leaves["value"]
    problem = Problem(form_of("sum", leaves), None, SPANS["window"], Sparsemax())
    assert_same(blocks, problem, leaves)


@pytest.mark.parametrize("span", [gattn.window(6, 1), gattn.full(6)], ids=str)
def test_transformed_functions_have_their_gradients(span):
    x = torch.randn(6, 1, 4)
    found = torch.func.grad(lambda query: gattn.attend(query, x, x, span).sum())(x)
    leaf = x.clone().requires_grad_()
    gattn.attend(leaf, x, x, span, backend="reference").sum().backward()
    torch.testing.assert_close(found, leaf.grad)


@pytest.mark.parametrize("name", ["window", "packed cross"])
def test_blocks_have_second_derivatives(name, monkeypatch):
    monkeypatch.setattr(blocks, "_NUMBERS", SMALL)
    span = SPANS[name]
    leaves = [drawn(n, HEADS, 2) for n in (span.num_rows, span.num_sources, span.num_sources)]

    def run(*leaves):
        return gattn.attend(*leaves, span, normalizer=Sparsemax(), backend="blocks")

    assert gradcheck(run, leaves, fast_mode=True)
    assert gradgradcheck(run, leaves, fast_mode=True)


def test_the_gradient_of_parts_picks_again_though_some_are_not_used():
    x = drawn(6, 2)

    def used(x):
        return pick(x, [slice(0, 4), torch.tensor([[1, 2], [2, 3]]), slice(2, 6)])[1].pow(3)

    assert gradgradcheck(used, [x])


@pytest.mark.parametrize("backend", ["blocks", "cpu"])
def test_a_function_that_draws_numbers_draws_them_again(backend, monkeypatch):
    """Along a direction: the gradient, against differences of the values."""
    monkeypatch.setattr(blocks, "_NUMBERS", SMALL)
    monkeypatch.setattr(scored_in_blocks, "_NUMBERS", SMALL)
    torch.manual_seed(0)
    left, right, value, along = torch.randn(4, 50, HEADS, CHANNELS, dtype=torch.float64)

    def fn(query, key, hop):
        return torch.nn.functional.dropout(query * key, 0.5).sum(-1)

    def total(step):
        torch.manual_seed(1)
        form = forms.Given(left + step * along, right, fn)
        out = gattn.attend_form(form, value, SPANS["window"], backend=backend)
        return out.square().sum()

    step = torch.zeros((), dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(total(step), step)
    with torch.no_grad():
        difference = (total(step + 1e-6) - total(step - 1e-6)) / 2e-6
    torch.testing.assert_close(slope, difference, rtol=1e-4, atol=1e-6)


def test_a_radius_beyond_the_sequence_cuts_it_no_finer():
    whole = [tile.row.tolist() for tile in tiles(gattn.window(900, 900), 1 << 20)]
    wide = [tile.row.tolist() for tile in tiles(gattn.window(900, 10**9), 1 << 20)]
    assert wide == whole and len(wide) < 10


def test_the_sources_of_a_wide_window_are_not_copied():
    """A block alone sees a range, which is a view; a stack of them would copy each many times."""
    cut = list(tiles(gattn.window(20_000, 1000), 1 << 22))
    assert all(len(tile.row) == 1 for tile in cut)


def test_the_tiles_of_a_window_share_their_masks(monkeypatch):
    """Each call keeps its mask for the backward pass: together they would be as large as pairs."""
    monkeypatch.setattr(sdpa, "_PAIRS", 1 << 13)
    masks, called = [], sdpa._called

    def kept(problem, sides, mask, causal):
        masks.append(mask)
        return called(problem, sides, mask, causal)

    monkeypatch.setattr(sdpa, "_called", kept)
    query = torch.randn(2000, 1, 4)
    gattn.attend(query, query, query, gattn.window(2000, 40), backend="sdpa")
    assert len(masks) > 20 and len({mask.data_ptr() for mask in masks}) < 5
    assert {mask.dtype for mask in masks} == {query.dtype}


def test_large_calls_for_which_torch_writes_the_weights_out_are_declined(monkeypatch):
    monkeypatch.setattr(sdpa, "MOST_WEIGHTS", 2 * 50 * 50 - 1)
    query, key, value = torch.randn(3, 50, 2, 4).unbind()
    problem = Problem(forms.Multiplicative(query, key), value, gattn.full(50), Softmax())
    assert sdpa.reasons(problem) == []
    across = query.transpose(0, 2).contiguous().transpose(0, 2)
    for changes in (
        {"dropout": 0.1, "seed": torch.tensor(1)},
        {"value": value[..., :3]},
        {"form": forms.Multiplicative(across, key)},
        {"pair_bias": torch.zeros(2500, requires_grad=True)},
    ):
        (reason,) = sdpa.reasons(replace(problem, **changes))
        assert reason == "torch would write out more than 4,999 weights"
    assert gattn.attend(query, key, value, gattn.full(50), dropout=0.1).shape == value.shape


@settings(deadline=None, max_examples=40)
@given(
    sizes=st.lists(st.integers(0, 40), min_size=1, max_size=6),
    radius=st.none() | st.integers(0, 50),
    causal=st.booleans(),
)
def test_a_sequence_does_not_depend_on_its_batch_mates(sizes, radius, causal):
    ptr = torch.tensor([0, *torch.tensor(sizes).cumsum(0).tolist()])
    packed = gattn.window(ptr=ptr, radius=radius, causal=causal)
    query, key, value = torch.randn(3, int(ptr[-1]), HEADS, CHANNELS, dtype=torch.float64).unbind()
    backends = ["blocks", "sdpa"] if int(ptr[-1]) else ["reference"]
    for backend in backends:
        whole = gattn.attend(query, key, value, packed, backend=backend)
        for begin, end in zip(ptr[:-1].tolist(), ptr[1:].tolist(), strict=True):
            alone = gattn.window(end - begin, radius, causal)
            sides = (side[begin:end] for side in (query, key, value))
            torch.testing.assert_close(whole[begin:end], gattn.attend(*sides, alone))


@pytest.mark.parametrize("backend", ["blocks", "sdpa"])
@pytest.mark.parametrize("name", ["packed", "packed window", "packed causal"])
def test_nothing_of_a_batch_mate_leaks_not_even_nan(name, backend):
    span = SPANS[name]
    query, key, value = torch.randn(3, span.num_rows, HEADS, CHANNELS).unbind()
    clean = gattn.attend(query, key, value, span, backend=backend)
    first = 3  # rows of the first sequence
    for side in (query, key, value):
        side[:first] = float("nan")
    dirty = gattn.attend(query, key, value, span, backend=backend)
    assert torch.equal(clean[first:], dirty[first:])


def test_a_span_too_long_for_pairs_goes_in_blocks():
    span = gattn.window(200_000, 60)  # 24 million pairs
    query = torch.randn(200_000, 1, 2)
    reasons = gattn.backend_reasons(query, query, query, span, normalizer=Sparsemax())
    assert reasons["cpu"] == ["the span has more than 16,777,216 pairs to write out"]
    out = gattn.attend(query, query, query, span, normalizer=Sparsemax())
    part = gattn.attend(*(query[:500],) * 3, gattn.window(500, 60), normalizer=Sparsemax())
    torch.testing.assert_close(out[:440], part[:440])


def test_windows_of_packed_sequences_are_checked():
    start, stop = torch.tensor([0, 0, 2]), torch.tensor([2, 3, 3])
    with pytest.raises(ValueError, match="ranges that are not those of 'packed_window'"):
        gattn.Span(start, stop, 3, "packed_window", radius=1)
    assert SPANS["packed window"].sequences().tolist() == [0, 3, 50, 51, 54]


def test_a_packed_batch_is_handed_to_torchs_kernel_as_it_wants_it(monkeypatch):
    """The kernel itself runs on CUDA only: this stands in for it."""
    ptr = torch.tensor([0, 3, 7, 10]), torch.tensor([0, 2, 4, 9])
    span, called = gattn.full(ptr=ptr), []

    def kernel(query, key, value, rows, sources, most_rows, most_sources):
        assert rows.dtype == sources.dtype == torch.int32
        called.append((rows.tolist(), sources.tolist(), most_rows, most_sources))
        out = torch.empty(*query.shape[:2], value.shape[2], dtype=query.dtype)
        for graph in range(len(rows) - 1):
            row = slice(rows[graph], rows[graph + 1])
            source = slice(sources[graph], sources[graph + 1])
            sides = (side.transpose(0, 1) for side in (query[row], key[source], value[source]))
            out[row] = torch.nn.functional.scaled_dot_product_attention(*sides).transpose(0, 1)
        return out

    monkeypatch.setattr("torch.nn.attention.varlen.varlen_attn", kernel)
    monkeypatch.setattr(sdpa, "_packed_on_gpu", lambda problem, span: sdpa._in_order(span))
    query, (key, value) = torch.randn(9, 2, 8), torch.randn(2, 10, 2, 8).unbind()
    found = gattn.attend(query, key, value, span, backend="sdpa")
    assert called == [([0, 2, 4, 9], [0, 3, 7, 10], 5, 4)]
    expected = gattn.attend(query, key, value, span, backend="reference")
    torch.testing.assert_close(found, expected)
