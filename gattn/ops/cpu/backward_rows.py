"""The target pass of the backward: gradients of everything that belongs to a row or a pair.

Scores and weights are computed again. What the source pass needs of them, the weight of the value
and the gradient of the score, is handed over in `[pairs, 2, H]`, for a block of pairs at a time
(`launch.py` says how large), so that it computes neither again.
"""

from __future__ import annotations

import numpy as np

from gattn._numba.compile import inlined, kernel, piece
from gattn.ops.cpu.elementary import borrowed
from gattn.ops.cpu.features import (
    add_feature_gradients,
    add_mixed,
    add_outer,
    add_shifted_gradients,
    add_spread,
    collect,
    place_of,
    project,
    shift,
)
from gattn.ops.cpu.forward_rows import read
from gattn.ops.cpu.products import add_activated, add_slopes, add_weighted, dots
from gattn.ops.cpu.scores import (
    SIGMOID,
    choose,
    drop,
    mask_unselected,
    score,
    weigh,
)
from gattn.ops.cpu.segments import PIECE, bounds
from gattn.ops.cpu.tiles import (
    TILE,
    centre,
    clear,
    gather,
    leaky_slopes,
    pad,
    sum_pairs,
    sum_products,
)

U = np.uint64


@inlined
def _slopes_and_pulls(
    slopes, weights, pulls, r, lo, n, graph, nodes, weight, pairs, sizes, options, given,
    grad_out, saved, scratch, tile,
):  # fmt: skip
    """For each pair the slope of its weight, the weight itself, and the pull of its value.

    The pull is `<grad_out, value>`, with the factor of the dropout; the weight has that factor too.
    """
    _, col, _, perm, rank, selected = graph
    heads, _, width, count, _ = sizes
    one, start = slopes.dtype.type(1), r * heads * width
    dots(pulls, grad_out, start, nodes[2], col, lo, n, heads, width, one)
    _add_feature_pulls(
        pulls, grad_out, start, pairs[2], pairs[4], perm, lo, n, count, heads, width, scratch
    )
    if saved is None:
        read(slopes, given, lo * heads, n * heads)
    else:
        score(slopes, r, lo, n, graph, nodes, weight, pairs, sizes, options, scratch, tile)
        mask_unselected(slopes, options[0], selected, lo, n, heads)
        weigh(slopes, n, heads, options[0], saved[0], saved[1], r * heads, tile[0])
    for k in range(n * heads):
        weights[k] = slopes[k]
    choose(weights, options[0], selected, lo, n, heads)
    drop(weights, options[3], col, rank, r, lo, n, heads)
    drop(pulls, options[3], col, rank, r, lo, n, heads)
    pad(pulls, n, heads, 0)


@inlined
def _add_feature_pulls(
    pulls, grad_out, start, features, pair_value, perm, lo, n, count, heads, width, scratch
):
    if features is not None:
        if pair_value.size:
            project(scratch, grad_out, start, pair_value, count, heads, width)
            add_mixed(pulls, features, perm, scratch, lo, n, count, heads, pulls.dtype.type(1))


@inlined
def _score_gradients(slopes, pulls, n, heads, normalizer, values, start, tilt, tile):
    """The gradient of each score, in the place of its slope.

    With w the weight and g the pull: `w (g - centre + tilt)` for a softmax, the centre being the
    sum of `w g` over the row and tilt the gradient of the log-sum-exp; `w (1 - w) g` for a sigmoid.
    """
    if normalizer != SIGMOID:
        centre(slopes, pulls, n, heads, values, start, tilt, tile)
        return
    for k in range(n * heads):
        slopes[k] *= (slopes.dtype.type(1) - slopes[k]) * pulls[k]


