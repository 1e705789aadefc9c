"""`DepthBreadth`: a fine branch and a broad branch, and a gate between them that can be read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.nn.dense.linear import Linear

from gattn.neighborhood import Clusters, Neighborhood
from gattn.nn.attention import GraphAttention


class DepthBreadth(nn.Module):
    r"""Two attentions side by side, and for each node how much of either it takes.

    $$ g_i = \sigma\big( W [f_i \,\Vert\, b_i \,\Vert\, f_i - b_i] + c \big), \qquad
       o_i = g_i f_i + (1 - g_i) b_i $$

    f is a fine attention (many levels, few hops), b a broad one (few levels, many hops or the
    whole graph); the gate is a number for each node and head. It starts at one half. Where it
    goes tells where a graph wants depth, and where breadth. (The gate is that of Shi et al.,
    "Masked Label Prediction", 2021, who have it between attention and residual.)

    Args:
        in_channels: features of a node, `-1` to derive them from the first input; or
            `(target, source)`.
        out_channels: C, channels of each head.
        heads: H.
        fine: arguments of the fine `GraphAttention`.
        broad: arguments of the broad one.
        concat: concatenate the heads, to H * C channels; otherwise average them, to C.
        bias: add a learned bias to the output.
        shared: arguments of both.

    Raises:
        TypeError, ValueError: an argument is out of range.
    """

    def __init__(
        self,
        in_channels: int | tuple[int, int],
        out_channels: int,
        heads: int = 1,
        *,
        fine: Mapping[str, Any] | None = None,
        broad: Mapping[str, Any] | None = None,
        concat: bool = True,
        bias: bool = True,
        **shared: Any,
    ) -> None:
        super().__init__()
        self.in_channels, self.out_channels, self.heads = in_channels, out_channels, heads
        self.concat = concat
        chosen = {"levels": ("feature", "node")} if fine is None else fine
        self.fine, self.broad = (
            GraphAttention(in_channels, out_channels, heads, **_of_branch(name, shared, own))
            for name, own in (("fine", chosen), ("broad", broad or {}))
        )
        self.lin_gate = Linear(3 * heads * out_channels, heads, weight_initializer="glorot")
        width = heads * out_channels if concat else out_channels
        self.bias = nn.Parameter(torch.zeros(width)) if bias else None
        self._level_gate()

    def _level_gate(self) -> None:
        nn.init.zeros_(self.lin_gate.weight)
        nn.init.zeros_(self.lin_gate.bias)

    def reset_parameters(self) -> None:
        """Draw both branches anew, and level the gate."""
        self.fine.reset_parameters()
        self.broad.reset_parameters()
        self._level_gate()
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(
        self,
        x: Tensor | tuple[Tensor, Tensor],
        near: Neighborhood | Tensor,
        far: Neighborhood | Tensor,
        *,
        clusters: Clusters | None = None,
    ) -> Tensor:
        """Features of the targets, `[..., N, H * C]`, or `[..., N, C]` without `concat`.

        Args:
            x: as `GraphAttention`.
            near: what the fine branch attends to: a neighbourhood, or an `edge_index`.
            far: what the broad branch attends to.
            clusters: of `gattn.clusters`, for the branches with the level "cluster".

        Raises:
            TypeError, ValueError: as `GraphAttention`.
        """
        fine, broad = self._branches(x, near, far, clusters)
        gate = self._gate(fine, broad)[..., None]
        out = gate * fine + (1 - gate) * broad
        out = out.flatten(-2) if self.concat else out.mean(dim=-2)
        return out if self.bias is None else out + self.bias.to(out.dtype)

    def inspect(
        self,
        x: Tensor | tuple[Tensor, Tensor],
        near: Neighborhood | Tensor,
        far: Neighborhood | Tensor,
        *,
        clusters: Clusters | None = None,
    ) -> dict[str, Any]:
        """What is decided inside, in the mode that the module is in.

        Args: as `forward`.

        Returns:
            "gate" `[..., N, H]`, 1 where a node takes the fine branch and 0 where the broad one;
            "fine" and "broad", what `GraphAttention.inspect` tells of each.

        Raises:
            TypeError, ValueError: as `forward`.
        """
        return {
            "gate": self._gate(*self._branches(x, near, far, clusters)),
            "fine": self.fine.inspect(x, near, clusters=_for(self.fine, clusters)),
            "broad": self.broad.inspect(x, far, clusters=_for(self.broad, clusters)),
        }

    def _branches(
        self,
        x: Tensor | tuple[Tensor, Tensor],
        near: Neighborhood | Tensor,
        far: Neighborhood | Tensor,
        clusters: Clusters | None,
    ) -> tuple[Tensor, Tensor]:
        """Outputs of both branches, `[..., N, H, C]`."""
        if clusters is not None and not any("cluster" in b.levels for b in (self.fine, self.broad)):
            raise ValueError(
                "clusters: found some, expected none: no branch has the level 'cluster'"
            )
        size = (self.heads, self.out_channels)
        fine = self.fine(x, near, clusters=_for(self.fine, clusters))
        broad = self.broad(x, far, clusters=_for(self.broad, clusters))
        return fine.unflatten(-1, size), broad.unflatten(-1, size)

    def _gate(self, fine: Tensor, broad: Tensor) -> Tensor:
        """The gate of every node and head, `[..., N, H]`."""
        return self.lin_gate(torch.cat([fine, broad, fine - broad], -1).flatten(-2)).sigmoid()

    def __repr__(self) -> str:
        """As PyG's layers write themselves."""
        return f"{type(self).__name__}({self.in_channels}, {self.out_channels}, heads={self.heads})"


def _of_branch(name: str, shared: Mapping[str, Any], own: Mapping[str, Any]) -> Mapping[str, Any]:
    """The arguments of a branch, whose heads the gate needs apart."""
    if "concat" in own:
        raise ValueError(f"{name}: found 'concat', expected it for both branches: concat=...")
    both = {"bias": False, **shared, **own}
    if both.get("edge_dim") is not None:
        raise ValueError("edge_dim: found one, expected none: branches take no features of pairs")
    return both


def _for(branch: GraphAttention, clusters: Clusters | None) -> Clusters | None:
    return clusters if "cluster" in branch.levels else None
