"""What every compiled backend does with a problem, given the operators that it registered.

A problem with a normaliser of the library runs fused, with nothing wider than `[N, H, C]`; one
with another normaliser, or with a score that is a function of the user's, runs in two halves
around it, with nothing wider than `[E, H]`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gattn.forms import Given, Multiplicative
from gattn.neighborhood import Span, Sparse, Streamed
from gattn.normalizers import Rows, Softmax
from gattn.ops.given import given_scores
from gattn.ops.inputs import Inputs, name_of
from gattn.ops.problem import Problem, is_transformed
from gattn.ops.streaming import by_blocks

Result = tuple[Tensor, Tensor | None]

MOST_PAIRS_OF_SPAN = 1 << 24
"""Up to here a span is written out as pairs, about 0.4 GB at the most, because kernels over pairs
make nothing for each pair and channel; beyond, memory counts for more."""

MOST_PAIRS_OF_BLOCK = 1 << 22
"""Of streamed pairs whose scores and weights `[E, H]` are written out."""


class Operators(NamedTuple):
    """The registered operators of a backend.

    Args:
        namespace: `torch.ops.<namespace>.attend` and so on. (A name, and not the operators: those
            torch.compile only knows where they are called as attributes of `torch.ops`.)
        keeps: the fused two are told, last of all, whether there will be a backward.
        sums_rows: normalisers sum over rows by `spmm`, too, on a GPU, where torch adds them up in
            an order that differs from run to run.
    """

    namespace: str
    keeps: bool = False
    sums_rows: bool = False

    @property
    def ops(self) -> Any:
        """`torch.ops.<namespace>`."""
        return getattr(torch.ops, self.namespace)


def reasons(problem: Problem) -> list[str]:
    """Why kernels over pairs cannot compute the problem, whoever has them."""
    found = ["there are no heads"] if problem.heads == 0 else []
    span = problem.neighborhood
    if isinstance(span, Span) and span.num_pairs > MOST_PAIRS_OF_SPAN:
        found.append(f"the span has more than {MOST_PAIRS_OF_SPAN:,} pairs to write out")
    if is_transformed():
        found.append("forward-mode derivatives and torch.func go through PyTorch's own operators")
    return found


def forward(problem: Problem, operators: Operators) -> Result:
    """Output `[R, H, D]` and statistic `[R, H]` of every row."""
    around, unknown = problem.neighborhood, name_of(problem.normalizer) is None
    if unknown or isinstance(problem.form, Given):
        if isinstance(around, Streamed):
            most = MOST_PAIRS_OF_BLOCK
            return by_blocks(problem, lambda block: halves(block, operators), most)
        return halves(problem, operators)
    out, statistic = _fused(problem, operators)
    return out, statistic if problem.normalizer.has_statistic else None


def _fused(problem: Problem, operators: Operators) -> tuple[Tensor, Tensor]:
    around = problem.neighborhood
    kept = (_is_recorded(problem),) if operators.keeps else ()
    if isinstance(around, Streamed):
        search = around.starts, around.num_hops, around.shells, around.complete
        found = operators.ops.attend_streamed(*Inputs.of(problem, around), *search, *kept)
    else:
        found = operators.ops.attend(*Inputs.of(problem, stored_pairs(problem)), *kept)
    return found[0], found[1]


def _is_recorded(problem: Problem) -> bool:
    """Whether a backward may follow."""
    tensors = problem.tensors().values()
    return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)


def halves(problem: Problem, operators: Operators) -> Result:
    """`forward` in two halves, with scores and weights `[E, H]` between them."""
    stored = stored_pairs(problem)
    scores = _scores(problem, stored, operators)
    weights, statistic = problem.normalizer.normalize(scores, _rows(stored, operators))
    if isinstance(problem.form, Given):
        problem = replace(problem, **_unscored(problem.form, problem))
    return operators.ops.spmm(*Inputs.of(problem, stored), weights), statistic


def weights(problem: Problem, operators: Operators) -> Tensor:
    """Weights `[E, H]` before the dropout, in the builder's input order."""
    stored = stored_pairs(problem)
    scores = _scores(problem, stored, operators)
    found = problem.normalizer.normalize(scores, _rows(stored, operators))[0]
    return _in_input_order(found, stored)


def aggregated(problem: Problem, weights: Tensor, operators: Operators) -> Tensor:
    """Output `[R, H, D]` for weights `[E, H]` in the order of the rows, after the dropout."""
    return operators.ops.spmm(*Inputs.of(problem, stored_pairs(problem)), weights)


def _scores(problem: Problem, stored: Sparse, operators: Operators) -> Tensor:
    """Scores `[E, H]` in the order of the rows."""
    if isinstance(problem.form, Given):
        return given_scores(problem, stored)
    return operators.ops.sddmm(*Inputs.of(problem, stored))


def _unscored(form: Given, problem: Problem) -> dict[str, Any]:
    """What is left of a problem that is scored: a form without channels, and the values."""
    nothing = Multiplicative(form.left[..., :0], form.right[..., :0])
    features = None if problem.pair_value is None else problem.pair_features
    without = {"hop_bias": None, "pair_bias": None, "pair_weight": None}
    return {"form": nothing, "value": problem.values, "pair_features": features, **without}


def stored_pairs(problem: Problem) -> Sparse:
    """The neighbourhood of a problem with its pairs written out."""
    around = problem.neighborhood
    return around if isinstance(around, Sparse) else around.expand()


@dataclass(frozen=True, eq=False)
class SummedRows(Rows):
    """Rows that are summed by an operator, in one order: the pairs are the weights of ones."""

    stored: Sparse
    operators: Operators

    def sum(self, pairs: Tensor) -> Tensor:
        """Sum over each row: `[E, H]` to `[R, H]`; 0 for an empty row."""
        if pairs.dim() != 2 or not pairs.is_floating_point():
            return super().sum(pairs)
        targets, sources = self.stored.num_targets, self.stored.num_sources
        left, right = (pairs.new_empty(count, pairs.shape[1], 0) for count in (targets, sources))
        ones = pairs.new_ones(sources, pairs.shape[1], 1)
        problem = Problem(Multiplicative(left, right), ones, self.stored, Softmax())
        return self.operators.ops.spmm(*Inputs.of(problem, self.stored), pairs)[:, :, 0]


def _rows(stored: Sparse, operators: Operators) -> Rows:
    if operators.sums_rows and stored.device.type != "cpu":
        return SummedRows(stored.rows(), stored.rowptr, stored, operators)
    return Rows(stored.rows(), stored.rowptr)


def _in_input_order(pairs: Tensor, stored: Sparse) -> Tensor:
    if stored.perm is None:
        return pairs
    return torch.zeros_like(pairs).index_copy(0, stored.perm, pairs)
