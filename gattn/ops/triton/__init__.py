"""The Triton backend: sparse kernels for GPUs, compiled by triton when they are first needed."""

from __future__ import annotations

import importlib.util
import os

from torch import Tensor

from gattn.ops import library as library  # registers the operators
from gattn.ops import operators
from gattn.ops.operators import Operators
from gattn.ops.problem import Problem

_MISSING = importlib.util.find_spec("triton") is None

INTERPRETED = os.environ.get("TRITON_INTERPRET", "").lower() in ("1", "true", "yes", "on", "y")
"""Triton's interpreter runs the kernels, on the CPU."""

ONLY_NAMED = INTERPRETED
"""Interpreted kernels are for tests: nobody gets them without asking."""

MOST_HEADS = 65_535
"""With a batch folded into them: what a grid of programs has room for."""

MOST_CHANNELS = 8192
"""Of a head: what a tile has room for."""

_OPERATORS = Operators("gattn_triton", keeps=True, sums_rows=True)


def reasons(problem: Problem) -> list[str]:
    """Why the problem cannot be computed here; empty = it can."""
    found = ["triton is not installed: pip install triton"] if _MISSING else []
    device = problem.neighborhood.device
    if device.type != "cuda" and not (INTERPRETED and device.type == "cpu"):
        found.append(f"the device is {device}, not cuda")
    if problem.heads > MOST_HEADS:
        found.append(f"there are {problem.heads:,} heads, more than {MOST_HEADS:,}")
    wide = max(problem.form.left.shape[2], problem.values.shape[2])
    if wide > MOST_CHANNELS:
        found.append(f"a head has {wide:,} channels, more than {MOST_CHANNELS:,}")
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
