"""The level "hop": over the rings of a target."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from gattn import _check
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
    total,
)

MIXINGS = ("softmax", "gate", "signed")
"""How the rings of a target are put together."""


class HopLevel(nn.Module):
    r"""Attention over the rings of a target, after attention inside each ring.

    With $o_{id}$ and $t_{id}$ the output and the statistic of ring d, and one key per hop:

    $$ u_{id} = t_{id} + \frac{\langle q_i, r_d \rangle}{\sqrt C}, \qquad
       o_i = \sum_d \operatorname{softmax}_d(u_{id}) \, o_{id} $$

    The keys r start at zero. With a softmax inside the rings t is their log-sum-exp, and this is
    then flat attention exactly: depth 2 starts as depth 1.

    A softmax makes the rings compete, and none can count against another. With another `mixing`
    they need not, and the bias b of a ring takes the place of its statistic:

    $$ o_i = \sum_d c_{id} \, o_{id}, \qquad c_{id} = \begin{cases}
       \frac{2}{K + 1} \, \sigma\big(b_d + \langle o_{id}, r_d \rangle / \sqrt C\big)
       & \text{gate} \\
       b_d + \tanh\big(\langle q_i, r_d \rangle / \sqrt C\big) & \text{signed} \end{cases} $$

    Both start as the mean over the K + 1 rings, c = 1 / (K + 1). The gate of a ring follows from
    what was found there (Liu et al., "Towards Deeper Graph Neural Networks", 2020); signed
    coefficients may subtract a ring, as far shells of a graph may call for (Chien et al., "Adaptive
    Universal Generalized PageRank Graph Neural Network", 2021), and vary with the query.

    Args:
        heads: H.
        channels: C of the query.
        num_hops: K; farther rings share the key of ring K.
        per_channel: weigh the rings for each channel instead of each head, $u_{idc} = t_{id} +
            q_{ic} r_{dc}$; query and value then have as many channels.
        mixing: "softmax", "gate" or "signed"; for a gate the value has the channels of the query.

    Raises:
        ValueError: an unknown mixing, or one other than a softmax for each channel.
    """

    def __init__(
        self,
        heads: int,
        channels: int,
        num_hops: int,
        per_channel: bool = False,
        mixing: str = "softmax",
    ) -> None:
        super().__init__()
        _check.one_of("hop_mixing", mixing, MIXINGS)
        if per_channel and mixing != "softmax":
            raise ValueError(f"hop_mixing: found {mixing!r}, expected 'softmax' with per_channel")
        self.ring_key = nn.Parameter(torch.zeros(num_hops + 1, heads, channels))
        self.ring_bias = None
        if mixing != "softmax":
            self.ring_bias = nn.Parameter(torch.zeros(num_hops + 1, heads))
        self.per_channel, self.mixing = per_channel, mixing
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Back to flat attention, or to the mean of the rings."""
        nn.init.zeros_(self.ring_key)
        if self.ring_bias is not None:
            share = 1.0 / len(self.ring_bias) if self.mixing == "signed" else 0.0
            nn.init.constant_(self.ring_bias, share)

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
        if self.ring_bias is not None:
            return self._mixed(query, inside, inner, rings)
        return over_parts(self._form(query, inner, rings.groups), inside, self.per_channel)

    def weights(
        self,
        query: Tensor,
        form: Form,
        value: Tensor | None,
        neighborhood: Neighborhood,
        **options: Any,
    ) -> dict[str, Tensor]:
        """Weights by what they weigh; arguments as `forward`.

        Returns:
            "node" `[..., E, H]`, of a pair inside its ring; "hop" `[..., N, K + 1, H]`, of the
            rings, whatever the mixing, 0 for those without pairs; "pair_ring" `[..., E, H]`, the
            latter for each pair. With `per_channel` the last two have an axis C behind H.
        """
        rings = rings_of(neighborhood)
        if self.ring_bias is None:
            of_rings = self._form(query, statistic(form, rings, options), rings.groups)
            over = part_weights(of_rings, query.shape[-1] if self.per_channel else None)
        else:
            found = attended(form, value, rings, **options)
            over = self._coefficients(query, *found, rings).flatten(-3, -2)
        options.pop("pair_value", None)
        axis = -3 if self.per_channel else -2
        return {
            "node": form_weights(form, rings, **options),
            "hop": over.unflatten(axis, (rings.num_targets, rings.groups)),
            "pair_ring": over.index_select(axis, row_of_pairs(rings)),
        }

    def _form(self, query: Tensor, inner: Tensor, groups: int) -> Multiplicative:
        key = self._of_rings(self.ring_key, groups)
        return part_form(query, inner, key, self.per_channel)

    def _of_rings(self, learned: Tensor, groups: int) -> Tensor:
        """What is learned of each ring; farther ones share the last."""
        last = len(learned) - 1
        return learned[torch.arange(groups, device=learned.device).clamp(max=last)]

    def _mixed(self, query: Tensor, inside: Tensor, inner: Tensor, rings: Neighborhood) -> Attended:
        """Output of the rings under coefficients, and the statistic of all their pairs."""
        size = rings.num_targets, rings.groups
        coefficient = self._coefficients(query, inside, inner, rings)
        out = (coefficient[..., None] * inside.unflatten(-3, size)).sum(-3)
        return out.to(inside.dtype), total(inner.unflatten(-2, size))

    def _coefficients(
        self, query: Tensor, inside: Tensor, inner: Tensor, rings: Neighborhood
    ) -> Tensor:
        """The coefficient c of every ring, `[..., N, K + 1, H]`; 0 for those without pairs."""
        assert self.ring_bias is not None
        size = rings.num_targets, rings.groups
        with torch.autocast(query.device.type, enabled=False):
            bias = self._of_rings(self.ring_bias, rings.groups).to(inner.dtype)
            key = self._of_rings(self.ring_key, rings.groups).to(inner.dtype)
            key = key * query.shape[-1] ** -0.5
            if self.mixing == "signed":
                found = bias + torch.einsum("...nhc,phc->...nph", query.to(key.dtype), key).tanh()
            else:
                content = inside.unflatten(-3, size).to(key.dtype)
                fit = torch.einsum("...nphc,phc->...nph", content, key)
                found = (bias + fit).sigmoid() * (2.0 / len(self.ring_bias))
        return found.masked_fill(inner.unflatten(-2, size) == float("-inf"), 0.0)
