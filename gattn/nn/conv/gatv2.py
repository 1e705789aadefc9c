"""`GATv2Conv`, for PyG's of the same name."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch_geometric.nn import conv as pyg

from gattn.forms import Additive
from gattn.functional import form_weights
from gattn.nn.conv import edges, handover, nodes
from gattn.nn.conv.projection import projected


class GATv2Conv(pyg.GATv2Conv):
    r"""PyG's `GATv2Conv`, computed by `gattn.attend_form`.

    $$ s_{ij} = a^\top \operatorname{LeakyReLU}\big( W_l x_j + W_r x_i + W_e e_{ij} \big), \qquad
       x'_i = \sum_j \operatorname{softmax}(s_{i \cdot})_j \, W_l x_j $$

    Constructor, parameters, `state_dict` and repr are PyG's, and so are the arguments and results
    of a call, to rounding; only the random numbers of the dropout are not.
    `gattn.nn.conv.handover` tells when PyG's own forward runs instead.

    `backend`, on the class or on an instance, forces a backend, as in `gattn.attend`.

    (Brody, Alon & Yahav, "How Attentive are Graph Attention Networks?", 2022.)
    """

    backend: str | None = None

    def forward(  # type: ignore[override]  # PyG has an overload for each kind of result
        self,
        x: nodes.Features,
        edge_index: Any,
        edge_attr: Tensor | None = None,
        return_attention_weights: bool | None = None,
    ) -> Tensor | tuple[Tensor, Any]:
        """Features of the targets and, if asked for, the weights of the edges.

        Args:
            x: `[N, in]`, or `(x_source [M, in_s], x_target [N, in_t])`.
            edge_index: `[2, E]` integers, an `EdgeIndex`, or a transposed sparse adjacency.
            edge_attr: `[E, F]` or `[E]`, with an `edge_dim`.
            return_attention_weights: also return the weights, after the dropout.

        Returns:
            `[N, H * C]`, or `[N, C]` without `concat`; with the weights as `GATConv`.

        Raises:
            ValueError, IndexError: features and edges do not fit, or a forced backend cannot
                compute this.
        """
        edges.refuse_neighborhood(edge_index)
        if handover.hands_over(
            self, GATv2Conv, self._reasons(edge_index, edge_attr, return_attention_weights)
        ):
            edge_index = edges.for_pyg(edge_index)
            return super().forward(x, edge_index, edge_attr, return_attention_weights)  # type: ignore[call-overload]
        source, target = nodes.full_pair_of(x)
        residual = None if self.res is None else self.res(target)
        left, right = self._projected(source, target)
        loops = min(len(source), len(target)) if self.add_self_loops else None
        if loops is not None and edges.needs_written_loops(
            edge_index, edge_attr, return_attention_weights
        ):
            edge_index, edge_attr = edges.with_self_loops(
                edge_index, edge_attr, loops, self.fill_value
            )
            loops = None
        features = edges.features_of(edge_index, edge_attr)
        per_pair = features is not None or bool(return_attention_weights)
        around = edges.one_hop(edge_index, source, target, None, loops, per_pair)
        form = Additive(left, right, self.att[0], "leaky_relu", self.negative_slope)
        options = self._edge_options(features)
        dtype = torch.promote_types(right.dtype, self.att.dtype)
        out = nodes.attended(self, form, None, around, **options).to(dtype)
        out = nodes.merged(self, out, residual, self.bias)
        if not return_attention_weights:
            return out
        return out, edges.with_weights(edge_index, form_weights(form, around, **options).to(dtype))

    def _reasons(self, edge_index: Any, edge_attr: Tensor | None, wants_weights: Any) -> list[str]:
        found = handover.gat_reasons(self, edge_index, wants_weights)
        return found + handover.edge_reasons(self, edges.features_of(edge_index, edge_attr))

    def _projected(self, source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """The targets' side `[N, H, C]` and the sources' `[M, H, C]`."""
        right = nodes.heads_of(self, projected(self.lin_l, source))
        if target is source and self.lin_r is self.lin_l:
            return right, right
        return nodes.heads_of(self, projected(self.lin_r, target)), right

    def _edge_options(self, features: Tensor | None) -> dict[str, Tensor]:
        if features is None or self.lin_edge is None:
            return {}
        features = features[:, None] if features.dim() == 1 else features
        weight = edges.edge_weight(self.lin_edge, features, self.heads)
        return {"pair_features": features, "pair_weight": weight}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        handover.keep_entries(cls)

    def propagate(self, edge_index: Any, size: Any = None, **kwargs: Any) -> Tensor:
        """PyG's, kept from being replaced: see `handover.keep_entries`."""
        return handover.propagate(self, edge_index, size, kwargs)

    def edge_updater(self, edge_index: Any, size: Any = None, **kwargs: Any) -> Tensor:
        """PyG's, kept from being replaced: see `handover.keep_entries`."""
        return handover.edge_updater(self, edge_index, size, kwargs)
