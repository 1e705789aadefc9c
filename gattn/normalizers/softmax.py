"""Softmax, and the two that are a softmax of something less: the top k, and the one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from gattn import _check
from gattn.normalizers.base import Normalizer, Rows, safe

_MASKED = float("-inf")


@dataclass(frozen=True)
class Softmax(Normalizer):
    r"""Exponential weights that sum to one.

    $$ t_i = \log \sum_j e^{s_{ij}}, \qquad w_{ij} = e^{s_{ij} - t_i} $$

    The statistic is the log-sum-exp t.
    """

    def normalize(self, score: Tensor, rows: Rows) -> tuple[Tensor, Tensor]:
        """Weights `[E, H]` and log-sum-exp `[R, H]`."""
        peak = rows.peak(score)
        mass = torch.exp(score - rows.spread(peak))
        total = rows.sum(mass)
        alive = total > 0
        total = safe(total, alive)
        lse = torch.where(alive, peak + torch.log(total), _MASKED)
        return mass / rows.spread(total), lse


@dataclass(frozen=True)
class TopK(Normalizer):
    """Softmax over the k largest scores of a row; the others get weight 0.

    Of equal scores the earlier pair is taken. The statistic is the log-sum-exp of the selected.

    Args:
        k: pairs to keep in each row, for each head.

    Raises:
        ValueError: k is below 1.
    """

    k: int

    def __post_init__(self) -> None:
        """Check k."""
        _check.integer("k", self.k, 1)

    def normalize(self, score: Tensor, rows: Rows) -> tuple[Tensor, Tensor]:
        """Weights `[E, H]` and log-sum-exp of the selected `[R, H]`."""
        selected = rows.rank(score) < self.k
        return Softmax().normalize(score.masked_fill(~selected, _MASKED), rows)


class _StraightThrough(torch.autograd.Function):
    """The first argument forward, the gradient of the second backward."""

    generate_vmap_rule = True

    @staticmethod
    def forward(hard: Tensor, soft: Tensor) -> Tensor:
        return hard.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor]:  # type: ignore[override]
        return None, grad


@dataclass(frozen=True)
class Hard(Normalizer):
    r"""All weight on the largest score, with the gradient of a softmax (straight-through).

    $$ w_{ij} = [\, j = \arg\max_l s_{il} \,], \qquad
       \frac{\partial w}{\partial s} := \frac{\partial \operatorname{softmax}(s)}{\partial s} $$

    Of equal scores the earlier pair wins. The statistic is the log-sum-exp of the whole row.
    (Bengio, Léonard & Courville, "Estimating or Propagating Gradients Through Stochastic
    Neurons for Conditional Computation", 2013.)
    """

    straight_through: ClassVar[bool] = True

    def normalize(self, score: Tensor, rows: Rows) -> tuple[Tensor, Tensor]:
        """Weights `[E, H]` and log-sum-exp `[R, H]`."""
        soft, lse = Softmax().normalize(score, rows)
        best = (rows.rank(score) == 0) & (score > _MASKED)
        return _StraightThrough.apply(best.to(score.dtype), soft), lse  # type: ignore[return-value]
