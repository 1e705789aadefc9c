"""The kernels of the forward pass: a program for each run of rows, or piece of a long row.

Each lane of a tile keeps a softmax of its own (peak, total and weighted sum of the pairs that it
meets), so that no pair waits for another; the lanes are put together when a row ends. Arguments
are those of `arguments.py`.
"""

from __future__ import annotations

import triton
import triton.language as tl

from gattn.ops.triton.elementary import (
    ALL,
    GIVEN,
    SIGMOID,
    SOFTMAX,
    kept,
    number,
    piece_of,
    sigmoid,
    slot_at,
    slots_of,
)
from gattn.ops.triton.scores import (
    features_of,
    gathered,
    met,
    of_heads,
    one,
    pairs_of_heads,
    place_of,
    scored,
)

RUNTIME = [
    "num_rows",
    "num_pairs",
    "cut",
    "slots",
    "run",
    "last_hop",
    "first_row",
    "scale",
    "slope",
    "threshold",
    "keep",
]


@triton.jit
def rows_of_program(
    program, rowptr, num_rows, num_pairs, cut, slots, run
):  # fmt: skip
    """First row and number of rows of a program, and its slot: -1 where the rows are whole."""
    row = (program - slots) * run
    count = tl.minimum(run, num_rows - row)
    slot = program * 0 - 1
    if program < slots:
        row, count = piece_of(rowptr, num_rows, num_pairs, cut, program)
        slot = program
    return row, count, slot


@triton.jit
def pairs_of_row(rowptr, row, cut, slot):
    """First pair and last + 1 that a program has in a row, and what it is of it.

    The last is 1 for the program of a whole row, 2 for that of a piece, and 0 for a row that has
    pieces elsewhere. (A number: triton's interpreter cannot spread a single truth value over a
    tile.)
    """
    lo = tl.load(rowptr + row)
    hi = tl.load(rowptr + row + 1)
    begin = slot // 2 * cut
    is_piece = slot >= 0
    whole = hi - lo <= cut
    first = tl.where(is_piece, tl.maximum(lo, begin), lo)
    last = tl.where(is_piece, tl.minimum(hi, begin + cut), tl.where(whole, hi, lo))
    return first, last, tl.where(is_piece, 2, tl.where(whole, 1, 0))


