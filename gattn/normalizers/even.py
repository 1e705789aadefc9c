"""Rows of one length: what normalisers do to rows, without an index."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gattn.normalizers.base import Rows


@dataclass(frozen=True, eq=False, init=False, repr=False)
class EvenRows(Rows):
    """Rows that all have the same number of pairs, which a dense block of scores has.

    Every normaliser that is written in the operations of `Rows` runs on them unchanged, and faster.

    Args:
        count: R, the number of rows.
        width: pairs of each row, at least one.
        device: where the scores are.
    """

    _count: int
    width: int
    device: torch.device

    def __init__(self, count: int, width: int, device: torch.device) -> None:
        for name, value in (("_count", count), ("width", width), ("device", device)):
            object.__setattr__(self, name, value)

    @property
    def index(self) -> Tensor:  # type: ignore[override]
        """`[E]` int64: the row of each pair."""
        return torch.arange(self.count, device=self.device).repeat_interleave(self.width)

    @property
    def rowptr(self) -> Tensor:  # type: ignore[override]
        """`[R + 1]` int64 row pointers."""
        return torch.arange(self.count + 1, device=self.device) * self.width

    @property
    def count(self) -> int:
        """R, the number of rows."""
        return self._count

    def sum(self, pairs: Tensor) -> Tensor:
        """Sum over each row: `[E, ...]` to `[R, ...]`."""
        return pairs.unflatten(0, (self.count, self.width)).sum(1)

    def spread(self, values: Tensor) -> Tensor:
        """The value of each pair's row: `[R, ...]` to `[E, ...]`."""
        wide = values[:, None].expand(-1, self.width, *values.shape[1:])
        return wide.flatten(0, 1)

    def peak(self, score: Tensor) -> Tensor:
        """Largest score of each row, `[E, H]` to `[R, H]`, as a constant: 0 where all are -inf."""
        largest = score.detach().unflatten(0, (self.count, self.width)).amax(1)
        return torch.where(largest == float("-inf"), 0.0, largest)

    def rank(self, score: Tensor) -> Tensor:
        """Place of each pair in its row by descending score, `[E, H]`, 0 first."""
        rows = score.detach().unflatten(0, (self.count, self.width))
        order = torch.sort(rows, dim=1, descending=True, stable=True).indices
        place = torch.arange(self.width, device=self.device)[None, :, None].expand_as(order)
        return torch.empty_like(order).scatter_(1, order, place).flatten(0, 1)
