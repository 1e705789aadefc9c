"""Scores of a piece of a row, and the weights that follow from them.

The arguments of kernels travel in tuples, the same everywhere. Of what is absent, the large parts
are `None`, and a kernel is compiled without the code for them; small ones are arrays of no size,
so that few kernels have to be compiled. `None` are: the weight or the scale, by the form; the slope
of a tanh; features of the pairs; and what a half of the operator does not need.

- graph: `rowptr, col, hop, perm, rank, selected`
- nodes: `left, right, value, source_bias, target_bias`
- weight: `[H, C]` of an `Additive`; `None` for a `Multiplicative`, whose scale is a number instead
- pairs: `hop_bias, pair_bias, features, pair_weight, pair_value`
- sizes: `H, C, D, F, groups`
- options: `normalizer, slope, scale, (threshold, keep, key, first row)`, the last for the
  dropout
"""

from __future__ import annotations

import numpy as np

from gattn._numba.compile import inlined, piece
from gattn.ops.cpu.features import add_mixed, place_of, project, shift
from gattn.ops.cpu.products import activated_dots, dots
from gattn.ops.cpu.tiles import divide, exponentials, gather, leaky_scores, sigmoids

U = np.uint64
SOFTMAX, SIGMOID, TOP_K, HARD = U(0), U(1), U(2), U(3)
_LOW = U(0xFFFFFFFF)


@inlined
def score(out, r, lo, n, graph, nodes, weight, pairs, sizes, options, scratch, tile):
    """Scores `[n, H]` of the pairs from lo on, all in row r, biases included.

    `out` and the two tiles have room for whole tiles.
    """
    _, col, hop, perm, _, _ = graph
    left, right, _, source_bias, target_bias = nodes
    hop_bias, pair_bias, features, pair_weight, _ = pairs
    heads, channels, _, count, groups = sizes
    _, slope, scale, _ = options
    query = r // groups
    start = query * heads * channels
    _product_scores(
        out, left, start, right, features, pair_weight, col, perm, lo, n, count, heads, channels,
        scale, scratch,
    )  # fmt: skip
    _additive_scores(
        out, left, start, right, weight, features, pair_weight, col, perm, lo, n, count, heads,
        channels, slope, scratch, tile,
    )  # fmt: skip
    _add_source_bias(out, source_bias, col, lo, n, heads)
    _add_target_bias(out, target_bias, query * heads, n, heads)
    _add_hop_bias(out, hop_bias, hop, lo, n, heads)
    _add_pair_bias(out, pair_bias, perm, col, lo, n, heads)


@inlined
def _product_scores(
    out, left, start, right, features, pair_weight, col, perm, lo, n, count, heads, channels, scale,
    scratch,
):  # fmt: skip
    if scale is not None:
        dots(out, left, start, right, col, lo, n, heads, channels, scale)
        _add_feature_products(
            out, left, start, features, pair_weight, perm, lo, n, count, heads, channels, scale,
            scratch,
        )  # fmt: skip


@inlined
def _add_feature_products(
    out, left, start, features, pair_weight, perm, lo, n, count, heads, channels, scale, scratch
):  # fmt: skip
    if features is not None:
        project(scratch, left, start, pair_weight, count, heads, channels)
        add_mixed(out, features, perm, scratch, lo, n, count, heads, scale)


@inlined
def _additive_scores(
    out, left, start, right, weight, features, pair_weight, col, perm, lo, n, count, heads,
    channels, slope, scratch, tile,
):  # fmt: skip
    if weight is None:
        return
    if features is None:
        _plain_additive_scores(
            out, left, start, right, weight, col, lo, n, heads, channels, slope, tile
        )
    else:
        for e in range(n):
            row = place_of(perm, lo + e)
            shift(scratch, left, start, features, row, pair_weight, count, heads * channels)
            part = out[e * heads : (e + U(1)) * heads]
            activated_dots(
                part, scratch, U(0), weight, right, col, lo + e, U(1), heads, channels, slope
            )


