"""Sparsemax and 1.5-entmax: like softmax, but with exact zeros.

Both find the support of each row by Newton's method on the threshold, without gradient, and then
write the threshold in closed form on that support: one more use of plain autograd, exact to
rounding, and no sort.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gattn.normalizers.base import Normalizer, Rows, safe

# Newton from the left on a convex decreasing function converges monotonically; sparsemax stops in
# at most deg(i) steps, entmax quadratically. A row of 10^6 pairs needs about 30.
_MAX_STEPS = 200


@dataclass(frozen=True)
class Sparsemax(Normalizer):
    r"""The Euclidean projection of the scores of a row onto the simplex.

    $$ w_{ij} = \max(s_{ij} - t_i, 0), \qquad \textstyle\sum_j w_{ij} = 1 $$

    The statistic is the threshold t. (Martins & Astudillo, "From Softmax to Sparsemax", 2016.)
    """

    def normalize(self, score: Tensor, rows: Rows) -> tuple[Tensor, Tensor]:
        """Weights `[E, H]` and threshold `[R, H]`."""
        peak = rows.peak(score)
        shifted = score - rows.spread(peak)
        support = _sparsemax_support(shifted.detach(), rows)
        kept = safe(shifted, support, 0.0)
        size = rows.sum(support.to(score.dtype))
        threshold = (rows.sum(kept) - 1) / size.clamp(min=1)
        weights = safe(kept - rows.spread(threshold), support, 0.0).clamp(min=0)
        return weights, torch.where(size > 0, threshold + peak, float("-inf"))


def _sparsemax_support(shifted: Tensor, rows: Rows) -> Tensor:
    """Pairs of positive weight: the active set of Michelot's iteration, `[E, H]` bool."""
    active = shifted > -1.0
    for _ in range(_MAX_STEPS):
        size = rows.sum(active.to(shifted.dtype)).clamp(min=1)
        threshold = (rows.sum(safe(shifted, active, 0.0)) - 1) / size
        smaller = active & (shifted > rows.spread(threshold))
        if torch.equal(smaller, active):
            break
        active = smaller
    return active


@dataclass(frozen=True)
class Entmax15(Normalizer):
    r"""Entmax with exponent 1.5, half way between softmax and sparsemax.

    $$ w_{ij} = \max(s_{ij} / 2 - t_i, 0)^2, \qquad \textstyle\sum_j w_{ij} = 1 $$

    The statistic is the threshold t. (Peters, Niculae & Martins, "Sparse Sequence-to-Sequence
    Models", 2019.)
    """

    def normalize(self, score: Tensor, rows: Rows) -> tuple[Tensor, Tensor]:
        """Weights `[E, H]` and threshold `[R, H]`."""
        peak = rows.peak(score)
        shifted = (score - rows.spread(peak)) / 2
        support = _entmax_support(shifted.detach(), rows)
        kept = safe(shifted, support, 0.0)
        size = rows.sum(support.to(score.dtype))
        threshold = _entmax_threshold(kept, support, size.clamp(min=1), rows)
        weights = safe(kept - rows.spread(threshold), support, 0.0).clamp(min=0).square()
        return weights, torch.where(size > 0, threshold + peak / 2, float("-inf"))


def _entmax_threshold(kept: Tensor, support: Tensor, size: Tensor, rows: Rows) -> Tensor:
    """The smaller root of sum (x - t)^2 = 1 over the support: mean - sqrt((1 - spread) / size)."""
    mean = rows.sum(kept) / size
    centred = safe(kept - rows.spread(mean), support, 0.0)
    room = (1 - rows.sum(centred.square())) / size
    positive = room > 0
    return mean - torch.where(positive, torch.sqrt(safe(room, positive)), 0.0)


def _entmax_support(shifted: Tensor, rows: Rows) -> Tensor:
    """Pairs of positive weight, `[E, H]` bool, by Newton's method on the threshold."""
    threshold = shifted.new_full((rows.count, shifted.shape[1]), -1.0)
    for _ in range(_MAX_STEPS):
        above = (shifted - rows.spread(threshold)).clamp(min=0)
        excess = rows.sum(above.square()) - 1
        step = excess / (2 * rows.sum(above)).clamp(min=torch.finfo(shifted.dtype).tiny)
        moved = torch.maximum(threshold, threshold + torch.where(excess > 0, step, 0.0))
        if torch.equal(moved, threshold):
            break
        threshold = moved
    return shifted > rows.spread(threshold)
