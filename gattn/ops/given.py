"""Scores of any function of a pair, in blocks: nothing is wider than `[E, H]` or `[N, H, C]`."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from gattn.forms import Given
from gattn.neighborhood import Sparse
from gattn.ops.problem import Problem

_NUMBERS = 1 << 21
"""Numbers of the gathered queries of a block, unless there are more nodes: see `_size`."""


def given_scores(problem: Problem, stored: Sparse) -> Tensor:
    """Scores `[E, H]` in the order of the rows, biases included.

    What a block gathers is gathered again when its gradient is asked for; a function that draws
    random numbers draws the same.
    """
    blocks = list(_blocks(problem, stored))
    again = len(blocks) > 1 and torch.is_grad_enabled()
    found = [
        checkpoint(_scored, problem, *block, use_reentrant=False)
        if again
        else _scored(problem, *block)
        for block in blocks
    ]
    score: Tensor = torch.cat(found)  # type: ignore[arg-type]
    return _biased(problem, stored, score)


def _size(problem: Problem) -> int:
    """Pairs of a block. Its gradient is as large as the nodes, so the block is not much smaller."""
    left, right = problem.form.left, problem.form.right
    width = max(problem.heads * max(left.shape[2], right.shape[2]), 1)
    return max(_NUMBERS // width, len(left), len(right), 1)


def _blocks(
    problem: Problem, stored: Sparse
) -> Iterator[tuple[Tensor, Tensor, Tensor | None, Tensor | None]]:
    """Query, source, hop and features of every block of pairs."""
    size, row = _size(problem), stored.rows()
    query = row if stored.groups == 1 else row // stored.groups
    features = problem.pair_features if problem.pair_weight is not None else None
    if features is not None and stored.perm is not None:
        features = features.index_select(0, stored.perm)
    for begin in range(0, max(stored.num_pairs, 1), size):
        part = slice(begin, begin + size)
        hop = None if stored.hop is None else stored.hop[part].long()
        more = None if features is None else features[part]
        yield query[part], stored.col[part].long(), hop, more


def _scored(
    problem: Problem, query: Tensor, source: Tensor, hop: Tensor | None, features: Tensor | None
) -> Tensor:
    form, dtype = problem.form, problem.compute_dtype
    assert isinstance(form, Given)
    left = form.left.index_select(0, query).to(dtype)
    right = form.right.index_select(0, source).to(dtype)
    if features is not None and problem.pair_weight is not None:
        weight = problem.pair_weight.to(dtype)
        right = right + torch.einsum("ef,fhc->ehc", features.to(dtype), weight)
    return form.checked(left, right, hop).to(dtype)


def _biased(problem: Problem, stored: Sparse, score: Tensor) -> Tensor:
    if problem.hop_bias is not None:
        assert stored.hop is not None
        last = len(problem.hop_bias) - 1
        score = score + torch.embedding(
            problem.hop_bias.to(score.dtype), stored.hop.long().clamp(max=last)
        )
    if problem.pair_bias is not None:
        bias = problem.pair_bias if stored.perm is None else problem.pair_bias[stored.perm]
        score = score + (bias if bias.dim() == 2 else bias[:, None]).to(score.dtype)
    return score
