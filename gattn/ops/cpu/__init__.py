"""The CPU backend: sparse kernels compiled by numba.

A problem with a normaliser of the library runs fused, with nothing wider than `[N, H, C]`; one
with another normaliser, or with a score that is a function of the user's, runs in two halves
around it, with nothing wider than `[E, H]`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from gattn._numba.compile import missing
from gattn.forms import Given, Multiplicative
from gattn.neighborhood import Span, Sparse, Streamed
from gattn.normalizers import Rows
from gattn.ops import library as library  # registers the operators
from gattn.ops.cpu.given import given_scores
from gattn.ops.inputs import Inputs, name_of
from gattn.ops.problem import Problem, is_transformed
from gattn.ops.streaming import by_blocks

_MISSING = missing()

MOST_PAIRS_OF_SPAN = 1 << 24
"""Up to here a span is written out as pairs, about 0.4 GB at the most, because kernels over pairs
make nothing for each pair and channel; beyond, memory counts for more."""

MOST_PAIRS_OF_BLOCK = 1 << 22
"""Of streamed pairs whose scores and weights `[E, H]` are written out."""


def reasons(problem: Problem) -> list[str]:
    """Why the problem cannot be computed here; empty = it can."""
    found = [] if _MISSING is None else [_MISSING]
    if problem.neighborhood.device.type != "cpu":
        found.append(f"the device is {problem.neighborhood.device}, not cpu")
    if problem.heads == 0:
        found.append("there are no heads")
    span = problem.neighborhood
    if isinstance(span, Span) and span.num_pairs > MOST_PAIRS_OF_SPAN:
        found.append(f"the span has more than {MOST_PAIRS_OF_SPAN:,} pairs to write out")
    if is_transformed():
        found.append("forward-mode derivatives and torch.func go through PyTorch's own operators")
    return found


def forward(problem: Problem) -> tuple[Tensor, Tensor | None]:
    """Output `[R, H, D]` and statistic `[R, H]` of every row."""
    around, unknown = problem.neighborhood, name_of(problem.normalizer) is None
    if unknown or isinstance(problem.form, Given):
        if isinstance(around, Streamed):
            return by_blocks(problem, halves, MOST_PAIRS_OF_BLOCK)
        return halves(problem)
    if isinstance(around, Streamed):
        out, statistic, *_ = _streamed(problem, around)
    else:
        out, statistic, *_ = torch.ops.gattn.attend(*Inputs.of(problem, _stored(problem)))
    return out, statistic if problem.normalizer.has_statistic else None


def _streamed(problem: Problem, around: Streamed) -> tuple[Tensor, ...]:
    search = around.starts, around.num_hops, around.shells, around.complete
    return torch.ops.gattn.attend_streamed(*Inputs.of(problem, around), *search)


def halves(problem: Problem) -> tuple[Tensor, Tensor | None]:
    """`forward` in two halves, with scores and weights `[E, H]` between them."""
    stored = _stored(problem)
    weights, statistic = problem.normalizer.normalize(_scores(problem, stored), _rows(stored))
    if isinstance(problem.form, Given):
        problem = replace(problem, **_unscored(problem.form, problem))
    return torch.ops.gattn.spmm(*Inputs.of(problem, stored), weights), statistic


def weights(problem: Problem) -> Tensor:
    """Weights `[E, H]` before the dropout, in the builder's input order."""
    stored = _stored(problem)
    found = problem.normalizer.normalize(_scores(problem, stored), _rows(stored))[0]
    return _in_input_order(found, stored)


def aggregated(problem: Problem, weights: Tensor) -> Tensor:
    """Output `[R, H, D]` for weights `[E, H]` in the order of the rows, after the dropout."""
    return torch.ops.gattn.spmm(*Inputs.of(problem, _stored(problem)), weights)


def _scores(problem: Problem, stored: Sparse) -> Tensor:
    """Scores `[E, H]` in the order of the rows."""
    if isinstance(problem.form, Given):
        return given_scores(problem, stored)
    return torch.ops.gattn.sddmm(*Inputs.of(problem, stored))


def _unscored(form: Given, problem: Problem) -> dict[str, Any]:
    """What is left of a problem that is scored: a form without channels, and the values."""
    nothing = Multiplicative(form.left[..., :0], form.right[..., :0])
    features = None if problem.pair_value is None else problem.pair_features
    without = {"hop_bias": None, "pair_bias": None, "pair_weight": None}
    return {"form": nothing, "value": problem.values, "pair_features": features, **without}


def _stored(problem: Problem) -> Sparse:
    around = problem.neighborhood
    return around if isinstance(around, Sparse) else around.expand()


def _rows(stored: Sparse) -> Rows:
    return Rows(stored.rows(), stored.rowptr)


def _in_input_order(pairs: Tensor, stored: Sparse) -> Tensor:
    if stored.perm is None:
        return pairs
    return torch.zeros_like(pairs).index_copy(0, stored.perm, pairs)
