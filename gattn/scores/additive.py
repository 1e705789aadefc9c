"""Additive attention, as Bahdanau has it."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor

from gattn import forms
from gattn.scores.base import Score, glorot, glorot_, wide


class Additive(Score):
    r"""A one-layer perceptron on query and key.

    $$ s_{ij} = v^\top \tanh(W_q q_i + W_k k_j) $$

    (Bahdanau, Cho & Bengio, "Neural Machine Translation by Jointly Learning to Align and
    Translate", 2015.)

    Args:
        heads: H.
        channels: C of query and key.
        hidden: width of the perceptron; C without it.
    """

    def __init__(self, heads: int, channels: int, hidden: int | None = None) -> None:
        super().__init__()
        width = channels if hidden is None else hidden
        self.query_weight = glorot(heads, channels, width)
        self.key_weight = glorot(heads, channels, width)
        self.weight = glorot(heads, width)

    @classmethod
    def for_heads(cls, heads: int, channels: int) -> Self:
        """A perceptron as wide as a head."""
        return cls(heads, channels)

    def forward(self, query: Tensor, key: Tensor) -> forms.Additive:
        """The form of `query` `[..., N, H, C]` and `key` `[..., M, H, C]`."""
        left = torch.einsum("...nhc,hca->...nha", wide(query), wide(self.query_weight))
        right = torch.einsum("...mhc,hca->...mha", wide(key), wide(self.key_weight))
        return forms.Additive(left, right, self.weight, "tanh")

    def reset_parameters(self) -> None:
        """Draw the three weights anew."""
        for parameter in (self.query_weight, self.key_weight, self.weight):
            glorot_(parameter)
