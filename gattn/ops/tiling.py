"""Spans cut into tiles: rows and the sources that they see, without writing their pairs out.

A block is a run of rows that see the same sources, or of neighbouring rows of a window, and the
sources that they see. Blocks of one shape are stacked in a tile, which a batched product takes at
once. No block reaches over the border of a sequence, so nothing of one enters another's numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gattn.neighborhood import Span
from gattn.neighborhood._tensors import pointers

# Rows of a block of a window: about as many as its radius, so that half of the products count.
_LEAST_ROWS, _MOST_ROWS = 32, 256

# Wider blocks of a window stand alone: in a stack, each row of the sources is copied for every
# block that sees it, while those of one block are a view.
_MOST_STACKED = 4 * _MOST_ROWS

Place = slice | Tensor
"""Where in a tensor: a range, or indices of any shape."""


@dataclass(frozen=True, eq=False)
class Tile:
    """Blocks of one shape. Their numbers stay on the CPU, whatever device the features are on.

    Args:
        row: `[B, n]` int64, the rows of each block.
        source: `[B, w]` int64, the sources of each block.
        offset: of a window, from the first row of a block to its first source; `None` where
            every row of a block sees all of its sources.
    """

    row: Tensor
    source: Tensor
    offset: int | None = None

    def distance(self, device: torch.device) -> Tensor:
        """Position of a source minus that of a row, `[n, w]`."""
        place = torch.arange(max(self.row.shape[1], self.source.shape[1]), device=device)
        ahead = place[: self.source.shape[1]] - place[: self.row.shape[1], None]
        return ahead if self.offset is None else ahead + self.offset

    def band(self, span: Span) -> Tensor | None:
        """Which sources of its block a row sees, `[n, w]` bool; `None` = all."""
        if self.offset is None:
            return None
        distance = self.distance(span.device)
        seen = distance <= (0 if span.causal else _reach(span))
        return seen & (distance >= -_reach(span))

    def pair(self, span: Span, rowptr: Tensor) -> Tensor:
        """The number of each pair in the order of the rows, `[B, n, w]`, right inside the band."""
        row, source = self.row.to(rowptr.device), self.source.to(rowptr.device)
        return (rowptr[:-1] - span.start)[row][:, :, None] + source[:, None, :]


def _reach(span: Span) -> int:
    """How far a row of a window looks, at the most."""
    return span.num_rows if span.radius is None else min(span.radius, span.num_rows)


def tiles(span: Span, budget: int, split: bool = True) -> list[Tile]:
    """The tiles of a span, by their first rows; rows that see nothing are in none.

    Args:
        span: of any kind.
        budget: pairs of a tile at the most, but for a tile of one row.
        split: cut rows that see the same sources where they are more than the budget allows.
    """
    order, first, size, low, high = _runs(span)
    cut = split or span.radius is not None
    step = _steps(span, size, high - low, budget) if cut else size
    pieces = torch.where(high > low, (size + step - 1) // step, 0)
    run = torch.repeat_interleave(pieces)
    row = first[run] + step[run] * (torch.arange(len(run)) - (pieces.cumsum(0) - pieces)[run])
    rows = torch.minimum(step[run], first[run] + size[run] - row)
    source, stop = low[run], high[run]
    if span.radius is not None:  # a window: not the whole of its sequence
        source = torch.maximum(source, row - span.radius)
        stop = torch.minimum(stop, row + rows + (0 if span.causal else span.radius))
    offset = source - row if span.is_window else torch.zeros_like(row)
    shapes, kind = torch.unique(
        torch.stack([rows, stop - source, offset], 1), dim=0, return_inverse=True
    )
    found = []
    for number, (height, width, ahead) in enumerate(shapes.tolist()):
        chosen = (kind == number).nonzero()[:, 0]
        alone = span.radius is not None and width > _MOST_STACKED
        for part in chosen.split(1 if alone else max(budget // (height * width), 1)):
            at = row[part, None] + torch.arange(height)
            at = at if order is None else order[at]
            seen = source[part, None] + torch.arange(width)
            found.append(Tile(at, seen, ahead if span.is_window else None))
    # In the order of the rows, so that outputs often only have to be joined.
    return sorted(found, key=lambda tile: int(tile.row[0, 0]))


def _runs(span: Span) -> tuple[Tensor | None, Tensor, Tensor, Tensor, Tensor]:
    """Runs of rows: their order, first row, number of rows, first source, one past the last.

    Rows of a packed span see the same sources, those of a window are of one sequence. `order` is
    that of the rows in which they run, `None` as they stand. All of it is on the CPU.
    """
    start, stop, order = span.start.cpu(), span.stop.cpu(), None
    if span.is_window:
        first = span.sequences().cpu()
        size = torch.diff(first, append=torch.tensor([span.num_rows]))
        return None, first, size, first, first + size
    if bool((start[1:] < start[:-1]).any()):
        order = torch.sort(start, stable=True).indices
        start, stop = start[order], stop[order]
    fresh = torch.ones(len(start), dtype=torch.bool)
    fresh[1:] = (start[1:] != start[:-1]) | (stop[1:] != stop[:-1])
    first = fresh.nonzero()[:, 0]
    size = torch.diff(first, append=torch.tensor([len(start)]))
    return order, first, size, start[first], stop[first]


def _steps(span: Span, size: Tensor, width: Tensor, budget: int) -> Tensor:
    """Rows of a block, for each run."""
    if span.radius is None:
        return (budget // width.clamp(min=1)).clamp(min=1)
    step = min(max(span.radius, _LEAST_ROWS), _MOST_ROWS)
    longest = int(size.max()) if len(size) else 0
    seen = max(min(2 * span.radius + step, longest), 1)  # a radius may be far more than there is
    return torch.full_like(size, max(min(step, budget // seen), 1))


class _Picked(torch.autograd.Function):
    """Parts of a tensor, all at once: their gradients are summed in one buffer."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, places: Sequence[Place]) -> tuple[Tensor, ...]:  # type: ignore[override]
        ctx.places, ctx.shape = places, tensor.shape
        ctx.set_materialize_grads(False)
        return tuple(tensor[place] for place in places)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, None]:  # type: ignore[override]
        return _Summed.apply(ctx.shape, ctx.places, *grads), None  # type: ignore[return-value]


