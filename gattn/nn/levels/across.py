"""Attention across layers: which layer's output a node needs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gattn import _check
from gattn.functional import attend, attention_weights
from gattn.neighborhood import Span


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
        TypeError, ValueError: a number is out of range, or `channels` no multiple of `heads`.
    """

    def __init__(self, channels: int, num_layers: int, heads: int = 1) -> None:
        super().__init__()
        self.heads = _check.integer("heads", heads, 1)
        if _check.integer("channels", channels, 1) % heads:
            raise ValueError(f"channels: found {channels}, expected a multiple of heads = {heads}")
        _check.integer("num_layers", num_layers, 1)
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
        """One output `[..., N, channels]` of those of all layers, each `[..., N, channels]`.

        Raises:
            ValueError: there are not as many as layers, or they differ in shape.
        """
        query, key, value = self._parts(outputs)
        out = attend(query, key, value, self._around(len(query), len(outputs)))
        return out.reshape(outputs[0].shape)

    def weights(self, outputs: Sequence[Tensor]) -> Tensor:
        """How much a node attends to each layer, `[..., N, L, H]`; arguments as `forward`."""
        query, key, _ = self._parts(outputs)
        found = attention_weights(query, key, self._around(len(query), len(outputs)))
        return found.view(*outputs[0].shape[:-1], len(outputs), self.heads)

    def _parts(self, outputs: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Query `[N, H, C]`, and key and value `[N * L, H, C]`."""
        self._check(outputs)
        layers = torch.stack(tuple(outputs), -2)
        query, key = self.lin_query(outputs[-1]), self.lin_key(layers) + self.layer_key
        size = self.heads, layers.shape[-1] // self.heads
        query, key, value = (part.unflatten(-1, size) for part in (query, key, layers))
        return query.flatten(0, -3), key.flatten(0, -3), value.flatten(0, -3)

    def _check(self, outputs: Sequence[Tensor]) -> None:
        layers, width = self.layer_key.shape
        if len(outputs) != layers:
            raise ValueError(
                f"outputs: found {len(outputs)}, expected one of each of {layers} layers"
            )
        shapes = {tuple(output.shape) for output in outputs}
        if len(shapes) > 1 or outputs[0].dim() < 2 or outputs[0].shape[-1] != width:
            found = ", ".join(str(list(shape)) for shape in sorted(shapes))
            raise ValueError(f"outputs: found shapes {found}, expected all [..., N, {width}]")

    def _around(self, count: int, layers: int) -> Span:
        """Every node attends to its own outputs, which stand one behind the other."""
        start = torch.arange(count, device=self.layer_key.device) * layers
        return Span(start, start + layers, count * layers, "packed")
