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
from gattn.ops.dispatch import BACKENDS
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
            channels of this layer, or an instance, which is used as it is.
        normalizer: scores of a row to weights of a row.
        hop_bias: K: learn a bias for each head and hop `0 .. K`, zero at the start; farther hops
            share the last. `None` = no hop bias.
        levels: the nested levels of attention, `("node",)`, or `("node", "hop")`: inside each
            ring of equal distance first, then over the rings. The latter needs `hop_bias`.
        concat: concatenate the heads, to H * C channels; otherwise average them, to C.
        share_key_value: let the value be the key, as GAT and GATv2 have it.
        edge_dim: F, features of a pair, which then enter score and value, projected for each.
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
        self.normalizer = _checked_normalizer(normalizer)
        self.levels = checked_levels(levels)
        self.concat = concat
        self.dropout = _check.fraction("dropout", dropout)
        self.backend = backend
        if backend is not None:
            _check.one_of("backend", backend, BACKENDS)
        self.score = _built(score, heads, out_channels)
        self._build_projections(share_key_value)
        self._build_edges(edge_dim)
        self._build_hops(hop_bias)
        width = heads * out_channels if concat else out_channels
        self.bias = nn.Parameter(torch.zeros(width)) if bias else None

    def _build_projections(self, share_key_value: bool) -> None:
        given = self.in_channels
        target, source = given if isinstance(given, tuple) else (given, given)
        for size in (target, source):
            if size != -1:
                _check.integer("in_channels", size, 1)
        width = self.heads * self.out_channels
        self.lin_query = Linear(target, width, bias=False, weight_initializer="glorot")
        self.lin_key = Linear(source, width, bias=False, weight_initializer="glorot")
        self.lin_value = None
        if not share_key_value:
            self.lin_value = Linear(source, width, bias=False, weight_initializer="glorot")

    def _build_edges(self, edge_dim: int | None) -> None:
        self.edge_key = self.edge_value = None
        if edge_dim is None:
            return
        _check.integer("edge_dim", edge_dim, 1)
        # A form may be narrower than the key it was made of: GAT's has one channel.
        nothing = next((p for p in self.score.parameters()), torch.empty(0)).new_zeros(
            1, self.heads, self.out_channels
        )
        width = self.score(nothing, nothing).right.shape[-1]
        self.edge_key = nn.Parameter(torch.empty(edge_dim, self.heads, width))
        self.edge_value = nn.Parameter(torch.empty(edge_dim, self.heads, self.out_channels))
        glorot(self.edge_key)
        glorot(self.edge_value)

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
        glorot(self.edge_key)
        glorot(self.edge_value)
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
        if isinstance(x, tuple) and len(x) != 2:
            raise ValueError(f"x: found {len(x)} tensors, expected (x_target, x_source)")
        target, source = x if isinstance(x, tuple) else (x, x)
        for tensor, lin in ((target, self.lin_query), (source, self.lin_key)):
            _check_features(tensor, lin)
        around = as_neighborhood(neighborhood, target, source)
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
        if (edge_attr is None) != (self.edge_key is None):
            found = "no edge_attr" if edge_attr is None else "one"
            wanted = "none" if self.edge_key is None else "one"
            raise ValueError(f"edge_attr: found {found}, expected {wanted}: edge_dim decides")
        if edge_attr is not None and self.edge_key is not None:
            edge_attr = _check.floating("edge_attr", edge_attr)
            edge_attr = edge_attr[:, None] if edge_attr.dim() == 1 else edge_attr
            _check.shape("edge_attr", edge_attr, ["E", self.edge_key.shape[0]])
            options |= {"pair_features": edge_attr, "pair_weight": self.edge_key}
            options |= {"pair_value": self.edge_value} if values else {}
        return options

    def __repr__(self) -> str:
        """As PyG's layers write themselves."""
        return f"{type(self).__name__}({self.in_channels}, {self.out_channels}, heads={self.heads})"


def _built(score: Score | type[Score], heads: int, channels: int) -> Score:
    if isinstance(score, type) and issubclass(score, Score):
        return score.for_heads(heads, channels)
    if not isinstance(score, Score):
        raise TypeError(f"score: found {score!r}, expected a Score or a class of them")
    return score


def _checked_normalizer(normalizer: Normalizer | None) -> Normalizer:
    if normalizer is None:
        return Softmax()
    if not isinstance(normalizer, Normalizer):
        raise TypeError(f"normalizer: found {normalizer!r}, expected a Normalizer")
    return normalizer


def _check_features(x: Tensor, lin: Linear) -> None:
    if _check.floating("x", x).dim() not in (2, 3):
        raise ValueError(f"x: found shape {list(x.shape)}, expected [N, F] or [B, N, F]")
    if lin.in_channels > 0 and x.shape[-1] != lin.in_channels:
        raise ValueError(f"x: found {x.shape[-1]} features, expected {lin.in_channels}")
