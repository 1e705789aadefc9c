"""Philox, the counter-based random numbers of the attention dropout.

A weight is dropped by a number that depends on the seed and on *which* pair and head it is, never
on when or where it is computed. So every backend, block of rows and order of pairs drops the same
weights, and a backward pass draws them again instead of storing a mask.

(Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", 2011: Philox 4x32 with 10 rounds.)
"""

from __future__ import annotations

import torch
from torch import Tensor

_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10
_LOW = 0xFFFFFFFF


def philox4x32(
    counter: tuple[Tensor, Tensor, Tensor, Tensor], key: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Four 32-bit random numbers for every counter, as int64 tensors in `[0, 2^32)`.

    Args:
        counter: four broadcastable int64 tensors of 32-bit words.
        key: two int64 scalars of 32-bit words.
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(_ROUNDS):
        # A product of two 32-bit words fills 64 bits; int64 wraps, and the bits are the same.
        first, second = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0, c1, c2, c3 = (
            (second >> 32) & _LOW ^ c1 ^ k0,
            second & _LOW,
            (first >> 32) & _LOW ^ c3 ^ k1,
            first & _LOW,
        )
        k0, k1 = (k0 + _KEY_STEPS[0]) & _LOW, (k1 + _KEY_STEPS[1]) & _LOW
    return c0, c1, c2, c3


def keep_mask(
    row: Tensor, col: Tensor, rank: Tensor, heads: int, dropout: float, seed: Tensor
) -> Tensor:
    """Which weights survive the dropout, `[E, H]` bool.

    Args:
        row: `[E]` row of each pair.
        col: `[E]` source of each pair.
        rank: `[E]` place of the pair among those of the same row and source.
        heads: H.
        dropout: probability to drop.
        seed: int64 scalar.
    """
    words = [word.long()[:, None] for word in (row, col, rank)]
    fours = torch.arange((heads + 3) // 4, device=row.device)[None, :]
    key = (seed & _LOW, (seed >> 32) & _LOW)
    lanes = philox4x32((words[0], words[1], words[2], fours), key)
    # Head h takes lane h % 4 of the counter h // 4.
    drawn = torch.stack([lane.expand(len(row), fours.shape[1]) for lane in lanes], dim=-1)
    return drawn.reshape(len(row), fours.shape[1] * 4)[:, :heads] >= threshold(dropout)


def threshold(dropout: float) -> int:
    """The 32-bit number below which a weight is dropped."""
    return round(dropout * 2**32)


def draw_seed(device: torch.device) -> Tensor:
    """A fresh seed from torch's generator of the device: `torch.manual_seed` repeats it."""
    return torch.randint(2**63 - 1, (), dtype=torch.int64, device=device)
