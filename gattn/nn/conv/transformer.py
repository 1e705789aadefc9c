"""`TransformerConv`, for PyG's of the same name."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch_geometric.nn import conv as pyg

from gattn.forms import Multiplicative
from gattn.functional import form_weights
from gattn.nn.conv import edges, handover, nodes
from gattn.nn.conv.projection import projected


class TransformerConv(pyg.TransformerConv):
    r"""PyG's `TransformerConv`, computed by `gattn.attend_form`.

    $$ s_{ij} = \frac{1}{\sqrt{C}} \big\langle W_q x_i, \, W_k x_j + W_e e_{ij} \big\rangle, \qquad
       m_i = \sum_j \operatorname{softmax}(s_{i \cdot})_j \, (W_v x_j + W_e e_{ij}) $$

    and the root weight or the gate `beta` on top. Constructor, parameters, `state_dict` and repr
    are PyG's, and so are the arguments and results of a call, to rounding; only the random numbers
    of the dropout are not. `gattn.nn.conv.handover` tells when PyG's own forward runs instead.

    `backend`, on the class or on an instance, forces a backend, as in `gattn.attend`.

    (Shi et al., "Masked Label Prediction: Unified Message Passing Model for Semi-Supervised
    Classification", 2021.)
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
            edge_attr: `[E, F]`, with an `edge_dim`.
            return_attention_weights: also return the weights, before the dropout; any bool asks
                for them, `False` too, as in PyG.

        Returns:
            `[N, H * C]`, or `[N, C]` without `concat`. With the weights `[E, H]`: that and
            `(edge_index, weights)`; of a `SparseTensor`, the adjacency of the weights.

        Raises:
            ValueError, IndexError: features and edges do not fit, or a forced backend cannot
                compute this.
        """
        edges.refuse_neighborhood(edge_index)
        features = edges.features_of(edge_index, edge_attr)
        if handover.hands_over(self, TransformerConv, self._reasons(features)):
            edge_index = edges.for_pyg(edge_index)
            return super().forward(x, edge_index, edge_attr, return_attention_weights)  # type: ignore[call-overload]
        source, target = nodes.full_pair_of(x)
        query = nodes.heads_of(self, projected(self.lin_query, target))
        key = nodes.heads_of(self, projected(self.lin_key, source))
        value = nodes.heads_of(self, projected(self.lin_value, source))
        per_pair = features is not None or isinstance(return_attention_weights, bool)
        around = edges.one_hop(edge_index, source, target, per_pair=per_pair)
        form = Multiplicative(query, key, 1.0 / math.sqrt(self.out_channels))
        score, mixed = self._edge_options(features)
        dtype = _softmax_dtype(value)
        out = nodes.attended(self, form, value, around, **score, **mixed).to(dtype)
        out = self._rooted(out, target)
        if not isinstance(return_attention_weights, bool):
            return out
        weights = form_weights(form, around, **score).to(dtype)
        if edges.is_sparse_tensor(edge_index):
            return out, edge_index.set_value(weights, layout="coo")
        return out, (edge_index, weights)

    def _reasons(self, features: Tensor | None) -> list[str]:
        if features is None:
            return ["there is an edge_dim but no edge_attr"] if self.lin_edge is not None else []
        if features.dim() != 2:
            return [f"edge_attr has shape {list(features.shape)}, not [E, F]"]
        return handover.edge_reasons(self, features)

    def _edge_options(self, features: Tensor | None) -> tuple[dict[str, Any], dict[str, Any]]:
        """What the score needs of the edge features, and what the value needs besides."""
        if features is None or self.lin_edge is None:
            return {}, {}
        weight = edges.edge_weight(self.lin_edge, features, self.heads)
        return {"pair_features": features, "pair_weight": weight}, {"pair_value": weight}

    def _rooted(self, out: Tensor, target: Tensor) -> Tensor:
        if not self.root_weight:
            return nodes.merged(self, out)
        root = projected(self.lin_skip, target)
        if self.lin_beta is None:
            return nodes.merged(self, out, root)
        out = nodes.merged(self, out)
        gate = self.lin_beta(torch.cat([out, root, out - root], dim=-1)).sigmoid()
        return gate * root + (1 - gate) * out

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        handover.keep_entries(cls)

    def propagate(self, edge_index: Any, size: Any = None, **kwargs: Any) -> Tensor:
        """PyG's, kept from being replaced: see `handover.keep_entries`."""
        return handover.propagate(self, edge_index, size, kwargs)


def _softmax_dtype(value: Tensor) -> torch.dtype:
    """The dtype of PyG's weighted sum: on a GPU, autocast runs its softmax in float32."""
    kind = value.device.type
    if kind == "cpu" or not torch.is_autocast_enabled(kind):
        return value.dtype
    return torch.promote_types(value.dtype, torch.float32)
