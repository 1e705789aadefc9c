"""PyTorch's own attention, where it is exact: a softmax of products over spans.

A whole sequence is one call, with torch's causal switch where it looks back only. Packed graphs
are one call for each size, or torch's kernel for packed batches where there is one; a window is
calls over short runs of rows, each with the sources in reach. Nothing is as wide as N x N: where
torch would write that many weights out on the CPU, the call is declined.

It is the documented exception among the backends: the autograd and the dropout stream are
torch's, and there is no statistic.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from gattn.forms import Multiplicative
from gattn.neighborhood import Span
from gattn.normalizers import Softmax
from gattn.ops.problem import Problem, is_transformed
from gattn.ops.tiling import Tile, assembled, stacked, tile_biases, tiles

_PAIRS = 1 << 22
"""Scores of one call over a window, all heads together: enough to keep every thread busy."""

MOST_WEIGHTS = 1 << 26
"""Weights that torch may write out, all heads together: 0.3 GB in float32, a few times over."""


def reasons(problem: Problem) -> list[str]:
    """Why the problem cannot be computed here; empty = it can."""
    biases = ("hop_bias", "pair_features")
    found = [f"{name} is given" for name in biases if getattr(problem, name) is not None]
    if problem.wants_statistic:
        found.append("the statistic of the rows is asked for")
    # A subclass may mean something else: only the class itself is known to be what torch computes.
    if type(problem.normalizer) is not Softmax:
        found.append(f"the normalizer is {problem.normalizer}, not Softmax()")
    if is_transformed():
        found.append("forward-mode derivatives and torch.func go through PyTorch's own operators")
    found += _form_reasons(problem) + _span_reasons(problem)
    return found or _memory_reasons(problem)


def _form_reasons(problem: Problem) -> list[str]:
    form = problem.form
    if type(form) is not Multiplicative:
        return [f"the form is {type(form).__name__}, not Multiplicative"]
    biases = ("source_bias", "target_bias")
    found = [f"the form has a {name}" for name in biases if getattr(form, name) is not None]
    if form.left.shape[2] == 0:
        found.append("the form has no channels")
    dtypes = {form.left.dtype, form.right.dtype, problem.values.dtype}
    if problem.pair_bias is not None and dtypes & {torch.float16, torch.bfloat16}:
        found.append("pair_bias is given, which torch would round to a half type")
    return found + (["query, key and value differ in dtype"] if len(dtypes) > 1 else [])


def _span_reasons(problem: Problem) -> list[str]:
    span = problem.neighborhood
    if not isinstance(span, Span):
        return [f"the neighbourhood is {type(span).__name__}, not Span"]
    empty = span.num_sources == 0 or span.num_rows == 0 or problem.heads == 0
    if empty or (span.kind == "packed" and span.num_pairs == 0):
        return ["there is nothing to attend to"]
    return []


def _memory_reasons(problem: Problem) -> list[str]:
    """On the CPU torch's kernel has these limits; past them it writes out the weights."""
    form, bias, span = problem.form, problem.pair_bias, problem.neighborhood
    sides = (form.left, form.right, problem.values)
    slow = problem.dropout > 0 or form.left.shape[2] != problem.values.shape[2]
    slow = slow or any(side.stride(2) != 1 for side in sides)
    slow = slow or (bias is not None and bias.requires_grad)
    if not slow or span.device.type != "cpu" or span.num_pairs * problem.heads <= MOST_WEIGHTS:
        return []
    return [f"torch would write out more than {MOST_WEIGHTS:,} weights"]


def forward(problem: Problem) -> tuple[Tensor, None]:
    """Output `[N, H, D]` of every row; there is no statistic."""
    form, span = problem.form, problem.neighborhood
    assert isinstance(form, Multiplicative) and isinstance(span, Span)
    whole = span.kind == "full" or (span.kind == "window" and _is_causal(span))
    if whole and problem.pair_bias is None:
        sides = form.left[None], form.right[None], problem.values[None]
        return _called(problem, sides, None, _is_causal(span))[0], None
    if _packed_on_gpu(problem, span):
        return _varlen(problem, span), None
    return _tiled(problem, span), None


def _is_causal(span: Span) -> bool:
    return span.causal and span.radius is None


def _called(
    problem: Problem, sides: tuple[Tensor, Tensor, Tensor], mask: Tensor | None, causal: bool
) -> Tensor:
    """Torch's attention of queries `[B, n, H, C]` on keys and values `[B, w, H, ...]`."""
    assert isinstance(problem.form, Multiplicative)
    query, key, value = (side.transpose(1, 2) for side in sides)
    scale, dropout = problem.form.scale, problem.dropout
    out = scaled_dot_product_attention(
        query, key, value, mask, dropout, is_causal=causal, scale=scale
    )
    return out.transpose(1, 2)


