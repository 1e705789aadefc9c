"""The CPU backend: sparse kernels compiled by numba."""

from __future__ import annotations

from torch import Tensor

from gattn._numba.compile import missing
from gattn.ops import library as library  # registers the operators
from gattn.ops import operators
from gattn.ops.operators import Operators
from gattn.ops.problem import Problem

_MISSING = missing()

_OPERATORS = Operators("gattn")


def reasons(problem: Problem) -> list[str]:
    """Why the problem cannot be computed here; empty = it can."""
    found = [] if _MISSING is None else [_MISSING]
    if problem.neighborhood.device.type != "cpu":
        found.append(f"the device is {problem.neighborhood.device}, not cpu")
    return found + operators.reasons(problem)


def forward(problem: Problem) -> tuple[Tensor, Tensor | None]:
    """Output `[R, H, D]` and statistic `[R, H]` of every row."""
    return operators.forward(problem, _OPERATORS)


def halves(problem: Problem) -> tuple[Tensor, Tensor | None]:
    """`forward` in two halves, with scores and weights `[E, H]` between them."""
    return operators.halves(problem, _OPERATORS)


def weights(problem: Problem) -> Tensor:
    """Weights `[E, H]` before the dropout, in the builder's input order."""
    return operators.weights(problem, _OPERATORS)


def aggregated(problem: Problem, weights: Tensor) -> Tensor:
    """Output `[R, H, D]` for weights `[E, H]` in the order of the rows, after the dropout."""
    return operators.aggregated(problem, weights, _OPERATORS)
