"""Models: a stack of attention blocks, and PyG's GAT over the drop-in layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from torch import Tensor, nn
from torch_geometric.nn import models as pyg_models
from torch_geometric.nn.conv import MessagePassing
from torch_geometric.nn.resolver import activation_resolver, normalization_resolver

from gattn import _check
from gattn.neighborhood import Clusters, Neighborhood
from gattn.nn.attention import GraphAttention
from gattn.nn.conv import GATConv, GATv2Conv
from gattn.nn.levels import LayerAttention

Norm = str | Callable[[int], nn.Module] | None


class AttentionBlock(nn.Module):
    r"""Attention and a feed-forward network, each normalised before and added to its input.

    $$ y = x + \operatorname{attend}(\operatorname{norm}(x)), \qquad
       x' = y + \operatorname{ffn}(\operatorname{norm}(y)) $$

    Args:
        channels: features of a node, in and out; a multiple of `heads`.
        heads: H.
        feed_forward: width of the feed-forward network, in multiples of `channels`.
        dropout: probability to drop a feature, and a weight, in training.
        act: activation of the feed-forward network: PyG's name of it, or a callable.
        norm: PyG's name of a normalisation, a callable from channels to a module, or `None`.
        layer: `GraphAttention`, or one of its kind, such as `DiffusionAttention`.
        attention: further arguments of it.

    Raises:
        ValueError: `channels` is not a multiple of `heads`.

    Attributes:
        head_readers: which linear layer alone reads the heads of which attention, so that
            `gattn.inspection.prune_heads` may shrink both.
    """

    head_readers: ClassVar[dict[str, str]] = {"attention": "merge"}

    def __init__(
        self,
        channels: int,
        heads: int,
        *,
        feed_forward: int = 2,
        dropout: float = 0.0,
        act: str | Callable[[Tensor], Tensor] = "gelu",
        norm: Norm = nn.LayerNorm,
        layer: type[GraphAttention] = GraphAttention,
        **attention: Any,
    ) -> None:
        super().__init__()
        if channels % _check.integer("heads", heads, 1):
            raise ValueError(
                f"hidden_channels: found {channels}, expected a multiple of heads = {heads}"
            )
        self.norm_attention, self.norm_feed = built_norm(norm, channels), built_norm(norm, channels)
        self.attention = layer(
            channels, channels // heads, heads, dropout=dropout, concat=True, **attention
        )
        self.merge = nn.Linear(channels, channels)
        self.widen = nn.Linear(channels, feed_forward * channels)
        self.narrow = nn.Linear(feed_forward * channels, channels)
        self.act = activation_resolver(act)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: Tensor, neighborhood: Neighborhood | Tensor, clusters: Clusters | None = None
    ) -> Tensor:
        """Features `[..., N, channels]` after the block; arguments as `GraphAttention`."""
        attended = self.attention(self.norm_attention(x), neighborhood, clusters=clusters)
        x = x + self.dropout(self.merge(attended))
        inner = self.dropout(self.act(self.widen(self.norm_feed(x))))
        return x + self.dropout(self.narrow(inner))

    def reset_parameters(self) -> None:
        """Draw all parameters anew."""
        for part in self.children():
            if hasattr(part, "reset_parameters"):
                part.reset_parameters()  # type: ignore[operator]


class AttentionGNN(nn.Module):
    """A stack of attention blocks between two linear layers, in the words of PyG's `BasicGNN`.

    Breadth is the neighbourhood of the call, depth the `levels` of the blocks.

    Args:
        in_channels: features of a node.
        hidden_channels: width of the blocks, a multiple of `heads`.
        num_layers: number of blocks.
        out_channels: outputs of a node, such as classes; `hidden_channels` if not given.
        heads: H of every block.
        dropout: probability to drop a feature, and a weight, in training.
        act: activation of the feed-forward networks: PyG's name of it, or a callable.
        norm: PyG's name of a normalisation, a callable from channels to a module, or `None`.
        feed_forward: width of the feed-forward networks, in multiples of `hidden_channels`.
        jk: what is made of the outputs of all blocks: `None` or "last" takes the last one,
            "attention" lets every node attend to its own (`LayerAttention`), "cat", "max" and
            "lstm" are PyG's `JumpingKnowledge`.
        attention: further arguments of `GraphAttention`: `score, normalizer, hop_bias, levels,
            share_key_value, backend` and more. A class of scores is built for every block; an
            instance is shared by all.

    Raises:
        TypeError, ValueError: an argument is out of range.
    """

    supports_edge_weight = False
    supports_edge_attr = False

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int,
        num_layers: int,
        out_channels: int | None = None,
        *,
        heads: int = 4,
        dropout: float = 0.0,
        act: str | Callable[[Tensor], Tensor] = "gelu",
        norm: Norm = nn.LayerNorm,
        feed_forward: int = 2,
        jk: str | None = None,
        **attention: Any,
    ) -> None:
        super().__init__()
        self.in_channels, self.hidden_channels = in_channels, hidden_channels
        self.num_layers = _check.integer("num_layers", num_layers, 1)
        self.out_channels = hidden_channels if out_channels is None else out_channels
        self.lin_in = nn.Linear(in_channels, hidden_channels)
        block = {"dropout": dropout, "act": act, "norm": norm, "feed_forward": feed_forward}
        self.blocks = nn.ModuleList(
            AttentionBlock(hidden_channels, heads, **block, **attention) for _ in range(num_layers)
        )
        self.jk = _jumping(jk, hidden_channels, num_layers, heads)
        width = hidden_channels * num_layers if jk == "cat" else hidden_channels
        self.norm_out = built_norm(norm, width)
        self.lin_out = nn.Linear(width, self.out_channels)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: Tensor, neighborhood: Neighborhood | Tensor, clusters: Clusters | None = None
    ) -> Tensor:
        """Outputs `[..., N, out_channels]`.

        Args:
            x: `[N, in_channels]`, or with a leading batch axis.
            neighborhood: a neighbourhood, or an `edge_index`: one hop.
            clusters: of `gattn.clusters`, for the level "cluster".
        """
        outputs = [self.dropout(self.lin_in(x))]
        for block in self.blocks:
            outputs.append(block(outputs[-1], neighborhood, clusters))
        x = outputs[-1] if self.jk is None else self.jk(outputs[1:])
        return self.lin_out(self.norm_out(x))

    def reset_parameters(self) -> None:
        """Draw all parameters anew."""
        for part in (self.lin_in, *self.blocks, self.jk, self.norm_out, self.lin_out):
            if hasattr(part, "reset_parameters"):
                part.reset_parameters()  # type: ignore[operator]

    def __repr__(self) -> str:
        """As PyG's models write themselves."""
        sizes = f"{self.in_channels}, {self.out_channels}, num_layers={self.num_layers}"
        return f"{type(self).__name__}({sizes})"


