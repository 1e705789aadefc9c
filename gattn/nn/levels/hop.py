"""The level "hop": over the rings of a target."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from gattn.forms import Form, Multiplicative
from gattn.functional import form_weights
from gattn.neighborhood import Neighborhood
from gattn.nn.levels.parts import (
    Attended,
    attended,
    over_parts,
    part_form,
    part_weights,
    rings_of,
    row_of_pairs,
    statistic,
)


class HopLevel(nn.Module):
    r"""Attention over the rings of a target, after attention inside each ring.

    With $o_{id}$ and $t_{id}$ the output and the statistic of ring d, and one key per hop:

    $$ u_{id} = t_{id} + \frac{\langle q_i, r_d \rangle}{\sqrt C}, \qquad
       o_i = \sum_d \operatorname{softmax}_d(u_{id}) \, o_{id} $$

    The keys r start at zero. With a softmax inside the rings t is their log-sum-exp, and this is
    then flat attention exactly: depth 2 starts as depth 1.

    Args:
        heads: H.
        channels: C of the query.
        num_hops: K; farther rings share the key of ring K.
        per_channel: weigh the rings for each channel instead of each head, $u_{idc} = t_{id} +
            q_{ic} r_{dc}$; query and value then have as many channels.
    """

    def __init__(self, heads: int, channels: int, num_hops: int, per_channel: bool = False) -> None:
        super().__init__()
        self.ring_key = nn.Parameter(torch.zeros(num_hops + 1, heads, channels))
        self.per_channel = per_channel

    def reset_parameters(self) -> None:
        """Back to flat attention."""
        nn.init.zeros_(self.ring_key)

    def forward(
        self,
        query: Tensor,
        form: Form,
        value: Tensor | None,
        neighborhood: Neighborhood,
        **options: Any,
    ) -> Attended:
        """Output `[..., N, H, D]` and its statistic `[..., N, H]`.

        Args:
            query: `[..., N, H, C]`.
            form: as `attend_form`, and so are the rest, a normaliser among them.
            value: `[..., M, H, D]`.
            neighborhood: with hops.
            options: as `attend_form`.
        """
        rings = rings_of(neighborhood)
        inside, inner = attended(form, value, rings, **options)
        return over_parts(self._form(query, inner, rings.groups), inside, self.per_channel)

    def weights(
        self, query: Tensor, form: Form, neighborhood: Neighborhood, **options: Any
    ) -> dict[str, Tensor]:
        """Weights by what they weigh; arguments as `forward`.

        Returns:
            "node" `[..., E, H]`, of a pair inside its ring; "hop" `[..., N, K + 1, H]`, of the
            rings; "pair_ring" `[..., E, H]`, the latter for each pair. With `per_channel` the last
            two have an axis C behind H.
        """
        rings = rings_of(neighborhood)
        of_rings = self._form(query, statistic(form, rings, options), rings.groups)
        over = part_weights(of_rings, query.shape[-1] if self.per_channel else None)
        axis = -3 if self.per_channel else -2
        return {
            "node": form_weights(form, rings, **options),
            "hop": over.unflatten(axis, (rings.num_targets, rings.groups)),
            "pair_ring": over.index_select(axis, row_of_pairs(rings)),
        }

    def _form(self, query: Tensor, inner: Tensor, groups: int) -> Multiplicative:
        last = self.ring_key.shape[0] - 1
        key = self.ring_key[torch.arange(groups, device=query.device).clamp(max=last)]
        return part_form(query, inner, key, self.per_channel)
