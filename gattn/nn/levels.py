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
    OPTIONS,
    SCORES,
    attend_form,
    attend_form_with_statistic,
    form_weights,
    pair_scores,
)
from gattn.neighborhood import Neighborhood, Span, Sparse
from gattn.normalizers import Normalizer

LEVELS = ("node", "hop")


def checked_levels(levels: Sequence[str]) -> tuple[str, ...]:
    """The levels as a tuple, if they are a subset of `LEVELS` in its order, with "node" in it.

    Raises:
        ValueError: they are not.
    """
    found = (levels,) if isinstance(levels, str) else tuple(levels)
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
        options["normalizer"] = normalizer
        if normalizer.has_statistic:
            inside, statistic = attend_form_with_statistic(
                form, value, rings, backend=backend, **options
            )
        else:
            inside = attend_form(form, value, rings, backend=backend, **options)
            statistic = _statistic(form, rings, options)
        ring_form = self._form(query, statistic, rings.groups)
        return attend_form(ring_form, inside, _ring_span(rings))

    def weights(
        self, query: Tensor, form: Form, neighborhood: Neighborhood, **options: Any
    ) -> Tensor:
        """Weight of every pair, `[..., E, H]`: inside its ring, times that of its ring."""
        rings = _rings(neighborhood)
        inside = form_weights(form, rings, **options)
        ring_form = self._form(query, _statistic(form, rings, options), rings.groups)
        return inside * form_weights(ring_form, _ring_span(rings)).index_select(-2, _row_of(rings))

    def _form(self, query: Tensor, statistic: Tensor, groups: int) -> Multiplicative:
        """A ring belongs to one target, so all of its score is a bias of the ring."""
        last = self.ring_key.shape[0] - 1
        key = self.ring_key[torch.arange(groups, device=query.device).clamp(max=last)]
        # In the dtype of scores, not of features.
        with torch.autocast(query.device.type, enabled=False):
            dtype = torch.promote_types(statistic.dtype, torch.float32)
            fit = torch.einsum("...nhc,ghc->...ngh", query.to(dtype), key.to(dtype))
        score = statistic + fit.flatten(-3, -2) * query.shape[-1] ** -0.5
        # No channels: what the rings hold is not compared again, only weighed.
        nothing = score.new_empty(*score.shape, 0)
        return Multiplicative(query[..., :0].to(dtype), nothing, source_bias=score)


def _statistic(form: Form, rings: Sparse, options: dict[str, Any]) -> Tensor:
    """The statistic of every ring, `[..., R, H]`.

    Normalisers without one give all rings the same, 0, but for those without an unmasked pair.
    """
    known = {name: option for name, option in options.items() if name in OPTIONS}
    if options["normalizer"].has_statistic:
        known.pop("pair_value", None)
        return attend_form_with_statistic(form, form.right[..., :0], rings, **known)[1]
    with torch.no_grad():
        score = pair_scores(form, rings, **{n: o for n, o in known.items() if n in SCORES})
        unmasked = (score > float("-inf")).to(score.dtype)
        shape = (*score.shape[:-2], rings.num_rows, score.shape[-1])
        count = score.new_zeros(shape).index_add(-2, _row_of(rings), unmasked)
    return torch.zeros_like(count).masked_fill(count == 0, float("-inf"))


def _row_of(rings: Sparse) -> Tensor:
    """The ring of every pair, `[E]`, in the builder's input order."""
    row = rings.rows()
    return row if rings.perm is None else torch.empty_like(row).index_copy_(0, rings.perm, row)


def _rings(neighborhood: Neighborhood) -> Sparse:
    stored = neighborhood.expand() if isinstance(neighborhood, Span) else neighborhood
    return stored.rings()


def _ring_span(rings: Sparse) -> Span:
    """Every target attends to its own rings: `groups` consecutive ones."""
    start = torch.arange(rings.num_targets, device=rings.device) * rings.groups
    return Span(start, start + rings.groups, rings.num_rows, "packed")
