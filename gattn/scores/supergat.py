"""The two scores of SuperGAT: mixed, and scaled dot."""

from __future__ import annotations

from typing import Self

from torch import Tensor
from torch.nn.functional import leaky_relu

from gattn.forms import Given
from gattn.scores.base import Score, glorot, glorot_


class SuperGATMX(Score):
    r"""GAT's score, damped by a sigmoid of the dot product.

    $$ s_{ij} = \operatorname{LeakyReLU}\big( (\langle a_{dst}, q_i \rangle
       + \langle a_{src}, k_j \rangle) \cdot \sigma(\langle q_i, k_j \rangle) \big) $$

    What PyG's `SuperGATConv` attends by as "MX", with query = key; its `att_l` is `att_src`. The
    loss that supervises the attention belongs to a model, and is not part of it. (Kim & Oh, "How
    to Find Your Friendly Neighborhood: Graph Attention Design with Self-Supervision", 2021.)

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

    def forward(self, query: Tensor, key: Tensor) -> Given:
        """The form of `query` `[..., N, H, C]` and `key` `[..., M, H, C]`."""
        return Given(query, key, self._score)

    def _score(self, query: Tensor, key: Tensor, hop: Tensor | None) -> Tensor:
        # Not once per node: the form's right side stays the key, which is also SuperGAT's value.
        of_query = (query * self.att_dst.to(query.dtype)).sum(-1)
        of_key = (key * self.att_src.to(key.dtype)).sum(-1)
        gate = (query * key).sum(-1).sigmoid()
        return leaky_relu((of_query + of_key) * gate, self.negative_slope)

    def reset_parameters(self) -> None:
        """Draw both vectors anew."""
        glorot_(self.att_dst)
        glorot_(self.att_src)


class SuperGATSD(Score):
    r"""A leaky ReLU of the scaled dot product.

    $$ s_{ij} = \operatorname{LeakyReLU}\left( \frac{\langle q_i, k_j \rangle}{\sqrt C} \right) $$

    What PyG's `SuperGATConv` attends by as "SD", with query = key. (Kim & Oh, "How to Find Your
    Friendly Neighborhood: Graph Attention Design with Self-Supervision", 2021.)

    Args:
        negative_slope: slope of the leaky ReLU below zero.
    """

    def __init__(self, negative_slope: float = 0.2) -> None:
        super().__init__()
        self.negative_slope = negative_slope

    def forward(self, query: Tensor, key: Tensor) -> Given:
        """The form of `query` `[..., N, H, C]` and `key` `[..., M, H, C]`."""
        return Given(query, key, self._score)

    def _score(self, query: Tensor, key: Tensor, hop: Tensor | None) -> Tensor:
        scale = max(query.shape[-1], 1) ** -0.5
        return leaky_relu((query * key).sum(-1) * scale, self.negative_slope)