@triton.jit(do_not_specialize=RUNTIME)
def attend(
    rowptr, col, hop, perm, rank, selected, left, right, value, source_bias, target_bias, weight,
    hop_bias, pair_bias, features, pair_weight, projected, given, seed, out, exact, summed,
    peak_out, total_out, statistic_out, partial, partial_summed, partial_peak, partial_total,
    num_rows, num_pairs, cut, slots, run, last_hop, groups, first_row, scale, slope, threshold,
    keep, H: tl.constexpr, C: tl.constexpr, D: tl.constexpr, F: tl.constexpr, FORM: tl.constexpr,
    WEIGHTS: tl.constexpr, SELECT: tl.constexpr, PER_HEAD: tl.constexpr, REAL: tl.constexpr,
    BE: tl.constexpr, BH: tl.constexpr, BC: tl.constexpr, BD: tl.constexpr, BF: tl.constexpr,
):  # fmt: skip
    """Weighted sums of the values of some rows.

    Args:
        value: `[M, H, D]`, or `None` for `right` itself, which is gathered once then.
        given: `[E, H]`, the weights, where they are given.
        out: `[R, H, D]`; `exact` is the same in the compute dtype, or `None`.
        summed: `[R, H, F]`, the weighted sums of the features, or `None`.
        peak_out: `[R, H]`, as `total_out` and `statistic_out`; `None` without a softmax.
        partial: `[slots, H, D]`, of pieces of long rows, as the other three.
    """
    program = tl.program_id(0).to(tl.int64)
    head = tl.program_id(1) * BH + tl.arange(0, BH)
    channel, wide, feature = tl.arange(0, BC), tl.arange(0, BD), tl.arange(0, BF)
    lane = tl.arange(0, BE)
    factor, bend, made_up = number(scale, REAL), number(slope, REAL), number(keep, REAL)
    a = None
    if weight is not None:
        a = one(weight, 0, head, channel, H, C, REAL)
    in_head, in_wide = head < H, (head < H)[:, None] & (wide < D)[None, :]
    in_feature = (head < H)[:, None] & (feature < F)[None, :]
    start, count, slot = rows_of_program(program, rowptr, num_rows, num_pairs, cut, slots, run)
    for k in range(count):
        row = start + k
        lo, hi, part = pairs_of_row(rowptr, row, cut, slot)
        query = row // groups
        peak = tl.full((BE, BH), float("-inf"), REAL)
        total = tl.zeros((BE, BH), REAL)
        sums = tl.zeros((BE, BH, BD), REAL)
        feature_sums = tl.zeros((BE, BH, BF), REAL)
        if WEIGHTS != GIVEN:
            l = one(left, query, head, channel, H, C, REAL)[None]  # noqa: E741
            p = None
            if projected is not None:
                p = one(projected, query, head, feature, H, F, REAL)
            shift = tl.zeros((BH,), REAL)
            if target_bias is not None:
                shift = of_heads(target_bias, query, head, H, REAL)
        for first in range(lo, hi, BE):
            e = first + lane
            valid = e < hi
            source = tl.load(col + e, valid, 0).to(tl.int64)
            place = place_of(e, valid, perm)
            if WEIGHTS == GIVEN:
                v = gathered(value, source, valid, head, wide, H, D, REAL)
                w = pairs_of_heads(given, e, valid, head, H, REAL)
            else:
                r = gathered(right, source, valid, head, channel, H, C, REAL)
                v = r
                if value is not None:
                    v = gathered(value, source, valid, head, wide, H, D, REAL)
                x = met(
                    l, r, place, valid, features, pair_weight, head, channel, H, C, F, FORM, REAL
                )  # fmt: skip
                s = scored(
                    l, x, a, p, shift, e, place, source, valid, head, feature, selected, hop,
                    hop_bias, last_hop, source_bias, pair_bias, features, factor, bend, H, F, FORM,
                    SELECT, PER_HEAD, REAL,
                )  # fmt: skip
                if WEIGHTS == SIGMOID:
                    w = sigmoid(s)
                else:
                    higher = tl.maximum(peak, s)
                    level = tl.where(higher == float("-inf"), 0.0, higher)
                    shrink = tl.exp(peak - level)
                    w = tl.exp(s - level)
                    total = total * shrink + w
                    sums = sums * shrink[:, :, None]
                    if summed is not None:
                        feature_sums = feature_sums * shrink[:, :, None]
                    peak = higher
            if seed is not None:
                again = e * 0
                if rank is not None:
                    again = tl.load(rank + e, valid, 0).to(tl.int64)
                w = w * kept(first_row + row, source, again, head, seed, threshold, made_up)
            sums += w[:, :, None] * v
            if summed is not None:
                y = features_of(features, place, valid, feature, F, REAL)
                feature_sums += w[:, :, None] * y[:, None, :]
        of_whole, of_piece = in_head & (head * 0 + part == 1), in_head & (head * 0 + part == 2)
        if WEIGHTS == SOFTMAX:
            top = tl.max(peak, axis=0)
            top = tl.where(top == float("-inf"), 0.0, top)
            shrink = tl.exp(peak - top[None])
            mass = tl.sum(total * shrink, axis=0)
            result = tl.sum(sums * shrink[:, :, None], axis=0)
            result_summed = tl.sum(feature_sums * shrink[:, :, None], axis=0)
            tl.store(partial_peak + slot * H + head, top, of_piece)
            tl.store(partial_total + slot * H + head, mass, of_piece)
            store_mass(peak_out, total_out, statistic_out, row * H + head, top, mass, of_whole)
            full = tl.where(mass == 0.0, 1.0, mass)
            divided, divided_summed = result / full[:, None], result_summed / full[:, None]
        else:
            result, result_summed = tl.sum(sums, axis=0), tl.sum(feature_sums, axis=0)
            divided, divided_summed = result, result_summed
        at = head[:, None] * D + wide[None, :]
        tl.store(partial + slot * (H * D) + at, result, in_wide & of_piece[:, None])
        tl.store(out + row * (H * D) + at, divided, in_wide & of_whole[:, None])
        if exact is not None:
            tl.store(exact + row * (H * D) + at, divided, in_wide & of_whole[:, None])
        if summed is not None:
            at = head[:, None] * F + feature[None, :]
            there = in_feature & of_piece[:, None]
            tl.store(partial_summed + slot * (H * F) + at, result_summed, there)
            there = in_feature & of_whole[:, None]
            tl.store(summed + row * (H * F) + at, divided_summed, there)


@triton.jit
def store_mass(peak_out, total_out, statistic_out, at, top, mass, there):
    """Peak, total and log-sum-exp of a row."""
    tl.store(peak_out + at, top, there)
    tl.store(total_out + at, mass, there)
    log = tl.where(mass == 0.0, float("-inf"), top + tl.log(tl.where(mass == 0.0, 1.0, mass)))
    tl.store(statistic_out + at, log, there)


