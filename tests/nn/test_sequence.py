"""SequenceAttention: torch's layer in every argument, and what it adds to it."""

import copy
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.autograd import gradcheck

from gattn import normalizers, scores
from gattn.nn import Rotary, SequenceAttention

EXACT = {"atol": 1e-12, "rtol": 1e-12}
LENGTHS = st.lists(st.integers(1, 6), min_size=1, max_size=4)
SCORES = [getattr(scores, name) for name in scores.__all__ if name != "Score"]


def features(*size, seed=0, dtype=torch.float64):
    return torch.randn(size, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def mask(*size, seed=0):
    """A mask that leaves every row something to see."""
    hidden = torch.rand(size, generator=torch.Generator().manual_seed(seed)) < 0.4
    hidden[..., 0] = False
    return hidden


def layer(embed_dim=8, num_heads=2, seed=0, dtype=torch.float64, **options):
    torch.manual_seed(seed)
    made = SequenceAttention(embed_dim, num_heads, dtype=dtype, **options)
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.3)
    return made


def both(**options):
    """A layer, and torch's with the same parameters."""
    torchs = nn.MultiheadAttention(8, 2, dtype=torch.float64, **options)
    ours = layer(**options)
    torchs.load_state_dict(ours.state_dict())
    ours.load_state_dict(torchs.state_dict())
    return ours, torchs


def agree(ours, torchs, sides, **options):
    """Outputs, weights and all gradients are torch's."""
    results = []
    for made in (ours, torchs):
        given = [side.clone().requires_grad_() for side in sides]
        out, weights = made(*given, **options)
        total = (out * features(*out.shape, seed=7)).sum()
        total = total if weights is None else total + (weights * features(*weights.shape)).sum()
        results.append((out, weights, *torch.autograd.grad(total, [*given, *made.parameters()])))
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, **EXACT)


def padded(lengths, fill=float("nan"), width=8):
    """Sequences `[B, L, E]` filled up with `fill`, and the mask that says where."""
    place = torch.arange(max(lengths))
    padding = place >= torch.tensor(lengths)[:, None]
    return features(*padding.shape, width).masked_fill(padding[..., None], fill), padding


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("widths", [{}, {"kdim": 5}, {"kdim": 5, "vdim": 3, "bias": False}])
@pytest.mark.parametrize("need", [{"need_weights": False}, {}, {"average_attn_weights": False}])
@pytest.mark.parametrize("batched", [True, False])
def test_every_argument_is_torchs(batch_first, widths, need, batched):
    ours, torchs = both(batch_first=batch_first, **widths)
    sizes = [(4, 8), (6, widths.get("kdim", 8)), (6, widths.get("vdim", 8))]
    outer = ((3, n) if batch_first else (n, 3) for n in (4, 6, 6))
    if batched:
        sizes = [(*axes, size[1]) for axes, size in zip(outer, sizes, strict=True)]
    sides = [features(*size, seed=seed) for seed, size in enumerate(sizes)]
    padding = mask(3, 6) if batched else mask(6)
    added = torch.zeros(padding.shape).double().masked_fill(padding, float("-inf"))
    per_head = (6, 4, 6) if batched else (2, 4, 6)
    agree(ours, torchs, sides, **need)
    agree(ours, torchs, sides, key_padding_mask=padding, **need)
    agree(ours, torchs, sides, key_padding_mask=padding, attn_mask=mask(4, 6), **need)
    agree(ours, torchs, sides, attn_mask=features(4, 6), **need)
    agree(ours, torchs, sides, attn_mask=mask(*per_head), **need)
    agree(ours, torchs, sides, key_padding_mask=added, attn_mask=features(*per_head), **need)
    agree(ours, torchs, sides, key_padding_mask=features(*padding.shape), **need)


def test_the_same_seed_draws_the_same_parameters():
    for options in ({}, {"kdim": 3}, {"bias": False}):
        torch.manual_seed(5)
        torchs = nn.MultiheadAttention(8, 2, **options).state_dict()
        torch.manual_seed(5)
        made = SequenceAttention(8, 2, **options)
        for again in (False, True):
            assert list(made.state_dict()) == list(torchs)
            for name, parameter in made.state_dict().items():
                assert torch.equal(parameter, torchs[name]), name
            if not again:
                torch.manual_seed(5)
                made.reset_parameters()


