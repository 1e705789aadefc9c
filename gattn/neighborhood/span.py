"""`Span`: a neighbourhood in which every row attends to one contiguous range of sources."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gattn import _check
from gattn.neighborhood._tensors import (
    DEFAULT_MAX_PAIRS,
    MAX_HOPS,
    check_budget,
    map_tensors,
    mover,
    pointers,
)
from gattn.neighborhood.sparse import Sparse

_ADVICE = (
    "narrow the window, cut the sequence, or use what torch's own attention can do without "
    "storing pairs (gattn.backend_reasons says why it cannot here)"
)

KINDS = ("full", "packed", "window", "packed_window")


@dataclass(frozen=True, eq=False)
class Span:
    """A neighbourhood of contiguous ranges: row i attends to the sources `start[i] : stop[i]`.

    It takes O(N) memory whatever the number of pairs. Build one with `full` or `window`.

    Args:
        start: `[N]` int64, first source of each row.
        stop: `[N]` int64, one past the last source of each row.
        num_sources: M, the number of sources.
        kind: "full" (every row attends to every source), "packed" (each to those of its own
            graph), "window" (each to the positions around its own) or "packed_window" (the
            same in several sequences, one behind the other).
        radius: of a window: how far a row looks, in positions; `None` = without limit.
        causal: of a window: a row looks back only.
        signed: of a window: `hop` is `j - i + radius` instead of `|i - j|`.

    Raises:
        TypeError, ValueError: a tensor has the wrong type, shape, device or range.
    """

    start: Tensor
    stop: Tensor
    num_sources: int
    kind: str
    radius: int | None = None
    causal: bool = False
    signed: bool = False

    groups = 1  # rows are queries: only stored pairs are ever refined

    def __post_init__(self) -> None:
        """Validate once, at the border."""
        _check.one_of("kind", self.kind, KINDS)
        _check.integer("num_sources", self.num_sources, 0, 2**31 - 1)
        for name in ("start", "stop"):
            bound = _check.tensor(name, getattr(self, name))
            if bound.dtype != torch.int64:
                raise TypeError(f"{name}: found dtype {bound.dtype}, expected torch.int64")
            _check.shape(name, bound, [self.start.shape[0] if self.start.dim() else "N"])
            _check.same_device(name, bound, self.start.device, "start")
            _check.within(name, bound, self.num_sources + 1, "num_sources + 1")
        if bool((self.stop < self.start).any()):
            raise ValueError(
                "stop: found a row that stops before it starts, expected start <= stop"
            )
        self._check_window()
        self._check_kind()

    def _check_window(self) -> None:
        if not self.is_window and (self.radius is not None or self.causal or self.signed):
            raise ValueError(
                f"kind: found {self.kind!r} with radius, causal or signed, expected a window"
            )
        if self.radius is not None:
            _check.integer("radius", self.radius, 0, 2**31 - 1)
        if self.signed and (self.radius is None or 2 * self.radius > MAX_HOPS + 1):
            # A hop is one byte: past that, before and after would share it.
            raise ValueError(f"radius: found {self.radius}, expected at most 127 when signed")

    def _check_kind(self) -> None:
        """Backends trust `kind` without looking at the ranges again, so the two must agree."""
        if self.kind == "full":
            expected = torch.zeros_like(self.start), torch.full_like(self.stop, self.num_sources)
        elif self.is_window:
            expected = self._windows()
        else:
            return
        if not (torch.equal(self.start, expected[0]) and torch.equal(self.stop, expected[1])):
            raise ValueError(f"kind: found ranges that are not those of {self.kind!r}")

    def _windows(self) -> tuple[Tensor, Tensor]:
        """Start and stop of the windows that these sequences have."""
        whole = self.kind == "window"
        first = self.start.new_zeros(1)[: self.num_rows] if whole else self.sequences()
        size = torch.diff(first, append=first.new_tensor([self.num_rows]))
        return ranges(size, self.radius, self.causal)

    def sequences(self) -> Tensor:
        """The first row of every sequence of a window, `[S]` int64."""
        row = torch.arange(self.num_rows, device=self.device)
        fresh = self.start == row
        fresh[1:] &= self.stop[:-1] <= row[1:]
        return fresh.nonzero()[:, 0]

    @property
    def num_rows(self) -> int:
        """N, the number of rows; each is one query."""
        return self.start.numel()

    @property
    def num_targets(self) -> int:
        """N, the number of queries."""
        return self.start.numel()

    @property
    def num_pairs(self) -> int:
        """E, the number of pairs that the ranges stand for (counted, never stored)."""
        return int((self.stop - self.start).sum())

    @property
    def is_window(self) -> bool:
        """Rows attend to the positions around their own, so pairs have a distance."""
        return self.kind in ("window", "packed_window")

    @property
    def num_hops(self) -> int | None:
        """The largest hop of a window (at most 255: farther ones share it); else `None`."""
        if not self.is_window:
            return None
        if self.signed:
            assert self.radius is not None
            return 2 * self.radius
        farthest = max(self.num_rows - 1, 0) if self.radius is None else self.radius
        return min(farthest, MAX_HOPS + 1)

    @property
    def device(self) -> torch.device:
        """Where the tensors live."""
        return self.start.device

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Span:
        """The same neighbourhood on another device."""
        return map_tensors(self, mover(device, non_blocking))

    def pin_memory(self) -> Span:
        """The same neighbourhood in page-locked memory."""
        return map_tensors(self, lambda tensor: tensor.pin_memory())

    def expand(self, max_pairs: int = DEFAULT_MAX_PAIRS) -> Sparse:
        """The same pairs, stored.

        Args:
            max_pairs: the number of pairs to allocate at the most.

        Raises:
            ValueError: there are more pairs than `max_pairs`.
        """
        count = self.num_pairs
        check_budget(f"{self!r}", count, max_pairs, _ADVICE)
        rowptr = pointers(self.stop - self.start)
        rows = torch.arange(self.num_rows, device=self.device)
        row = torch.repeat_interleave(rows, rowptr.diff(), output_size=count)
        col = torch.arange(count, device=self.device) + (self.start - rowptr[:-1])[row]
        hop = self.hops_of(col - row).to(torch.uint8) if self.is_window else None
        return Sparse(rowptr, col.int(), self.num_sources, hop, None, self.num_hops)

    def hops_of(self, ahead: Tensor) -> Tensor:
        """The hops of pairs of a window, as they are counted.

        Args:
            ahead: position of the source minus that of the row, int64.
        """
        distance = ahead + (self.radius or 0) if self.signed else ahead.abs()
        return distance.clamp(max=MAX_HOPS + 1)

    def __repr__(self) -> str:
        """Sizes only."""
        window = f", radius={self.radius}, causal={self.causal}" if self.is_window else ""
        return f"Span({self.kind}, targets={self.num_rows}, sources={self.num_sources}{window})"


def ranges(size: Tensor, radius: int | None, causal: bool) -> tuple[Tensor, Tensor]:
    """Start and stop of every position's window, `[N]` each, in sequences of `size` positions."""
    ends = size.cumsum(0)
    count = int(ends[-1]) if len(ends) else 0
    begin, end = (
        torch.repeat_interleave(bound, size, output_size=count) for bound in (ends - size, ends)
    )
    position = torch.arange(count, device=size.device)
    reach = count if radius is None else radius
    start = torch.maximum(position - reach, begin)
    return start, position + 1 if causal else torch.minimum(position + reach + 1, end)