@inlined
def _add_row_gradients(
    total, sums, ds, others, r, lo, n, graph, nodes, weight, pairs, sizes, options, grads, task,
    scratch, collected, tile,
):  # fmt: skip
    """What the score gradients of a piece add to those of the row's query and of parameters.

    Args:
        total: `[H * C]`, the gradient of the query's side, gains the piece's part.
        sums: `[H]`, the sum of the score gradients.
        others: scratch for numbers of the pairs.
    """
    _, col, _, perm, _, _ = graph
    left, right, _, _, _ = nodes
    _, _, features, pair_weight, _ = pairs
    heads, channels, _, count, groups = sizes
    _, slope, scale, _ = options
    start, width = (r // groups) * heads * channels, heads * channels
    clear(total, width)
    pad(ds, n, heads, 0)
    _product_gradients(
        total, ds, left, start, right, features, pair_weight, col, perm, lo, n, count, heads,
        channels, scale, grads[2], grads[5][task], scratch, collected,
    )  # fmt: skip
    _additive_gradients(
        total, ds, others, left, start, right, weight, features, pair_weight, col, perm, lo, n,
        count, heads, channels, slope, grads[2], grads[3][task],
        grads[5][task], scratch, tile,
    )  # fmt: skip
    sum_pairs(sums, U(0), ds, n, heads, tile[0])


@inlined
def _product_gradients(
    total, ds, left, start, right, features, pair_weight, col, perm, lo, n, count, heads, channels,
    scale, grad_features, grad_pair_weight, scratch, collected,
):  # fmt: skip
    if scale is not None:
        add_weighted(total, ds, right, col, lo, n, heads, channels)
        for k in range(heads * channels):
            total[k] *= scale
        _product_feature_gradients(
            total, ds, left, start, features, pair_weight, perm, lo, n, count, heads, channels,
            scale, grad_features, grad_pair_weight, scratch, collected,
        )  # fmt: skip


@inlined
def _product_feature_gradients(
    total, ds, left, start, features, pair_weight, perm, lo, n, count, heads, channels, scale,
    grad_features, grad_pair_weight, scratch, collected,
):  # fmt: skip
    if features is not None:
        collect(collected, ds, features, perm, lo, n, count, heads)
        add_spread(total, collected, pair_weight, count, heads, channels, scale)
        add_outer(grad_pair_weight, collected, left, start, count, heads, channels, scale)
        project(scratch, left, start, pair_weight, count, heads, channels)
        add_feature_gradients(grad_features, ds, perm, scratch, lo, n, count, heads, scale)


@inlined
def _additive_gradients(
    total, ds, others, left, start, right, weight, features, pair_weight, col, perm, lo, n, count,
    heads, channels, slope, grad_features, grad_weight, grad_pair_weight, scratch, tile,
):  # fmt: skip
    if weight is None:
        return
    width = heads * channels
    if features is None:
        plain_slopes(
            total, ds, others, left, start, right, col, lo, n, heads, channels, slope, tile
        )
        _plain_weight_gradient(
            grad_weight, total, ds, left, start, right, col, lo, n, heads, channels, slope
        )
    else:
        for e in range(n):
            row = place_of(perm, lo + e)
            shift(scratch, left, start, features, row, pair_weight, count, width)
            add_shifted_gradients(
                total, grad_weight, grad_pair_weight, grad_features, ds, e, scratch, features, row,
                right, U(col[lo + e]) * width, weight, pair_weight, count, heads, channels, slope,
            )  # fmt: skip
    for k in range(width):
        total[k] *= weight[k]


@inlined
def plain_slopes(total, ds, others, left, start, right, col, lo, n, heads, channels, slope, tile):
    """`total += sum_e ds act'(..)`, by the shortest way."""
    if slope is None:
        add_slopes(total, ds, left, start, right, col, lo, n, heads, channels, slope)
    elif channels == U(1):  # GAT
        gather(others, right, col, lo, n, heads)
        leaky_slopes(total, others, ds, left, start, slope, n, heads, tile[0], tile[1])
    else:
        add_slopes(total, ds, left, start, right, col, lo, n, heads, channels, slope)


@inlined
def _plain_weight_gradient(
    grad_weight, total, ds, left, start, right, col, lo, n, heads, channels, slope
):
    if grad_weight.size == 0:
        return
    if slope is None:
        add_activated(grad_weight, ds, left, start, right, col, lo, n, heads, channels)
    else:
        # act(z) = z act'(z), so the gradient of the weight, a sum over the pairs, falls into two
        # sums over the nodes. The source pass adds the other.
        for k in range(heads * channels):
            grad_weight[k] += total[k] * left[start + k]


@piece
def _add_hop_gradients(grad, ds, hop, lo, n, heads):
    if grad.size:
        last = U(grad.size) // heads - U(1)
        for e in range(n):
            place = min(U(hop[lo + e]), last) * heads
            for h in range(heads):
                grad[place + h] += ds[e * heads + h]


@piece
def _write_pair_gradients(grad, ds, perm, col, lo, n, heads):
    if grad.size:
        per_head = U(grad.size) > U(col.size)
        for e in range(n):
            row = place_of(perm, lo + e)
            if per_head:
                for h in range(heads):
                    grad[row * heads + h] = ds[e * heads + h]
            else:
                x = ds.dtype.type(0)
                for h in range(heads):
                    x += ds[e * heads + h]
                grad[row] = x


@inlined
def _add_value_gradients(
    weights, r, lo, n, perm, features, pair_value, sizes, grad_out, grad_features, grad_pair_value,
    scratch,
):  # fmt: skip
    """Gradients of the features of the pairs through the value, and of their projection."""
    if features is not None:
        if pair_value.size:
            heads, _, width, count, _ = sizes
            one, start = weights.dtype.type(1), r * heads * width
            collect(scratch, weights, features, perm, lo, n, count, heads)
            add_outer(grad_pair_value, scratch, grad_out, start, count, heads, width, one)
            project(scratch, grad_out, start, pair_value, count, heads, width)
            add_feature_gradients(grad_features, weights, perm, scratch, lo, n, count, heads, one)


@kernel
def long_row_centres(
    first, last, plan, pieces, graph, nodes, weight, pairs, sizes, options, grad_out, saved,
    partial,
):  # fmt: skip
    """The sum of slope times pull over every piece of a long row, `[slots, H]`."""
    plan, graph, nodes, pairs = borrowed((plan, graph, nodes, pairs))
    weight = borrowed((weight,))[0]
    grad_out, saved, partial = borrowed((grad_out, saved, partial))
    segments, _ = plan
    heads, channels, _, count, _ = sizes
    room = U(PIECE + TILE) * heads
    slopes, weights = np.empty(room, partial.dtype), np.empty(room, partial.dtype)
    tile = np.empty((2, U(TILE) * heads), partial.dtype)
    pulls = np.empty(room, partial.dtype)
    scratch = np.empty(max(U(1), heads * max(channels, count)), partial.dtype)
    for segment in pieces[first:last]:
        r = U(segments[segment, 0])
        lo, n = bounds(segments, segment, graph[0], r)
        _slopes_and_pulls(
            slopes, weights, pulls, r, lo, n, graph, nodes, weight, pairs, sizes, options,
            None, grad_out, saved, scratch, tile,
        )  # fmt: skip
        sum_products(partial[segments[segment, 4]], U(0), slopes, pulls, n, heads, tile[0])


@kernel
def backward_rows(
    first, last, plan, graph, nodes, weight, pairs, sizes, options, with_score, given, grad_out,
    tilt, saved, centres, grads, partial, handed, base,
):  # fmt: skip
    """Gradients that belong to the rows of some tasks, and the hand-over to the source pass.

    Args:
        plan: `segments, tasks`.
        with_score: `True`, or `None` where the scores have no part in it.
        given: `[E, H]` in the order of the rows, for the halves: the weights; or the score
            gradients, where the values have no part in it. Else `None`.
        grad_out: `[R, H, D]`, or `None` where the values have no part in it.
        tilt: `[R, H]`, the gradient of the statistic, or of no size.
        saved: `peak, total` of the rows, `[R, H]`.
        centres: `[R, H]`, known already for the long rows.
        grads: `left [R, H, C], pair_bias, features, weight [T, ..], hop_bias [T, ..],
            pair_weight [T, ..], pair_value [T, ..], target_bias [R, H], given [E, H]`; those of
            no size are not wanted.
        partial: `left, target_bias`, of pieces of long rows, `[slots, ..]`.
        handed: `[pairs of the block, 2, H]`.
        base: the first pair of the block.
    """
    # The arguments themselves say what to compile: only these may be compared to None.
    plan, graph, nodes, pairs = borrowed((plan, graph, nodes, pairs))
    weights_of_form, score_or_weight, upstream, tilt = borrowed((weight, given, grad_out, tilt))
    masses, centre_of, grads, partial = borrowed((saved, centres, grads, partial))
    handed = borrowed((handed,))[0]
    segments, tasks = plan
    heads, channels, _, count, _ = sizes
    size, room, dtype = heads * channels, U(PIECE + TILE) * heads, handed.dtype
    tile = np.empty((2, U(TILE) * heads), dtype)
    slopes, weights, pulls = np.empty(room, dtype), np.empty(room, dtype), np.empty(room, dtype)
    total, sums = np.empty(size, dtype), np.empty(heads, dtype)
    scratch = np.empty(max(U(1), heads * max(channels, count)), dtype)
    collected = np.empty(max(U(1), heads * count), dtype)
    for task in range(first, last):
        for segment in range(tasks[task], tasks[task + 1]):
            slot = segments[segment, 4]
            for r in range(U(segments[segment, 0]), U(segments[segment, 1])):
                lo, n = bounds(segments, segment, graph[0], r)
                if grad_out is None:
                    read(slopes, score_or_weight, lo * heads, n * heads)
                else:
                    _slopes_and_pulls(
                        slopes, weights, pulls, r, lo, n, graph, nodes, weights_of_form, pairs,
                        sizes, options, score_or_weight, upstream, masses, scratch, tile,
                    )  # fmt: skip
                    _add_value_gradients(
                        weights, r, lo, n, graph[3], pairs[2], pairs[4], sizes, upstream, grads[2],
                        grads[6][task], scratch,
                    )  # fmt: skip
                    _write(grads[8], lo * heads, pulls, n * heads)
                if centres is not None:
                    if slot < 0 and options[0] != SIGMOID:
                        sum_products(centre_of, r * heads, slopes, pulls, n, heads, tile[0])
                    _score_gradients(
                        slopes, pulls, n, heads, options[0], centre_of, r * heads, tilt, tile[0]
                    )
                if with_score is not None:
                    _add_row_gradients(
                        total, sums, slopes, pulls, r, lo, n, graph, nodes, weights_of_form, pairs,
                        sizes, options, grads, task, scratch, collected, tile,
                    )  # fmt: skip
                    _add_hop_gradients(grads[4][task], slopes, graph[2], lo, n, heads)
                    _write_pair_gradients(grads[1], slopes, graph[3], graph[1], lo, n, heads)
                    if slot < 0:
                        _write(grads[0], r * size, total, size)
                        _write(grads[7], r * heads, sums, heads)
                    else:
                        _write(partial[0], U(slot) * size, total, size)
                        _write(partial[1], U(slot) * heads, sums, heads)
                for e in range(n):
                    place = (lo + e - base) * (heads + heads)
                    for h in range(heads):
                        handed[place + h] = weights[e * heads + h]
                        handed[place + heads + h] = slopes[e * heads + h]


@piece
def _write(out, start, values, count):
    """`out[start : start + count] = values`, if it is wanted."""
    if out.size:
        for k in range(count):
            out[start + k] = values[k]
