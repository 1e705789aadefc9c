"""Sums over the pieces of long rows."""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from gattn.ops.triton.elementary import slot_at, slots_of
from gattn.ops.triton.run import launch
from gattn.ops.triton.tiles import Cut

_SLOTS = 16
"""Pieces that are added at once."""

_WIDTH = 256
"""Numbers of a row that a program adds."""


def merge(partial: Tensor, into: Tensor, rowptr: Tensor, cut: Cut, again: bool = False) -> None:
    """Sum the slots of every long row into its row.

    Args:
        partial: `[slots, ...]`.
        into: `[R, ...]`; rows that are not long are left alone.
        rowptr: of the rows.
        cut: how they were dealt out.
        again: add to what is there.
    """
    width = into[0].numel() if len(into) else 0
    numbers = {"num_rows": cut.rows, "num_pairs": cut.pairs, "cut": cut.length}
    launch(
        _merge,
        cut.chunks,
        -(-width // _WIDTH),
        into,
        rowptr=rowptr,
        partial=partial,
        into=into,
        **numbers,
        width=width,
        AGAIN=again,
        BS=_SLOTS,
        BW=_WIDTH,
    )


@triton.jit(do_not_specialize=["num_rows", "num_pairs", "cut", "width"])
def _merge(
    rowptr, partial, into, num_rows, num_pairs, cut, width, AGAIN: tl.constexpr, BS: tl.constexpr,
    BW: tl.constexpr,
):  # fmt: skip
    chunk = tl.program_id(0).to(tl.int64)
    at = tl.program_id(1) * BW + tl.arange(0, BW)
    row, first, count = slots_of(rowptr, num_rows, num_pairs, cut, chunk)
    sums = tl.zeros((BS, BW), partial.dtype.element_ty)
    for begin in range(0, count, BS):
        place = begin + tl.arange(0, BS)
        there = (place < count)[:, None] & (at < width)[None, :]
        slot = slot_at(first, place)
        sums += tl.load(partial + slot[:, None] * width + at[None, :], there, 0)
    found = tl.sum(sums, axis=0)
    there = (at * 0 + count > 0) & (at < width)
    if AGAIN:
        found += tl.load(into + row * width + at, there, 0).to(found.dtype)
    tl.store(into + row * width + at, found, there)
