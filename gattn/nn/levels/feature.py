"""The level "feature": inside of a node."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch_geometric.nn.dense.linear import Linear

from gattn import _check
from gattn.functional import attend, attention_weights
from gattn.neighborhood import Span


class FeatureLevel(nn.Module):
    r"""Attention among the tokens of a node, which are learned parts of its channels.

    $$ q_t, k_t, v_t = W_t x + b_t, \qquad
       z_t = \sum_u \operatorname{softmax}_u\!\Big(
       \frac{\langle q_t, k_u \rangle}{\sqrt d} \Big) v_u $$

    What the tokens found is added to the key and the value of the node: $W_k' z$ and $W_v' z$. Both
    start at zero, so a layer starts as it would without this level. A message is then no longer
    linear in the features of its source: which of them count may depend on the others.

    Args:
        in_channels: features of a source, `-1` to derive them from the first input.
        heads: H of the layer.
        channels: C of the layer.
        tokens: T, the number of tokens.
        share_key_value: the key of the layer is its value, and nothing is added to another.

    Raises:
        TypeError, ValueError: `tokens` is not a positive number.
    """

    def __init__(
        self,
        in_channels: int,
        heads: int,
        channels: int,
        tokens: int = 4,
        share_key_value: bool = False,
    ) -> None:
        super().__init__()
        self.tokens = _check.integer("feature_tokens", tokens, 1)
        self.heads, self.channels = heads, channels
        self.lin_token = Linear(in_channels, 3 * tokens * channels, weight_initializer="glorot")
        self.lin_key = Linear(tokens * channels, heads * channels, bias=False)
        self.lin_value = None
        if not share_key_value:
            self.lin_value = Linear(tokens * channels, heads * channels, bias=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the tokens anew, and let them count for nothing."""
        self.lin_token.reset_parameters()
        nn.init.zeros_(self.lin_key.weight)
        if self.lin_value is not None:
            nn.init.zeros_(self.lin_value.weight)

    def forward(self, x: Tensor, backend: str | None = None) -> tuple[Tensor, Tensor | None]:
        """What is added to key and value, `[..., M, H, C]` each, for features `[..., M, F]`."""
        query, key, value = self._tokens(x)
        found = attend(query, key, value, self._inside(len(query)), backend=backend)
        found = found.reshape(*x.shape[:-1], self.tokens * self.channels)
        size = (self.heads, self.channels)
        key = self.lin_key(found).unflatten(-1, size)
        return key, None if self.lin_value is None else self.lin_value(found).unflatten(-1, size)

    def weights(self, x: Tensor) -> Tensor:
        """How much each token (second to last) attends to each (last), `[..., M, T, T]`."""
        query, key, _ = self._tokens(x)
        found = attention_weights(query, key, self._inside(len(query)))
        return found.reshape(*x.shape[:-1], self.tokens, self.tokens)

    def _tokens(self, x: Tensor) -> tuple[Tensor, ...]:
        """Query, key and value of all tokens, `[M * T, 1, d]` each."""
        parts = self.lin_token(x).unflatten(-1, (self.tokens, 3, 1, self.channels))
        return tuple(part.flatten(0, -3) for part in parts.unbind(-3))

    def _inside(self, count: int) -> Span:
        """The tokens of a node attend to one another."""
        token = torch.arange(count, device=self.lin_key.weight.device)
        start = token - token % self.tokens
        return Span(start, start + self.tokens, count, "packed")