class GAT(pyg_models.GAT):
    """PyG's model `GAT` (v2=True: GATv2) over the drop-in layers; same arguments and state."""

    def init_conv(
        self, in_channels: int | tuple[int, int], out_channels: int, **kwargs: Any
    ) -> MessagePassing:
        """One layer, of the model's conventions: heads share `out_channels` if concatenated."""
        v2 = kwargs.pop("v2", False)
        heads = kwargs.pop("heads", 1)
        concat = kwargs.pop("concat", True)
        # PyG marks the layer that writes the outputs: its heads are averaged.
        concat = concat and not getattr(self, "_is_conv_to_out", False)
        if concat and out_channels % heads:
            raise ValueError(
                f"out_channels: found {out_channels}, expected a multiple of heads = {heads}"
            )
        layer = GATv2Conv if v2 else GATConv
        width = out_channels // heads if concat else out_channels
        return layer(
            in_channels, width, heads=heads, concat=concat, dropout=self.dropout.p, **kwargs
        )


def _jumping(jk: str | None, channels: int, num_layers: int, heads: int) -> nn.Module | None:
    if jk is None or jk == "last":
        return None
    if jk == "attention":
        return LayerAttention(channels, num_layers, heads)
    _check.one_of("jk", jk, ("last", "attention", "cat", "max", "lstm"))
    return _Jumping(jk, channels, num_layers)


class _Jumping(pyg_models.JumpingKnowledge):
    """PyG's own, with a leading batch axis besides, which its LSTM does not take."""

    def forward(self, xs: list[Tensor]) -> Tensor:
        """One `[..., N, C]` of those of all blocks."""
        nodes = xs[0].shape[:-1]
        return super().forward([x.flatten(0, -2) for x in xs]).unflatten(0, nodes)


def built_norm(norm: Norm, channels: int) -> nn.Module:
    """A normalisation of its name, its class or nothing."""
    if norm is None:
        return nn.Identity()
    return normalization_resolver(norm, channels) if isinstance(norm, str) else norm(channels)
