"""Spans and streamed pairs in blocks: any form, any normaliser, memory linear in the rows.

Scores exist for one tile at a time, as a dense `[B, H, n, w]`. Where there are several tiles none
keeps its scores: each is computed again when its gradient is asked for. It is plain PyTorch on
any device, and differentiable any number of times.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from gattn.forms import Additive, Given, Multiplicative
from gattn.neighborhood import Span, Sparse, Streamed
from gattn.normalizers import Softmax
from gattn.normalizers.even import EvenRows
from gattn.ops import reference
from gattn.ops.philox import keep_mask
from gattn.ops.problem import Problem, is_transformed
from gattn.ops.streaming import by_blocks
from gattn.ops.tiling import Tile, assembled, stacked, tile_biases, tiles

_NUMBERS = 1 << 21
"""Numbers of one tile at the most: few enough to stay in a cache."""

_OF_PAIRS = 1 << 25
"""Numbers `[P, H, C]` of a block of streamed pairs at the most: a block passes over all sources."""

_MASKED = float("-inf")


def reasons(problem: Problem) -> list[str]:
    """Why the problem cannot be computed here; empty = it can."""
    around = problem.neighborhood
    if isinstance(around, Sparse):
        return ["the neighbourhood is Sparse, not Span or Streamed"]
    found = []
    if problem.heads == 0 or around.num_sources == 0 or around.num_pairs == 0:
        found.append("there is nothing to attend to")
    if problem.pair_features is not None:
        found.append("pair_features is given")
    if is_transformed():
        found.append("forward-mode derivatives and torch.func go through PyTorch's own operators")
    return found


def forward(problem: Problem) -> tuple[Tensor, Tensor | None]:
    """Output `[N, H, D]` and statistic `[N, H]` of every row."""
    span = problem.neighborhood
    if isinstance(span, Streamed):
        width = max(problem.form.left.shape[2], problem.form.right.shape[2], 1)
        return by_blocks(problem, reference.forward, _OF_PAIRS // (problem.heads * width))
    assert isinstance(span, Span)
    cut = tiles(span, max(_NUMBERS // _numbers_per_pair(problem), 1))
    parts = _parts(problem, span, cut)
    again = len(cut) > 1 and torch.is_grad_enabled()
    found = [
        _again(problem, span, tile, part) if again else _attended(problem, span, tile, part)
        for tile, part in zip(cut, parts, strict=True)
    ]
    rows = [tile.row for tile in cut]
    out = assembled([out for out, _ in found], rows, span.num_rows).to(problem.values.dtype)
    statistics = [statistic for _, statistic in found if statistic is not None]
    if not statistics:
        return out, None
    return out, assembled(statistics, rows, span.num_rows, empty=_MASKED)


def _numbers_per_pair(problem: Problem) -> int:
    form = problem.form
    if isinstance(form, Multiplicative):
        return problem.heads
    return problem.heads * max(form.left.shape[2], form.right.shape[2], 1)


@dataclass(frozen=True, eq=False)
class _Part:
    """What belongs to the rows and sources of one tile, `[B, n, ...]` and `[B, w, ...]`."""

    left: Tensor
    right: Tensor
    value: Tensor
    source_bias: Tensor | None = None
    target_bias: Tensor | None = None
    pair_bias: Tensor | None = None  # [B, n, w] or [B, n, w, H]


def _parts(problem: Problem, span: Span, cut: list[Tile]) -> list[_Part]:
    form, dtype = problem.form, problem.compute_dtype
    rows, sources = [tile.row for tile in cut], [tile.source for tile in cut]
    fields: dict[str, list[Tensor]] = {
        "left": stacked(form.left.to(dtype), rows),
        "right": stacked(form.right.to(dtype), sources),
    }
    alone = problem.value is None
    fields["value"] = fields["right"] if alone else stacked(problem.values.to(dtype), sources)
    if isinstance(form, Multiplicative):
        for name, index in (("source_bias", sources), ("target_bias", rows)):
            if getattr(form, name) is not None:
                fields[name] = stacked(getattr(form, name).to(dtype), index)
    if problem.pair_bias is not None:
        fields["pair_bias"] = tile_biases(problem.pair_bias.to(dtype), span, cut)
    columns = zip(*fields.values(), strict=True)
    return [_Part(**dict(zip(fields, column, strict=True))) for column in columns]


def _again(problem: Problem, span: Span, tile: Tile, part: _Part) -> tuple[Tensor, Tensor | None]:
    """A tile whose scores are not kept; its tensors are arguments, so that they are not either."""
    given = {name: tensor for name, tensor in vars(part).items() if tensor is not None}

    def compute(*tensors: Tensor) -> tuple[Tensor, Tensor | None]:
        return _attended(problem, span, tile, _Part(**dict(zip(given, tensors, strict=True))))

    random = isinstance(problem.form, Given)  # a user's function may draw numbers
    return checkpoint(compute, *given.values(), use_reentrant=False, preserve_rng_state=random)  # type: ignore[return-value]


def _attended(
    problem: Problem, span: Span, tile: Tile, part: _Part
) -> tuple[Tensor, Tensor | None]:
    """Output `[B, n, H, D]` and statistic `[B, n, H]` of a tile."""
    score = _scores(problem, span, tile, part)
    weights, statistic = _normalized(problem, score)
    if problem.dropout:
        weights = weights * _dropout_factor(problem, tile).to(weights.dtype)
    out = torch.matmul(weights, part.value.transpose(1, 2)).transpose(1, 2)
    return out, None if statistic is None else statistic.transpose(1, 2)


def _scores(problem: Problem, span: Span, tile: Tile, part: _Part) -> Tensor:
    """Scores `[B, H, n, w]`, biases included; -inf outside of the band."""
    band = tile.band(span)
    hop = _hops(span, tile)
    score = _form_scores(problem, part, hop, band)
    if problem.hop_bias is not None:
        assert hop is not None
        table = problem.hop_bias.to(score.dtype)
        score = score + torch.embedding(table, hop.clamp(0, len(table) - 1)).permute(2, 0, 1)
    if part.pair_bias is not None:
        bias = part.pair_bias
        score = score + (bias[:, None] if bias.dim() == 3 else bias.permute(0, 3, 1, 2))
    return score if band is None else score.masked_fill(~band, _MASKED)


def _hops(span: Span, tile: Tile) -> Tensor | None:
    """Hops `[n, w]`, right inside the band."""
    return span.hops_of(tile.distance(span.device)) if span.is_window else None


def _form_scores(problem: Problem, part: _Part, hop: Tensor | None, band: Tensor | None) -> Tensor:
    form = problem.form
    if isinstance(form, Given):
        return _given_scores(form, part, hop, band)
    if isinstance(form, Additive):
        inner = form.activated(part.left[:, :, None] + part.right[:, None])
        return torch.einsum("bnwhc,hc->bhnw", inner, form.weight.to(inner.dtype))
    score = torch.matmul(part.left.transpose(1, 2), part.right.permute(0, 2, 3, 1)) * form.scale
    for bias, axis in ((part.source_bias, -2), (part.target_bias, -1)):
        score = score if bias is None else score + bias.transpose(1, 2).unsqueeze(axis)
    return score


def _given_scores(form: Given, part: _Part, hop: Tensor | None, band: Tensor | None) -> Tensor:
    """The user's function sees the pairs of the band alone, `[P, H, C]`."""
    (count, rows, heads, _), width = part.left.shape, part.right.shape[1]
    seen = part.left.new_ones(rows, width, dtype=torch.bool) if band is None else band
    row, source = seen.nonzero(as_tuple=True)
    hops = None if hop is None else hop[row, source].repeat(count)
    query, key = part.left[:, row].flatten(0, 1), part.right[:, source].flatten(0, 1)
    found = form.checked(query, key, hops).to(query.dtype).unflatten(0, (count, len(row)))
    dense = found.new_full((count, rows * width, heads), _MASKED)
    dense = dense.index_copy(1, row * width + source, found)
    return dense.unflatten(1, (rows, width)).permute(0, 3, 1, 2)