@pytest.mark.parametrize("need_weights", [False, True])
def test_causal_in_the_call_and_in_the_layer(need_weights):
    ours, torchs = both(batch_first=True)
    looking_back, x = layer(batch_first=True, causal=True), [features(3, 5, 8)] * 3
    back = nn.Transformer.generate_square_subsequent_mask(5, dtype=torch.float64)
    asked = {"attn_mask": back, "need_weights": need_weights}
    agree(ours, torchs, x, is_causal=True, **asked)
    agree(looking_back, torchs, x, **asked)
    torch.testing.assert_close(ours(*x, is_causal=True), looking_back(*x), **EXACT)
    # Nobody looks at the mask: it is a hint's other half.
    torch.testing.assert_close(
        ours(*x, attn_mask=features(5, 5), is_causal=True), looking_back(*x), **EXACT
    )
    padding = mask(3, 5)  # with holes: order is all that counts
    found, _ = looking_back(*x, key_padding_mask=padding)
    expected, _ = torchs(*x, key_padding_mask=padding, attn_mask=back.isinf())
    torch.testing.assert_close(found[~padding], expected[~padding], **EXACT)
    torch.testing.assert_close(found[padding], ours.out_proj.bias.expand(found[padding].shape))


@pytest.mark.parametrize("radius", [0, 1, 2, 9])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("from_left", [False, True])
def test_windows_are_banded_masks(radius, causal, from_left):
    torchs = both(batch_first=True)[1]
    ours = layer(batch_first=True, radius=radius, causal=causal)
    ahead = torch.arange(6) - torch.arange(6)[:, None]
    hidden = (ahead.abs() > radius) | ((ahead > 0) if causal else torch.zeros(6, 6).bool())
    x, added = features(3, 6, 8), features(6, 6, 6)
    agree(ours, torchs, [x] * 3, attn_mask=hidden)  # here and there: what it hides is hidden
    found = ours(x, x, x, attn_mask=added)
    masked = added.masked_fill(hidden, float("-inf"))
    torch.testing.assert_close(found, torchs(x, x, x, attn_mask=masked), **EXACT)
    x, padding = padded([6, 2, 4], fill=0.0)
    x, padding = (x.flip(1), padding.flip(1)) if from_left else (x, padding)
    found, weights = ours(x, x, x, padding)
    both_masks = hidden | padding[:, None, :]
    expected, known = torchs(x, x, x, attn_mask=both_masks.repeat_interleave(2, 0))
    torch.testing.assert_close(found[~padding], expected[~padding], **EXACT)
    torch.testing.assert_close(weights[~padding], known[~padding], **EXACT)
    assert not weights[padding].any()


@settings(deadline=None, max_examples=15)
@given(LENGTHS)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"causal": True},
        {"radius": 2, "position": "relative"},
        {"radius": 1, "causal": True, "position": "rotary"},
        {"score": scores.Additive, "position": "rotary"},
        {"score": scores.MLP, "radius": 2, "normalizer": normalizers.Sparsemax()},
    ],
    ids=str,
)
def test_a_sequence_is_the_same_alone_and_in_a_batch_full_of_nan(options, lengths):
    made = layer(batch_first=True, **options)
    x, padding = padded(lengths)
    out, weights = made(x, x, x, padding)
    for sequence, found, seen, length in zip(x, out, weights, lengths, strict=True):
        alone = sequence[None, :length]
        expected, known = made(alone, alone, alone)
        torch.testing.assert_close(found[:length], expected[0], **EXACT)
        torch.testing.assert_close(seen[:length, :length], known[0], **EXACT)
        assert not seen[:length, length:].any()


@pytest.mark.parametrize("options", [{}, {"causal": True}, {"radius": 1, "position": "rotary"}])
def test_nan_in_the_padding_reaches_no_gradient(options):
    made = layer(batch_first=True, **options)
    x, padding = padded([5, 2, 3])
    # Without a window the layer cannot know that a query is padding: it is one like any other.
    query = x if options else x.nan_to_num()
    x.requires_grad_()
    out, _ = made(query, x, x, padding)
    out[~padding].square().sum().backward()
    assert not x.grad[padding].any()
    for name, tensor in [("x", x), *made.named_parameters()]:
        assert tensor.grad.isfinite().all(), name


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("options", [{}, {"radius": 2}], ids=str)
def test_every_score_agrees_with_the_reference(score, options):
    made, x = layer(batch_first=True, score=score, **options), features(3, 5, 8)
    plain = copy.deepcopy(made)
    plain.backend = "reference"
    agree(made, plain, [x] * 3, key_padding_mask=padded([5, 2, 4])[1])
    out, weights = made(x, x, x, average_attn_weights=False)
    value = torch.nn.functional.linear(x, made.in_proj_weight[16:], made.in_proj_bias[16:])
    mixed = torch.einsum("bhls,bshc->blhc", weights, value.unflatten(-1, (2, 4))).flatten(-2)
    torch.testing.assert_close(out, made.out_proj(mixed))


