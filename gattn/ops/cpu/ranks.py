"""Which of several equal pairs a pair is: a part of what its dropout is drawn from."""

from __future__ import annotations

from gattn._numba.compile import kernel


@kernel
def duplicate_ranks(rowptr, row, perm, out):
    """Place of each pair among those of the same row and source; returns the largest.

    Args:
        rowptr: `[M + 1]`, of the transpose, where equal pairs stand together.
        row: `[E]`, of the transpose.
        perm: `[E]`, of the transpose.
        out: `[E]`, in the order of the rows.
    """
    most = 0
    for j in range(rowptr.size - 1):
        rank = 0
        for e in range(rowptr[j], rowptr[j + 1]):
            rank = rank + 1 if e > rowptr[j] and row[e] == row[e - 1] else 0
            out[perm[e]] = rank
            most = max(most, rank)
    return most
