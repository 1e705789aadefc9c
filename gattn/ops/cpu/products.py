"""The passes over the pairs of one row that everything else is made of.

Each works on a piece of a row: the pairs `lo .. lo + n - 1`, whose other ends are `index[lo + e]`,
and numbers of the pairs in a scratch array `[n, H]`. Tables are flat: node j has
`table[j * H * C : (j + 1) * H * C]`. Pairs are the outer loop and heads and channels the inner
one, so that a gather reads a whole row of the table; several pairs are taken in one step, so that
the accumulator is read and written less often. While a pair is at work, the row of the one
`AHEAD` pairs later is fetched.
"""

from __future__ import annotations

import numpy as np

from gattn._numba.compile import inlined, piece
from gattn.ops.cpu.elementary import fetch, per_line, tanh

U = np.uint64
AHEAD = U(16)


@inlined
def fetch_row(table, index, e, width):
    """Ask for the table row of the pair that comes `AHEAD` after e."""
    place = U(index[min(e + AHEAD, U(index.size - 1))]) * width
    k = U(0)
    while k < width:
        fetch(table, place + k)
        k += per_line(table)


@piece
def dots(out, vector, start, table, index, lo, n, heads, channels, factor):
    """`out[e, h] = factor <vector[h], table[index[e], h]>`, the vector being at `start`."""
    width = heads * channels
    zero = vector.dtype.type(0)
    e = U(0)
    while e + U(3) < n:
        at = lo + e
        a, b = U(index[at]) * width, U(index[at + U(1)]) * width
        c, d = U(index[at + U(2)]) * width, U(index[at + U(3)]) * width
        for later in range(U(4)):
            fetch_row(table, index, at + later, width)
        for h in range(heads):
            o = h * channels
            p = q = r = s = zero
            for k in range(o, o + channels):
                x = vector[start + k]
                p += x * table[a + k]
                q += x * table[b + k]
                r += x * table[c + k]
                s += x * table[d + k]
            place = e * heads + h
            out[place] = p * factor
            out[place + heads] = q * factor
            out[place + heads + heads] = r * factor
            out[place + heads + heads + heads] = s * factor
        e += U(4)
    while e < n:
        a = U(index[lo + e]) * width
        fetch_row(table, index, lo + e, width)
        for h in range(heads):
            o = h * channels
            p = zero
            for k in range(o, o + channels):
                p += vector[start + k] * table[a + k]
            out[e * heads + h] = p * factor
        e += U(1)


@piece
def add_weighted(total, weights, table, index, lo, n, heads, channels):
    """`total[h] += sum_e weights[e, h] table[index[e], h]`."""
    width = heads * channels
    e = U(0)
    while e + U(3) < n:
        at = lo + e
        a, b = U(index[at]) * width, U(index[at + U(1)]) * width
        c, d = U(index[at + U(2)]) * width, U(index[at + U(3)]) * width
        for later in range(U(4)):
            fetch_row(table, index, at + later, width)
        for h in range(heads):
            o, place = h * channels, e * heads + h
            p, q = weights[place], weights[place + heads]
            r = weights[place + heads + heads]
            s = weights[place + heads + heads + heads]
            for k in range(o, o + channels):
                total[k] += (p * table[a + k] + q * table[b + k]) + (
                    r * table[c + k] + s * table[d + k]
                )
        e += U(4)
    while e < n:
        a = U(index[lo + e]) * width
        fetch_row(table, index, lo + e, width)
        for h in range(heads):
            o, p = h * channels, weights[e * heads + h]
            for k in range(o, o + channels):
                total[k] += p * table[a + k]
        e += U(1)


@inlined
def activated(z, slope):
    """The activation: tanh without a slope, else a leaky ReLU."""
    if slope is None:
        return tanh(z)
    return z if z > 0 else z * slope


@inlined
def steepness(z, slope):
    """The derivative of the activation."""
    if slope is None:
        t = tanh(z)
        return 1 - t * t
    return slope * 0 + 1 if z > 0 else slope


@piece
def activated_dots(out, vector, start, weight, table, index, lo, n, heads, channels, slope):
    """`out[e, h] = <weight[h], act(vector[h] + table[index[e], h])>`; a tanh has no slope."""
    width = heads * channels
    zero = vector.dtype.type(0)
    for e in range(n):
        a = U(index[lo + e]) * width
        fetch_row(table, index, lo + e, width)
        for h in range(heads):
            o, p = h * channels, zero
            for k in range(o, o + channels):
                p += weight[k] * activated(vector[start + k] + table[a + k], slope)
            out[e * heads + h] = p


@piece
def add_slopes(total, weights, vector, start, table, index, lo, n, heads, channels, slope):
    """`total[h] += sum_e weights[e, h] act'(vector[h] + table[index[e], h])`."""
    width = heads * channels
    for e in range(n):
        a = U(index[lo + e]) * width
        fetch_row(table, index, lo + e, width)
        for h in range(heads):
            o, p = h * channels, weights[e * heads + h]
            for k in range(o, o + channels):
                total[k] += p * steepness(vector[start + k] + table[a + k], slope)


@piece
def add_activated(total, weights, vector, start, table, index, lo, n, heads, channels):
    """`total[h] += sum_e weights[e, h] tanh(vector[h] + table[index[e], h])`."""
    width = heads * channels
    for e in range(n):
        a = U(index[lo + e]) * width
        for h in range(heads):
            o, p = h * channels, weights[e * heads + h]
            for k in range(o, o + channels):
                total[k] += p * tanh(vector[start + k] + table[a + k])