def _tiled(problem: Problem, span: Span) -> Tensor:
    """A call for each tile."""
    budget = max(_PAIRS // problem.heads, 1)
    cut = tiles(span, budget, split=False)
    rows, sources = [tile.row for tile in cut], [tile.source for tile in cut]
    sides = zip(
        stacked(problem.form.left, rows),
        stacked(problem.form.right, sources),
        stacked(problem.values, sources),
        strict=True,
    )
    if problem.pair_bias is None:
        masks: dict[tuple[int | None, ...], Tensor | None] = {}
        causal = _is_causal(span)
        parts = [
            _called(problem, of_tile, None if causal else _mask(problem, tile, masks), causal)
            for tile, of_tile in zip(cut, sides, strict=True)
        ]
    else:
        biases = tile_biases(problem.pair_bias.to(problem.form.left.dtype), span, cut)
        parts = [
            _biased(problem, of_tile, tile.band(span), bias)
            for tile, of_tile, bias in zip(cut, sides, biases, strict=True)
        ]
    return assembled(parts, rows, span.num_rows)


def _mask(
    problem: Problem, tile: Tile, masks: dict[tuple[int | None, ...], Tensor | None]
) -> Tensor | None:
    """The mask of a tile, one for all tiles of a shape: each call keeps its own for its gradient.

    It is floating, since torch would make another of a bool for every call.
    """
    key = (tile.row.shape[1], tile.source.shape[1], tile.offset)
    if key not in masks:
        assert isinstance(problem.neighborhood, Span)
        band, like = tile.band(problem.neighborhood), problem.form.left
        masks[key] = band
        if band is not None:
            masks[key] = like.new_zeros(band.shape).masked_fill(~band, float("-inf"))
    return masks[key]


def _biased(
    problem: Problem, sides: tuple[Tensor, Tensor, Tensor], band: Tensor | None, bias: Tensor
) -> Tensor:
    """The same with a bias `[B, n, w]` or `[B, n, w, H]`; of a row of -inf torch would make NaN."""
    mask = bias[:, None] if bias.dim() == 3 else bias.permute(0, 3, 1, 2)
    mask = mask if band is None else mask.masked_fill(~band, float("-inf"))
    empty = (mask == float("-inf")).all(-1, keepdim=True)
    out = _called(problem, sides, mask.masked_fill(empty, 0.0), False)
    return out.masked_fill(empty.transpose(1, 2), 0.0)


def _packed_on_gpu(problem: Problem, span: Span) -> bool:
    """Torch's kernel for packed batches: CUDA, half types, one width, a scaled dot, no dropout."""
    query, value = problem.form.left, problem.values
    if query.device.type != "cuda" or problem.dropout or span.is_window:
        return False
    if problem.pair_bias is not None:
        return False
    if query.dtype not in (torch.float16, torch.bfloat16) or query.shape[2] != value.shape[2]:
        return False
    # Not every version of torch that has the kernel lets one choose the scale.
    assert isinstance(problem.form, Multiplicative)
    usual = math.isclose(problem.form.scale, query.shape[2] ** -0.5)
    return usual and query.shape[2] % 8 == 0 and query.shape[2] <= 256 and _in_order(span)


def _in_order(span: Span) -> bool:
    """Sources belong to one graph each, graphs stand in the order of their rows, none between."""
    start, stop = _ends(span)
    follows = bool((start[1:] == stop[:-1]).all())
    return follows and int(start[0]) == 0 and int(stop[-1]) == span.num_sources


def _ends(span: Span) -> tuple[Tensor, Tensor]:
    fresh = _fresh(span)
    return span.start[fresh], span.stop[fresh]


def _fresh(span: Span) -> Tensor:
    """The rows with which a graph begins, `[N]` bool."""
    changed = (span.start[1:] != span.start[:-1]) | (span.stop[1:] != span.stop[:-1])
    return torch.cat([changed.new_ones(1), changed])


def _varlen(problem: Problem, span: Span) -> Tensor:
    """All graphs of a packed batch in one kernel."""
    from torch.nn.attention.varlen import varlen_attn

    row = _fresh(span).nonzero()[:, 0]
    rows = torch.cat([row, row.new_tensor([span.num_rows])]).int()
    start, stop = _ends(span)
    sources = torch.cat([start[:1], stop]).int()
    longest = int(rows.diff().max()), int(sources.diff().max())
    form = problem.form
    return varlen_attn(form.left, form.right, problem.values, rows, sources, *longest)  # type: ignore[return-value]