def _normalized(problem: Problem, score: Tensor) -> tuple[Tensor, Tensor | None]:
    """Weights `[B, H, n, w]` and statistic `[B, H, n]`."""
    if _never_empty(problem) and type(problem.normalizer) is Softmax:
        statistic = torch.logsumexp(score, -1) if problem.wants_statistic else None
        return torch.softmax(score, -1), statistic
    *outer, width = score.shape
    count = score.numel() // width
    rows = EvenRows(count, width, score.device)
    weights, statistic = problem.normalizer.normalize(score.reshape(-1, 1), rows)
    shaped = weights.view(*outer, width)
    return shaped, None if statistic is None else statistic.view(*outer)


def _never_empty(problem: Problem) -> bool:
    """No row has all of its scores masked: the rows of a tile see something, and nothing masks."""
    form = problem.form
    biased = isinstance(form, Multiplicative) and (
        form.source_bias is not None or form.target_bias is not None
    )
    masks = biased or problem.pair_bias is not None or problem.hop_bias is not None
    return not masks and not isinstance(form, Given)


def _dropout_factor(problem: Problem, tile: Tile) -> Tensor:
    """0 for a dropped weight, 1 / (1 - dropout) for a kept one, `[B, H, n, w]`."""
    assert problem.seed is not None
    size = (*tile.row.shape, tile.source.shape[1])
    device = problem.seed.device
    row = tile.row.to(device)[:, :, None].expand(size).flatten()
    source = tile.source.to(device)[:, None, :].expand(size).flatten()
    none = torch.zeros_like(row)  # a span has no duplicates
    kept = keep_mask(row, source, none, problem.heads, problem.dropout, problem.seed)
    # In the compute dtype: a bool and a number would make a float32, in float64 as well.
    factor = 0.0 if problem.dropout == 1.0 else 1.0 / (1.0 - problem.dropout)
    kept = kept.to(problem.compute_dtype) * factor
    return kept.unflatten(0, size).permute(0, 3, 1, 2)
