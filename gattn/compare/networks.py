"""The plainest networks of a study: the GAT recipe, and one layer with nothing beside it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

import gattn
from gattn import nn as gattn_nn


class Classic(nn.Module):
    """The network of the GAT paper: dropout, layer, ELU, again; the last layer has one head.

    Args:
        layer: a class with PyG's interface, such as `GATConv`.
        in_channels: features of a node.
        hidden_channels: channels of one head of a hidden layer.
        out_channels: classes.
        num_layers: layers, the last one included.
        heads: heads of a hidden layer, concatenated.
        dropout: of the features before every layer, and of the attention weights.
    """

    def __init__(
        self,
        layer: Callable[..., nn.Module],
        in_channels: int,
        hidden_channels: int,
        out_channels: int,
        num_layers: int,
        heads: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.dropout = dropout
        widths = [in_channels] + [hidden_channels * heads] * (num_layers - 1)
        hidden = partial(layer, heads=heads, dropout=dropout)
        last = layer(widths[-1], out_channels, heads=1, concat=False, dropout=dropout)
        self.layers = nn.ModuleList([*(hidden(w, hidden_channels) for w in widths[:-1]), last])

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        """Return logits `[N, out_channels]` of features `x` `[N, in_channels]`."""
        for number, layer in enumerate(self.layers):
            x = F.elu(x) if number else x
            x = layer(F.dropout(x, self.dropout, self.training), edge_index)
        return x


class OneLayer(nn.Module):
    r"""A layer of attention and nothing that could do its work: no residual, no normalisation.

    $$ y = W_2 \operatorname{attend}(\operatorname{relu}(W_1 x)) $$

    Args:
        in_channels: features of a node.
        hidden_channels: width of the layer, a multiple of `heads`.
        out_channels: classes.
        heads: of the layer, concatenated.
        dropout: of what the layer gets, and of the attention weights.
        layer: `GraphAttention` or one of its kind.
        attention: further arguments of it.

    Raises:
        ValueError: `hidden_channels` is no multiple of `heads`.
    """

    head_readers: ClassVar[dict[str, str]] = {"attention": "lin_out"}

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int,
        out_channels: int,
        heads: int,
        dropout: float,
        layer: type[gattn_nn.GraphAttention] = gattn_nn.GraphAttention,
        **attention: Any,
    ) -> None:
        super().__init__()
        if hidden_channels % heads:
            raise ValueError(f"hidden: found {hidden_channels}, expected a multiple of {heads}")
        self.dropout = dropout
        self.lin_in = nn.Linear(in_channels, hidden_channels)
        self.attention = layer(
            hidden_channels, hidden_channels // heads, heads, dropout=dropout, **attention
        )
        self.lin_out = nn.Linear(hidden_channels, out_channels)

    def forward(
        self,
        x: Tensor,
        neighborhood: gattn.Neighborhood | Tensor,
        clusters: gattn.Clusters | None = None,
    ) -> Tensor:
        """Return logits `[N, out_channels]` of features `x` `[N, in_channels]`."""
        x = F.dropout(self.lin_in(x).relu(), self.dropout, self.training)
        return self.lin_out(self.attention(x, neighborhood, clusters=clusters))
