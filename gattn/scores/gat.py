"""The scores of GAT and GATv2."""

from __future__ import annotations

from typing import Self

from torch import Tensor

from gattn.forms import Additive
from gattn.scores.base import Score, glorot, glorot_, wide


class GAT(Score):
    r"""A leaky ReLU of two dot products: cheap, and the same ranking of keys for every query.

    $$ s_{ij} = \operatorname{LeakyReLU}\big(
       \langle a_{dst}, q_i \rangle + \langle a_{src}, k_j \rangle \big) $$

    (Veličković et al., "Graph Attention Networks", 2018.)

    Args:
        heads: H.
        channels: C of query and key.
        negative_slope: slope of the leaky ReLU below zero.
    """

    def __init__(self, heads: int, channels: int, negative_slope: float = 0.2) -> None:
        super().__init__()
        self.att_dst = glorot(heads, channels)
        self.att_src = glorot(heads, channels)
        self.negative_slope = negative_slope

    @classmethod
    def for_heads(cls, heads: int, channels: int) -> Self:
        """Two vectors per head."""
        return cls(heads, channels)

    def forward(self, query: Tensor, key: Tensor) -> Additive:
        """The form of `query` `[..., N, H, C]` and `key` `[..., M, H, C]`: one channel."""
        left = (wide(query) * self.att_dst).sum(-1, keepdim=True)
        right = (wide(key) * self.att_src).sum(-1, keepdim=True)
        ones = self.att_src.new_ones(self.att_src.shape[0], 1)
        return Additive(left, right, ones, "leaky_relu", self.negative_slope)

    def reset_parameters(self) -> None:
        """Draw both vectors anew."""
        glorot_(self.att_dst)
        glorot_(self.att_src)


class GATv2(Score):
    r"""A leaky ReLU inside the dot product, so that every query ranks the keys for itself.

    $$ s_{ij} = \langle a, \operatorname{LeakyReLU}(q_i + k_j) \rangle $$

    (Brody, Alon & Yahav, "How Attentive are Graph Attention Networks?", 2022.)

    Args:
        heads: H.
        channels: C of query and key.
        negative_slope: slope of the leaky ReLU below zero.
    """

    def __init__(self, heads: int, channels: int, negative_slope: float = 0.2) -> None:
        super().__init__()
        self.att = glorot(heads, channels)
        self.negative_slope = negative_slope

    @classmethod
    def for_heads(cls, heads: int, channels: int) -> Self:
        """One vector per head."""
        return cls(heads, channels)

    def forward(self, query: Tensor, key: Tensor) -> Additive:
        """The form of `query` `[..., N, H, C]` and `key` `[..., M, H, C]`."""
        return Additive(query, key, self.att, "leaky_relu", self.negative_slope)

    def reset_parameters(self) -> None:
        """Draw the vector anew."""
        glorot_(self.att)
