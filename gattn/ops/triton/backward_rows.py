"""The target pass of the backward: gradients of everything that belongs to a row or a pair.

Scores and weights are computed again; with the output of the forward at hand, each pair is taken
once. What the source pass needs, the weight of the value and the gradient of the score, is handed
over in `[E, 2, H]`.
"""

from __future__ import annotations

import triton
import triton.language as tl

from gattn.ops.triton.elementary import (
    GIVEN,
    HARD,
    LEAKY,
    PRODUCT,
    SIGMOID,
    activated,
    kept,
    number,
    sigmoid,
    steepness,
)
from gattn.ops.triton.forward_rows import RUNTIME, pairs_of_row, rows_of_program
from gattn.ops.triton.scores import (
    columns_of,
    features_of,
    gathered,
    is_selected,
    met,
    mixed,
    of_heads,
    one,
    pairs_of_heads,
    place_of,
    scored,
)


@triton.jit(do_not_specialize=RUNTIME)
def backward_rows(
    rowptr, col, hop, perm, rank, selected, left, right, value, source_bias, target_bias, weight,
    hop_bias, pair_bias, features, pair_weight, projected, given, seed, upstream, pulled, exact,
    peak, total, tilt, handed, grad_given, grad_left, grad_target_bias, grad_projected, summed,
    grad_weight, partial_left, partial_target_bias, partial_projected, partial_summed, num_rows,
    num_pairs, cut, slots, run, last_hop, groups, first_row, scale, slope, threshold, keep,
    H: tl.constexpr, C: tl.constexpr, D: tl.constexpr, F: tl.constexpr, FORM: tl.constexpr,
    WEIGHTS: tl.constexpr, SELECT: tl.constexpr, SCORED: tl.constexpr, PER_HEAD: tl.constexpr,
    REAL: tl.constexpr, BE: tl.constexpr, BH: tl.constexpr, BC: tl.constexpr, BD: tl.constexpr,
    BF: tl.constexpr,
):  # fmt: skip
    """Gradients of some rows, and the hand-over.

    Args:
        value: `[M, H, D]`, or `None` for `right` itself, which is gathered once then.
        given: `[E, H]`: the weights, or without `upstream` the gradients of the scores.
        upstream: `[R, H, D]`, the gradient of the output, or `None`: values have no part in it.
        pulled: `[R, H, F]`, what it makes of the features, where the value has some.
        exact: `[R, H, D]`, the weighted sums of a softmax; `[R, H, D + F]`, with those of the
            features behind, where the value has some.
        tilt: `[R, H]`, the gradient of the statistic.
        handed: `[E, 2, H]`.
        grad_given: `[E, H]`, the gradient of given weights.
        grad_left: `[R, H, C]`, and `[R, H]`, `[R, H, F]`, `[R, H, F]`: of target bias, of what a
            product's query makes of features, and the weighted sums of the features.
        grad_weight: `[programs, H, C]`.
        partial_left: of pieces of long rows, `[slots, H, C]`, as the other three.
        SCORED: the scores have a part in it.
    """
    program = tl.program_id(0).to(tl.int64)
    head = tl.program_id(1) * BH + tl.arange(0, BH)
    channel, wide, feature = tl.arange(0, BC), tl.arange(0, BD), tl.arange(0, BF)
    lane = tl.arange(0, BE)
    factor, bend, made_up = number(scale, REAL), number(slope, REAL), number(keep, REAL)
    WIDE: tl.constexpr = D + (F if pulled is not None else 0)
    in_head, in_key = head < H, (head < H)[:, None] & (channel < C)[None, :]
    in_feature = (head < H)[:, None] & (feature < F)[None, :]
    a = None
    if weight is not None:
        a = one(weight, 0, head, channel, H, C, REAL)
    # act(x) = x act'(x) for a leaky ReLU, so the gradient of its weight, a sum over the pairs,
    # falls into two sums over the nodes, of which the source pass has the other.
    NODEWISE: tl.constexpr = FORM == LEAKY and pair_weight is None
    weight_sums = tl.zeros((BE, BH, BC), REAL)
    weight_rows = tl.zeros((BH, BC), REAL)
    start, count, slot = rows_of_program(program, rowptr, num_rows, num_pairs, cut, slots, run)
    for k in range(count):
        row = start + k
        lo, hi, part = pairs_of_row(rowptr, row, cut, slot)
        query = row // groups
        sums = tl.zeros((BE, BH, BC), REAL)
        bias_sums = tl.zeros((BE, BH), REAL)
        projected_sums = tl.zeros((BE, BH, BF), REAL)
        feature_sums = tl.zeros((BE, BH, BF), REAL)
        if SCORED:
            l = one(left, query, head, channel, H, C, REAL)[None]  # noqa: E741
            p = None
            if projected is not None:
                p = one(projected, query, head, feature, H, F, REAL)
            shift = tl.zeros((BH,), REAL)
            if target_bias is not None:
                shift = of_heads(target_bias, query, head, H, REAL)
        if upstream is not None:
            u = one(upstream, row, head, wide, H, D, REAL)
            if pulled is not None:
                pull_of_features = one(pulled, row, head, feature, H, F, REAL)
            if peak is not None:
                top = of_heads(peak, row, head, H, REAL)
                mass = of_heads(total, row, head, H, REAL)
                mass = tl.where(mass == 0.0, 1.0, mass)
                of_values = columns_of(exact, row, head, 0, wide, H, D, WIDE, REAL)
                centre = tl.sum(u * of_values, axis=1)
                if pulled is not None:
                    of_features = columns_of(exact, row, head, D, feature, H, F, WIDE, REAL)
                    centre += tl.sum(pull_of_features * of_features, axis=1)
                if tilt is not None:
                    centre -= of_heads(tilt, row, head, H, REAL)
        for first in range(lo, hi, BE):
            e = first + lane
            valid = e < hi
            in_pair = valid[:, None] & in_head[None, :]
            source = tl.load(col + e, valid, 0).to(tl.int64)
            place = place_of(e, valid, perm)
            at = e[:, None] * (2 * H) + head[None, :]
            if SCORED:
                r = gathered(right, source, valid, head, channel, H, C, REAL)
                x = met(
                    l, r, place, valid, features, pair_weight, head, channel, H, C, F, FORM, REAL
                )  # fmt: skip
            if WEIGHTS == GIVEN:
                w = pairs_of_heads(given, e, valid, head, H, REAL)
            else:
                s = scored(
                    l, x, a, p, shift, e, place, source, valid, head, feature, selected, hop,
                    hop_bias, last_hop, source_bias, pair_bias, features, factor, bend, H, F, FORM,
                    SELECT, PER_HEAD, REAL,
                )  # fmt: skip
                if WEIGHTS == SIGMOID:
                    w = sigmoid(s)
                else:
                    w = tl.exp(s - top[None]) / mass[None]
            ds = w
            if upstream is not None:
                if value is not None:
                    v = gathered(value, source, valid, head, wide, H, D, REAL)
                else:
                    v = r
                pull = tl.sum(u[None] * v, axis=2)
                if pulled is not None:
                    pull += mixed(features, place, valid, pull_of_features, feature, F, REAL)
                taken = w
                if SELECT == HARD:
                    taken = tl.where(is_selected(selected, e, valid, head, H), w * 0.0 + 1.0, 0.0)
                if seed is not None:
                    again = e * 0
                    if rank is not None:
                        again = tl.load(rank + e, valid, 0).to(tl.int64)
                    drop = kept(first_row + row, source, again, head, seed, threshold, made_up)
                    pull, taken = pull * drop, taken * drop
                if not SCORED:
                    tl.store(handed + at, taken, in_pair)
                if grad_given is not None:
                    tl.store(grad_given + e[:, None] * H + head[None, :], pull, in_pair)
                if summed is not None:
                    y = features_of(features, place, valid, feature, F, REAL)
                    feature_sums += taken[:, :, None] * y[:, None, :]
                if WEIGHTS == SIGMOID:
                    ds = w * (1.0 - w) * pull
                elif WEIGHTS != GIVEN:
                    ds = w * (pull - centre[None])
            if SCORED:
                ds = tl.where(in_pair, ds, 0.0)
                if upstream is not None:
                    # Both at once: each store of its own would wait for all threads.
                    side = (tl.arange(0, 2) * H)[None, None, :]
                    both = tl.join(taken, ds)
                    tl.store(handed + at[:, :, None] + side, both, in_pair[:, :, None])
                else:
                    tl.store(handed + at + H, ds, in_pair)
                bias_sums += ds
                if FORM == PRODUCT:
                    sums += ds[:, :, None] * x
                else:
                    sums += ds[:, :, None] * steepness(x, bend, FORM)
                    if grad_weight is not None and not NODEWISE:
                        weight_sums += ds[:, :, None] * activated(x, bend, FORM)
                if grad_projected is not None:
                    z = features_of(features, place, valid, feature, F, REAL)
                    projected_sums += ds[:, :, None] * z[:, None, :]
        of_whole, of_piece = in_head & (head * 0 + part == 1), in_head & (head * 0 + part == 2)
        if SCORED:
            total_left = tl.sum(sums, axis=0)
            if FORM == PRODUCT:
                total_left = total_left * factor
            else:
                if grad_weight is not None and NODEWISE:
                    q = one(left, query, head, channel, H, C, REAL)
                    weight_rows += tl.where(total_left == 0.0, 0.0, total_left * q)
                total_left = total_left * a
            at = head[:, None] * C + channel[None, :]
            tl.store(grad_left + row * (H * C) + at, total_left, in_key & of_whole[:, None])
            tl.store(partial_left + slot * (H * C) + at, total_left, in_key & of_piece[:, None])
            if grad_target_bias is not None:
                total_bias = tl.sum(bias_sums, axis=0)
                tl.store(grad_target_bias + row * H + head, total_bias, of_whole)
                tl.store(partial_target_bias + slot * H + head, total_bias, of_piece)
            if grad_projected is not None:
                found = tl.sum(projected_sums, axis=0) * factor
                at = head[:, None] * F + feature[None, :]
                there = in_feature & of_whole[:, None]
                tl.store(grad_projected + row * (H * F) + at, found, there)
                there = in_feature & of_piece[:, None]
                tl.store(partial_projected + slot * (H * F) + at, found, there)
        if summed is not None:
            found = tl.sum(feature_sums, axis=0)
            at = head[:, None] * F + feature[None, :]
            tl.store(summed + row * (H * F) + at, found, in_feature & of_whole[:, None])
            tl.store(partial_summed + slot * (H * F) + at, found, in_feature & of_piece[:, None])
    if grad_weight is not None:
        at = program * (H * C) + head[:, None] * C + channel[None, :]
        if NODEWISE:
            tl.store(grad_weight + at, weight_rows, in_key)
        else:
            tl.store(grad_weight + at, tl.sum(weight_sums, axis=0), in_key)
