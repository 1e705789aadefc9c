"""Sigmoid and tanh: every pair on its own."""

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


@dataclass(frozen=True)
class Tanh(Normalizer):
    r"""Each pair weighed on its own between -1 and 1: a neighbour may be subtracted.

    $$ w_{ij} = \tanh(s_{ij}) $$

    There is no statistic. A masked pair has weight 0, as if its score were 0. FAGCN's propagation
    is this with the score `GAT(..., negative_slope=1.0)`, values over the root of the source's
    degree and outputs over that of the target's. (Bo et al., "Beyond Low-frequency Information in
    Graph Convolutional Networks", 2021.)
    """

    has_statistic: ClassVar[bool] = False
    signed: ClassVar[bool] = True

    def normalize(self, score: Tensor, rows: Rows) -> tuple[Tensor, None]:
        """Weights `[E, H]`."""
        return torch.tanh(score.masked_fill(score == float("-inf"), 0.0)), None
