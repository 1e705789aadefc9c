"""`GraphAttention`, the library's own layer: projections around `attend`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch_geometric.nn.dense.linear import Linear
from torch_geometric.nn.inits import glorot, zeros

from gattn import _check
from gattn.forms import Form, Multiplicative
from gattn.functional import attend_form, form_weights
from gattn.neighborhood import Clusters, Neighborhood
from gattn.nn.arguments import built_score, check_features, checked_normalizer
from gattn.nn.learned_span import LearnedSpan, built_span
from gattn.nn.levels import ClusterLevel, FeatureLevel, HopLevel, checked_levels
from gattn.nn.levels.parts import Attended, attended, row_of_pairs
from gattn.nn.structure import as_neighborhood
from gattn.normalizers import Normalizer
from gattn.ops.dispatch import BACKENDS
from gattn.scores import ScaledDot, Score

HOP_STARTS = ("flat", "rings")

# A factor of 1 / 20 under a softmax or a sigmoid: small, and not too small to grow.
_ELSEWHERE = -3.0


class Sides(NamedTuple):
    """What a call works on: both sides `[..., N, H, C]`, their form, and who attends to whom."""

    query: Tensor
    key: Tensor
    value: Tensor | None
    form: Form
    around: Neighborhood


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
        hop_bias: K: learn a bias for each head and hop `0 .. K`; farther hops share the last.
            `None` = no hop bias.
        hop_start: the hop bias at the start: "flat" is zero; with "rings" head h starts at the
            hop 1 + h mod K, and the bias of all others is -3.
        span: "learned" = every head learns how far it looks, up to K hops (`LearnedSpan`).
        span_ramp: of the learned span: hops over which it fades out.
        span_price: of the learned span: what a hop costs; `gattn.train.fit` adds it to the loss.
        levels: the nested levels of attention, some of `("feature", "node", "hop", "cluster")`, in
            this order; `gattn.nn.levels` says what each of them does. "hop" needs `hop_bias`,
            "cluster" the argument `clusters` of the call. With neither "node" nor "hop" no pair is
            attended to.
        concat: concatenate the heads, to H * C channels; otherwise average them, to C.
        share_key_value: let the value be the key, as GAT and GATv2 have it.
        per_channel: of the level "hop": weigh the rings for each channel instead of each head.
        hop_mixing: of the level "hop": "softmax", "gate" or "signed", as `HopLevel` has them. The
            last two have a bias of their own for each ring, in the place of the hop bias.
        feature_tokens: of the level "feature": tokens of a node.
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
        hop_start: str = "flat",
        span: str | None = None,
        span_ramp: float = 1.0,
        span_price: float = 0.0,
        levels: Sequence[str] = ("node",),
        concat: bool = True,
        share_key_value: bool = False,
        per_channel: bool = False,
        hop_mixing: str = "softmax",
        feature_tokens: int = 4,
        edge_dim: int | None = None,
        dropout: float = 0.0,
        bias: bool = True,
        backend: str | None = None,
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.out_channels = _check.integer("out_channels", out_channels, 1)
        self.heads = _check.integer("heads", heads, 1)
        self.normalizer = checked_normalizer(normalizer)
        self.levels = checked_levels(levels)
        self.concat = concat
        self.dropout = _check.fraction("dropout", dropout)
        self.backend = backend
        if backend is not None:
            _check.one_of("backend", backend, BACKENDS)
        self.score = built_score(score, heads, out_channels)
        self._build_projections(share_key_value)
        self._build_edges(edge_dim)
        self._build_levels(hop_bias, per_channel, hop_mixing, feature_tokens)
        self._start_hops(hop_start)
        settings = {"ramp": span_ramp, "price": span_price}
        self.span = built_span(span, hop_bias, self.heads, self.normalizer, **settings)
        if span is not None and hop_mixing != "softmax":
            raise ValueError(f"span: found 'learned' with {hop_mixing!r} rings, expected 'softmax'")
        if span is not None and not self._has_pairs:
            raise ValueError(f"span: found 'learned' with {self.levels}, which attend to no pairs")
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
        if "node" not in self.levels:
            raise ValueError(f"edge_dim: found {edge_dim}, expected the level 'node' with it")
        # A form may be narrower than the key it was made of: GAT's has one channel.
        nothing = next((p for p in self.score.parameters()), torch.empty(0)).new_zeros(
            1, self.heads, self.out_channels
        )
        width = self.score(nothing, nothing).right.shape[-1]
        self.edge_key = nn.Parameter(torch.empty(edge_dim, self.heads, width))
        self.edge_value = nn.Parameter(torch.empty(edge_dim, self.heads, self.out_channels))
        glorot(self.edge_key)
        glorot(self.edge_value)

    def _build_levels(
        self, hop_bias: int | None, per_channel: bool, mixing: str, tokens: int
    ) -> None:
        if "hop" in self.levels and hop_bias is None:
            raise ValueError("hop_bias: found None, expected a number of hops for the level 'hop'")
        if per_channel and "hop" not in self.levels:
            raise ValueError("per_channel: found True, expected the level 'hop' with it")
        if mixing != "softmax" and "hop" not in self.levels:
            raise ValueError(f"hop_mixing: found {mixing!r}, expected the level 'hop' with it")
        given, size = self.in_channels, (self.heads, self.out_channels)
        self.hop_bias = self.hop_level = self.feature_level = self.cluster_level = None
        if hop_bias is not None:
            _check.integer("hop_bias", hop_bias, 0)
        if hop_bias is not None and mixing == "softmax":
            self.hop_bias = nn.Parameter(torch.zeros(hop_bias + 1, self.heads))
        if "hop" in self.levels and hop_bias is not None:
            self.hop_level = HopLevel(*size, hop_bias, per_channel, mixing)
        if "feature" in self.levels:
            source = given[1] if isinstance(given, tuple) else given
            share = self.lin_value is None
            self.feature_level = FeatureLevel(source, *size, tokens, share)
        if "cluster" in self.levels:
            self.cluster_level = ClusterLevel(*size)

    def _start_hops(self, hop_start: str) -> None:
        _check.one_of("hop_start", hop_start, HOP_STARTS)
        if hop_start == "rings" and (self.hop_bias is None or len(self.hop_bias) < 2):
            raise ValueError("hop_start: found 'rings', expected a hop_bias of one hop or more")
        self.hop_start = hop_start
        self._reset_hops()

    @torch.no_grad()
    def _reset_hops(self) -> None:
        zeros(self.hop_bias)
        if self.hop_bias is not None and self.hop_start == "rings":
            head = torch.arange(self.heads)
            self.hop_bias.fill_(_ELSEWHERE)[1 + head % (len(self.hop_bias) - 1), head] = 0.0

    def reset_parameters(self) -> None:
        """Draw all parameters anew."""
        for part in self.children():
            part.reset_parameters()  # type: ignore[operator]
        glorot(self.edge_key)
        glorot(self.edge_value)
        self._reset_hops()
        zeros(self.bias)

    def forward(
        self,
        x: Tensor | tuple[Tensor, Tensor],
        neighborhood: Neighborhood | Tensor,
        *,
        pair_bias: Tensor | None = None,
        edge_attr: Tensor | None = None,
        clusters: Clusters | None = None,
    ) -> Tensor:
        """Features of the targets after attention.

        Args:
            x: `[N, in]`, or `(x_target [N, in_t], x_source [M, in_s])`; a leading batch axis is
                allowed, which all results then have.
            neighborhood: a neighbourhood, or an `edge_index` (PyG's, of any kind): one hop.
            pair_bias: `[E]` or `[E, H]`, added to the scores; -inf masks.
            edge_attr: `[E, F]` or `[E]`, features of the pairs.
            clusters: of `gattn.clusters`, for the level "cluster".

        Returns:
            `[N, H * C]`, or `[N, C]` without `concat`.

        Raises:
            TypeError, ValueError: features, neighbourhood, pair arguments and clusters do not fit.
        """
        sides = self._prepared(x, neighborhood, clusters)
        options = self._options(pair_bias, edge_attr, values=True)
        dropped = {"dropout": self.dropout if self.training else 0.0, "backend": self.backend}
        if self.cluster_level is None:
            out = self._local_output(sides, options | dropped)
        else:
            assert clusters is not None
            local = self._local(sides, options | dropped) if self._has_pairs else None
            parts = sides.query, sides.key, sides.value, clusters, self.score, local
            out = self.cluster_level(*parts, normalizer=self.normalizer, **dropped)
        return self._merged(out)

    def attention_weights(
        self,
        x: Tensor | tuple[Tensor, Tensor],
        neighborhood: Neighborhood | Tensor,
        *,
        pair_bias: Tensor | None = None,
        edge_attr: Tensor | None = None,
        clusters: Clusters | None = None,
    ) -> Tensor:
        """The weight of every pair and head, before the dropout.

        Args: as `forward`.

        Returns:
            `[E, H]` in the order of the edges of an `edge_index`, or of
            `neighborhood.edge_index()`: the product of the weights of all levels. `[E, H, C]` with
            `per_channel`. What clusters hold is not in them: `inspect` has it.

        Raises:
            TypeError, ValueError: as `forward`; or the layer attends to no pairs.
        """
        found = self.inspect(
            x, neighborhood, pair_bias=pair_bias, edge_attr=edge_attr, clusters=clusters
        )
        if "node" not in found:
            raise ValueError(f"levels: found {self.levels}, which attend to no pairs")
        weights = found["node"]
        if "pair_ring" in found:
            wide = found["pair_ring"]
            weights = (weights[..., None] if wide.dim() > weights.dim() else weights) * wide
        if "share" in found:
            target = self._target_of_pairs(x, neighborhood)
            share = found["share"][..., 0, :].index_select(-2, target)
            weights = weights * (share[..., None] if weights.dim() > share.dim() else share)
        return weights

    def inspect(
        self,
        x: Tensor | tuple[Tensor, Tensor],
        neighborhood: Neighborhood | Tensor,
        *,
        pair_bias: Tensor | None = None,
        edge_attr: Tensor | None = None,
        clusters: Clusters | None = None,
    ) -> dict[str, Tensor]:
        """The weights of every level by themselves, before the dropout.

        Args: as `forward`.

        Returns:
            Those that the layer has of "feature" `[M, T, T]`, token by token of each source;
            "node" `[E, H]`, of a pair in its row, or in its ring; "hop" `[N, K + 1, H]`, of the
            rings (`[N, K + 1, H, C]` with `per_channel`), and "pair_ring" `[E, H]`, the same for
            each pair; "pool" `[M, H]`, of a node in its cluster; "cluster", of the pairs of
            `clusters.look`; "share" `[N, 2, H]`, of pairs and of clusters; "radius" and "span"
            `[H]`, of a learned span: how far a head looks, and z.

        Raises:
            TypeError, ValueError: as `forward`.
        """
        sides = self._prepared(x, neighborhood, clusters)
        options = self._options(pair_bias, edge_attr, values=False)
        found: dict[str, Tensor] = {}
        if self.feature_level is not None:
            found["feature"] = self.feature_level.weights(x[1] if isinstance(x, tuple) else x)
        if self.hop_level is not None:
            parts = sides.query, sides.form, sides.value, sides.around
            found |= self.hop_level.weights(
                *parts, **self._options(pair_bias, edge_attr, values=True)
            )
        elif self._has_pairs:
            found["node"] = form_weights(sides.form, sides.around, **options)
        if self.span is not None:
            found |= {"radius": self.span.radii(), "span": self.span.radius()}
        if self.cluster_level is not None:
            assert clusters is not None
            local = self._local(sides, options)[1] if self._has_pairs else None
            parts = sides.query, sides.key, clusters, self.score, local
            found |= self.cluster_level.weights(*parts, normalizer=self.normalizer)
        return found

    def radii(self, above: float = 0.0) -> Tensor:
        """How far each head looks, `[H]` int64; `LearnedSpan.radii` says how it is counted.

        Raises:
            ValueError: the span is not learned.
        """
        return self._learned_span().radii(above)

    def span_penalty(self) -> Tensor:
        """What the learned span adds to a loss: its price times the mean radius, in hops.

        Raises:
            ValueError: the span is not learned.
        """
        return self._learned_span().penalty()

    def _learned_span(self) -> LearnedSpan:
        if self.span is None:
            raise ValueError("span: found None, expected a layer with span='learned'")
        return self.span

    def _merged(self, out: Tensor) -> Tensor:
        """Heads `[..., N, H, C]` side by side or averaged, and the bias."""
        out = out.flatten(-2) if self.concat else out.mean(dim=-2)
        return out if self.bias is None else out + self.bias.to(out.dtype)

    @property
    def _has_pairs(self) -> bool:
        return "node" in self.levels or "hop" in self.levels

    def _local_output(self, sides: Sides, options: dict[str, Any]) -> Tensor:
        """What a target finds among its pairs, `[..., N, H, D]`."""
        if not self._has_pairs:  # "feature" alone: the node itself
            return sides.key if sides.value is None else sides.value
        if self.hop_level is None:
            return attend_form(sides.form, sides.value, sides.around, **options)
        return self._local(sides, options)[0]

    def _local(self, sides: Sides, options: dict[str, Any]) -> Attended:
        """The same, and its statistic `[..., N, H]`."""
        if self.hop_level is None:
            return attended(sides.form, sides.value, sides.around, **options)
        return self.hop_level(sides.query, sides.form, sides.value, sides.around, **options)

    def _target_of_pairs(
        self, x: Tensor | tuple[Tensor, Tensor], neighborhood: Neighborhood | Tensor
    ) -> Tensor:
        target, source = x if isinstance(x, tuple) else (x, x)
        return row_of_pairs(as_neighborhood(neighborhood, target, source))

    def _prepared(
        self,
        x: Tensor | tuple[Tensor, Tensor],
        neighborhood: Neighborhood | Tensor,
        clusters: Clusters | None,
    ) -> Sides:
        if isinstance(x, tuple) and len(x) != 2:
            raise ValueError(f"x: found {len(x)} tensors, expected (x_target, x_source)")
        target, source = x if isinstance(x, tuple) else (x, x)
        for tensor, lin in ((target, self.lin_query), (source, self.lin_key)):
            check_features(tensor, lin)
        self._check_clusters(target, source, clusters)
        around = as_neighborhood(neighborhood, target, source)
        query, key = self._heads(self.lin_query(target)), self._heads(self.lin_key(source))
        value = None if self.lin_value is None else self._heads(self.lin_value(source))
        if self.feature_level is not None:
            more_key, more_value = self.feature_level(source, self.backend)
            key = key + more_key
            value = None if value is None or more_value is None else value + more_value
        # Pairs that are not compared weigh alike: a score without channels.
        compared = "node" in self.levels
        form = self.score(query, key) if compared else Multiplicative(query[..., :0], key[..., :0])
        # `None` is the form's own side: where that is not the key, the key has to be given.
        value = key if value is None and form.right is not key else value
        return Sides(query, key, value, form, around)

    def _check_clusters(self, target: Tensor, source: Tensor, clusters: Clusters | None) -> None:
        if (clusters is None) != (self.cluster_level is None):
            found = "none" if clusters is None else "some"
            wanted = "none" if self.cluster_level is None else "some (gattn.clusters)"
            raise ValueError(f"clusters: found {found}, expected {wanted}: levels decides")
        if not self._has_pairs and self.cluster_level is None and target is not source:
            raise ValueError(f"x: found a pair, expected one tensor for the levels {self.levels}")
        if clusters is not None:
            if not isinstance(clusters, Clusters):
                found = type(clusters).__name__
                raise TypeError(f"clusters: found {found}, expected Clusters: gattn.clusters")
            found = clusters.look.num_targets, clusters.pool.num_sources
            expected = target.shape[-2], source.shape[-2]
            if found != expected:
                raise ValueError(
                    f"clusters: found {found[0]} targets and {found[1]} sources, expected "
                    f"{expected[0]} and {expected[1]}, those of x"
                )

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, self.out_channels))

    def _options(
        self, pair_bias: Tensor | None, edge_attr: Tensor | None, values: bool
    ) -> dict[str, Any]:
        options: dict[str, Any] = {
            "normalizer": self.normalizer,
            "hop_bias": self.hop_bias if self.span is None else self.span(self.hop_bias),
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
