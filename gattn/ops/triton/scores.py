"""Scores of a tile of pairs."""

from __future__ import annotations

import triton
import triton.language as tl

from gattn.ops.triton.elementary import PRODUCT, TOP_K, activated


@triton.jit
def place_of(e, valid, perm):
    """Where pairs stand in the order of the caller."""
    if perm is not None:
        e = tl.load(perm + e, valid, 0)
    return e


@triton.jit
def gathered(
    table, index, valid, head, channel, H: tl.constexpr, C: tl.constexpr, REAL: tl.constexpr
):
    """Rows of a table `[.., H, C]`, `[BE, BH, BC]`; 0 where there is nothing.

    They are loaded as `[BH, BE, BC]`, since triton deals out what is loaded to neighbouring threads
    by the last dimension, then by the first: so threads divide heads, each has pairs of its own to
    sum, and no sum over pairs has to be taken across threads as long as the heads suffice.
    """
    if C == 1:
        tile = pairs_of_heads(table, index, valid, head, H, REAL)[:, :, None]
    else:
        place = index[None, :, None] * (H * C) + head[:, None, None] * C + channel[None, None, :]
        there = valid[None, :, None] & (head < H)[:, None, None] & (channel < C)[None, None, :]
        tile = tl.permute(tl.load(table + place, there, 0), 1, 0, 2).to(REAL)
    return tile


@triton.jit
def one(table, index, head, channel, H: tl.constexpr, C: tl.constexpr, REAL: tl.constexpr):
    """One row of a table `[.., H, C]`, `[BH, BC]`."""
    place = index * (H * C) + head[:, None] * C + channel[None, :]
    there = (head < H)[:, None] & (channel < C)[None, :]
    return tl.load(table + place, there, 0).to(REAL)


@triton.jit
def columns_of(
    table, index, head, first, channel, H: tl.constexpr, C: tl.constexpr, WIDE: tl.constexpr,
    REAL: tl.constexpr,
):  # fmt: skip
    """C columns of one row of a table `[.., H, WIDE]`, from the given one on, `[BH, BC]`."""
    place = (index * H + head)[:, None] * WIDE + first + channel[None, :]
    there = (head < H)[:, None] & (channel < C)[None, :]
    return tl.load(table + place, there, 0).to(REAL)


@triton.jit
def of_heads(table, index, head, H: tl.constexpr, REAL: tl.constexpr):
    """One row of a table `[.., H]`, `[BH]`."""
    return tl.load(table + index * H + head, head < H, 0).to(REAL)


@triton.jit
def pairs_of_heads(table, index, valid, head, H: tl.constexpr, REAL: tl.constexpr):
    """Rows of a table `[.., H]`, `[BE, BH]`."""
    there = valid[:, None] & (head < H)[None, :]
    return tl.load(table + index[:, None] * H + head[None, :], there, 0).to(REAL)


@triton.jit
def add_projected(
    x, features, place, valid, table, head, channel, H: tl.constexpr, C: tl.constexpr,
    F: tl.constexpr, REAL: tl.constexpr,
):  # fmt: skip
    """`x + features @ table`, the features of pairs and a table `[F, H, C]`."""
    for f in range(F):
        feature = tl.load(features + place * F + f, valid, 0).to(REAL)
        x += feature[:, None, None] * one(table, f, head, channel, H, C, REAL)[None]
    return x


@triton.jit
def met(
    left, right, place, valid, features, pair_weight, head, channel, H: tl.constexpr,
    C: tl.constexpr, F: tl.constexpr, FORM: tl.constexpr, REAL: tl.constexpr,
):  # fmt: skip
    """What a form works on, `[BE, BH, BC]`: the one side of a product, or the sum to activate."""
    x = right
    if FORM != PRODUCT:
        x = left + right
        if pair_weight is not None:
            x = add_projected(
                x, features, place, valid, pair_weight, head, channel, H, C, F, REAL
            )  # fmt: skip
    return x