@triton.jit(do_not_specialize=["num_rows", "num_pairs", "cut"])
def merge(
    rowptr, out, exact, summed, peak_out, total_out, statistic_out, partial, partial_summed,
    partial_peak, partial_total, num_rows, num_pairs, cut, H: tl.constexpr, D: tl.constexpr,
    F: tl.constexpr, REAL: tl.constexpr, BS: tl.constexpr, BD: tl.constexpr, BF: tl.constexpr,
):  # fmt: skip
    """Put the pieces of long rows together, by chunk in which they start and head."""
    chunk, head = tl.program_id(0).to(tl.int64), tl.program_id(1)
    row, first, count = slots_of(rowptr, num_rows, num_pairs, cut, chunk)
    lane, wide, feature = tl.arange(0, BS), tl.arange(0, BD), tl.arange(0, BF)
    peak = tl.full((BS,), float("-inf"), REAL)
    total = tl.zeros((BS,), REAL)
    sums = tl.zeros((BS, BD), REAL)
    feature_sums = tl.zeros((BS, BF), REAL)
    for begin in range(0, count, BS):
        place = begin + lane
        valid = place < count
        slot = slot_at(first, place)
        if peak_out is not None:
            mass = tl.load(partial_total + slot * H + head, valid, 0)
            top = tl.load(partial_peak + slot * H + head, valid, 0)
            top = tl.where(mass == 0.0, float("-inf"), top)
            higher = tl.maximum(peak, top)
            level = tl.where(higher == float("-inf"), 0.0, higher)
            shrink, w = tl.exp(peak - level), tl.exp(top - level)
            total = total * shrink + mass * w
            peak = higher
        else:
            shrink, w = tl.full((BS,), 1.0, REAL), tl.full((BS,), 1.0, REAL)
        at = (slot * H + head)[:, None]
        there = valid[:, None] & (wide < D)[None, :]
        x = tl.load(partial + at * D + wide[None, :], there, 0)
        sums = sums * shrink[:, None] + w[:, None] * x
        if summed is not None:
            there = valid[:, None] & (feature < F)[None, :]
            x = tl.load(partial_summed + at * F + feature[None, :], there, 0)
            feature_sums = feature_sums * shrink[:, None] + w[:, None] * x
    full = tl.full((), 1.0, REAL)
    shrink = tl.full((BS,), 1.0, REAL)
    if peak_out is not None:
        top = tl.max(peak, axis=0)
        top = tl.where(top == float("-inf"), 0.0, top)
        shrink = tl.exp(peak - top)
        mass = tl.sum(total * shrink, axis=0)
        store_mass(peak_out, total_out, statistic_out, row * H + head, top, mass, count > 0)
        full = tl.where(mass == 0.0, 1.0, mass)
    at = row * H + head
    result = tl.sum(sums * shrink[:, None], axis=0) / full
    tl.store(out + at * D + wide, result, (wide * 0 + count > 0) & (wide < D))
    if exact is not None:
        tl.store(exact + at * D + wide, result, (wide * 0 + count > 0) & (wide < D))
    if summed is not None:
        result = tl.sum(feature_sums * shrink[:, None], axis=0) / full
        tl.store(summed + at * F + feature, result, (feature * 0 + count > 0) & (feature < F))


@triton.jit(do_not_specialize=RUNTIME)
def write_scores(
    rowptr, col, hop, perm, left, right, source_bias, target_bias, weight, hop_bias, pair_bias,
    features, pair_weight, projected, out, num_rows, num_pairs, cut, slots, run, last_hop, groups,
    scale, slope, H: tl.constexpr, C: tl.constexpr, F: tl.constexpr, FORM: tl.constexpr,
    PER_HEAD: tl.constexpr, REAL: tl.constexpr, BE: tl.constexpr, BH: tl.constexpr,
    BC: tl.constexpr, BF: tl.constexpr,
):  # fmt: skip
    """Scores `[E, H]` in the order of the rows."""
    program = tl.program_id(0).to(tl.int64)
    head = tl.program_id(1) * BH + tl.arange(0, BH)
    channel, feature, lane = tl.arange(0, BC), tl.arange(0, BF), tl.arange(0, BE)
    factor, bend = number(scale, REAL), number(slope, REAL)
    a = None
    if weight is not None:
        a = one(weight, 0, head, channel, H, C, REAL)
    start, count, slot = rows_of_program(program, rowptr, num_rows, num_pairs, cut, slots, run)
    for k in range(count):
        row = start + k
        lo, hi, _ = pairs_of_row(rowptr, row, cut, slot)
        query = row // groups
        l = one(left, query, head, channel, H, C, REAL)[None]  # noqa: E741
        p = None
        if projected is not None:
            p = one(projected, query, head, feature, H, F, REAL)
        shift = tl.zeros((BH,), REAL)
        if target_bias is not None:
            shift = of_heads(target_bias, query, head, H, REAL)
        for first in range(lo, hi, BE):
            e = first + lane
            valid = e < hi
            source = tl.load(col + e, valid, 0).to(tl.int64)
            place = place_of(e, valid, perm)
            r = gathered(right, source, valid, head, channel, H, C, REAL)
            x = met(
                l, r, place, valid, features, pair_weight, head, channel, H, C, F, FORM, REAL
            )  # fmt: skip
            s = scored(
                l, x, a, p, shift, e, place, source, valid, head, feature, None, hop,
                hop_bias, last_hop, source_bias, pair_bias, features, factor, bend, H, F, FORM,
                ALL, PER_HEAD, REAL,
            )  # fmt: skip
            at = e[:, None] * H + head[None, :]
            tl.store(out + at, s, valid[:, None] & (head < H)[None, :])
