"""The source pass of the backward: what arrives at each source, summed along the transpose."""

from __future__ import annotations

import triton
import triton.language as tl

from gattn.ops.triton.elementary import PRODUCT, number, steepness
from gattn.ops.triton.forward_rows import RUNTIME, pairs_of_row, rows_of_program
from gattn.ops.triton.scores import gathered, met, one, pairs_of_heads, place_of


@triton.jit(do_not_specialize=RUNTIME)
def backward_sources(
    rowptr, t_col, t_perm, perm, left, right, weight, features, pair_weight, upstream, handed,
    grad_value, grad_right, grad_source_bias, grad_weight, partial_value, partial_right,
    partial_source_bias, num_rows, num_pairs, cut, slots, run, groups, scale, slope,
    H: tl.constexpr, C: tl.constexpr, D: tl.constexpr, F: tl.constexpr, FORM: tl.constexpr,
    SCORED: tl.constexpr, SHARED: tl.constexpr, AGAIN: tl.constexpr, REAL: tl.constexpr,
    BE: tl.constexpr, BH: tl.constexpr, BC: tl.constexpr, BD: tl.constexpr,
):  # fmt: skip
    """Gradients of some sources.

    Args:
        rowptr: of the transpose.
        t_col: the row of each pair of the transpose; `t_perm`: its place among the rows.
        upstream: `[R, H, D]`, or `None` where the values have no part in it.
        handed: `[E, 2, H]`, see `backward_rows.py`.
        grad_value: `[M, H, D]`; `None` where the value is `right`, whose gradient is one then.
        grad_right: `[M, H, C]`, or `None`.
        grad_source_bias: `[M, H]`, or `None`.
        grad_weight: `[programs, H, C]`, the sources' half of it, or `None`.
        partial_value: of pieces of long rows, `[slots, H, D]`, as the other two.
        SHARED: the value is `right`.
        AGAIN: add to gradients that are there.
    """
    program = tl.program_id(0).to(tl.int64)
    head = tl.program_id(1) * BH + tl.arange(0, BH)
    channel, wide, lane = tl.arange(0, BC), tl.arange(0, BD), tl.arange(0, BE)
    factor, bend = number(scale, REAL), number(slope, REAL)
    in_head, in_key = head < H, (head < H)[:, None] & (channel < C)[None, :]
    in_wide = (head < H)[:, None] & (wide < D)[None, :]
    a = None
    if weight is not None:
        a = one(weight, 0, head, channel, H, C, REAL)
    weight_rows = tl.zeros((BH, BC), REAL)
    start, count, slot = rows_of_program(program, rowptr, num_rows, num_pairs, cut, slots, run)
    for k in range(count):
        node = start + k
        lo, hi, part = pairs_of_row(rowptr, node, cut, slot)
        values = tl.zeros((BE, BH, BD), REAL)
        keys = tl.zeros((BE, BH, BC), REAL)
        biases = tl.zeros((BE, BH), REAL)
        r = tl.zeros((1, BH, BC), REAL)
        if SCORED and FORM != PRODUCT:
            r = one(right, node, head, channel, H, C, REAL)[None]
        for first in range(lo, hi, BE):
            t = first + lane
            valid = t < hi
            row = tl.load(t_col + t, valid, 0).to(tl.int64)
            e = tl.load(t_perm + t, valid, 0)
            if upstream is not None:
                taken = pairs_of_heads(handed, 2 * e, valid, head, H, REAL)
                u = gathered(upstream, row, valid, head, wide, H, D, REAL)
                values += taken[:, :, None] * u
            if SCORED:
                ds = pairs_of_heads(handed, 2 * e + 1, valid, head, H, REAL)
                l = gathered(left, row // groups, valid, head, channel, H, C, REAL)  # noqa: E741
                if FORM == PRODUCT:
                    keys += ds[:, :, None] * l
                else:
                    place = place_of(e, valid, perm)
                    x = met(
                        l, r, place, valid, features, pair_weight, head, channel, H, C, F, FORM,
                        REAL,
                    )  # fmt: skip
                    keys += ds[:, :, None] * steepness(x, bend, FORM)
                biases += ds
        of_whole, of_piece = in_head & (head * 0 + part == 1), in_head & (head * 0 + part == 2)
        found = tl.sum(values, axis=0)
        if SCORED or SHARED:
            of_key = tl.zeros((BH, BC), REAL)
            if SCORED:
                of_key = tl.sum(keys, axis=0)
                if FORM == PRODUCT:
                    of_key = of_key * factor
                else:
                    if grad_weight is not None:
                        k_j = one(right, node, head, channel, H, C, REAL)
                        weight_rows += tl.where(of_key == 0.0, 0.0, of_key * k_j)
                    of_key = of_key * a
            if SHARED:
                of_key += found
            at = head[:, None] * C + channel[None, :]
            write(
                grad_right, partial_right, node * (H * C) + at, slot * (H * C) + at, of_key,
                in_key & of_whole[:, None], in_key & of_piece[:, None], AGAIN,
            )  # fmt: skip
        if grad_value is not None:
            at = head[:, None] * D + wide[None, :]
            write(
                grad_value, partial_value, node * (H * D) + at, slot * (H * D) + at, found,
                in_wide & of_whole[:, None], in_wide & of_piece[:, None], AGAIN,
            )  # fmt: skip
        if grad_source_bias is not None:
            write(
                grad_source_bias, partial_source_bias, node * H + head, slot * H + head,
                tl.sum(biases, axis=0), of_whole, of_piece, AGAIN,
            )  # fmt: skip
    if grad_weight is not None:
        at = program * (H * C) + head[:, None] * C + channel[None, :]
        tl.store(grad_weight + at, weight_rows, in_key)


@triton.jit
def write(out, partial, at, slot_at, found, whole, piece, AGAIN: tl.constexpr):
    """A gradient of a whole row, added to what is there if it is not the first; or of a piece."""
    tl.store(partial + slot_at, found, piece)
    if AGAIN:
        found += tl.load(out + at, whole, 0).to(found.dtype)
    tl.store(out + at, found, whole)
