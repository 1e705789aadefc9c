"""What is done pair by pair, wherever the pairs stand."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 256
"""Pairs of a program."""


@triton.jit(do_not_specialize=["num_pairs"])
def write_ranks(col, t_col, t_perm, out, num_pairs, BE: tl.constexpr):
    """Place of each pair among those of the same row and source.

    In the transpose equal pairs stand one behind the other: how many are before it is its place.
    """
    e = tl.program_id(0).to(tl.int64) * BE + tl.arange(0, BE)
    valid = e < num_pairs
    row = tl.load(t_col + e, valid, 0)
    place = tl.load(t_perm + e, valid, 0)
    source = tl.load(col + place, valid, 0)
    rank = row * 0
    back = 1
    same = valid
    while tl.max(same.to(tl.int32), axis=0) > 0:
        same = same & (e >= back)
        before = e - back
        same = same & (tl.load(t_col + before, same, -1) == row)
        other = tl.load(t_perm + before, same, 0)
        same = same & (tl.load(col + other, same, -1) == source)
        rank += same.to(tl.int32)
        back += 1
    tl.store(out + place, rank, valid)


def row_of_pairs(rowptr: Tensor, num_pairs: int) -> Tensor:
    """The row of each pair, `[E]` int64, without asking the device for a size."""
    ids = torch.arange(rowptr.numel() - 1, device=rowptr.device)
    return torch.repeat_interleave(ids, rowptr.diff(), output_size=num_pairs)


def packed(chosen: Tensor) -> Tensor:
    """`[E, H]` bool as bits, `[E, ceil(H / 8)]` uint8."""
    size, heads = chosen.shape
    bytes_ = (heads + 7) // 8
    padded = torch.nn.functional.pad(chosen.to(torch.uint8), (0, bytes_ * 8 - heads))
    place = torch.arange(8, device=chosen.device, dtype=torch.uint8)
    return (padded.view(size, bytes_, 8) << place).sum(2, dtype=torch.uint8)


def unpacked(bits: Tensor, heads: int) -> Tensor:
    """Bits `[E, ceil(H / 8)]` as `[E, H]`, 0 or 1."""
    place = torch.arange(8, device=bits.device, dtype=torch.uint8)
    return ((bits[:, :, None] >> place) & 1).flatten(1)[:, :heads]
