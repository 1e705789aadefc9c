"""Padded batches of sequences as packed rows, and back."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gattn import _check
from gattn.neighborhood import Span
from gattn.neighborhood._tensors import pointers

Sizes = tuple[int, int, int]
"""B sequences of L queries and S keys."""


@dataclass(frozen=True, eq=False)
class Packed:
    """A padded batch as rows: those queries and keys that are there, sequence after sequence.

    Args:
        sizes: B, L, S.
        query: `[B, L]` bool, the queries that are there; `None` = all.
        key: `[B, S]` bool, the keys that are there; `None` = all.
        span: over the rows. Its pairs, row by row, are in the order of `[B, L, S]`.
    """

    sizes: Sizes
    query: Tensor | None
    key: Tensor | None
    span: Span

    def seen(self) -> Tensor:
        """Which pairs the span has, `[B, L, S, 1]` bool."""
        seen = torch.ones(self.sizes, dtype=torch.bool, device=self.span.device)
        if self.key is not None:
            seen &= self.key[:, None, :]
        if self.query is not None:
            seen &= self.query[:, :, None]
        if self.span.is_window:
            place = torch.arange(self.sizes[1], device=seen.device)
            ahead = place - place[:, None]
            reach = self.sizes[1] if self.span.radius is None else self.span.radius
            seen &= (ahead >= -reach) & (ahead <= (0 if self.span.causal else reach))
        return seen[..., None]

    def pairs(self, bias: Tensor) -> Tensor:
        """A bias `[B | 1, H | 1, L | 1, S]` by pair, `[E, H]` or `[E]`."""
        dense = bias.permute(0, 2, 3, 1).expand(*self.sizes, -1)
        picked = dense.masked_select(self.seen())
        return picked if bias.shape[1] == 1 else picked.unflatten(0, (-1, bias.shape[1]))

    def dense(self, weights: Tensor) -> Tensor:
        """Weights `[E, H]` as `[B, H, L, S]`."""
        nothing = weights.new_zeros(*self.sizes, weights.shape[1])
        return nothing.masked_scatter(self.seen(), weights).permute(0, 3, 1, 2)

    def padded(self, rows: Tensor) -> Tensor:
        """Rows of queries as `[B, L, E]`; zeros where there is none."""
        nothing = rows.new_zeros(*self.sizes[:2], rows.shape[1])
        if self.query is None:
            return rows.view_as(nothing)
        return nothing.masked_scatter(self.query[..., None], rows)


def rows_of(padded: Tensor, there: Tensor | None) -> Tensor:
    """What is there of `[B, L, ...]`, sequence after sequence."""
    return padded.flatten(0, 1) if there is None else padded[there]


def positions(side: Tensor) -> Tensor:
    """Positions `[B, L]` in the sequences of `[B, L, E]`."""
    return torch.arange(side.shape[1], device=side.device).expand(side.shape[:2])


def pointer(batch: int, length: int, there: Tensor | None, device: torch.device) -> Tensor:
    """Where each sequence starts among the rows, `[B + 1]`."""
    full_length = torch.full((batch,), length, device=device)
    return pointers(full_length if there is None else there.sum(1))


def has_holes(there: Tensor) -> bool:
    """Some sequence begins more than once."""
    begins = there.clone()
    begins[:, 1:] &= ~there[:, :-1]
    return bool((begins.sum(1) > 1).any())


def padding(mask: Tensor | None, sizes: Sizes, single: bool) -> tuple[Tensor | None, Tensor | None]:
    """Which keys are there, `[B, S]` bool, and their bias `[B, 1, 1, S]`; `None` = all, zero."""
    if mask is None:
        return None, None
    _check.shape("key_padding_mask", mask, [sizes[2]] if single else [sizes[0], sizes[2]])
    mask = _checked_mask("key_padding_mask", mask)
    mask = mask[None] if single else mask
    there = ~mask if mask.dtype == torch.bool else mask != float("-inf")
    bias = None
    if mask.is_floating_point():
        bias = mask.masked_fill(~there, 0.0)[:, None, None, :]
        bias = bias if bias.requires_grad or bool(bias.any()) else None
    return None if bool(there.all()) else there, bias


def pair_mask(mask: Tensor, sizes: Sizes, heads: int, dtype: torch.dtype) -> Tensor:
    """An `attn_mask` as biases, `[B, H, L, S]` or `[1, 1, L, S]`."""
    batch, *pairs = sizes
    alone = _checked_mask("attn_mask", mask).dim() == 2
    _check.shape("attn_mask", mask, pairs if alone else [batch * heads, *pairs])
    if mask.dtype == torch.bool:
        mask = torch.zeros_like(mask, dtype=dtype).masked_fill(mask, float("-inf"))
    return mask[None, None] if alone else mask.unflatten(0, (batch, heads))


def _checked_mask(name: str, mask: Tensor) -> Tensor:
    if _check.tensor(name, mask).dtype != torch.bool and not mask.is_floating_point():
        raise TypeError(f"{name}: found dtype {mask.dtype}, expected bool or a floating dtype")
    return mask