@pytest.mark.parametrize(
    "normalizer", [normalizers.Sparsemax(), normalizers.Entmax15(), normalizers.TopK(2)], ids=str
)
@pytest.mark.parametrize("options", [{}, {"causal": True}], ids=str)
def test_normalizers_agree_with_the_reference(normalizer, options):
    made = layer(batch_first=True, normalizer=normalizer, **options)
    plain, x = copy.deepcopy(made), features(2, 6, 8)
    plain.backend = "reference"
    agree(made, plain, [x] * 3, key_padding_mask=padded([6, 3])[1], attn_mask=features(4, 6, 6))
    weights = made(3 * x, 3 * x, x, average_attn_weights=False)[1]
    assert (weights[..., -1, :] == 0).any()
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 2, 6).double())


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("batch_first", [False, True])
def test_inside_torchs_encoder_and_decoder_layers(training, batch_first):
    size = {"dropout": 0.0, "batch_first": batch_first, "dtype": torch.float64}
    encoder = nn.TransformerEncoderLayer(8, 2, 16, **size).train(training)
    decoder = nn.TransformerDecoderLayer(8, 2, 16, **size).train(training)
    ours = copy.deepcopy(encoder), copy.deepcopy(decoder)
    for made, name in ((ours[0], "self_attn"), (ours[1], "self_attn"), (ours[1], "multihead_attn")):
        swapped = layer(batch_first=batch_first).train(training)
        swapped.load_state_dict(getattr(made, name).state_dict())
        setattr(made, name, swapped)
    x, back = features(3, 5, 8), nn.Transformer.generate_square_subsequent_mask(5).double()
    padding = padded([5, 2, 3])[1]
    x, there = (x, ~padding) if batch_first else (x.transpose(0, 1), ~padding.T)
    # In eval torch leaves the padding out as well, and what it gives there is zero.
    with torch.set_grad_enabled(training):
        for options in ({}, {"src_mask": back, "is_causal": True}, {"src_mask": back.isinf()}):
            torch.testing.assert_close(ours[0](x, **options), encoder(x, **options))
        expected = encoder(x, src_key_padding_mask=padding)
        found = ours[0](x, src_key_padding_mask=padding)
        torch.testing.assert_close(found[there], expected[there])
        options = {"tgt_mask": back, "tgt_is_causal": True, "memory_key_padding_mask": padding}
        torch.testing.assert_close(ours[1](x, x, **options), decoder(x, x, **options))


@pytest.mark.parametrize("training", [False, True])
def test_a_radius_has_its_effect_inside_an_encoder(training):
    made = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True, dtype=torch.float64)
    made.self_attn = layer(batch_first=True, radius=1)
    stack = nn.TransformerEncoder(made, 2, enable_nested_tensor=False).train(training)
    x, padding = padded([7, 4])
    moved = x.index_fill(1, torch.tensor(0), 3.0)
    with torch.set_grad_enabled(training):
        before, after = (stack(side, src_key_padding_mask=padding) for side in (x, moved))
    reached = ((before != after) & ~padding[..., None]).any(-1)
    assert reached.sum(1).tolist() == [3, 3]  # two layers, a position each


@pytest.mark.filterwarnings("ignore:.*nested tensors is in prototype")  # once per process
def test_nested_tensors_are_named():
    made = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 1).eval()
    made.layers[0].self_attn = SequenceAttention(8, 2, batch_first=True)
    padding = padded([5, 2])[1]
    with (
        torch.no_grad(),
        pytest.raises(TypeError, match=r"query: found a nested tensor, .*enable_nested_tensor=F"),
    ):
        made(torch.randn(2, 5, 8), src_key_padding_mask=padding)


