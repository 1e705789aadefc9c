"""What features of the pairs, `[E, F]`, do to scores, values and gradients.

A product of a query with `e_ij W` is a product of `e_ij` with `W^T q_i`: F numbers per head, made
once for each row. So nothing as wide as a channel is done for a pair, except under an activation.
Feature tables of the parameters are `[F, H, C]`, flat.
"""

from __future__ import annotations

import numpy as np

from gattn._numba.compile import inlined, piece
from gattn.ops.cpu.products import activated, steepness

U = np.uint64


@inlined
def place_of(perm, e):
    """Where pair e stands in the order of the caller."""
    return U(perm[e]) if perm.size else e


@piece
def project(out, vector, start, table, count, heads, channels):
    """`out[f, h] = <vector[h], table[f, h]>`."""
    for f in range(count):
        for h in range(heads):
            o, place = h * channels, (f * heads + h) * channels
            p = vector.dtype.type(0)
            for c in range(channels):
                p += vector[start + o + c] * table[place + c]
            out[f * heads + h] = p


@piece
def add_mixed(out, features, perm, factors, lo, n, count, heads, factor):
    """`out[e, h] += factor * sum_f features[e, f] factors[f, h]`."""
    for e in range(n):
        row = place_of(perm, lo + e) * count
        for f in range(count):
            x = features[row + f] * factor
            for h in range(heads):
                out[e * heads + h] += x * factors[f * heads + h]


@piece
def collect(out, weights, features, perm, lo, n, count, heads):
    """`out[f, h] = sum_e weights[e, h] features[e, f]`."""
    for k in range(count * heads):
        out[k] = 0
    for e in range(n):
        row = place_of(perm, lo + e) * count
        for f in range(count):
            x = features[row + f]
            for h in range(heads):
                out[f * heads + h] += x * weights[e * heads + h]


@piece
def add_spread(total, collected, table, count, heads, channels, factor):
    """`total[h] += factor * sum_f collected[f, h] table[f, h]`."""
    for f in range(count):
        for h in range(heads):
            x, place = collected[f * heads + h] * factor, (f * heads + h) * channels
            for c in range(channels):
                total[h * channels + c] += x * table[place + c]


@piece
def add_outer(total, collected, vector, start, count, heads, channels, factor):
    """`total[f, h] += factor * collected[f, h] vector[h]`, if it is wanted."""
    if total.size == 0:
        return
    for f in range(count):
        for h in range(heads):
            x, place = collected[f * heads + h] * factor, (f * heads + h) * channels
            for c in range(channels):
                total[place + c] += x * vector[start + h * channels + c]


@piece
def add_feature_gradients(grad, weights, perm, factors, lo, n, count, heads, factor):
    """`grad[e, f] += factor * sum_h weights[e, h] factors[f, h]`, if it is wanted."""
    if grad.size == 0:
        return
    for e in range(n):
        row = place_of(perm, lo + e) * count
        for f in range(count):
            p = weights.dtype.type(0)
            for h in range(heads):
                p += weights[e * heads + h] * factors[f * heads + h]
            grad[row + f] += p * factor


@piece
def shift(out, vector, start, features, row, table, count, width):
    """`out = vector + sum_f features[row, f] table[f]`, all heads and channels."""
    for k in range(width):
        out[k] = vector[start + k]
    for f in range(count):
        x = features[row * count + f]
        for k in range(width):
            out[k] += x * table[f * width + k]


@piece
def add_shifted_gradients(
    total, total_weight, total_table, grad_features, weights, e, shifted, features, row, right,
    place, weight, table, count, heads, channels, slope
):  # fmt: skip
    """The gradients of one pair's `<weight, act(shifted + right)>`, `weights[e]` being upstream.

    Args:
        total: `[H, C]`, gains upstream * act' (to be multiplied by the weight later).
        total_weight: `[H, C]`, gains the gradient of the weight, if it is wanted.
        total_table: `[F, H, C]`, gains that of the table, if it is wanted.
        grad_features: `[E, F]`, gains that of the features, if it is wanted.
    """
    width = heads * channels
    for h in range(heads):
        p = weights[e * heads + h]
        for k in range(h * channels, (h + U(1)) * channels):
            z = shifted[k] + right[place + k]
            x = p * steepness(z, slope)
            total[k] += x
            _gain(total_weight, k, p * activated(z, slope))
            shifted[k] = x * weight[k]
    for f in range(count):
        x, y = features[row * count + f], weight.dtype.type(0)
        for k in range(width):
            _gain(total_table, f * width + k, x * shifted[k])
            y += shifted[k] * table[f * width + k]
        _gain(grad_features, row * count + f, y)


@inlined
def _gain(out, place, value):
    if out.size:
        out[place] += value
