"""`Sparse`: a neighbourhood whose pairs are stored row by row."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

import torch
from torch import Tensor

from gattn import _check
from gattn.neighborhood._compress import compressed_columns, row_of_pairs
from gattn.neighborhood._tensors import MAX_HOPS, map_tensors, mover, pointers


@dataclass(frozen=True, eq=False)
class Transpose:
    """The same pairs by source: the way the gradients of keys and values travel.

    Args:
        rowptr: `[M + 1]` int64; the pairs of source j are `rowptr[j] : rowptr[j + 1]`.
        col: `[E]` int32; the row that attends to the source.
        perm: `[E]` int64; where the pair stands in the neighbourhood's own order.
    """

    rowptr: Tensor
    col: Tensor
    perm: Tensor


@dataclass(frozen=True, eq=False)
class Sparse:
    """A neighbourhood with stored pairs, in compressed rows.

    Row i attends to the sources `col[rowptr[i] : rowptr[i + 1]]`. Build one with
    `from_edge_index` or `k_hop`; the constructor checks every index all the same.

    Args:
        rowptr: `[R + 1]` int64 row pointers.
        col: `[E]` int32 sources.
        num_sources: M, the number of sources.
        hop: `[E]` uint8 distance of each pair, 0 for a node with itself.
        perm: `[E]` int64, the place of each pair in the order in which the builder was given
            them. Pair arguments and results are in *that* order; without `perm` it is `col`'s.
        num_hops: the largest distance that `hop` may hold, in hops.
        hops_sorted: the pairs of each row are sorted by `hop`.
        groups: rows for each query: the query of row r is `r // groups`.

    Attributes:
        transpose: the same pairs by source, built with the object.

    Raises:
        TypeError, ValueError, IndexError: a tensor has the wrong type, shape, device or range.
    """

    rowptr: Tensor
    col: Tensor
    num_sources: int
    hop: Tensor | None = None
    perm: Tensor | None = None
    num_hops: int | None = None
    hops_sorted: bool = False
    groups: int = 1
    transpose: Transpose = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Validate once, at the border, and build the transpose."""
        _check_rows(self)
        _check_pairs(self)
        object.__setattr__(self, "transpose", transposed(self))

    @classmethod
    def trusted(
        cls, *, transpose: tuple[Tensor, Tensor, Tensor], hops_sorted: bool = False, **parts: Any
    ) -> Sparse:
        """A neighbourhood of parts that are right by construction: nothing is checked.

        Args:
            transpose: `rowptr, col, perm` of the transpose.
            hops_sorted: as in the constructor.
            parts: all other fields.
        """
        made = object.__new__(cls)
        parts |= {"transpose": Transpose(*transpose), "hops_sorted": hops_sorted}
        for part in fields(cls):
            object.__setattr__(made, part.name, parts[part.name])
        return made

    @property
    def num_rows(self) -> int:
        """R, the number of rows."""
        return self.rowptr.numel() - 1

    @property
    def num_targets(self) -> int:
        """N, the number of queries: rows are `groups` times as many."""
        return self.num_rows // self.groups

    @property
    def num_pairs(self) -> int:
        """E, the number of pairs."""
        return self.col.numel()

    @property
    def device(self) -> torch.device:
        """Where the tensors live."""
        return self.rowptr.device

    def rows(self) -> Tensor:
        """The row of each pair, `[E]` int64, in `col`'s order."""
        return row_of_pairs(self.rowptr, self.num_pairs)

    def edge_index(self) -> Tensor:
        """The pairs as PyG writes them, `[2, E]` (source, target), in the builder's input order."""
        edges = torch.stack([self.col.long(), self.rows() // self.groups])
        return (
            edges if self.perm is None else torch.empty_like(edges).index_copy_(1, self.perm, edges)
        )

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Sparse:
        """The same neighbourhood on another device."""
        return map_tensors(self, mover(device, non_blocking))

    def pin_memory(self) -> Sparse:
        """The same neighbourhood in page-locked memory."""
        return map_tensors(self, lambda tensor: tensor.pin_memory())

    def rings(self) -> Sparse:
        """The rings of the hops: one row for every target and distance, over the same pairs.

        Row `i * groups + d` of the result holds the pairs of target i at distance d; there are
        `num_hops + 1` rings for each target, empty ones included.

        Raises:
            ValueError: the pairs have no hops, or the rows are refined already.
        """
        if self.hop is None or self.num_hops is None:
            raise ValueError(
                "neighborhood: found pairs without hops, expected hops to make rings: "
                "k_hop(..., complete=True) has them for all pairs"
            )
        if self.groups != 1:
            raise ValueError(f"neighborhood: found groups = {self.groups}, expected 1")
        groups = self.num_hops + 1
        by_hop = self if self.hops_sorted else sorted_by_hop(self)
        ring = by_hop.rows() * groups + by_hop.hop.long()  # type: ignore[union-attr]
        counts = torch.bincount(ring, minlength=self.num_rows * groups)
        columns = by_hop.transpose
        refined = Transpose(columns.rowptr, ring[columns.perm].int(), columns.perm)
        return replaced(by_hop, rowptr=pointers(counts), groups=groups, transpose=refined)

    def __repr__(self) -> str:
        """Sizes only."""
        hops = "" if self.num_hops is None else f", num_hops={self.num_hops}"
        groups = "" if self.groups == 1 else f", groups={self.groups}"
        return (
            f"Sparse(targets={self.num_targets}, sources={self.num_sources}, "
            f"pairs={self.num_pairs}{hops}{groups})"
        )


def transposed(pairs: Sparse) -> Transpose:
    """The pairs by source, in the order of the rows within each source."""
    return Transpose(*compressed_columns(pairs.rowptr, pairs.col, pairs.num_sources))


def sorted_by_hop(pairs: Sparse) -> Sparse:
    """The same neighbourhood with the pairs of every row sorted by hop."""
    assert pairs.hop is not None
    order = torch.sort(pairs.rows() * (MAX_HOPS + 2) + pairs.hop, stable=True).indices
    perm = order if pairs.perm is None else pairs.perm[order]
    moved = replaced(pairs, col=pairs.col[order], hop=pairs.hop[order], perm=perm, hops_sorted=True)
    return replaced(moved, transpose=transposed(moved))


def replaced(pairs: Sparse, **changes: object) -> Sparse:
    """A copy with changes that are right by construction, not validated again."""
    copy = map_tensors(pairs, lambda tensor: tensor)
    for name, value in changes.items():
        object.__setattr__(copy, name, value)
    return copy


def _check_rows(pairs: Sparse) -> None:
    rowptr = _check.integers("rowptr", pairs.rowptr)
    _check.integer("num_sources", pairs.num_sources, 0, 2**31 - 1)
    _check.integer("groups", pairs.groups, 1)
    _check.shape("rowptr", rowptr, ["R + 1"])
    if rowptr.dtype != torch.int64:
        raise TypeError(f"rowptr: found dtype {rowptr.dtype}, expected torch.int64")
    if rowptr.numel() == 0 or (rowptr.numel() - 1) % pairs.groups:
        raise ValueError(
            f"rowptr: found {rowptr.numel()} entries, expected 1 + a multiple of {pairs.groups}"
        )
    if int(rowptr[0]) != 0 or bool((rowptr.diff() < 0).any()):
        raise ValueError("rowptr: found a descent or a start other than 0, expected 0 <= ... <= E")


def _check_pairs(pairs: Sparse) -> None:
    count = int(pairs.rowptr[-1])
    for name, dtype in (("col", torch.int32), ("hop", torch.uint8), ("perm", torch.int64)):
        value = getattr(pairs, name)
        if value is None and name != "col":
            continue
        value = _check.tensor(name, value)
        if value.dtype != dtype:
            raise TypeError(f"{name}: found dtype {value.dtype}, expected {dtype}")
        _check.shape(name, value, [count])
        _check.same_device(name, value, pairs.rowptr.device, "rowptr")
    _check.within("col", pairs.col, pairs.num_sources, "num_sources")
    if pairs.perm is not None:
        _check_permutation(pairs.perm)
    _check_hops(pairs)


def _check_permutation(perm: Tensor) -> None:
    _check.within("perm", perm, perm.numel(), "the number of pairs")
    if bool((torch.bincount(perm, minlength=perm.numel()) != 1).any()):
        raise ValueError("perm: found a position twice, expected a permutation of the pairs")


def _check_hops(pairs: Sparse) -> None:
    if (pairs.hop is None) != (pairs.num_hops is None):
        raise ValueError("num_hops: expected together with hop, found one without the other")
    if pairs.hop is None or pairs.num_hops is None:
        return
    _check.integer("num_hops", pairs.num_hops, 0, MAX_HOPS + 1)
    _check.within("hop", pairs.hop, pairs.num_hops + 1, "num_hops + 1")
    if pairs.hops_sorted:
        row, hop = pairs.rows(), pairs.hop.int()
        if bool(((row[1:] == row[:-1]) & (hop[1:] < hop[:-1])).any()):
            raise ValueError("hops_sorted: found a row whose hops descend, expected sorted hops")