def test_a_query_that_sees_nothing_gives_the_bias():
    made, x = layer(batch_first=True), features(2, 3, 8)
    padding = torch.tensor([[True] * 3, [False] * 3])
    hidden = torch.zeros(3, 3).bool().index_fill(0, torch.tensor(1), True)
    for options, empty in (
        ({"key_padding_mask": padding}, padding),
        ({"attn_mask": hidden}, hidden[:, 0].expand(2, 3)),
    ):
        out, weights = made(x, x, x, **options)
        bias = made.out_proj.bias.expand(int(empty.sum()), 8)
        torch.testing.assert_close(out[empty], bias, **EXACT)
        assert not weights[empty].any() and out.isfinite().all()


@pytest.mark.parametrize("options", [{}, {"radius": 1}, {"causal": True}], ids=str)
@pytest.mark.parametrize(("batch", "length"), [(0, 4), (3, 0), (1, 1), (2, 1)])
def test_empty_and_short_batches(options, batch, length):
    made, x = layer(batch_first=True, **options), features(batch, length, 8).requires_grad_()
    padding = torch.zeros(batch, length, dtype=torch.bool)
    out, weights = made(x, x, x, padding, average_attn_weights=False)
    assert out.shape == x.shape and weights.shape == (batch, 2, length, length)
    assert made(x, x, x)[1].shape == (batch, length, length)
    out.sum().backward()
    assert x.grad.shape == x.shape


def test_no_keys_at_all():
    made = layer()
    out, weights = made(features(4, 3, 8), features(0, 3, 8), features(0, 3, 8))
    torch.testing.assert_close(out, made.out_proj.bias.expand(4, 3, 8))
    assert weights.shape == (3, 4, 0)


@pytest.mark.parametrize("position", [None, "rotary", "relative"])
def test_half_types_and_autocast(position):
    made = layer(radius=2, position=position, score=scores.Cosine, dtype=torch.float32)
    x, padding = features(5, 3, 8, dtype=torch.float32), padded([5, 2, 3])[1]
    exact, _ = made(x, x, x, padding)
    with torch.autocast("cpu", torch.bfloat16):
        low, _ = made(x, x, x, padding)
    torch.testing.assert_close(low.float(), exact, atol=5e-2, rtol=5e-2)
    for dtype in (torch.bfloat16, torch.float16):
        out, _ = made.to(dtype)(*[x.to(dtype)] * 3, padding, attn_mask=mask(5, 5))
        assert out.dtype == dtype and out.isfinite().all()


def test_dropout_is_for_training():
    made, x = layer(dropout=0.5), features(5, 3, 8)
    torch.manual_seed(0)
    out, weights = made(x, x, x)
    torch.manual_seed(0)
    assert torch.equal(out, made(x, x, x)[0]) and not torch.equal(out, made(x, x, x)[0])
    kept, known = made.eval()(x, x, x)
    assert not torch.allclose(out, kept)
    torch.testing.assert_close(weights, known)  # before the dropout


def test_a_long_window_writes_out_no_pairs_without_weights():
    made, x = layer(radius=4, batch_first=True, dtype=torch.float32), torch.randn(1, 200_000, 8)
    with torch.no_grad():  # all pairs of positions would be 40 GB of booleans
        assert made(x, x, x, need_weights=False)[0].shape == x.shape


