"""Sigmoid: every pair on its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gattn.normalizers.base import Normalizer, Rows


@dataclass(frozen=True)
class Sigmoid(Normalizer):
    r"""Each pair weighed on its own, whatever its neighbours.

    $$ w_{ij} = \frac{1}{1 + e^{-s_{ij}}} $$

    There is no statistic: the weights of a row need not sum to one.
    """

    has_statistic: ClassVar[bool] = False

    def normalize(self, score: Tensor, rows: Rows) -> tuple[Tensor, None]:
        """Weights `[E, H]`."""
        return torch.sigmoid(score), None
