"""The source pass of the backward: gradients of keys and values, over the transpose.

Every source sums over the rows that attend to it, so nothing is scattered and nothing is atomic.
"""

from __future__ import annotations

import numpy as np

from gattn._numba.compile import inlined, kernel, piece
from gattn.ops.cpu.backward_rows import plain_slopes
from gattn.ops.cpu.elementary import borrowed, fetch
from gattn.ops.cpu.features import place_of, shift
from gattn.ops.cpu.products import AHEAD, add_slopes, add_weighted
from gattn.ops.cpu.tiles import TILE, clear, pad, sum_pairs

U = np.uint64


@piece
def _first_from(places, low, high, pair):
    """The first of the ascending `places[low:high]` that is not below `pair`."""
    while low < high:
        middle = (low + high) // U(2)
        if U(places[middle]) < pair:
            low = middle + U(1)
        else:
            high = middle
    return low


@inlined
def _take(weights, ds, handed, places, lo, n, heads, base):
    """What the target pass handed over for some pairs."""
    last = U(places.size - 1)
    width = heads + heads
    for e in range(n):
        ahead = U(places[min(lo + e + AHEAD, last)]) - base
        if ahead * width < U(handed.size):  # a place before the base wraps around to a huge one
            fetch(handed, ahead * width)
        place = (U(places[lo + e]) - base) * width
        for h in range(heads):
            weights[e * heads + h] = handed[place + h]
            ds[e * heads + h] = handed[place + heads + h]


@inlined
def _add_score_part(
    total, ds, others, j, lo, n, transpose, perm, nodes, weight, pairs, sizes, options, scratch,
    tile,
):  # fmt: skip
    """`[H * C]` gains the score's part of the gradient of the source's side."""
    _, _, query, places = transpose
    left, right, _, _, _ = nodes
    _, _, features, pair_weight, _ = pairs
    heads, channels, _, count, _ = sizes
    _, slope, scale, _ = options
    start = j * heads * channels
    _product_part(total, ds, left, query, lo, n, heads, channels, scale)
    _additive_part(
        total, ds, others, right, start, left, weight, query, places, perm, features, pair_weight,
        lo, n, count, heads, channels, slope, scratch, tile,
    )  # fmt: skip


@inlined
def _product_part(total, ds, left, query, lo, n, heads, channels, scale):
    if scale is not None:
        add_weighted(total, ds, left, query, lo, n, heads, channels)
        for k in range(heads * channels):
            total[k] *= scale


@inlined
def _additive_part(
    total, ds, others, right, start, left, weight, query, places, perm, features, pair_weight, lo,
    n, count, heads, channels, slope, scratch, tile,
):  # fmt: skip
    if weight is None:
        return
    if features is None:
        plain_slopes(
            total, ds, others, right, start, left, query, lo, n, heads, channels, slope, tile
        )
    else:
        for e in range(n):
            row = place_of(perm, U(places[lo + e]))
            shift(scratch, right, start, features, row, pair_weight, count, heads * channels)
            part = ds[e * heads : (e + U(1)) * heads]
            add_slopes(
                total, part, scratch, U(0), left, query, lo + e, U(1), heads, channels, slope
            )


@piece
def _add_weight_half(grad, task, scores, right, start, width, slope, features):
    """The sources' half of the gradient of a leaky form's weight, see the target pass."""
    if features is None and slope is not None:
        if grad.size:
            for k in range(width):
                grad[task * width + k] += scores[k] * right[start + k]


@kernel
def backward_sources(
    first, last, plan, transpose, perm, nodes, weight, pairs, sizes, options, with_score, shared,
    grad_out, handed, block, grads, partial,
):  # fmt: skip
    """Gradients of the sources of some tasks, from one block of pairs.

    Args:
        plan: `segments, tasks` of the transpose.
        transpose: `rowptr, col, query, perm`.
        perm: that of the neighbourhood.
        with_score: `True`, or `None` where the scores have no part in it.
        shared: the value is `right`, and their gradients are one.
        grad_out: `[R, H, D]`, or `None` where the values have no part in it.
        handed: `[pairs of the block, 2, H]`.
        block: first pair and last pair + 1 of the block; whether there is a block before it.
        grads: `value [M, H, D], right [M, H, C], source_bias [M, H], weight [T, H, C]`; those
            of no size are not wanted.
        partial: the first three of these, of pieces of long rows.
    """
    plan, transpose, nodes, pairs = borrowed((plan, transpose, nodes, pairs))
    perm, weights_of_form, upstream, handed = borrowed((perm, weight, grad_out, handed))
    grads, partial = borrowed((grads, partial))
    segments, tasks = plan
    base, end, again = block
    heads, channels, width, _, _ = sizes
    wide, narrow, dtype = heads * width, heads * channels, handed.dtype
    values, scores = np.empty(wide, dtype), np.empty(narrow, dtype)
    scratch, sums = np.empty(max(U(1), narrow), dtype), np.empty(heads, dtype)
    room = U(1)
    for segment in range(tasks[first], tasks[last]):
        room = max(room, U(segments[segment, 3] - segments[segment, 2] + TILE) * heads)
    weights, ds = np.empty(room, dtype), np.empty(room, dtype)
    tile = np.empty((2, U(TILE) * heads), dtype)
    for task in range(first, last):
        for segment in range(tasks[task], tasks[task + 1]):
            slot = segments[segment, 4]
            for j in range(U(segments[segment, 0]), U(segments[segment, 1])):
                lo, hi = U(transpose[0][j]), U(transpose[0][j + U(1)])
                if slot >= 0:
                    lo, hi = U(segments[segment, 2]), U(segments[segment, 3])
                if base > U(0):
                    lo = _first_from(transpose[3], lo, hi, base)
                if end < U(transpose[3].size):
                    hi = _first_from(transpose[3], lo, hi, end)
                if again and slot < 0 and lo == hi:
                    continue
                n = hi - lo
                _take(weights, ds, handed, transpose[3], lo, n, heads, base)
                clear(values, wide)
                clear(scores, narrow)
                if grad_out is not None:
                    add_weighted(values, weights, upstream, transpose[1], lo, n, heads, width)
                if with_score is not None:
                    pad(ds, n, heads, 0)
                    _add_score_part(
                        scores, ds, weights, j, lo, n, transpose, perm, nodes, weights_of_form,
                        pairs, sizes, options, scratch, tile,
                    )  # fmt: skip
                    sum_pairs(sums, U(0), ds, n, heads, tile[0])
                    start = j * narrow
                    _add_weight_half(
                        grads[3], U(task), scores, nodes[1], start, narrow, options[1], pairs[2]
                    )
                    _multiply(scores, weights_of_form, narrow)
                if shared:
                    for k in range(narrow):
                        scores[k] += values[k]
                if slot >= 0:
                    _put(partial[0], U(slot) * wide, values, wide, False)
                    _put(partial[1], U(slot) * narrow, scores, narrow, False)
                    _put(partial[2], U(slot) * heads, sums, heads, False)
                else:
                    _put(grads[0], j * wide, values, wide, again)
                    _put(grads[1], j * narrow, scores, narrow, again)
                    _put(grads[2], j * heads, sums, heads, again)


@inlined
def _multiply(values, weight, count):
    """By the weight of an additive form; a product has none."""
    if weight is not None:
        for k in range(count):
            values[k] *= weight[k]


@piece
def _put(out, start, values, count, add):
    """Write a row, or add to it, if it is wanted."""
    if out.size:
        if add:
            for k in range(count):
                out[start + k] += values[k]
        else:
            for k in range(count):
                out[start + k] = values[k]
