"""`GATConv`, for PyG's of the same name."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch_geometric.nn import conv as pyg
from torch_geometric.nn.dense.linear import Linear

from gattn.forms import Additive
from gattn.functional import form_weights
from gattn.nn.conv import edges, handover, nodes
from gattn.nn.conv.projection import can_project, projected, projected_twice


class GATConv(pyg.GATConv):
    r"""PyG's `GATConv`, computed by `gattn.attend_form`.

    $$ s_{ij} = \operatorname{LeakyReLU}\big( a_s^\top W x_j + a_t^\top W x_i
       + a_e^\top W_e e_{ij} \big), \qquad
       x'_i = \sum_j \operatorname{softmax}(s_{i \cdot})_j \, W x_j $$

    Constructor, parameters, `state_dict` and repr are PyG's, and so are the arguments and results
    of a call, to rounding; only the random numbers of the dropout are not. The logits come from
    weights folded into the projection, x (W a), and those of the edges from e (W_e a_e), so that
    no edge has anything as wide as a value. `gattn.nn.conv.handover` tells when PyG's own forward
    runs instead.

    `backend`, on the class or on an instance, forces a backend, as in `gattn.attend`.

    (Veličković et al., "Graph Attention Networks", 2018.)
    """

    backend: str | None = None

    def forward(  # type: ignore[override]  # PyG has an overload for each kind of result
        self,
        x: nodes.Features,
        edge_index: Any,
        edge_attr: Tensor | None = None,
        size: tuple[int, int] | None = None,
        return_attention_weights: bool | None = None,
    ) -> Tensor | tuple[Tensor, Any]:
        """Features of the targets and, if asked for, the weights of the edges.

        Args:
            x: `[N, in]`, or `(x_source [M, in_s], x_target [N, in_t])`; where `x_target` is
                `None`, the targets have no part in the scores.
            edge_index: `[2, E]` integers, an `EdgeIndex`, or a transposed sparse adjacency.
            edge_attr: `[E, F]` or `[E]`; used with an `edge_dim` only.
            size: `(M, N)`, for targets without features.
            return_attention_weights: also return the weights, after the dropout.

        Returns:
            `[N, H * C]`, or `[N, C]` without `concat`. With the weights `[E, H]`: that and
            `(edge_index, weights)`, edge_index as it is with the self-loops; of a `torch.sparse`
            adjacency, `(adjacency of the weights, weights)`; of a `SparseTensor` its adjacency.

        Raises:
            ValueError, IndexError: features, edges and sizes do not fit, or a forced backend
                cannot compute this.
        """
        edges.refuse_neighborhood(edge_index)
        if handover.hands_over(
            self, GATConv, self._reasons(edge_index, edge_attr, return_attention_weights)
        ):
            edge_index = edges.for_pyg(edge_index)
            return super().forward(x, edge_index, edge_attr, size, return_attention_weights)  # type: ignore[call-overload]
        source, target = nodes.pair_of(x)
        residual = None if self.res is None or target is None else self.res(target)
        value, right, left = self._projected(source, target)
        loops = self._loops(source, target, size)
        if loops is not None and edges.needs_written_loops(
            edge_index, edge_attr, return_attention_weights
        ):
            edge_index, edge_attr = edges.with_self_loops(
                edge_index, edge_attr, loops, self.fill_value
            )
            loops = None
        features = edges.features_of(edge_index, edge_attr) if self.lin_edge is not None else None
        per_pair = features is not None or bool(return_attention_weights)
        around = edges.one_hop(edge_index, source, target, size, loops, per_pair)
        form = self._form(left, right, around.num_targets)
        options = self._edge_options(features)
        dtype = torch.promote_types(value.dtype, self.att_src.dtype)
        out = nodes.attended(self, form, value, around, **options).to(dtype)
        out = nodes.merged(self, out, residual, self.bias)
        if not return_attention_weights:
            return out
        return out, edges.with_weights(edge_index, form_weights(form, around, **options).to(dtype))

    def _loops(self, source: Tensor, target: Tensor | None, size: Any) -> int | None:
        """How many nodes get a loop; `None` where the layer adds none."""
        if not self.add_self_loops:
            return None
        both = [len(side) for side in (source, target) if side is not None]
        return min(both if size is None else size)

    def _reasons(self, edge_index: Any, edge_attr: Tensor | None, wants_weights: Any) -> list[str]:
        found = handover.gat_reasons(self, edge_index, wants_weights)
        if self.lin_edge is None:
            return found  # PyG's layer ignores edge features then
        return found + handover.edge_reasons(self, edges.features_of(edge_index, edge_attr))

    def _projected(
        self, source: Tensor, target: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Value `[M, H, C]`, logits of the sources `[M, H, 1]` and of the targets `[N, H, 1]`."""
        lin_source, lin_target = self.lin_src, self.lin_dst
        if self.lin is not None:
            lin_source = lin_target = self.lin
        assert lin_source is not None and lin_target is not None
        same = target is source and lin_target is lin_source
        if same and _is_foldable(lin_source, self.att_src) and can_project(lin_source, source):
            folded = [_folded(lin_source, att) for att in (self.att_src, self.att_dst)]
            value, logits = projected_twice(lin_source, source, torch.cat(folded, dim=1))
            right, left = logits[..., None].chunk(2, dim=1)
            return nodes.heads_of(self, value), right, left
        value = nodes.heads_of(self, projected(lin_source, source))
        right = _logits(lin_source, source, self.att_src, value)
        if target is None:
            return value, right, None
        known = value if same else None
        return value, right, _logits(lin_target, target, self.att_dst, known)

    def _form(self, left: Tensor | None, right: Tensor, num_targets: int) -> Additive:
        left = right.new_zeros(num_targets, self.heads, 1) if left is None else left
        ones = right.new_ones(self.heads, 1)
        return Additive(left, right, ones, "leaky_relu", self.negative_slope)

    def _edge_options(self, features: Tensor | None) -> dict[str, Tensor]:
        if features is None or self.lin_edge is None or features.shape[0] == 0:
            return {}
        features = features[:, None] if features.dim() == 1 else features
        weight = edges.edge_weight(self.lin_edge, features, self.heads)
        # A product of parameters: too few numbers to gain anything from half precision.
        with torch.autocast(weight.device.type, enabled=False):
            folded = torch.einsum("fhc,hc->fh", weight, self.att_edge[0])
        return {"pair_features": features, "pair_weight": folded[:, :, None]}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        handover.keep_entries(cls)

    def propagate(self, edge_index: Any, size: Any = None, **kwargs: Any) -> Tensor:
        """PyG's, kept from being replaced: see `handover.keep_entries`."""
        return handover.propagate(self, edge_index, size, kwargs)

    def edge_updater(self, edge_index: Any, size: Any = None, **kwargs: Any) -> Tensor:
        """PyG's, kept from being replaced: see `handover.keep_entries`."""
        return handover.edge_updater(self, edge_index, size, kwargs)


def _logits(lin: Linear, x: Tensor, att: Tensor, projected: Tensor | None) -> Tensor:
    """a^T W x for every head, `[N, H, 1]`, from the projection only where W is out of reach."""
    if not _is_foldable(lin, att):
        heads = lin(x).unflatten(-1, att.shape[1:]) if projected is None else projected
        return (heads * att).sum(-1, keepdim=True)
    edges.initialized(lin, x)
    with torch.autocast(x.device.type, enabled=False):
        folded = _folded(lin, att)
        return (x.to(folded.dtype) @ folded)[..., None]


def _is_foldable(lin: Linear, att: Tensor) -> bool:
    return handover.is_plain(lin) and lin.weight.dtype == att.dtype


def _folded(lin: Linear, att: Tensor) -> Tensor:
    """W^T a for every head, `[in, H]`."""
    return torch.einsum("hci,hc->ih", lin.weight.unflatten(0, att.shape[1:]), att[0])
