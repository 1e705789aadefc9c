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
    ) -> tuple[Tensor, Tensor]:
        """Weight of every pair inside its ring `[..., E, H]`, and of its ring `[..., E, H]`.

        With `per_channel` the second is `[..., E, H, C]`.
        """
        rings = rings_of(neighborhood)
        over = self.ring_weights(query, form, neighborhood, **options)
        axis = -3 if self.per_channel else -2
        return form_weights(form, rings, **options), over.index_select(axis, row_of_pairs(rings))

    def ring_weights(
        self, query: Tensor, form: Form, neighborhood: Neighborhood, **options: Any
    ) -> Tensor:
        """Weight of every ring, `[..., N * (K + 1), H]`, and `[..., C]` with `per_channel`."""
        rings = rings_of(neighborhood)
        inner = statistic(form, rings, options)
        of_rings = self._form(query, inner, rings.groups)
        return part_weights(of_rings, query.shape[-1] if self.per_channel else None)

    def _form(self, query: Tensor, inner: Tensor, groups: int) -> Multiplicative:
        last = self.ring_key.shape[0] - 1
        key = self.ring_key[torch.arange(groups, device=query.device).clamp(max=last)]
        return part_form(query, inner, key, self.per_channel)
