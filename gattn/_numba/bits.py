"""Sets of numbers as bits, read out in ascending order: a sort in time proportional to the set.

A second layer has one bit for every word of the first that is not zero, so that reading out visits
those alone. Pieces of kernels; numbers are unsigned.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.extending import intrinsic

from gattn._numba.compile import piece

U = np.uint64


def bit_sets(size: int) -> tuple[np.ndarray, np.ndarray]:
    """The two layers of an empty set of numbers below `size`."""
    words = size // 64 + 1
    return np.zeros(words, np.uint64), np.zeros(words // 64 + 1, np.uint64)


@intrinsic
def lowest(context: Any, word: Any) -> Any:
    """The place of the lowest bit of a word that is not zero."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], context.get_constant(types.boolean, True))

    return types.uint64(types.uint64), codegen


@piece
def put(bits, number):
    """Add a number to the set."""
    word = number >> U(6)
    bits[0][word] |= U(1) << (number & U(63))
    bits[1][word >> U(6)] |= U(1) << (word & U(63))


@piece
def take_all(bits, out, place):
    """Write the numbers to `out[place:]` in ascending order and empty the set; the new end."""
    words, summary = bits
    for top in range(U(summary.size)):
        filled = summary[top]
        summary[top] = 0
        while filled != U(0):
            word = (top << U(6)) + lowest(filled)
            filled &= filled - U(1)
            left = words[word]
            words[word] = 0
            while left != U(0):
                out[place] = (word << U(6)) + lowest(left)
                left &= left - U(1)
                place += U(1)
    return place
