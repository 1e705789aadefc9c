"""Rows block by block, each with pairs that are found for it and dropped: for any backend.

A block is computed again when its gradient is asked for, so that nothing of it is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from gattn.forms import Form, Given, Multiplicative
from gattn.neighborhood import Streamed
from gattn.ops.problem import Problem

Result = tuple[Tensor, Tensor | None]
Forward = Callable[[Problem], Result]


def by_blocks(problem: Problem, forward: Forward, most_pairs: int) -> Result:
    """Output `[R, H, D]` and statistic `[R, H]` of every row of a `Streamed` neighbourhood.

    Args:
        problem: over a `Streamed` neighbourhood.
        forward: of a backend, for the stored pairs of a block.
        most_pairs: of a block.
    """
    around = problem.neighborhood
    assert isinstance(around, Streamed)
    cut = around.blocks(most_pairs)
    if not cut:
        return forward(replace(problem, neighborhood=around.expand()))
    found = [_block(problem, around, first, last, forward) for first, last in cut]
    statistics = [statistic for _, statistic in found if statistic is not None]
    return torch.cat([out for out, _ in found]), torch.cat(statistics) if statistics else None


def _block(problem: Problem, around: Streamed, first: int, last: int, forward: Forward) -> Result:
    def compute() -> Result:
        return forward(_rows(problem, around, first, last))

    if not torch.is_grad_enabled():
        return compute()
    random = isinstance(problem.form, Given)  # a user's function may draw numbers
    return checkpoint(compute, use_reentrant=False, preserve_rng_state=random)  # type: ignore[return-value]


def _rows(problem: Problem, around: Streamed, first: int, last: int) -> Problem:
    """The problem of some targets, with their pairs stored."""
    return replace(
        problem,
        form=_form_of(problem.form, slice(first, last)),
        neighborhood=around.block(first, last),
        first_row=first * around.groups,
    )


def _form_of(form: Form, rows: slice) -> Form:
    """The form of some targets."""
    if isinstance(form, Given):
        return replace(form, query=form.query[rows])
    if isinstance(form, Multiplicative) and form.target_bias is not None:
        return replace(form, left=form.left[rows], target_bias=form.target_bias[rows])
    return replace(form, left=form.left[rows])
