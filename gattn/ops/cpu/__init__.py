"""The CPU backend: sparse kernels compiled by numba.

A problem with a normaliser of the library runs fused, with nothing wider than `[N, H, C]`; one
with another normaliser runs in two halves around it, with nothing wider than `[E, H]`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gattn._numba.compile import missing
from gattn.forms import Given
from gattn.neighborhood import Span, Sparse
from gattn.normalizers import Rows
from gattn.ops import library as library  # registers the operators
from gattn.ops.inputs import Inputs, name_of
from gattn.ops.problem import Problem, is_transformed

_MISSING = missing()

MOST_PAIRS_OF_SPAN = 1 << 24
"""Up to here a span is written out as pairs, about 0.4 GB at the most, because kernels over pairs
are the fastest there is; beyond, memory counts for more."""


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
    if isinstance(problem.form, Given):
        found.append("the form is Given, which only PyTorch can compute")
    if is_transformed():
        found.append("forward-mode derivatives and torch.func go through PyTorch's own operators")
    return found


def forward(problem: Problem) -> tuple[Tensor, Tensor | None]:
    """Output `[R, H, D]` and statistic `[R, H]` of every row."""
    if name_of(problem.normalizer) is None:
        return halves(problem)
    out, statistic, *_ = torch.ops.gattn.attend(*Inputs.of(problem, _stored(problem)))
    return out, statistic if problem.normalizer.has_statistic else None


def halves(problem: Problem) -> tuple[Tensor, Tensor | None]:
    """`forward` in two halves, with scores and weights `[E, H]` between them."""
    stored = _stored(problem)
    inputs = Inputs.of(problem, stored)
    score = torch.ops.gattn.sddmm(*inputs)
    weights, statistic = problem.normalizer.normalize(score, _rows(stored))
    return torch.ops.gattn.spmm(*inputs, weights), statistic


def weights(problem: Problem) -> Tensor:
    """Weights `[E, H]` before the dropout, in the builder's input order."""
    stored = _stored(problem)
    score = torch.ops.gattn.sddmm(*Inputs.of(problem, stored))
    return _in_input_order(problem.normalizer.normalize(score, _rows(stored))[0], stored)


def _stored(problem: Problem) -> Sparse:
    around = problem.neighborhood
    return around if isinstance(around, Sparse) else around.expand()


def _rows(stored: Sparse) -> Rows:
    return Rows(stored.rows(), stored.rowptr)


def _in_input_order(pairs: Tensor, stored: Sparse) -> Tensor:
    if stored.perm is None:
        return pairs
    return torch.zeros_like(pairs).index_copy(0, stored.perm, pairs)
