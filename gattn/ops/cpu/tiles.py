"""Arithmetic on numbers of pairs, `[n, H]` in a scratch array, that vectorises for few heads too.

A loop over the heads of a pair is too short for vector instructions. So these go over `TILE` pairs
at once, and numbers of a head are repeated `TILE` times, `[TILE, H]`. The scratch array has room
for whole tiles; what stands behind the n pairs is padding, which `pad` makes harmless.
"""

from __future__ import annotations

import math

import numpy as np

from gattn._numba.compile import piece
from gattn.ops.cpu.elementary import exp

U = np.uint64
TILE = 8
_TILE = U(TILE)


@piece
def tiles(n, heads):
    """Numbers in n pairs, rounded up to whole tiles."""
    return (n + _TILE - U(1)) // _TILE * _TILE * heads


@piece
def pad(scratch, n, heads, filler):
    """Fill what stands behind n pairs, to the end of the tile."""
    for k in range(n * heads, tiles(n, heads)):
        scratch[k] = filler


@piece
def repeat(out, values, start, heads):
    """`values[start : start + H]`, `TILE` times."""
    for h in range(heads):
        x = values[start + h]
        for t in range(_TILE):
            out[t * heads + h] = x


@piece
def clear(out, count):
    """Zeros."""
    for k in range(count):
        out[k] = 0


@piece
def sum_pairs(out, start, scratch, n, heads, sums):
    """`out[start + h] = sum_e scratch[e, h]`; the padding must be zero."""
    width = _TILE * heads
    clear(sums, width)
    for at in range(U(0), tiles(n, heads), width):
        for k in range(width):
            sums[k] += scratch[at + k]
    _fold(out, start, sums, heads)


@piece
def sum_products(out, start, left, right, n, heads, sums):
    """`out[start + h] = sum_e left[e, h] right[e, h]`; the padding must be zero."""
    width = _TILE * heads
    clear(sums, width)
    for at in range(U(0), tiles(n, heads), width):
        for k in range(width):
            sums[k] += left[at + k] * right[at + k]
    _fold(out, start, sums, heads)


@piece
def _fold(out, start, sums, heads):
    for h in range(heads):
        x = sums[h]
        for t in range(U(1), _TILE):
            x += sums[t * heads + h]
        out[start + h] = x


@piece
def peaks(out, start, scores, n, heads, most):
    """`out[start + h] = max_e scores[e, h]`; NaN wins; 0 where all are -inf. Pads with -inf."""
    width = _TILE * heads
    pad(scores, n, heads, -np.inf)
    for k in range(width):
        most[k] = -np.inf
    for at in range(U(0), tiles(n, heads), width):
        for k in range(width):
            x = scores[at + k]
            most[k] = most[k] if x <= most[k] else x
    for h in range(heads):
        x = most[h]
        for t in range(U(1), _TILE):
            y = most[t * heads + h]
            x = x if y <= x else y
        out[start + h] = x if x != -np.inf else 0


@piece
def exponentials(scores, n, heads, peak, start, tile):
    """Scores to `exp(score - peak)`, in place; the padding becomes 0."""
    width = _TILE * heads
    pad(scores, n, heads, -np.inf)
    repeat(tile, peak, start, heads)
    for at in range(U(0), tiles(n, heads), width):
        for k in range(width):
            scores[at + k] = exp(scores[at + k] - tile[k])


@piece
def divide(scores, n, heads, total, start, tile):
    """Divide by the totals of the heads; by 1 where they are 0."""
    width, one = _TILE * heads, scores.dtype.type(1)
    for h in range(heads):
        x = total[start + h]
        y = one / x if x != 0 else one
        for t in range(_TILE):
            tile[t * heads + h] = y
    for at in range(U(0), tiles(n, heads), width):
        for k in range(width):
            scores[at + k] *= tile[k]


@piece
def sigmoids(scores, n, heads):
    """Scores to sigmoids, in place; the padding becomes 0."""
    one = scores.dtype.type(1)
    for k in range(n * heads):
        # The argument of exp is never positive: nothing overflows.
        x = exp(-abs(scores[k]))
        scores[k] = (one if scores[k] >= 0 else x) / (one + x)
    pad(scores, n, heads, 0)


@piece
def centre(slopes, pulls, n, heads, values, start, tilt, tile):
    """`slopes *= pulls - values[h] + tilt[h]`, the last where there is a tilt."""
    width = _TILE * heads
    repeat(tile, values, start, heads)
    _subtract(tile, tilt, start, heads)
    for at in range(U(0), tiles(n, heads), width):
        for k in range(width):
            slopes[at + k] *= pulls[at + k] - tile[k]


@piece
def _subtract(tile, values, start, heads):
    if values.size:
        for h in range(heads):
            for t in range(_TILE):
                tile[t * heads + h] -= values[start + h]


@piece
def gather(out, table, index, lo, n, heads):
    """`out[e, h] = table[index[lo + e], h]`."""
    for e in range(n):
        a = U(index[lo + e]) * heads
        for h in range(heads):
            out[e * heads + h] = table[a + h]


@piece
def leaky_scores(scores, vector, start, weight, slope, n, heads, tile, factors):
    """`weight[h] leaky_relu(vector[h] + scores[e, h])`, in place."""
    width, zero = _TILE * heads, scores.dtype.type(0)
    pad(scores, n, heads, 0)
    repeat(tile, vector, start, heads)
    repeat(factors, weight, U(0), heads)
    for at in range(U(0), tiles(n, heads), width):
        for k in range(width):
            z = tile[k] + scores[at + k]
            scores[at + k] = factors[k] * (z if z > zero else z * slope)


@piece
def leaky_slopes(total, others, ds, vector, start, slope, n, heads, tile, sums):
    """`total[h] += sum_e ds[e, h] leaky_relu'(vector[h] + others[e, h])`; pads `others`."""
    width, zero, one = _TILE * heads, ds.dtype.type(0), ds.dtype.type(1)
    pad(others, n, heads, 0)
    repeat(tile, vector, start, heads)
    clear(sums, width)
    for at in range(U(0), tiles(n, heads), width):
        for k in range(width):
            z = tile[k] + others[at + k]
            sums[k] += ds[at + k] * (one if z > zero else slope)
    for h in range(heads):
        for t in range(_TILE):
            total[h] += sums[t * heads + h]


@piece
def log_sum(peak, total, out, start, heads):
    """`peak + log(total)`, the statistic of a softmax; -inf for a row without mass."""
    for h in range(start, start + heads):
        x = total[h]
        out[h] = -np.inf if x == 0 else peak[h] + math.log(x)
