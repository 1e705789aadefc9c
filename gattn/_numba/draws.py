"""Random numbers that follow from a key and a counter alone (SplitMix64), and draws with them.

No state is shared, so any thread may make any of them: Steele, Lea and Flood, "Fast splittable
pseudorandom number generators", 2014.
"""

from __future__ import annotations

import numpy as np

from gattn._numba.compile import kernel, piece

# Numbers of different signedness make a float64 in numba: every constant has its type.
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_LOW = np.uint64(0xFFFFFFFF)
_27, _30, _31, _32 = (np.uint64(bits) for bits in (27, 30, 31, 32))

# Up to so many draws without replacement are compared one by one; a set would be slower.
FEW = 32


def folded(key: int, numbers: np.ndarray) -> int:
    """A key that follows from another one and all numbers, in their order.

    Args:
        key: 64 bits.
        numbers: `[n]` int64.
    """
    return int(_folded(np.uint64(key & 0xFFFFFFFFFFFFFFFF), numbers))


@kernel
def _folded(key, numbers):
    key = scrambled(key + _GOLDEN)
    for number in numbers:
        key = scrambled((key ^ np.uint64(number)) + _GOLDEN)
    return key


@piece
def scrambled(bits):
    """64 bits of which every one depends on every bit that is given."""
    bits = (bits ^ (bits >> _30)) * _FIRST
    bits = (bits ^ (bits >> _27)) * _SECOND
    return bits ^ (bits >> _31)


@piece
def below(key, counter, bound):
    """A uniform integer of `0 .. bound - 1`; the bound is below 2**32, the bias below 2**-32."""
    bits, size = scrambled(key + np.uint64(counter + 1) * _GOLDEN), np.uint64(bound)
    # The upper half of the product of 64 and 32 bits.
    return np.int64(((bits >> _32) * size + (((bits & _LOW) * size) >> _32)) >> _32)


@piece
def distinct(key, counter, bound, count, out, place, seen):
    """A uniform set of `count` numbers of `0 .. bound - 1` at `out[place:]`, by Floyd's algorithm.

    `seen` is all -1, before and after, and at least twice as large as `count` where that is more
    than `FEW`; its size is a power of two.
    """
    many = count > FEW
    for t in range(count):
        last = bound - count + t
        number = below(key, counter + t, last + 1)
        if many:
            if not _added(seen, number):
                number = last
                _added(seen, number)
        else:
            for s in range(place, place + t):
                if out[s] == number:
                    number = last
                    break
        out[place + t] = number
    if many:
        seen[:] = -1


@piece
def _added(seen, number):
    """Put a number into the set, unless it is there."""
    mask = seen.size - 1
    slot = np.int64(scrambled(np.uint64(number)) & np.uint64(mask))
    while seen[slot] >= 0:
        if seen[slot] == number:
            return False
        slot = (slot + 1) & mask
    seen[slot] = number
    return True
