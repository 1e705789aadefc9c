"""Attention over a few parts of every target, such as its rings: what the coarser levels share."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gattn.forms import Form, Multiplicative
from gattn.functional import (
    WEIGHTS,
    attend_form,
    attend_form_with_statistic,
    form_weights,
)
from gattn.neighborhood import Neighborhood, Span, Sparse, Streamed
from gattn.normalizers import Normalizer, Softmax

Attended = tuple[Tensor, Tensor]
"""Output `[..., R, H, D]` and statistic `[..., R, H]` of rows."""


def attended(
    form: Form,
    value: Tensor | None,
    neighborhood: Neighborhood,
    *,
    normalizer: Normalizer,
    backend: str | None = None,
    **options: Any,
) -> Attended:
    """Output and statistic of rows; normalisers without a statistic give all rows the same, 0."""
    options["normalizer"] = normalizer
    if normalizer.has_statistic:
        return attend_form_with_statistic(form, value, neighborhood, backend=backend, **options)
    out = attend_form(form, value, neighborhood, backend=backend, **options)
    return out, statistic(form, neighborhood, options)


def statistic(form: Form, neighborhood: Neighborhood, options: dict[str, Any]) -> Tensor:
    """The statistic of every row, `[..., R, H]`; -inf for those without an unmasked pair."""
    known = {name: option for name, option in options.items() if name in WEIGHTS}
    if options["normalizer"].has_statistic:
        return attend_form_with_statistic(form, form.right[..., :0], neighborhood, **known)[1]
    with torch.no_grad():  # a softmax finds out whether there is anything to weigh
        known["normalizer"] = Softmax()
        lse = attend_form_with_statistic(form, form.right[..., :0], neighborhood, **known)[1]
    return torch.zeros_like(lse).masked_fill(lse == float("-inf"), float("-inf"))


def total(statistic: Tensor) -> Tensor:
    """The log-sum-exp `[..., N, H]` of parts `[..., N, P, H]`; -inf, without gradient, if all are.

    Args:
        statistic: of each part.
    """
    empty = (statistic == float("-inf")).all(-2, keepdim=True)
    found = statistic.masked_fill(empty, 0.0).logsumexp(-2)
    return found.masked_fill(empty.squeeze(-2), float("-inf"))


def row_of_pairs(neighborhood: Neighborhood) -> Tensor:
    """The row of every pair, `[E]`, in the builder's input order."""
    stored = neighborhood if isinstance(neighborhood, Sparse) else neighborhood.expand()
    row = stored.rows()
    return row if stored.perm is None else torch.empty_like(row).index_copy_(0, stored.perm, row)


def part_form(query: Tensor, statistic: Tensor, key: Tensor, per_channel: bool) -> Multiplicative:
    r"""The form of a target and its parts, which belong to it alone: all of the score is a bias.

    $$ u_{ip} = t_{ip} + \frac{\langle q_i, r_p \rangle}{\sqrt C} $$

    Args:
        query: `[..., N, H, C]`.
        statistic: t, `[..., N * P, H]`, part by part of each target.
        key: r, `[P, H, C]`.
        per_channel: a score for each channel, `t + q r`, over `H * C` heads.
    """
    # In the dtype of scores, not of features.
    with torch.autocast(query.device.type, enabled=False):
        dtype = torch.promote_types(statistic.dtype, torch.float32)
        wide, part = query.to(dtype), key.to(dtype)
        if per_channel:
            fit = (wide[..., :, None, :, :] * part).flatten(-4, -3)
            score = (statistic[..., None] + fit).flatten(-2)
        else:
            fit = torch.einsum("...nhc,phc->...nph", wide, part).flatten(-3, -2)
            score = statistic + fit * query.shape[-1] ** -0.5
    # No channels: what the parts hold is not compared again, only weighed.
    targets = (*query.shape[:-2], score.shape[-1], 0)
    return Multiplicative(
        score.new_empty(targets), score.new_empty(*score.shape, 0), source_bias=score
    )


def over_parts(form: Multiplicative, value: Tensor, per_channel: bool) -> Attended:
    """Attention of every target over its parts, `[..., N, H, D]`, and its statistic `[..., N, H]`.

    Args:
        form: of `part_form`.
        value: what the parts hold, `[..., N * P, H, D]`.
        per_channel: as for the form.
    """
    span = part_span(form)
    if not per_channel:
        return attend_form_with_statistic(form, value, span)
    heads, width = value.shape[-2:]
    out, lse = attend_form_with_statistic(form, value.flatten(-2)[..., None], span)
    # One number for each head: the mean over its channels.
    return out[..., 0].unflatten(-1, (heads, width)), lse.unflatten(-1, (heads, width)).mean(-1)


def part_span(form: Multiplicative) -> Span:
    """Every target attends to its own parts, which stand one behind the other."""
    targets, sources = form.left.shape[-3], form.right.shape[-3]
    parts = sources // targets if targets else 1
    start = torch.arange(targets, device=form.left.device) * parts
    return Span(start, start + parts, sources, "packed")


def part_weights(form: Multiplicative, per_channel: int | None = None) -> Tensor:
    """The weight of every part, `[..., N * P, H]`, or `[..., N * P, H, C]` for C channels."""
    found = form_weights(form, part_span(form))
    return found if per_channel is None else found.unflatten(-1, (-1, per_channel))


def rings_of(neighborhood: Neighborhood) -> Sparse | Streamed:
    """The rings of a neighbourhood, those of a span written out."""
    stored = neighborhood.expand() if isinstance(neighborhood, Span) else neighborhood
    return stored.rings()
