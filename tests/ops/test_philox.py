"""The random numbers of the dropout against the published known answers, and what they promise."""

import pytest
import torch

from gattn.ops.philox import draw_seed, keep_mask, philox4x32

# Known answers of Philox 4x32-10, from the Random123 distribution (kat_vectors).
KNOWN = [
    ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    (
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
        [0xA4093822, 0x299F31D0],
        [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
    ),
]


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN)
def test_known_answers(counter, key, expected):
    words = tuple(torch.tensor([word]) for word in counter)
    found = philox4x32(words, tuple(torch.tensor(word) for word in key))
    assert [int(word) for word in found] == expected


def mask(pairs, heads=6, dropout=0.4, seed=7):
    row, col = torch.tensor(pairs).t()
    return keep_mask(row, col, torch.zeros_like(row), heads, dropout, torch.tensor(seed))


def test_a_pair_keeps_its_bits_in_any_order_and_company():
    pairs = [[i, j] for i in range(5) for j in range(4)]
    whole, backwards = mask(pairs), mask(pairs[::-1])
    assert torch.equal(whole, backwards.flip(0))
    assert torch.equal(whole[7:8], mask(pairs[7:8]))
    assert torch.equal(whole[:, :3], mask(pairs, heads=3))


def test_rate_and_seeds():
    pairs = [[i, j] for i in range(100) for j in range(100)]
    kept = mask(pairs, heads=8)
    assert kept.double().mean().item() == pytest.approx(0.6, abs=0.005)
    assert not torch.equal(kept, mask(pairs, heads=8, seed=8))
    assert mask(pairs, dropout=0.0).all() and not mask(pairs, dropout=1.0).any()
    torch.manual_seed(3)
    first = draw_seed(torch.device("cpu"))
    torch.manual_seed(3)
    assert first == draw_seed(torch.device("cpu"))
