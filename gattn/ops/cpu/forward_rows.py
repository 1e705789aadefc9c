"""The kernels of the forward pass: one program for each task of rows."""

from __future__ import annotations

import numpy as np

from gattn._numba.compile import inlined, kernel, piece
from gattn.ops.cpu.elementary import borrowed
from gattn.ops.cpu.features import add_spread, collect
from gattn.ops.cpu.products import add_weighted
from gattn.ops.cpu.scores import (
    SIGMOID,
    choose,
    drop,
    mask_unselected,
    score,
    weigh,
)
from gattn.ops.cpu.segments import PIECE, bounds
from gattn.ops.cpu.tiles import TILE, clear, divide, exponentials, log_sum, peaks, sum_pairs

U = np.uint64


@inlined
def _add_feature_values(
    total, weights, features, pair_value, perm, lo, n, count, heads, width, scratch
):
    if features is not None:
        if pair_value.size:
            collect(scratch, weights, features, perm, lo, n, count, heads)
            add_spread(total, scratch, pair_value, count, heads, width, total.dtype.type(1))


@kernel
def attend(
    first, last, plan, graph, nodes, weight, pairs, sizes, options, given, out, saved, partial
):  # fmt: skip
    """Output and statistic of the rows of some tasks.

    Args:
        plan: `segments, tasks`.
        given: `[E, H]` weights in the order of the rows, or `None`.
        out: `[R, H, D]`.
        saved: `peak, total, statistic`, `[R, H]` each; known already for long rows.
        partial: `[slots, H, D]`, sums of pieces of long rows.
    """
    # The arguments themselves say what to compile: only these may be compared to None.
    plan, graph, nodes, pairs = borrowed((plan, graph, nodes, pairs))
    weight, given, out, masses, partial = borrowed((weight, given, out, saved, partial))
    segments, tasks = plan
    heads, channels, width, count, _ = sizes
    size, normalizer = heads * width, options[0]
    scores = np.empty(U(PIECE + TILE) * heads, out.dtype)
    tile = np.empty((2, U(TILE) * heads), out.dtype)
    sums = np.empty(size, out.dtype)
    scratch = np.empty(max(U(1), heads * max(channels, count)), out.dtype)
    for segment in range(tasks[first], tasks[last]):
        slot = segments[segment, 4]
        for r in range(U(segments[segment, 0]), U(segments[segment, 1])):
            lo, n = bounds(segments, segment, graph[0], r)
            if saved is None:
                read(scores, given, lo * heads, n * heads)
            else:
                score(scores, r, lo, n, graph, nodes, weight, pairs, sizes, options, scratch, tile)
                mask_unselected(scores, normalizer, graph[5], lo, n, heads)
                if normalizer != SIGMOID and slot < 0:
                    _normalize(scores, masses, r * heads, n, heads, tile[0])
                else:
                    weigh(scores, n, heads, normalizer, masses[0], masses[1], r * heads, tile[0])
                choose(scores, normalizer, graph[5], lo, n, heads)
            drop(scores, options[3], graph[1], graph[4], r, lo, n, heads)
            clear(sums, size)
            add_weighted(sums, scores, nodes[2], graph[1], lo, n, heads, width)
            _add_feature_values(
                sums, scores, pairs[2], pairs[4], graph[3], lo, n, count, heads, width, scratch
            )
            if slot < 0:
                for k in range(size):
                    out[r * size + k] = sums[k]
            else:
                for k in range(size):
                    partial[U(slot) * size + k] = sums[k]


@inlined
def _normalize(scores, masses, start, n, heads, tile):
    """Scores of a whole row to weights, in place, and the statistic."""
    peak, total, row_statistic = masses
    peaks(peak, start, scores, n, heads, tile)
    exponentials(scores, n, heads, peak, start, tile)
    sum_pairs(total, start, scores, n, heads, tile)
    divide(scores, n, heads, total, start, tile)
    log_sum(peak, total, row_statistic, start, heads)


@piece
def read(out, table, start, count):
    """`out = table[start : start + count]`, if there is a table."""
    if table is not None:
        for k in range(count):
            out[k] = table[start + k]


@kernel
def long_row_mass(
    first, last, plan, pieces, graph, nodes, weight, pairs, sizes, options, partial
):  # fmt: skip
    """Peak and total of every piece of a long row, `[slots, 2 H]`.

    Args:
        plan: `segments, tasks`.
        pieces: the segments that are pieces of long rows; the tasks here are these.
    """
    plan, graph, nodes, pairs = borrowed((plan, graph, nodes, pairs))
    weight = borrowed((weight,))[0]
    partial = borrowed((partial,))[0]
    segments, _ = plan
    heads, channels, _, count, _ = sizes
    scores = np.empty(U(PIECE + TILE) * heads, partial.dtype)
    tile = np.empty((2, U(TILE) * heads), partial.dtype)
    scratch = np.empty(max(U(1), heads * max(channels, count)), partial.dtype)
    for segment in pieces[first:last]:
        r = U(segments[segment, 0])
        lo, n = bounds(segments, segment, graph[0], r)
        score(scores, r, lo, n, graph, nodes, weight, pairs, sizes, options, scratch, tile)
        mask_unselected(scores, options[0], graph[5], lo, n, heads)
        mass = partial[segments[segment, 4]]
        peaks(mass, U(0), scores, n, heads, tile[0])
        exponentials(scores, n, heads, mass, U(0), tile[0])
        sum_pairs(mass, heads, scores, n, heads, tile[0])


