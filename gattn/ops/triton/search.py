r"""Pairs within k hops, found on the device: searches around many nodes at once, by sets of bits.

A node has one bit for each search: those whose last ring it is in, and those that have seen it. A
hop is one pass over the edges for all searches,

$$ \text{next}_v = \Big( \bigvee_{v \to u} \text{ring}_u \Big) \wedge \neg\, \text{seen}_v $$

and a ring is read out by a few operations on the pairs that are in it. (Then et al., "The More the
Merrier: Efficient Multi-Source Graph Traversal", VLDB 2014.)
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from gattn.neighborhood import Streamed
from gattn.neighborhood._tensors import pointers
from gattn.ops.triton.pairs import row_of_pairs
from gattn.ops.triton.run import launch
from gattn.ops.triton.tiles import power

MOST_BYTES = 1 << 28
"""Of what is read out at once, a byte for each node and search."""

MOST_EDGES = 512
"""Edges that one program takes; a node with more is cut, into about as many pieces as a piece has
edges, if that is more."""

_BITS = 64
# Words that a program takes, of one node and of all its edges together.
_WORDS = 16
_TILE = 256

Pairs = tuple[Tensor, Tensor, Tensor]


@triton.jit
def _either(one, other):
    return one | other


@triton.jit(do_not_specialize=["width"])
def _reach(ring, reached, seen, begin, end, col, width, EDGES: tl.constexpr, WORDS: tl.constexpr):
    """The union of the words `ring[col[begin:end]]` of a row, without what it has seen."""
    row = tl.program_id(0).to(tl.int64)
    word = tl.program_id(1) * WORDS + tl.arange(0, WORDS)
    inside = word < width
    low, high = tl.load(begin + row), tl.load(end + row)
    some = tl.zeros([EDGES, WORDS], tl.int64)
    for first in range(low, high, EDGES):
        edge = first + tl.arange(0, EDGES)
        there = edge < high
        node = tl.load(col + edge, mask=there, other=0).to(tl.int64)
        place = ring + node[:, None] * width + word[None, :]
        some |= tl.load(place, mask=there[:, None] & inside[None, :], other=0)
    union = tl.reduce(some, 0, _either)
    place = row * width + word
    if seen is not None:
        before = tl.load(seen + place, mask=inside, other=0)
        union = union & ~before
        # Threads that hold the same word: all read it before one of them writes it.
        tl.debug_barrier()
        tl.store(seen + place, union | before, mask=inside)
    tl.store(reached + place, union, mask=inside)


class Ranges(NamedTuple):
    """Rows of sources, each a range of one array.

    Args:
        begin: `[R]` int64.
        end: `[R]` int64.
    """

    begin: Tensor
    end: Tensor


class Edges(NamedTuple):
    """The edges from every node, those of hubs in two steps: pieces first, then their unions.

    Args:
        nodes: `[N]`, where the edges of a node begin and end, or the pieces of a hub.
        pieces: `[P]`, where the edges of a piece begin and end.
        col: `[E + P]` int32: the other node of every edge, then `N ..  N + P - 1`, the pieces.
    """

    nodes: Ranges
    pieces: Ranges
    col: Tensor

    @classmethod
    def of(cls, rowptr: Tensor, col: Tensor) -> Edges:
        """The edges of a graph given by its rows, against their direction.

        Args:
            rowptr: `[N + 1]` int64, of the edges by target.
            col: `[E]` int32, the source of each edge.
        """
        starts, other, _ = columns(rowptr, col, rowptr.numel() - 1)
        degree = starts.diff()
        size = max(MOST_EDGES, int(int(degree.max()) ** 0.5) + 1) if degree.numel() else 1
        count = torch.where(degree > size, (degree + size - 1) // size, 0)
        slots, number = pointers(count), int(count.sum())
        nodes = _chosen(count > 0, slots + col.numel(), starts)
        pieces = _pieces(starts, slots, number, size)
        own = torch.arange(number, dtype=torch.int32, device=col.device) + degree.numel()
        return cls(nodes, pieces, torch.cat([other, own]))


def _chosen(mask: Tensor, one: Tensor, other: Tensor) -> Ranges:
    """The ranges of one set of row pointers where a mask is set, elsewhere of the other."""
    return Ranges(torch.where(mask, one[:-1], other[:-1]), torch.where(mask, one[1:], other[1:]))


def _pieces(starts: Tensor, slots: Tensor, number: int, size: int) -> Ranges:
    """The edges of each piece of a hub."""
    node = row_of_pairs(slots, number)
    piece = torch.arange(number, device=starts.device) - slots[node]
    begin = starts[node] + piece * size
    return Ranges(begin, torch.minimum(begin + size, starts[node + 1]))


class Search:
    """Searches on a device: `(first, last)` -> `rowptr, col, hop`, as `Streamed.finder`.

    The edges are copied to the device, and turned round there, once for each object.

    Args:
        around: what to search for.
        device: where.
    """

    def __init__(self, around: Streamed, device: torch.device) -> None:
        self.around, self.device = around, device
        self.edges = Edges.of(around.rowptr.to(device), around.col.to(device))
        self.kept, self.unreached = around.searched_for()
        self.together = at_once(around.num_targets)

    def __call__(self, first: int, last: int) -> Pairs:
        """The pairs of the targets `first .. last - 1`."""
        cut = [(at, min(at + self.together, last)) for at in range(first, last, self.together)]
        found = [self._batch(*part) for part in cut or [(first, last)]]
        counts, col, hop = (torch.cat(parts) for parts in zip(*found, strict=True))
        counts = counts.sum(1) if self.around.groups == 1 else counts.view(-1)
        return pointers(counts), col, hop

    def _batch(self, first: int, last: int) -> Pairs:
        """Counts `[targets, num_hops + 1]`, sources and distances of targets searched together."""
        counts = torch.zeros(
            last - first, self.around.num_hops + 1, dtype=torch.int64, device=self.device
        )
        return counts, *_ordered(self._rings(first, last), counts)

    def _rings(self, first: int, last: int) -> list[Ring]:
        """The pairs of some targets by distance."""
        nodes, pieces = self.around.num_targets, self.edges.pieces.begin.numel()
        rows, words = last - first, max(-(-(last - first) // _BITS), 1)
        # Two to take turns: each has the words of all nodes, and of the pieces of hubs.
        ring, following = torch.zeros(
            2, nodes + pieces, words, dtype=torch.int64, device=self.device
        )
        search = torch.arange(rows, device=self.device)
        ring[search + first, search // _BITS] = torch.bitwise_left_shift(1, search % _BITS)
        seen = ring[:nodes].clone()
        found: list[Ring] = []
        for hop in range(len(self.kept)):
            if self.kept[hop]:
                found.append(_read(ring[:nodes], hop, rows))
                if found[-1].row.numel() == 0:
                    break
            if hop + 1 < len(self.kept):
                self._step(ring, following, seen)
                ring, following = following, ring
        if self.unreached:
            found.append(_read(~seen, len(self.kept), rows))
        return found

    def _step(self, ring: Tensor, reached: Tensor, seen: Tensor) -> None:
        """The next ring, of what is not seen yet."""
        hubs = ring[len(seen) :]
        self._launch(ring, hubs, None, self.edges.pieces)
        self._launch(ring, reached, seen, self.edges.nodes)

    def _launch(self, ring: Tensor, reached: Tensor, seen: Tensor | None, rows: Ranges) -> None:
        width = ring.shape[1]
        words = min(power(width), _WORDS)
        launch(
            _reach,
            rows.begin.numel(),
            -(-width // words),
            ring,
            ring=ring,
            reached=reached,
            seen=seen,
            begin=rows.begin,
            end=rows.end,
            col=self.edges.col,
            width=width,
            EDGES=max(_TILE // words, 1),
            WORDS=words,
            num_warps=2,
        )


def at_once(num_nodes: int) -> int:
    """Targets that are searched for together, so that no more is read out than `MOST_BYTES`."""
    most = max(MOST_BYTES // max(num_nodes, 1), 1)
    return most if most < _BITS else most // _BITS * _BITS


class Ring(NamedTuple):
    """The pairs of some rows at one distance, by row and then by source.

    Args:
        hop: the distance.
        row: `[P]` int64.
        source: `[P]` int64.
        starts: `[rows + 1]` int64: where each row begins.
    """

    hop: int
    row: Tensor
    source: Tensor
    starts: Tensor


def _read(words: Tensor, hop: int, rows: int) -> Ring:
    """The pairs that have a bit in the words `[N, words]` of nodes."""
    nodes, device = len(words), words.device
    # The bytes of a word, and the bits of a byte, in ascending order of the searches.
    sets = words.contiguous().view(torch.uint8).t()[: -(-rows // 8)].contiguous()
    bits = torch.bitwise_left_shift(1, torch.arange(8, device=device)).to(torch.uint8)
    present = (sets[:, None] & bits[:, None]).view(-1)[: rows * nodes]
    place = present.nonzero().view(-1)
    borders = torch.arange(rows + 1, device=device) * nodes
    row = place // max(nodes, 1)
    return Ring(hop, row, place - row * nodes, torch.searchsorted(place, borders))


def _ordered(rings: list[Ring], counts: Tensor) -> tuple[Tensor, Tensor]:
    """Sources and distances, by row, distance and source; writes how many there are of each."""
    for ring in rings:
        counts[:, ring.hop] = ring.starts.diff()
    begin = pointers(counts.view(-1))[:-1].view_as(counts)
    total, device = sum(ring.row.numel() for ring in rings), counts.device
    col = torch.empty(total, dtype=torch.int32, device=device)
    hop = torch.empty(total, dtype=torch.uint8, device=device)
    for ring in rings:
        shift = begin[:, ring.hop] - ring.starts[:-1]
        place = torch.arange(ring.row.numel(), device=device) + shift[ring.row]
        col[place] = ring.source.int()
        hop[place] = ring.hop
    return col, hop


def columns(rowptr: Tensor, col: Tensor, num_sources: int) -> Pairs:
    """`rowptr, col, perm` of the transpose, without waiting for the device.

    Args: as `compressed_columns` of `gattn/neighborhood/_compress.py`.
    """
    ordered, perm = torch.sort(col, stable=True)
    sources = torch.arange(num_sources + 1, dtype=torch.int32, device=col.device)
    starts = torch.searchsorted(ordered, sources)
    return starts, row_of_pairs(rowptr, col.numel())[perm].int(), perm
