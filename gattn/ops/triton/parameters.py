"""Gradients that are sums over all pairs or belong to their features, from the hand-over."""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from gattn.ops.triton.arguments import Arguments, bits
from gattn.ops.triton.elementary import activated as activated
from gattn.ops.triton.elementary import number, steepness
from gattn.ops.triton.pairs import row_of_pairs
from gattn.ops.triton.run import launch
from gattn.ops.triton.scores import gathered, met, one, pairs_of_heads, place_of
from gattn.ops.triton.tiles import power

_PROGRAMS = 512
"""Programs that share the pairs of a sum, each with a sum of its own."""

_TABLES = 1 << 23
"""Numbers of the tables that these programs sum into, together."""

_PAIRS = 128
_NUMBERS = 4096
"""Pairs, and pairs times heads, of a tile of the sum over hops."""


def _share(pairs: int, block: int, programs: int = _PROGRAMS) -> int:
    """Pairs of a program, whole tiles."""
    return max(-(-pairs // (programs * block)), 1) * block


def hop_gradient(handed: Tensor, hop: Tensor, like: Tensor) -> Tensor:
    """`[K + 1, H]`: the gradients of the scores, summed by hop.

    Args:
        handed: `[E, 2, H]`.
        hop: `[E]`; those beyond K share the last row.
        like: `[K + 1, H]`.
    """
    count, (hops, heads) = len(handed), like.shape
    block = min(_PAIRS, max(_NUMBERS // power(heads), 1))
    share = _share(count, block)
    programs = -(-count // share)
    partial = handed.new_zeros(programs, hops, heads)
    launch(
        _sum_by_hop,
        programs,
        hops,
        handed,
        handed=handed,
        hop=hop,
        out=partial,
        num_pairs=count,
        share=share,
        hops=hops,
        H=heads,
        BE=block,
        BH=power(heads),
    )
    return partial.sum(0)


@triton.jit(do_not_specialize=["num_pairs", "share", "hops"])
def _sum_by_hop(
    handed, hop, out, num_pairs, share, hops, H: tl.constexpr, BE: tl.constexpr, BH: tl.constexpr
):
    program, of = tl.program_id(0).to(tl.int64), tl.program_id(1)
    head = tl.arange(0, BH)
    sums = tl.zeros((BE, BH), handed.dtype.element_ty)
    begin = program * share
    end = tl.minimum(begin + share, num_pairs)
    for first in range(begin, end, BE):
        e = first + tl.arange(0, BE)
        valid = e < end
        at = tl.minimum(tl.load(hop + e, valid, 0).to(tl.int32), hops - 1)
        there = (valid & (at == of))[:, None] & (head < H)[None, :]
        sums += tl.load(handed + (e * 2 + 1)[:, None] * H + head[None, :], there, 0)
    tl.store(out + (program * hops + of) * H + head, tl.sum(sums, axis=0), head < H)


def feature_gradient(
    args: Arguments, handed: Tensor, scored: Tensor | None, pulled: Tensor | None
) -> Tensor:
    """`[E, F]` in the order of the caller: what products with the nodes give to the features.

    Args:
        args: of the call.
        handed: `[E, 2, H]`.
        scored: `[N, H, F]`, what the query of a product makes of features; or `None`.
        pulled: `[R, H, F]`, what the gradient of the output does; or `None`.
    """
    inputs, count = args.inputs, args.rows.pairs
    out = args.empty(count, args.features)
    launch(
        _feature_gradient,
        -(-count // 32),
        1,
        handed,
        row_of=row_of_pairs(inputs.rowptr, count),
        perm=inputs.perm,
        handed=handed,
        scored=scored,
        pulled=pulled,
        out=out,
        num_pairs=count,
        groups=inputs.groups,
        scale=bits(inputs.scale),
        H=args.heads,
        F=args.features,
        REAL=args.sizes()["REAL"],
        BE=32,
        BF=power(args.features),
    )
    return out


@triton.jit(do_not_specialize=["num_pairs", "scale"])
def _feature_gradient(
    row_of, perm, handed, scored, pulled, out, num_pairs, groups, scale, H: tl.constexpr,
    F: tl.constexpr, REAL: tl.constexpr, BE: tl.constexpr, BF: tl.constexpr,
):  # fmt: skip
    e = tl.program_id(0).to(tl.int64) * BE + tl.arange(0, BE)
    feature = tl.arange(0, BF)
    valid = e < num_pairs
    row = tl.load(row_of + e, valid, 0)
    there = valid[:, None] & (feature < F)[None, :]
    factor = number(scale, REAL)
    sums = tl.zeros((BE, BF), REAL)
    for h in range(H):
        if pulled is not None:
            taken = tl.load(handed + e * (2 * H) + h, valid, 0)
            at = (row * H + h)[:, None] * F + feature[None, :]
            sums += taken[:, None] * tl.load(pulled + at, there, 0)
        if scored is not None:
            ds = tl.load(handed + e * (2 * H) + H + h, valid, 0) * factor
            at = (row // groups * H + h)[:, None] * F + feature[None, :]
            sums += ds[:, None] * tl.load(scored + at, there, 0)
    place = place_of(e, valid, perm)
    tl.store(out + place[:, None] * F + feature[None, :], sums, there)


def additive_gradients(args: Arguments, handed: Tensor) -> tuple[Tensor, Tensor]:
    """What the score of an additive form gives to its features `[E, F]` and their `[F, H, C]`.

    Args:
        args: of the call.
        handed: `[E, 2, H]`.
    """
    inputs, count, tile = args.inputs, args.rows.pairs, args.tile(args.rows)
    assert inputs.pair_weight is not None
    fitting = max(_TABLES // max(inputs.pair_weight.numel(), 1), 1)
    share = _share(count, tile.pairs, min(fitting, _PROGRAMS))
    programs, blocks = -(-count // share), tile.blocks(args.heads)
    of_features = args.empty(blocks, count, args.features)
    of_table = handed.new_zeros(programs, *inputs.pair_weight.shape)
    launch(
        _additive_gradients,
        programs,
        blocks,
        handed,
        row_of=row_of_pairs(inputs.rowptr, count),
        col=inputs.col,
        perm=inputs.perm,
        left=inputs.left,
        right=inputs.right,
        weight=inputs.weight,
        features=inputs.pair_features,
        pair_weight=inputs.pair_weight,
        handed=handed,
        of_features=of_features,
        of_table=of_table,
        num_pairs=count,
        share=share,
        groups=inputs.groups,
        slope=bits(inputs.slope),
        FORM=args.form,
        **args.sizes(),
        BE=tile.pairs,
        BH=tile.heads,
        BC=tile.key,
        num_warps=tile.warps,
    )
    return of_features.sum(0), of_table.sum(0)


@triton.jit(do_not_specialize=["num_pairs", "share", "slope"])
def _additive_gradients(
    row_of, col, perm, left, right, weight, features, pair_weight, handed, of_features, of_table,
    num_pairs, share, groups, slope, H: tl.constexpr, C: tl.constexpr, F: tl.constexpr,
    FORM: tl.constexpr, REAL: tl.constexpr, BE: tl.constexpr, BH: tl.constexpr, BC: tl.constexpr,
):  # fmt: skip
    program, block = tl.program_id(0).to(tl.int64), tl.program_id(1).to(tl.int64)
    head, channel, lane = (
        tl.program_id(1) * BH + tl.arange(0, BH),
        tl.arange(0, BC),
        tl.arange(0, BE),
    )
    bend, a = number(slope, REAL), one(weight, 0, head, channel, H, C, REAL)
    in_key = (head < H)[:, None] & (channel < C)[None, :]
    begin = program * share
    end = tl.minimum(begin + share, num_pairs)
    for first in range(begin, end, BE):
        e = first + lane
        valid = e < end
        query = tl.load(row_of + e, valid, 0) // groups
        source = tl.load(col + e, valid, 0).to(tl.int64)
        place = place_of(e, valid, perm)
        l = gathered(left, query, valid, head, channel, H, C, REAL)  # noqa: E741
        r = gathered(right, source, valid, head, channel, H, C, REAL)
        x = met(l, r, place, valid, features, pair_weight, head, channel, H, C, F, FORM, REAL)
        ds = pairs_of_heads(handed, 2 * e + 1, valid, head, H, REAL)
        dx = ds[:, :, None] * steepness(x, bend, FORM) * a[None]
        for f in range(F):
            feature = tl.load(features + place * F + f, valid, 0).to(REAL)
            found = tl.sum(tl.sum(dx * one(pair_weight, f, head, channel, H, C, REAL)[None], 2), 1)
            tl.store(of_features + (block * num_pairs + place) * F + f, found, valid)
            # The program's own place: what one thread wrote, another may add to next time.
            at = of_table + (program * F + f) * (H * C) + head[:, None] * C + channel[None, :]
            more = tl.sum(dx * feature[:, None, None], axis=0)
            tl.store(at, tl.load(at, in_key, 0) + more, in_key)
            tl.debug_barrier()
