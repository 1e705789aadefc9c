"""Depth: the nested attentions of one layer, each the same operator on what the finer one gave.

The levels of a layer are a subset of `LEVELS`, fine to coarse. With "node" alone a target attends
to all of its pairs at once. With "hop" as well it attends inside each ring of equal distance, and
then over its rings.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gattn.forms import Form, Multiplicative
from gattn.functional import (
    attend_form,
    attend_form_with_statistic,
    form_weights,
    pair_scores,
)
from gattn.neighborhood import Neighborhood, Span, Sparse
from gattn.normalizers import Normalizer, Softmax
from gattn.ops.reference import Pairs

LEVELS = ("node", "hop")


def checked_levels(levels: Sequence[str]) -> tuple[str, ...]:
    """The levels as a tuple, if they are a subset of `LEVELS` in its order, with "node" in it.

    Raises:
        ValueError: they are not.
    """
    found = tuple(levels)
    if "node" not in found or found != tuple(level for level in LEVELS if level in found):
        raise ValueError(f"levels: found {found}, expected ('node',) or ('node', 'hop')")
    return found


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
    """

    def __init__(self, heads: int, channels: int, num_hops: int) -> None:
        super().__init__()
        self.ring_key = nn.Parameter(torch.zeros(num_hops + 1, heads, channels))

    def reset_parameters(self) -> None:
        """Back to flat attention."""
        nn.init.zeros_(self.ring_key)

    def forward(
        self,
        query: Tensor,
        form: Form,
        value: Tensor | None,
        neighborhood: Neighborhood,
        *,
        normalizer: Normalizer,
        backend: str | None = None,
        **options: Any,
    ) -> Tensor:
        """Output `[..., N, H, D]`; the arguments are those of `attend_form`, and the query."""
        rings = _rings(neighborhood)
        if normalizer.has_statistic:
            inside, statistic = attend_form_with_statistic(
                form, value, rings, normalizer=normalizer, backend=backend, **options
            )
        else:
            inside = attend_form(
                form, value, rings, normalizer=normalizer, backend=backend, **options
            )
            statistic = _unmasked(rings, inside)
        ring_form = self._form(query, statistic, rings.groups)
        return attend_form(ring_form, inside, _ring_span(rings), normalizer=Softmax())

    def weights(
        self, query: Tensor, form: Form, neighborhood: Neighborhood, **options: Any
    ) -> Tensor:
        """Weight of every pair, `[..., E, H]`: inside its ring, times that of its ring."""
        rings = _rings(neighborhood)
        inside = form_weights(form, rings, **options)
        statistic = self._statistic(form, rings, options)
        over = form_weights(self._form(query, statistic, rings.groups), _ring_span(rings))
        pairs = Pairs.of(rings)
        row = pairs.in_input_order(pairs.rows.index)
        return inside * over.index_select(-2, row)

    def _statistic(self, form: Form, rings: Sparse, options: dict[str, Any]) -> Tensor:
        if not options["normalizer"].has_statistic:
            return _unmasked(rings, pair_scores(form, rings)[..., :1, :, None])
        return attend_form_with_statistic(form, None, rings, **options)[1]

    def _form(self, query: Tensor, statistic: Tensor, groups: int) -> Multiplicative:
        """A ring belongs to one target, so all of its score is a bias of the ring."""
        last = self.ring_key.shape[0] - 1
        key = self.ring_key[torch.arange(groups, device=query.device).clamp(max=last)]
        fit = (
            torch.einsum("...nhc,ghc->...ngh", query, key.to(query.dtype)) * query.shape[-1] ** -0.5
        )
        score = statistic + fit.flatten(-3, -2)
        # No channels: what the rings hold is not compared again, only weighed.
        nothing = score.new_empty(*score.shape, 0)
        return Multiplicative(query[..., :0].to(score.dtype), nothing, source_bias=score)


def _rings(neighborhood: Neighborhood) -> Sparse:
    stored = neighborhood.expand() if isinstance(neighborhood, Span) else neighborhood
    return stored.rings()


def _ring_span(rings: Sparse) -> Span:
    """Every target attends to its own rings: `groups` consecutive ones."""
    start = torch.arange(rings.num_targets, device=rings.device) * rings.groups
    return Span(start, start + rings.groups, rings.num_rows, "packed")


def _unmasked(rings: Sparse, like: Tensor) -> Tensor:
    """`[..., R, H]` for normalisers without a statistic: 0, or -inf for a ring without pairs."""
    empty = (rings.rowptr.diff() == 0)[:, None].expand(-1, like.shape[-2])
    flat = like.new_zeros(*like.shape[:-3], *empty.shape)
    return flat.masked_fill(empty, float("-inf"))
