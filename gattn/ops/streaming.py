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
    """A block that is not kept; its tensors are arguments, so that changes to them are noticed."""
    of_form = {name: t for name, t in vars(problem.form).items() if isinstance(t, Tensor)}
    others = {"value": problem.value, "hop_bias": problem.hop_bias}
    of_problem = {name: tensor for name, tensor in others.items() if tensor is not None}

    def compute(*tensors: Tensor) -> Result:
        form = dict(zip(of_form, tensors, strict=False))
        given = dict(zip(of_problem, tensors[len(of_form) :], strict=True))
        whole = replace(problem, form=replace(problem.form, **form), **given)
        return forward(_rows(whole, around, first, last))

    tensors = (*of_form.values(), *of_problem.values())
    if not torch.is_grad_enabled():
        return compute(*tensors)
    random = isinstance(problem.form, Given)  # a user's function may draw numbers
    return checkpoint(compute, *tensors, use_reentrant=False, preserve_rng_state=random)  # type: ignore[return-value]


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