@kernel
def merge_mass(first, last, long_rows, partial, heads, saved):
    """Peak, total and statistic of long rows, out of those of their pieces."""
    peak, total, row_statistic = saved
    for k in range(first, last):
        start = U(long_rows[k, 0]) * heads
        low, high = U(long_rows[k, 1]), U(long_rows[k, 2])
        for h in range(heads):
            # A piece without mass has the peak 0, which must not hide lower ones.
            top = -np.inf
            for slot in range(low, high):
                if partial[slot, heads + h] != 0:
                    x = partial[slot, h]
                    top = x if x > top or x != x else top
            mass = partial.dtype.type(0)
            for slot in range(low, high):
                if partial[slot, heads + h] != 0:
                    mass += partial[slot, heads + h] * np.exp(partial[slot, h] - top)
            peak[start + h] = 0 if top == -np.inf else top
            total[start + h] = mass
        log_sum(peak, total, row_statistic, start, heads)


@kernel
def write_scores(
    first, last, plan, graph, nodes, weight, pairs, sizes, options, out
):  # fmt: skip
    """Scores `[E, H]` in the order of the rows."""
    plan, graph, nodes, pairs = borrowed((plan, graph, nodes, pairs))
    weight = borrowed((weight,))[0]
    out = borrowed((out,))[0]
    segments, tasks = plan
    heads, channels, _, count, _ = sizes
    scratch = np.empty(max(U(1), heads * max(channels, count)), out.dtype)
    scores = np.empty(U(PIECE + TILE) * heads, out.dtype)
    tile = np.empty((2, U(TILE) * heads), out.dtype)
    for segment in range(tasks[first], tasks[last]):
        for r in range(U(segments[segment, 0]), U(segments[segment, 1])):
            lo, n = bounds(segments, segment, graph[0], r)
            score(scores, r, lo, n, graph, nodes, weight, pairs, sizes, options, scratch, tile)
            for k in range(n * heads):
                out[lo * heads + k] = scores[k]


@kernel
def select(
    first, last, plan, graph, nodes, weight, pairs, sizes, options, k, selected
):  # fmt: skip
    """The k largest scores of every row and head, as bits; of equal ones the earlier.

    Args:
        plan: `segments, tasks`; the first piece of a long row takes the whole of it.
        k: pairs to select.
        selected: `[E, ceil(H / 8)]` uint8 of zeros.
    """
    plan, graph, nodes, pairs = borrowed((plan, graph, nodes, pairs))
    weight = borrowed((weight,))[0]
    segments, tasks = plan
    heads, channels, _, count, _ = sizes
    scratch = np.empty(max(U(1), heads * max(channels, count)), nodes[0].dtype)
    scores = np.empty(U(PIECE + TILE) * heads, nodes[0].dtype)
    tile = np.empty((2, U(TILE) * heads), nodes[0].dtype)
    best = np.empty(min(U(k), U(graph[1].size)) + U(1), np.int64)
    for segment in range(tasks[first], tasks[last]):
        for r in range(U(segments[segment, 0]), U(segments[segment, 1])):
            lo = U(graph[0][r])
            n = U(graph[0][r + U(1)]) - lo
            if segments[segment, 4] >= 0 and U(segments[segment, 2]) != lo:
                continue
            if (n + U(TILE)) * heads > U(scores.size):
                scores = np.empty((n + U(TILE)) * heads, nodes[0].dtype)
            score(scores, r, lo, n, graph, nodes, weight, pairs, sizes, options, scratch, tile)
            for h in range(heads):
                _select(scores, lo, n, h, heads, k, best, selected)


@piece
def _select(scores, lo, n, h, heads, k, best, selected):
    """Keep the offsets of the k largest in descending order, by insertion."""
    found = 0
    for e in range(n):
        x = scores[e * heads + h]
        if x == -np.inf or (found == k and not x > scores[U(best[found - 1]) * heads + h]):
            continue
        place = found if found < k else k - 1
        while place > 0 and x > scores[U(best[place - 1]) * heads + h]:
            best[place] = best[place - 1]
            place -= 1
        best[place] = e
        found = min(found + 1, k)
    stride = (heads + U(7)) // U(8)
    for place in range(found):
        byte = (lo + U(best[place])) * stride + h // U(8)
        selected[byte] |= np.uint8(U(1) << (h % U(8)))
