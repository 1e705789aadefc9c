"""`GraphAttention`, the library's own layer: projections around `attend`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.nn.dense.linear import Linear
from torch_geometric.nn.inits import glorot, zeros

from gattn import _check
from gattn.forms import Form
from gattn.functional import attend_form, form_weights
from gattn.neighborhood import Neighborhood
from gattn.nn.levels import HopLevel, checked_levels
from gattn.nn.structure import as_neighborhood
from gattn.normalizers import Normalizer, Softmax
from gattn.scores import ScaledDot, Score


class GraphAttention(nn.Module):
    r"""Multi-head attention of every target over its neighbourhood.

    $$ q_i = W_q x_i, \quad k_j = W_k x_j, \quad v_j = W_v x_j, \qquad
       x'_i = \big\Vert_h \sum_j w^h_{ij} v^h_j $$

    with the weights of `gattn.attend`. Breadth is an argument of the call, the neighbourhood;
    score, normaliser and levels belong to the layer.

    Args:
        in_channels: features of a node, `-1` to derive them from the first input; or
            `(target, source)`, in the order of the pair `(x_target, x_source)`.
        out_channels: C, channels of each head.
        heads: H.
        score: how query and key are compared: a class of `gattn.scores`, built for the heads and
            channels of this layer, or an instance.
        normalizer: scores of a row to weights of a row.
        hop_bias: K: learn a bias for each head and hop `0 .. K`, zero at the start; farther hops
            share the last. `None` = no hop bias.
        levels: the nested levels of attention, `("node",)`, or `("node", "hop")`: inside each
            ring of equal distance first, then over the rings. The latter needs `hop_bias`.
        concat: concatenate the heads, to H * C channels; otherwise average them, to C.
        share_key_value: let the value be the key, as GAT and GATv2 have it.
        edge_dim: F, features of a pair, which then enter score and value.
        dropout: probability to drop a weight in training.
        bias: add a learned bias to the output.
        backend: as in `gattn.attend`.

    Raises:
        TypeError, ValueError: an argument is out of range.
    """

    def __init__(
        self,
        in_channels: int | tuple[int, int],
        out_channels: int,
        heads: int = 1,
        *,
        score: Score | type[Score] = ScaledDot,
        normalizer: Normalizer | None = None,
        hop_bias: int | None = None,
        levels: Sequence[str] = ("node",),
        concat: bool = True,
        share_key_value: bool = False,
        edge_dim: int | None = None,
        dropout: float = 0.0,
        bias: bool = True,
        backend: str | None = None,
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.out_channels = _check.integer("out_channels", out_channels, 1)
        self.heads = _check.integer("heads", heads, 1)
        self.normalizer = Softmax() if normalizer is None else normalizer
        self.levels = checked_levels(levels)
        self.concat = concat
        self.dropout = _check.fraction("dropout", dropout)
        self.backend = backend
        self.score = score.for_heads(heads, out_channels) if isinstance(score, type) else score
        self._build_projections(share_key_value, edge_dim)
        self._build_hops(hop_bias)
        width = heads * out_channels if concat else out_channels
        self.bias = nn.Parameter(torch.zeros(width)) if bias else None
        self.reset_parameters()

    def _build_projections(self, share_key_value: bool, edge_dim: int | None) -> None:
        given = self.in_channels
        target, source = given if isinstance(given, tuple) else (given, given)
        width = self.heads * self.out_channels
        self.lin_query = Linear(target, width, bias=False, weight_initializer="glorot")
        self.lin_key = Linear(source, width, bias=False, weight_initializer="glorot")
        self.lin_value = None
        if not share_key_value:
            self.lin_value = Linear(source, width, bias=False, weight_initializer="glorot")
        self.edge_weight = None
        if edge_dim is not None:
            self.edge_weight = nn.Parameter(torch.empty(edge_dim, self.heads, self.out_channels))

    def _build_hops(self, hop_bias: int | None) -> None:
        if "hop" in self.levels and hop_bias is None:
            raise ValueError("hop_bias: found None, expected a number of hops for the level 'hop'")
        self.hop_bias = self.hop_level = None
        if hop_bias is None:
            return
        _check.integer("hop_bias", hop_bias, 0)
        self.hop_bias = nn.Parameter(torch.zeros(hop_bias + 1, self.heads))
        if "hop" in self.levels:
            self.hop_level = HopLevel(self.heads, self.out_channels, hop_bias)

    def reset_parameters(self) -> None:
        """Draw all parameters anew."""
        for part in (self.lin_query, self.lin_key, self.lin_value, self.score, self.hop_level):
            if part is not None:
                part.reset_parameters()
        glorot(self.edge_weight)
        zeros(self.hop_bias)
        zeros(self.bias)

    def forward(
        self,
        x: Tensor | tuple[Tensor, Tensor],
        neighborhood: Neighborhood | Tensor,
        *,
        pair_bias: Tensor | None = None,
        edge_attr: Tensor | None = None,
    ) -> Tensor:
        """Features of the targets after attention.

        Args:
            x: `[N, in]`, or `(x_target [N, in_t], x_source [M, in_s])`; a leading batch axis is
                allowed.
            neighborhood: a neighbourhood, or an `edge_index` (PyG's, of any kind): one hop.
            pair_bias: `[E]` or `[E, H]`, added to the scores; -inf masks.
            edge_attr: `[E, F]` or `[E]`, features of the pairs.

        Returns:
            `[N, H * C]`, or `[N, C]` without `concat`.

        Raises:
            TypeError, ValueError: features, neighbourhood and pair arguments do not fit.
        """
        query, form, value, around = self._prepared(x, neighborhood)
        options = self._options(pair_bias, edge_attr, values=True)
        options |= {"dropout": self.dropout if self.training else 0.0, "backend": self.backend}
        if self.hop_level is None:
            out = attend_form(form, value, around, **options)
        else:
            out = self.hop_level(query, form, value, around, **options)
        out = out.flatten(-2) if self.concat else out.mean(dim=-2)
        return out if self.bias is None else out + self.bias.to(out.dtype)

    def attention_weights(
        self,
        x: Tensor | tuple[Tensor, Tensor],
        neighborhood: Neighborhood | Tensor,
        *,
        pair_bias: Tensor | None = None,
        edge_attr: Tensor | None = None,
    ) -> Tensor:
        """The weight of every pair and head, before the dropout.

        Args: as `forward`.

        Returns:
            `[E, H]` in the order of the edges of an `edge_index`, or of
            `neighborhood.edge_index()`. With rings, the weight inside the ring times the ring's.

        Raises:
            TypeError, ValueError: as `forward`.
        """
        query, form, _, around = self._prepared(x, neighborhood)
        options = self._options(pair_bias, edge_attr, values=False)
        if self.hop_level is None:
            return form_weights(form, around, **options)
        return self.hop_level.weights(query, form, around, **options)

    def _prepared(
        self, x: Tensor | tuple[Tensor, Tensor], neighborhood: Neighborhood | Tensor
    ) -> tuple[Tensor, Form, Tensor | None, Neighborhood]:
        target, source = x if isinstance(x, tuple) else (x, x)
        for tensor in (target, source):
            if _check.floating("x", tensor).dim() not in (2, 3):
                raise ValueError(
                    f"x: found shape {list(tensor.shape)}, expected [N, F] or [B, N, F]"
                )
        around = as_neighborhood(neighborhood, target.shape[-2], source.shape[-2])
        query, key = self._heads(self.lin_query(target)), self._heads(self.lin_key(source))
        value = None if self.lin_value is None else self._heads(self.lin_value(source))
        # A form may have another right side than the key (GAT's has one channel).
        return query, self.score(query, key), key if value is None else value, around

    def _heads(self, projected: Tensor) -> Tensor:
        return projected.unflatten(-1, (self.heads, self.out_channels))

    def _options(
        self, pair_bias: Tensor | None, edge_attr: Tensor | None, values: bool
    ) -> dict[str, Any]:
        options: dict[str, Any] = {
            "normalizer": self.normalizer,
            "hop_bias": self.hop_bias,
            "pair_bias": pair_bias,
        }
        if (edge_attr is None) != (self.edge_weight is None):
            found = "no edge_attr" if edge_attr is None else "one"
            wanted = "none" if self.edge_weight is None else "one"
            raise ValueError(f"edge_attr: found {found}, expected {wanted}: edge_dim decides")
        if edge_attr is not None:
            options["pair_features"] = edge_attr[:, None] if edge_attr.dim() == 1 else edge_attr
            options["pair_weight"] = self.edge_weight
            options |= {"pair_value": self.edge_weight} if values else {}
        return options

    def __repr__(self) -> str:
        """As PyG's layers write themselves."""
        return f"{type(self).__name__}({self.in_channels}, {self.out_channels}, heads={self.heads})"