def test_copies_pickles_and_prints():
    made = layer(radius=2, causal=True, position="relative", score=scores.Additive)
    x = features(5, 8)
    for other in (copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert torch.equal(other(x, x, x)[0], made(x, x, x)[0])
    assert "SequenceAttention(\n  8, num_heads=2, radius=2, causal=True" in repr(made)
    before = made.score.weight.clone()
    made.reset_parameters()
    assert not torch.equal(made.score.weight, before) and not made.relative_bias.any()
    assert layer(score=made.score).score is made.score
    built = SequenceAttention(8, 2, score=scores.GATv2, device="meta", dtype=torch.bfloat16)
    assert {(p.device.type, p.dtype) for p in built.parameters()} == {("meta", torch.bfloat16)}


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"num_heads": 3}, ValueError, "embed_dim: found 8, expected a multiple of 3"),
        ({"embed_dim": 0}, ValueError, "embed_dim: found 0"),
        ({"dropout": 1.5}, ValueError, "dropout: found 1.5"),
        ({"kdim": False}, TypeError, "kdim: found False"),
        ({"radius": -1}, ValueError, "radius: found -1"),
        ({"backend": "cuda"}, ValueError, "backend: found 'cuda'"),
        ({"score": "dot"}, TypeError, "score: found 'dot'"),
        ({"normalizer": "softmax"}, TypeError, "normalizer: found 'softmax'"),
        ({"position": "sinus"}, ValueError, "position: found 'sinus', expected one of rotary, rel"),
        ({"position": "relative"}, TypeError, r"radius: found None, expected an int in \[0, 127\]"),
        ({"position": "relative", "radius": 128}, ValueError, "radius: found 128"),
        ({"position": Rotary(6)}, ValueError, "position: found Rotary.6.*, expected 4 channels"),
        ({"position": "rotary", "num_heads": 8}, ValueError, "channels: found 1"),
        ({"add_bias_kv": True}, TypeError, "add_bias_kv"),
    ],
)
def test_bad_arguments_are_named(options, error, message):
    with pytest.raises(error, match=message) as raised:
        SequenceAttention(**{"embed_dim": 8, "num_heads": 2} | options)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("sizes", "options", "error", "message"),
    [
        ([(8,)] * 3, {}, ValueError, r"query: found shape \[8\], expected \[B, L, 8\]"),
        ([(5, 8), (1, 5, 8), (5, 8)], {}, ValueError, r"key: found shape .* expected \[L, 8\]"),
        ([(3, 5, 8), (3, 5, 7), (3, 5, 8)], {}, ValueError, r"key: found .* expected \[B, L, 8\]"),
        ([(3, 5, 8), (3, 5, 8), (3, 4, 8)], {}, ValueError, "query, key, value: found shapes"),
        ([(3, 5, 8), (2, 5, 8), (2, 5, 8)], {}, ValueError, "query, key, value: found shapes"),
        (
            [(3, 5, 8), (3, 4, 8), (3, 4, 8)],
            {"is_causal": True},
            ValueError,
            "key: found 4 positions, expected 5 in a window",
        ),
        (
            [(3, 5, 8)] * 3,
            {"key_padding_mask": mask(5, 3)},
            ValueError,
            r"key_padding_mask: found shape \[5, 3\], expected \[3, 5\]",
        ),
        (
            [(3, 5, 8)] * 3,
            {"key_padding_mask": mask(3, 5).int()},
            TypeError,
            "key_padding_mask: found dtype torch.int32, expected bool or a floating",
        ),
        (
            [(3, 5, 8)] * 3,
            {"attn_mask": mask(3, 5, 5)},
            ValueError,
            r"attn_mask: found shape \[3, 5, 5\], expected \[6, 5, 5\]",
        ),
        ([(3, 5, 8)] * 3, {"attn_mask": mask(5, 5).int()}, TypeError, "attn_mask: found dtype"),
    ],
)
def test_bad_input_is_named(sizes, options, error, message):
    with pytest.raises(error, match=message) as raised:
        layer(batch_first=True)(*(features(*size) for size in sizes), **options)
    assert "\n" not in str(raised.value)


def test_what_is_no_tensor_is_named():
    with pytest.raises(TypeError, match=r"query: found list, expected a torch.Tensor"):
        layer()([1.0], [1.0], [1.0])
    with pytest.raises(TypeError, match=r"key: found dtype torch.int64"):
        layer()(features(5, 8), features(5, 8).long(), features(5, 8))


def test_a_radius_takes_no_padding_between_positions():
    x, padding = features(2, 4, 8), torch.tensor([[False] * 4, [False, True, False, False]])
    with pytest.raises(ValueError, match="key_padding_mask: found padding between positions"):
        layer(batch_first=True, radius=1)(x, x, x, padding)
    assert layer(batch_first=True)(x, x, x, padding)[0].isfinite().all()


def test_gradcheck_of_masks_and_windows():
    made = layer(4, 2, radius=1, batch_first=True, score=scores.Additive)
    x, added = features(2, 3, 4).requires_grad_(), features(4, 3, 3).requires_grad_()
    padding = padded([3, 2])[1]
    assert gradcheck(
        lambda x, added, *_: made(x, x, x, padding, attn_mask=added),
        (x, added, *made.parameters()),
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_weights_have_the_dtype_of_the_output(dtype):
    ours, torchs = (made.to(dtype) for made in both(batch_first=True))
    x = features(2, 5, 8).to(dtype)
    for found, expected in zip(ours(x, x, x), torchs(x, x, x), strict=True):
        torch.testing.assert_close(found, expected, rtol=2e-2, atol=2e-2)
