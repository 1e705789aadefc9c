"""A perceptron that sees query, key and their product."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gattn import _check
from gattn.forms import Given
from gattn.scores.base import Score, glorot, glorot_, wide

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "gelu": F.gelu,
    "silu": F.silu,
    "tanh": torch.tanh,
}


class MLP(Score):
    r"""A perceptron on query, key and their product channel by channel, one per head.

    $$ s_{ij} = v^\top \operatorname{act}\big(
       W_q q_i + W_k k_j + W_p (q_i \odot k_j) + b \big) $$

    `Additive` sees query and key alone, and a sum of the two approximates a dot product poorly;
    the third input hands it over. The first two products are taken once per node, the third for
    every pair: C * A multiplications. (Rendle et al., "Neural Collaborative Filtering vs. Matrix
    Factorization Revisited", 2020, on what a perceptron makes of a dot product.)

    Args:
        heads: H.
        channels: C of query and key.
        hidden: A, width of the hidden layer; C without it.
        activation: "relu", "gelu", "silu" or "tanh".

    Raises:
        TypeError, ValueError: the activation is unknown, or the width no number.
    """

    def __init__(
        self, heads: int, channels: int, hidden: int | None = None, activation: str = "relu"
    ) -> None:
        super().__init__()
        _check.one_of("activation", activation, tuple(_ACTIVATIONS))
        width = channels if hidden is None else _check.integer("hidden", hidden, 1)
        self.hidden_weight = glorot(heads, 3 * channels, width)  # of query, key and product
        self.hidden_bias = nn.Parameter(torch.zeros(heads, width))
        self.weight = glorot(heads, width)
        self.activation = activation

    @classmethod
    def for_heads(cls, heads: int, channels: int) -> Self:
        """A perceptron as wide as a head."""
        return cls(heads, channels)

    def forward(self, query: Tensor, key: Tensor) -> Given:
        """The form of `query` `[..., N, H, C]` and `key` `[..., M, H, C]`: A + C channels."""
        dtype = torch.promote_types(wide(query).dtype, self.hidden_weight.dtype)
        of_query, of_key, _ = self.hidden_weight.to(dtype).chunk(3, dim=1)
        left = torch.einsum("...nhc,hca->...nha", query.to(dtype), of_query) + self.hidden_bias
        right = torch.einsum("...mhc,hca->...mha", key.to(dtype), of_key)
        sides = (torch.cat([left, query], dim=-1), torch.cat([right, key], dim=-1))
        return Given(*sides, self._score)

    def _score(self, query: Tensor, key: Tensor, hop: Tensor | None) -> Tensor:
        width = self.weight.shape[-1]
        of_product = self.hidden_weight.to(query.dtype).chunk(3, dim=1)[2]
        product = query[..., width:] * key[..., width:]
        mixed = torch.einsum("phc,hca->pha", product, of_product)
        hidden = _ACTIVATIONS[self.activation](query[..., :width] + key[..., :width] + mixed)
        return (hidden * self.weight.to(query.dtype)).sum(-1)

    def reset_parameters(self) -> None:
        """Draw both weights anew; the bias becomes zero."""
        glorot_(self.hidden_weight)
        nn.init.zeros_(self.hidden_bias)
        glorot_(self.weight)
