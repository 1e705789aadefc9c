"""Attention across layers: which layer's output a node needs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gattn import _check
from gattn.functional import attend, attention_weights
from gattn.neighborhood import Span, full


class LayerAttention(nn.Module):
    r"""Every node attends to its own outputs of all layers (jumping knowledge).

    $$ o_i = \sum_l \operatorname{softmax}_l\!\Big(
       \frac{\langle W_q x_i^{(L)}, W_k x_i^{(l)} + e_l \rangle}{\sqrt C} \Big) \, x_i^{(l)} $$

    for each head, whose value is its share of the channels. The query starts at zero, and the
    output so as the mean of the layers. (Xu et al., "Representation Learning on Graphs with
    Jumping Knowledge Networks", 2018, have this with a recurrent network.)

    Args:
        channels: features of a node, a multiple of `heads`.
        num_layers: L.
        heads: H.

    Raises:
        ValueError: `channels` is not a multiple of `heads`.
    """

    def __init__(self, channels: int, num_layers: int, heads: int = 1) -> None:
        super().__init__()
        if channels % _check.integer("heads", heads, 1):
            raise ValueError(f"channels: found {channels}, expected a multiple of heads = {heads}")
        self.heads = heads
        self.lin_query = nn.Linear(channels, channels, bias=False)
        self.lin_key = nn.Linear(channels, channels, bias=False)
        self.layer_key = nn.Parameter(torch.empty(num_layers, channels))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the keys anew, and begin with the mean of the layers."""
        nn.init.zeros_(self.lin_query.weight)
        self.lin_key.reset_parameters()
        nn.init.normal_(self.layer_key, std=0.02)

    def forward(self, outputs: Sequence[Tensor]) -> Tensor:
        """One output `[..., N, channels]` of those of all layers, each `[..., N, channels]`."""
        query, key, value = self._parts(outputs)
        out = attend(query, key, value, self._around(len(query), len(outputs)))
        return out.view(outputs[0].shape)

    def weights(self, outputs: Sequence[Tensor]) -> Tensor:
        """How much a node attends to each layer, `[..., N, L, H]`."""
        query, key, _ = self._parts(outputs)
        found = attention_weights(query, key, self._around(len(query), len(outputs)))
        return found.view(*outputs[0].shape[:-1], len(outputs), self.heads)

    def _parts(self, outputs: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Query `[N, H, C]`, and key and value `[N * L, H, C]`."""
        if len(outputs) != len(self.layer_key):
            raise ValueError(
                f"outputs: found {len(outputs)}, expected one of each of {len(self.layer_key)} layers"
            )
        layers = torch.stack(tuple(outputs), -2)
        query, key = self.lin_query(outputs[-1]), self.lin_key(layers) + self.layer_key
        width = outputs[-1].shape[-1]
        return tuple(  # type: ignore[return-value]
            part.reshape(-1, width).unflatten(-1, (self.heads, -1)) for part in (query, key, layers)
        )

    def _around(self, count: int, layers: int) -> Span:
        node = torch.arange(count + 1)
        return full(ptr=(node * layers, node)).to(self.layer_key.device)