@triton.jit
def features_of(features, place, valid, feature, F: tl.constexpr, REAL: tl.constexpr):
    """The features of pairs, `[BE, BF]`."""
    there = valid[:, None] & (feature < F)[None, :]
    return tl.load(features + place[:, None] * F + feature[None, :], there, 0).to(REAL)


@triton.jit
def mixed(features, place, valid, factor, feature, F: tl.constexpr, REAL: tl.constexpr):
    """`sum_f features[e, f] factor[h, f]`, `[BE, BH]`."""
    tile = features_of(features, place, valid, feature, F, REAL)
    return tl.sum(tile[:, None, :] * factor[None], axis=2)


@triton.jit
def biased(
    score, e, place, source, valid, head, hop, hop_bias, last_hop, source_bias, pair_bias,
    H: tl.constexpr, PER_HEAD: tl.constexpr, REAL: tl.constexpr,
):  # fmt: skip
    """The scores with the biases of source, hop and pair; -inf where there is no pair."""
    if source_bias is not None:
        score += pairs_of_heads(source_bias, source, valid, head, H, REAL)
    if hop_bias is not None:
        at = tl.minimum(tl.load(hop + e, valid, 0).to(tl.int64), last_hop)
        score += pairs_of_heads(hop_bias, at, valid, head, H, REAL)
    if pair_bias is not None:
        if PER_HEAD:
            score += pairs_of_heads(pair_bias, place, valid, head, H, REAL)
        else:
            score += tl.load(pair_bias + place, valid, 0).to(REAL)[:, None]
    return tl.where(valid[:, None], score, float("-inf"))


@triton.jit
def form_scores(
    left, x, weight, projected, place, valid, feature, features, scale, slope, F: tl.constexpr,
    FORM: tl.constexpr, REAL: tl.constexpr,
):  # fmt: skip
    """Scores `[BE, BH]` of the form alone.

    Args:
        left: `[1 or BE, BH, BC]`.
        x: `[BE, BH, BC]`, see `met`.
        weight: `[BH, BC]` of an additive form.
        projected: `[BH, BF]` of a product with features: what the query makes of them.
    """
    if FORM == PRODUCT:
        score = tl.sum(left * x, axis=2) * scale
        if projected is not None:
            score += mixed(features, place, valid, projected, feature, F, REAL) * scale
    else:
        score = tl.sum(activated(x, slope, FORM) * weight[None], axis=2)
    return score


@triton.jit
def is_selected(selected, e, valid, head, H: tl.constexpr):
    """The bits of a selection, `[BE, BH]`."""
    there = valid[:, None] & (head < H)[None, :]
    byte = tl.load(selected + e[:, None] * ((H + 7) // 8) + (head // 8)[None, :], there, 0)
    return ((byte.to(tl.int32) >> (head % 8)[None, :]) & 1) != 0


@triton.jit
def scored(
    left, x, weight, projected, shift, e, place, source, valid, head, feature, selected, hop,
    hop_bias, last_hop, source_bias, pair_bias, features, scale, slope, H: tl.constexpr,
    F: tl.constexpr, FORM: tl.constexpr, SELECT: tl.constexpr, PER_HEAD: tl.constexpr,
    REAL: tl.constexpr,
):  # fmt: skip
    """Scores `[BE, BH]` with all biases; -inf where there is no pair, or not one of the top k.

    Args: as those of `form_scores` and `biased`, and
        shift: `[BH]`, the bias of the target.
    """
    score = form_scores(
        left, x, weight, projected, place, valid, feature, features, scale, slope, F, FORM, REAL
    )  # fmt: skip
    score = biased(
        score + shift[None], e, place, source, valid, head, hop, hop_bias, last_hop, source_bias,
        pair_bias, H, PER_HEAD, REAL,
    )  # fmt: skip
    if SELECT == TOP_K:
        score = tl.where(is_selected(selected, e, valid, head, H), score, float("-inf"))
    return score
