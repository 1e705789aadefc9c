"""The small functions of kernels: where a program works, numbers, activations, random draws.

Conventions of all kernels here: a tile of pairs is `[BE]`, of pairs and heads `[BE, BH]`, of pairs,
heads and channels `[BE, BH, BC]`; sizes of tiles are powers of two, and what sticks out is masked.
What is loaded is cast at once to `REAL`, float32 or float64: arithmetic is done in nothing else
(and triton's interpreter would add bfloat16 as if it were integers). Indices of nodes and pairs are
int64 before they are multiplied. Arguments that are `None` are compiled away.
"""

from __future__ import annotations

import triton
import triton.language as tl

PRODUCT = tl.constexpr(0)
LEAKY = tl.constexpr(1)
TANH = tl.constexpr(2)
"""Forms: a product, or a sum under an activation."""

SOFTMAX = tl.constexpr(0)
SIGMOID = tl.constexpr(1)
GIVEN = tl.constexpr(2)
"""Weights: of a softmax, of a sigmoid, or given with the pairs."""

ALL = tl.constexpr(0)
TOP_K = tl.constexpr(1)
HARD = tl.constexpr(2)
"""Selections: every pair, the top k of a softmax, or the one that takes all weight."""


@triton.jit
def number(bits, REAL: tl.constexpr):
    """A number of the host. As an argument it would be rounded to float32."""
    return bits.to(tl.int64).to(tl.float64, bitcast=True).to(REAL)


@triton.jit
def row_of(rowptr, num_rows, pair):
    """The row that a pair stands in."""
    low = pair * 0
    high = low + num_rows - 1
    while low < high:
        middle = (low + high + 1) // 2
        before = tl.load(rowptr + middle) <= pair
        low = tl.where(before, middle, low)
        high = tl.where(before, high, middle - 1)
    return low


@triton.jit
def piece_of(rowptr, num_rows, num_pairs, cut, slot):
    """The long row whose piece belongs to a slot, and 1 if there is one, else 0.

    The pairs are cut into chunks of `cut`. A row with more pairs than that is *long*. A chunk meets
    at the most two long rows: one that it begins within (or with), whose piece has the even slot,
    and one that starts further inside, which has the odd slot. So where pieces and slots are
    follows from the row pointers alone, without a list that would have to be made first.
    """
    begin = slot // 2 * cut
    end = tl.minimum(begin + cut, num_pairs)
    odd = slot % 2 == 1
    row = row_of(rowptr, num_rows, tl.where(odd, end - 1, begin))
    lo = tl.load(rowptr + row)
    hi = tl.load(rowptr + row + 1)
    there = (hi - lo > cut) & ((lo > begin) | (slot % 2 == 0))
    return row, tl.where(there, 1, 0).to(tl.int64)


@triton.jit
def slots_of(rowptr, num_rows, num_pairs, cut, chunk):
    """The long row that starts in a chunk: row, first slot, number of slots (0 without one)."""
    begin = chunk * cut
    end = tl.minimum(begin + cut, num_pairs)
    row = row_of(rowptr, num_rows, end - 1)
    lo = tl.load(rowptr + row)
    hi = tl.load(rowptr + row + 1)
    there = (hi - lo > cut) & (lo >= begin)
    count = (hi - 1) // cut - chunk + 1
    return row, 2 * chunk + tl.where(lo > begin, 1, 0), tl.where(there, count, 0)


@triton.jit
def slot_at(first, place):
    """The slot of a long row's piece: after the first one, the even slots of the next chunks."""
    return tl.where(place == 0, first, (first // 2 + place) * 2)


@triton.jit
def tanh(x):
    """Hyperbolic tangent."""
    small = tl.exp(-2.0 * tl.abs(x))
    size = (1.0 - small) / (1.0 + small)
    # Near 0 the difference above loses its digits; there the series is exact in float64.
    y = x * x
    series = 21844.0 / 6081075.0 - y * (929569.0 / 638512875.0)
    series = 62.0 / 2835.0 - y * (1382.0 / 155925.0 - y * series)
    series = x * (1.0 - y * (1.0 / 3.0 - y * (2.0 / 15.0 - y * (17.0 / 315.0 - y * series))))
    return tl.where(y < 0.015625, series, tl.where(x < 0, -size, size))


@triton.jit
def activated(x, slope, FORM: tl.constexpr):
    """The activation of an additive form."""
    if FORM == TANH:
        y = tanh(x)
    else:
        y = tl.where(x > 0, x, x * slope)
    return y


@triton.jit
def steepness(x, slope, FORM: tl.constexpr):
    """The derivative of the activation."""
    if FORM == TANH:
        t = tanh(x)
        y = 1.0 - t * t
    else:
        y = tl.where(x > 0, 1.0, slope.to(x.dtype))
    return y


@triton.jit
def sigmoid(x):
    """Logistic function, 0 at -inf, without overflow."""
    small = tl.exp(-tl.abs(x))
    return tl.where(x < 0, small, 1.0) / (1.0 + small)


@triton.jit
def kept(row, source, rank, head, seed, threshold, keep):
    """The factor of the dropout, `[BE, BH]`: 0, or what makes up for the others.

    Philox 4x32-10 by seed, row, source, rank among equal pairs and head, see `gattn.ops.philox`.
    """
    key = tl.load(seed).to(tl.uint64)
    BH: tl.constexpr = head.shape[0]
    if BH >= 4:
        # Four heads share a draw. (A block of so many begins at a multiple of four.)
        four = tl.max(tl.reshape(head // 4, (BH // 4, 4)), axis=1)
        c0, c1, c2, c3 = philox(row, source, rank, four, key)
        drawn = tl.reshape(tl.join(tl.join(c0, c2), tl.join(c1, c3)), (source.shape[0], BH))
    else:
        c0, c1, c2, c3 = philox(row, source, rank, head // 4, key)
        lane = (head % 4)[None, :]
        drawn = tl.where(lane == 0, c0, tl.where(lane == 1, c1, tl.where(lane == 2, c2, c3)))
    return tl.where(drawn.to(tl.int64) >= threshold, keep, keep * 0.0)


@triton.jit
def philox(row, source, rank, four, key):
    """Four words for each pair and each four heads."""
    k0 = (key & 0xFFFFFFFF).to(tl.uint32)
    k1 = (key >> 32).to(tl.uint32)
    flat = (source * 0)[:, None] + (four * 0)[None, :]
    c0 = (flat + row).to(tl.uint32)
    c1 = (flat + source[:, None]).to(tl.uint32)
    c2 = (flat + rank[:, None]).to(tl.uint32)
    c3 = (flat + four[None, :]).to(tl.uint32)
    for _ in tl.static_range(10):
        before0, before2 = c0, c2
        c0 = tl.umulhi(before2, tl.full(before2.shape, 0xCD9E8D57, tl.uint32)) ^ c1 ^ k0
        c2 = tl.umulhi(before0, tl.full(before0.shape, 0xD2511F53, tl.uint32)) ^ c3 ^ k1
        c1 = before2 * tl.full(before2.shape, 0xCD9E8D57, tl.uint32)
        c3 = before0 * tl.full(before0.shape, 0xD2511F53, tl.uint32)
        k0 = k0 + tl.full(k0.shape, 0x9E3779B9, tl.uint32)
        k1 = k1 + tl.full(k1.shape, 0xBB67AE85, tl.uint32)
    return c0, c1, c2, c3
