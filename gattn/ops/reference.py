"""The reference: plain PyTorch with plain autograd, on any device, in any floating dtype.

It is the specification of the operator and the oracle of every other backend. It scores the
pairs (sddmm), normalises the rows, and sums the values (spmm); each step holds one tensor
`[E, H, C]`. It is differentiable any number of times.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gattn.forms import Additive, Form, Given
from gattn.neighborhood import Neighborhood, Sparse
from gattn.normalizers import Rows
from gattn.ops.philox import keep_mask
from gattn.ops.problem import Problem


def reasons(problem: Problem) -> list[str]:
    """Why the problem cannot be computed here: never."""
    return []


def forward(problem: Problem) -> tuple[Tensor, Tensor | None]:
    """Output `[R, H, D]` and statistic `[R, H]` of every row."""
    pairs = Pairs.of(problem.neighborhood)
    weights, statistic = pairs.rows_normalized(problem)
    return aggregated(problem, weights, pairs), statistic


def aggregated(problem: Problem, weights: Tensor, pairs: Pairs | None = None) -> Tensor:
    """Output `[R, H, D]` for weights `[E, H]` in the order of the rows, after the dropout."""
    pairs = Pairs.of(problem.neighborhood) if pairs is None else pairs
    if problem.dropout:
        weights = weights * _dropout_factor(problem, pairs).to(weights.dtype)
    return spmm(weights, problem, pairs).to(problem.values.dtype)


def weights(problem: Problem) -> Tensor:
    """Weights `[E, H]` before the dropout, in the builder's input order."""
    pairs = Pairs.of(problem.neighborhood)
    return pairs.in_input_order(pairs.rows_normalized(problem)[0])


def scores(problem: Problem) -> Tensor:
    """Scores `[E, H]`, biases included, in the builder's input order."""
    pairs = Pairs.of(problem.neighborhood)
    return pairs.in_input_order(sddmm(problem, pairs))


@dataclass(frozen=True, eq=False)
class Pairs:
    """A neighbourhood written out pair by pair, in the order of the rows.

    Args:
        rows: the row of each pair.
        query: `[E]` int64, the query of each pair.
        source: `[E]` int64, the source of each pair.
        hop: `[E]` int64, or `None`.
        perm: `[E]` int64, the place of each pair in the builder's input order, or `None`.
    """

    rows: Rows
    query: Tensor
    source: Tensor
    hop: Tensor | None
    perm: Tensor | None

    @classmethod
    def of(cls, neighborhood: Neighborhood) -> Pairs:
        """The pairs of a neighbourhood; those of a `Span` are written out, within the budget."""
        stored = neighborhood if isinstance(neighborhood, Sparse) else neighborhood.expand()
        row = stored.rows()
        hop = None if stored.hop is None else stored.hop.long()
        query = row if stored.groups == 1 else row // stored.groups
        return cls(Rows(row, stored.rowptr), query, stored.col.long(), hop, stored.perm)

    def in_row_order(self, values: Tensor) -> Tensor:
        """Pair values `[E, ...]` from the builder's input order."""
        return values if self.perm is None else values[self.perm]

    def in_input_order(self, values: Tensor) -> Tensor:
        """Pair values `[E, ...]` back in the builder's input order."""
        if self.perm is None:
            return values
        return torch.zeros_like(values).index_copy(0, self.perm, values)

    def rows_normalized(self, problem: Problem) -> tuple[Tensor, Tensor | None]:
        """Weights `[E, H]` and statistic `[R, H]`."""
        return problem.normalizer.normalize(sddmm(problem, self), self.rows)


def sddmm(problem: Problem, pairs: Pairs) -> Tensor:
    """Scores `[E, H]` in the order of the rows, biases included."""
    dtype = problem.compute_dtype
    score = _form_scores(problem, pairs, dtype)
    if problem.hop_bias is not None:
        assert pairs.hop is not None
        last = problem.hop_bias.shape[0] - 1
        score = score + problem.hop_bias.to(dtype)[pairs.hop.clamp(max=last)]
    if problem.pair_bias is not None:
        bias = pairs.in_row_order(problem.pair_bias).to(dtype)
        score = score + (bias if bias.dim() == 2 else bias[:, None])
    return score


def _form_scores(problem: Problem, pairs: Pairs, dtype: torch.dtype) -> Tensor:
    form: Form = problem.form
    left = form.left.to(dtype)[pairs.query]
    right = form.right.to(dtype)[pairs.source]
    if problem.pair_features is not None and problem.pair_weight is not None:
        features = pairs.in_row_order(problem.pair_features).to(dtype)
        right = right + torch.einsum("ef,fhc->ehc", features, problem.pair_weight.to(dtype))
    if isinstance(form, Given):
        return form.checked(left, right, pairs.hop).to(dtype)
    if isinstance(form, Additive):
        return (form.activated(left + right) * form.weight.to(dtype)).sum(-1)
    score = (left * right).sum(-1) * form.scale
    for bias, index in ((form.source_bias, pairs.source), (form.target_bias, pairs.query)):
        score = score if bias is None else score + bias.to(dtype)[index]
    return score


def spmm(weights: Tensor, problem: Problem, pairs: Pairs) -> Tensor:
    """Weighted sum of the values of each row, `[R, H, D]`, in the dtype of the weights."""
    out = pairs.rows.sum(weights[:, :, None] * problem.values.to(weights.dtype)[pairs.source])
    if problem.pair_features is None or problem.pair_value is None:
        return out
    features = pairs.in_row_order(problem.pair_features).to(weights.dtype)
    summed = pairs.rows.sum(weights[:, :, None] * features[:, None, :])
    return out + torch.einsum("rhf,fhd->rhd", summed, problem.pair_value.to(weights.dtype))


def _dropout_factor(problem: Problem, pairs: Pairs) -> Tensor:
    """0 for a dropped weight, 1 / (1 - dropout) for a kept one, `[E, H]`."""
    assert problem.seed is not None
    row, col, heads = pairs.rows.index + problem.first_row, pairs.source, problem.heads
    kept = keep_mask(row, col, _duplicate_rank(pairs), heads, problem.dropout, problem.seed)
    # In the compute dtype: a bool and a number would make a float32, in float64 as well.
    factor = 0.0 if problem.dropout == 1.0 else 1.0 / (1.0 - problem.dropout)
    return kept.to(problem.compute_dtype) * factor


def _duplicate_rank(pairs: Pairs) -> Tensor:
    """Place of each pair among the pairs of the same row and source, `[E]`."""
    by_source = torch.sort(pairs.source, stable=True).indices
    order = by_source[torch.sort(pairs.rows.index[by_source], stable=True).indices]
    row, source = pairs.rows.index[order], pairs.source[order]
    place = torch.arange(len(order), device=order.device)
    first = torch.ones_like(order, dtype=torch.bool)
    first[1:] = (row[1:] != row[:-1]) | (source[1:] != source[:-1])
    start = torch.cummax(torch.where(first, place, 0), dim=0).values
    return torch.empty_like(order).index_copy_(0, order, place - start)