@inlined
def _plain_additive_scores(
    out, left, start, right, weight, col, lo, n, heads, channels, slope, tile
):
    if slope is None:
        activated_dots(out, left, start, weight, right, col, lo, n, heads, channels, slope)
    elif channels == U(1):  # GAT
        gather(out, right, col, lo, n, heads)
        leaky_scores(out, left, start, weight, slope, n, heads, tile[0], tile[1])
    else:
        activated_dots(out, left, start, weight, right, col, lo, n, heads, channels, slope)


@piece
def _add_source_bias(out, bias, col, lo, n, heads):
    if bias.size:
        for e in range(n):
            for h in range(heads):
                out[e * heads + h] += bias[U(col[lo + e]) * heads + h]


@piece
def _add_target_bias(out, bias, start, n, heads):
    if bias.size:
        for e in range(n):
            for h in range(heads):
                out[e * heads + h] += bias[start + h]


@piece
def _add_hop_bias(out, bias, hop, lo, n, heads):
    if bias.size:
        last = U(bias.size) // heads - U(1)
        for e in range(n):
            place = min(U(hop[lo + e]), last) * heads
            for h in range(heads):
                out[e * heads + h] += bias[place + h]


@piece
def _add_pair_bias(out, bias, perm, col, lo, n, heads):
    if bias.size:
        per_head = U(bias.size) > U(col.size)
        for e in range(n):
            row = place_of(perm, lo + e)
            for h in range(heads):
                out[e * heads + h] += bias[row * heads + h if per_head else row]


@inlined
def _is_selected(selected, e, h, heads):
    byte = selected[e * ((heads + U(7)) // U(8)) + h // U(8)]
    return (U(byte) >> (h % U(8))) & U(1) != U(0)


@piece
def mask_unselected(scores, normalizer, selected, lo, n, heads):
    """Scores of -inf for all but the top k, if it is about them."""
    if normalizer == TOP_K:
        for e in range(n):
            for h in range(heads):
                if not _is_selected(selected, lo + e, h, heads):
                    scores[e * heads + h] = -np.inf


@piece
def choose(weights, normalizer, selected, lo, n, heads):
    """The one-hot weights of `Hard`, if it is about them."""
    if normalizer == HARD:
        for e in range(n):
            for h in range(heads):
                chosen = _is_selected(selected, lo + e, h, heads)
                weights[e * heads + h] = 1 if chosen else 0


@piece
def weigh(scores, n, heads, normalizer, peak, total, start, tile):
    """Scores to weights, in place: those of a sigmoid, or of a softmax with peak and total."""
    if normalizer == SIGMOID:
        sigmoids(scores, n, heads)
    else:
        exponentials(scores, n, heads, peak, start, tile)
        divide(scores, n, heads, total, start, tile)


@piece
def _philox(c0, c1, c2, c3, key):
    """Philox 4x32-10, see `gattn.ops.philox`."""
    k0, k1 = key & _LOW, key >> U(32)
    for _ in range(10):
        first, second = c0 * U(0xD2511F53), c2 * U(0xCD9E8D57)
        c0, c2 = (second >> U(32)) ^ c1 ^ k0, (first >> U(32)) ^ c3 ^ k1
        c1, c3 = second & _LOW, first & _LOW
        k0, k1 = (k0 + U(0x9E3779B9)) & _LOW, (k1 + U(0xBB67AE85)) & _LOW
    return c0, c1, c2, c3


@piece
def drop(weights, dropout, col, rank, r, lo, n, heads):
    """Scale the weights that are kept, and clear those that are dropped."""
    threshold, keep, key, first_row = dropout
    if keep == 1:
        return
    for e in range(n):
        again = U(rank[lo + e]) if rank.size else U(0)
        for four in range((heads + U(3)) // U(4)):
            a, b, c, d = _philox(first_row + r, U(col[lo + e]), again, four, key)
            place, left = e * heads + four * U(4), heads - four * U(4)
            weights[place] *= keep if a >= threshold else 0
            if left > U(1):
                weights[place + U(1)] *= keep if b >= threshold else 0
            if left > U(2):
                weights[place + U(2)] *= keep if c >= threshold else 0
            if left > U(3):
                weights[place + U(3)] *= keep if d >= threshold else 0