class _Summed(torch.autograd.Function):
    """The sum of what arrives at each place, which is linear: its gradient picks again."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, shape: torch.Size, places: Sequence[Place], *parts: Tensor | None
    ) -> Tensor | None:
        found = [(p, part) for p, part in zip(places, parts, strict=True) if part is not None]
        ctx.places = [p for p, part in zip(places, parts, strict=True) if part is not None]
        ctx.given = [part is not None for part in parts]
        if not found:
            return None
        total = found[0][1].new_zeros(shape)
        for place, part in found:
            if isinstance(place, slice):
                total[place] += part
            else:
                total.index_add_(0, place.flatten(), part.flatten(0, place.dim() - 1))
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:  # type: ignore[override]
        picked = iter(pick(grad, ctx.places))
        return None, None, *(next(picked) if given else None for given in ctx.given)


def pick(tensor: Tensor, places: Sequence[Place]) -> tuple[Tensor, ...]:
    """`tensor[place]` for each of the places.

    Args:
        tensor: `[M, ...]`.
        places: ranges, which are not copied, and indices.
    """
    return _Picked.apply(tensor, places)  # type: ignore[return-value]


def stacked(tensor: Tensor, index: Sequence[Tensor]) -> list[Tensor]:
    """`tensor[i]` for each of some `[B, n]`; what stands together is not copied.

    Args:
        tensor: `[M, ...]`.
        index: rows or sources of tiles.
    """
    places: dict[tuple[int, ...], Place] = {}
    keys = []
    for blocks in index:
        # Ends tell blocks apart: what is between them follows.
        key = tuple(blocks[:, [0, -1]].flatten().tolist())
        whole = bool((blocks.flatten().diff() == 1).all())
        if key not in places:
            places[key] = slice(key[0], key[-1] + 1) if whole else blocks.to(tensor.device)
        keys.append(key)
    found = dict(zip(places, pick(tensor, list(places.values())), strict=True))
    return [
        found[key].view(*blocks.shape, *tensor.shape[1:])
        if isinstance(places[key], slice)
        else found[key]
        for key, blocks in zip(keys, index, strict=True)
    ]


def tile_biases(bias: Tensor, span: Span, cut: Sequence[Tile]) -> list[Tensor]:
    """Biases of the pairs of every tile, `[B, n, w]` or `[B, n, w, H]`, right inside its band.

    Args:
        bias: `[E]` or `[E, H]`, in the order of the rows.
        span: whose pairs they are.
        cut: its tiles.
    """
    rowptr = pointers(span.stop - span.start)
    places = [tile.pair(span, rowptr).clamp(0, len(bias) - 1) for tile in cut]
    return list(pick(bias, places))


def assembled(
    parts: Sequence[Tensor], rows: Sequence[Tensor], num_rows: int, empty: float = 0.0
) -> Tensor:
    """Parts at their rows, `[N, ...]`.

    Args:
        parts: `[B, n, ...]` each, at least one.
        rows: `[B, n]` each; no row twice.
        num_rows: N.
        empty: what a row has that is in no part.
    """
    index = torch.cat([row.flatten() for row in rows])
    values = torch.cat([part.flatten(0, 1) for part in parts])
    if torch.equal(index, torch.arange(num_rows)):
        return values
    found = values.new_full((num_rows, *values.shape[1:]), empty)
    return found.index_copy(0, index.to(values.device), values)
