"""What a normaliser is, and the few operations on rows that normalisers are written in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Rows:
    """Which row each pair belongs to; pairs of a row stand together.

    Args:
        index: `[E]` int64, ascending: the row of each pair.
        rowptr: `[R + 1]` int64 row pointers.
    """

    index: Tensor
    rowptr: Tensor

    @property
    def count(self) -> int:
        """R, the number of rows."""
        return self.rowptr.numel() - 1

    def sum(self, pairs: Tensor) -> Tensor:
        """Sum over each row: `[E, ...]` to `[R, ...]`; 0 for an empty row."""
        return pairs.new_zeros(self.count, *pairs.shape[1:]).index_add(0, self.index, pairs)

    def spread(self, values: Tensor) -> Tensor:
        """The value of each pair's row: `[R, ...]` to `[E, ...]`."""
        return values[self.index]

    def peak(self, score: Tensor) -> Tensor:
        """Largest score of each row, `[E, H]` to `[R, H]`, as a constant: 0 where all are -inf.

        It only shifts the scores before they are exponentiated, so no gradient goes through it.
        """
        index = self.index[:, None].expand_as(score)
        lowest = score.new_full((self.count, score.shape[1]), float("-inf"))
        largest = lowest.scatter_reduce(0, index, score.detach(), "amax")
        return torch.where(largest == float("-inf"), 0.0, largest)

    def rank(self, score: Tensor) -> Tensor:
        """Place of each pair in its row by descending score, `[E, H]`, 0 first.

        Equal scores keep the order of the pairs.
        """
        by_score = torch.sort(score.detach(), dim=0, descending=True, stable=True).indices
        by_row = torch.sort(self.index[by_score], dim=0, stable=True).indices
        order = torch.gather(by_score, 0, by_row)
        start = self.rowptr[:-1][self.index][:, None]
        place = torch.arange(len(order), device=order.device)[:, None] - start
        return torch.empty_like(order).scatter_(0, order, place.expand_as(order))


class Normalizer(ABC):
    """A map from the scores of a row to the weights of a row.

    A normaliser is a frozen dataclass of numbers. Scores of -inf are masked and get weight 0; a
    row without an unmasked pair has weights 0 and, where there is one, the statistic -inf.
    `gattn.testing.check_normalizer` is the contract.
    """

    has_statistic: ClassVar[bool] = True
    """The row has one number from which the weights follow, such as the log-sum-exp."""

    straight_through: ClassVar[bool] = False
    """The gradient is, on purpose, not that of the weights."""

    signed: ClassVar[bool] = False
    """Weights may be negative."""

    @abstractmethod
    def normalize(self, score: Tensor, rows: Rows) -> tuple[Tensor, Tensor | None]:
        """Weights and statistic of every row.

        Args:
            score: `[E, H]`, sorted by row.
            rows: the row of each pair.

        Returns:
            The weights `[E, H]` and the statistic `[R, H]`, or `None` without one; both are
            differentiable.
        """


def safe(values: Tensor, where: Tensor, fill: float = 1.0) -> Tensor:
    """`values` where a condition holds, a harmless constant elsewhere.

    It keeps the branch that `torch.where` will not take free of NaN, whose gradient would be NaN.
    """
    return torch.where(where, values, fill)
