"""Products: dot, scaled dot, and general (bilinear)."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor

from gattn.forms import Multiplicative
from gattn.scores.base import Score, glorot, glorot_


class Dot(Score):
    r"""The inner product.

    $$ s_{ij} = \langle q_i, k_j \rangle $$

    (Luong, Pham & Manning, "Effective Approaches to Attention-based Neural Machine
    Translation", 2015.)
    """

    def forward(self, query: Tensor, key: Tensor) -> Multiplicative:
        """The form of `query` `[..., N, H, C]` and `key` `[..., M, H, C]`."""
        return Multiplicative(query, key)


class ScaledDot(Score):
    r"""The inner product over the square root of the channels.

    $$ s_{ij} = \frac{\langle q_i, k_j \rangle}{\sqrt C} $$

    (Vaswani et al., "Attention Is All You Need", 2017.)
    """

    def forward(self, query: Tensor, key: Tensor) -> Multiplicative:
        """The form of `query` `[..., N, H, C]` and `key` `[..., M, H, C]`."""
        return Multiplicative(query, key, scale=max(query.shape[-1], 1) ** -0.5)


class General(Score):
    r"""A bilinear product, one matrix per head.

    $$ s_{ij} = q_i^\top W k_j $$

    (Luong, Pham & Manning, "Effective Approaches to Attention-based Neural Machine
    Translation", 2015.)

    Args:
        heads: H.
        query_channels: C of the query.
        key_channels: C of the key; the query's without it.
    """

    def __init__(self, heads: int, query_channels: int, key_channels: int | None = None) -> None:
        super().__init__()
        columns = query_channels if key_channels is None else key_channels
        self.weight = glorot(heads, query_channels, columns)

    @classmethod
    def for_heads(cls, heads: int, channels: int) -> Self:
        """Square matrices, one per head."""
        return cls(heads, channels)

    def forward(self, query: Tensor, key: Tensor) -> Multiplicative:
        """The form of `query` `[..., N, H, C]` and `key` `[..., M, H, C']`."""
        return Multiplicative(torch.einsum("...nhc,hcd->...nhd", query, self.weight), key)

    def reset_parameters(self) -> None:
        """Draw the matrices anew."""
        glorot_(self.weight)
