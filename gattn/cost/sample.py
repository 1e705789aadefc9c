"""A part of a neighbourhood that costs, pair for pair, what the whole would cost."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from gattn.cost import clock
from gattn.neighborhood import Sparse, Streamed
from gattn.neighborhood.sparse import transposed

# Runs of rows that a sample is made of: several, since a graph is not alike everywhere, but each
# has rows enough to be searched around together, as they are in a block.
_RUNS = 4
_ROWS_OF_RUN = 64
# Pairs that a row has at least when the balls of a few targets are dealt out to many.
_SHORTEST = 32


@dataclass(frozen=True, eq=False)
class Sample:
    """All pairs of some targets.

    Args:
        rowptr: `[R + 1]` int64.
        col: `[P]` int32.
        num_nodes: N.
        whole: the targets are all nodes.
        counting: seconds that the pairs took to be counted.
        finding: seconds that they took to be found.
    """

    rowptr: Tensor
    col: Tensor
    num_nodes: int
    whole: bool
    counting: float
    finding: float

    @property
    def num_pairs(self) -> int:
        """P, the number of pairs."""
        return len(self.col)

    def together(self) -> Sparse:
        """The pairs as they are: what a block of a streamed neighbourhood is."""
        return Sparse(self.rowptr, self.col, self.num_nodes)

    def apart(self, rng: np.random.Generator) -> Sparse:
        """The pairs in pieces, which are dealt out to targets all over the graph.

        The gradients of keys and values gather from the targets of each source. A few targets
        would stay in the cache, which those of the whole do not.

        Args:
            rng: what deals.
        """
        starts, sizes = self._pieces()
        order = rng.permutation(len(starts))
        target = np.sort(rng.choice(self.num_nodes, len(starts), replace=False))
        counts = np.zeros(self.num_nodes, np.int64)
        counts[target] = sizes[order]
        rowptr = torch.from_numpy(np.concatenate([[0], counts.cumsum()]))
        ends = sizes[order].cumsum()
        place = np.repeat(starts[order] - ends + sizes[order], sizes[order]) + np.arange(ends[-1])
        return Sparse(rowptr, self.col[torch.from_numpy(place)], self.num_nodes)

    def _pieces(self) -> tuple[np.ndarray, np.ndarray]:
        """Where pieces of rows start, and how long they are; no more than there are nodes."""
        rows = self.rowptr.numpy()
        room = max(self.num_nodes - len(rows), 1)
        longest = max(_SHORTEST, -(-self.num_pairs // room))
        cut = [np.arange(a, b, longest) for a, b in pairwise(rows.tolist())]
        starts = np.concatenate(cut)
        return starts, np.diff(np.append(starts, rows[-1]))


def draw(
    rowptr: Tensor, col: Tensor, num_hops: int, num_rows: int, most: int, rng: np.random.Generator
) -> Sample:
    """The pairs of about `num_rows` targets within `num_hops`, of runs that start at random.

    Args:
        rowptr: `[N + 1]` int64, of the edges by target.
        col: `[E]` int32.
        num_hops: K.
        num_rows: at the most; N takes all.
        most: pairs, but each run has at least one target.
        rng: what draws.
    """
    count = len(rowptr) - 1
    runs, each = _runs(num_rows, count)
    starts = rng.integers(0, count - each + 1, runs).tolist()
    parts = [_run(rowptr, col, num_hops, first, each, most // runs) for first in starts]
    pointers = torch.cat([torch.zeros(1, dtype=torch.int64), *(part[0] for part in parts)])
    columns = torch.cat([part[1] for part in parts])
    # A run of all rows may still have been cut short at the most pairs.
    whole = each == count and len(pointers) - 1 == count
    counting, finding = (sum(part[2] for part in parts), sum(part[3] for part in parts))
    return Sample(pointers.cumsum(0), columns, count, whole, counting, finding)


def _runs(num_rows: int, count: int) -> tuple[int, int]:
    """How many runs, and the rows of each: one of all, where the runs would have as many."""
    runs = min(_RUNS, -(-num_rows // _ROWS_OF_RUN))
    each = -(-num_rows // runs)
    return (1, count) if runs * each >= count else (runs, each)


def _run(
    rowptr: Tensor, col: Tensor, num_hops: int, first: int, rows: int, most: int
) -> tuple[Tensor, Tensor, float, float]:
    """Pairs of each row and their sources, and the seconds of counting and of finding."""
    around = Streamed.trusted(
        rowptr=rowptr,
        col=col,
        num_hops=num_hops,
        shells=tuple(range(num_hops + 1)),
        complete=False,
        groups=1,
        device=torch.device("cpu"),
        starts=torch.zeros_like(rowptr),
    )
    search, pairs_of = around.search(), around.finder()
    counting, found = clock.again(lambda: search.count(np.arange(first, first + rows)))
    kept = max(1, int(np.searchsorted(found.cumsum(), most, side="right")))
    counts = torch.from_numpy(found)
    around.starts[first + 1 : first + rows + 1] = counts.cumsum(0)
    finding, (_, sources, _) = clock.again(lambda: pairs_of(first, first + kept))
    share = float(counts[:kept].sum() / counts.sum())
    return counts[:kept], sources, counting * share, finding


def transposing(around: Sparse) -> float:
    """Seconds that the transpose of some pairs takes."""
    return clock.again(lambda: transposed(around))[0]
