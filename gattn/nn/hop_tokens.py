"""`HopTokenAttention`: a node attends to what it saw after 0, 1, ... K steps of propagation."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.nn.dense.linear import Linear

from gattn import _check
from gattn.neighborhood import full
from gattn.nn.models import AttentionBlock


class HopTokenAttention(nn.Module):
    r"""Attention over the tokens of a node, one for each hop, and a readout over the hops.

    $$ Z_i = \operatorname{blocks}(W t_i^{(0)}, \dots, W t_i^{(K)}), \qquad
       a_{ik} = \operatorname*{softmax}_{k \ge 1} \langle w, [Z_{i0} \,\Vert\, Z_{ik}] \rangle,
       \qquad x'_i = Z_{i0} + \sum_{k \ge 1} a_{ik} Z_{ik} $$

    Breadth is the number of tokens, made once by `gattn.transforms.HopTokens`; there is no graph
    in a call, so a mini-batch is any rows of them, as a plain `DataLoader` hands them out. A block
    is `AttentionBlock` over packed spans: (K + 1)^2 pairs for each node. (The term of $Z_{i0}$ is
    the same for all hops, and leaves the softmax as it is; it is there because the paper has it.)

    (Chen et al., "NAGphormer: A Tokenized Graph Transformer for Node Classification in Large
    Graphs", 2023.)

    Args:
        in_channels: features of a token, `-1` to derive them from the first input.
        out_channels: C, channels of each head.
        heads: H.
        num_layers: blocks.
        dropout: probability to drop a feature, and a weight, in training.
        feed_forward: width of the feed-forward networks, in multiples of H * C.
        attention: further arguments of `AttentionBlock` and of its `GraphAttention`: `act, norm,
            score, normalizer, backend` and more.

    Raises:
        TypeError, ValueError: an argument is out of range.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        heads: int = 1,
        *,
        num_layers: int = 1,
        dropout: float = 0.0,
        feed_forward: int = 2,
        **attention: Any,
    ) -> None:
        super().__init__()
        self.in_channels = _check.integer("in_channels", in_channels, -1)
        self.out_channels = _check.integer("out_channels", out_channels, 1)
        self.heads = _check.integer("heads", heads, 1)
        _check.integer("num_layers", num_layers, 0)
        width = heads * out_channels
        self.lin_in = Linear(in_channels, width, weight_initializer="glorot")
        options = {"dropout": dropout, "feed_forward": feed_forward, **attention}
        self.blocks = nn.ModuleList(
            AttentionBlock(width, heads, **options) for _ in range(num_layers)
        )
        self.norm_out = nn.LayerNorm(width)
        self.readout = Linear(2 * width, 1, weight_initializer="glorot")
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        """Features of the nodes, `[N, H * C]`.

        Args:
            tokens: `[N, K + 1, F]`, those of any nodes; K may be 0.

        Raises:
            TypeError, ValueError: the tokens do not fit.
        """
        found = self._attended(tokens)
        weights = self._weights(found)
        return found[:, 0] + (weights[..., None] * found[:, 1:]).sum(dim=1)

    def attention_weights(self, tokens: Tensor) -> Tensor:
        """What the readout weighs the hops by, `[N, K]`: a row sums to one.

        Args: as `forward`.

        Raises:
            TypeError, ValueError: as `forward`.
        """
        return self._weights(self._attended(tokens))

    def reset_parameters(self) -> None:
        """Draw all parameters anew."""
        for part in (self.lin_in, *self.blocks, self.norm_out, self.readout):
            part.reset_parameters()  # type: ignore[operator]

    def _attended(self, tokens: Tensor) -> Tensor:
        """The tokens after all blocks, `[N, K + 1, H * C]`."""
        wanted = "F" if self.lin_in.in_channels < 0 else self.lin_in.in_channels
        _check.shape("tokens", _check.floating("tokens", tokens), ["N", "K + 1", wanted])
        nodes, length = tokens.shape[:2]
        if length == 0:
            raise ValueError(f"tokens: found shape {list(tokens.shape)}, expected a token or more")
        own = full(ptr=torch.arange(nodes + 1, device=tokens.device) * length)
        found = self.dropout(self.lin_in(tokens)).flatten(0, 1)
        for block in self.blocks:
            found = block(found, own)
        return self.norm_out(found).unflatten(0, (nodes, length))

    def _weights(self, found: Tensor) -> Tensor:
        own = found[:, :1].expand_as(found[:, 1:])
        return self.readout(torch.cat([own, found[:, 1:]], dim=-1))[..., 0].softmax(dim=1)

    def __repr__(self) -> str:
        """As PyG's layers write themselves."""
        return f"{type(self).__name__}({self.in_channels}, {self.out_channels}, heads={self.heads})"
