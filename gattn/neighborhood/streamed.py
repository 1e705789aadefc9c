"""`Streamed`: the pairs within k hops, found anew whenever they are needed, and never stored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from gattn import _check
from gattn._numba.compile import missing
from gattn.neighborhood._boolean import BooleanSearch
from gattn.neighborhood._compress import compressed_columns
from gattn.neighborhood._tensors import (
    DEFAULT_MAX_PAIRS,
    MAX_HOPS,
    check_budget,
    map_tensors,
    mover,
    outside_of_transforms,
    pointers,
)
from gattn.neighborhood.sparse import Sparse

if TYPE_CHECKING:
    from gattn._numba.search import Search

Pairs = tuple[Tensor, Tensor, Tensor]
Room = tuple[np.ndarray, np.ndarray]
Finder = Callable[..., Pairs]

_ADVICE = "use fewer hops or shells, raise max_pairs, or let them be streamed"


@dataclass(frozen=True, eq=False)
class Streamed:
    """A neighbourhood whose pairs are found again, a block of rows at a time, and dropped.

    It stores a graph of one hop and, for every node, how many pairs it has: O(N + edges) memory,
    whatever the number of pairs. `attend` takes it as any other, forward and backward; what needs
    the pairs themselves (their weights, arguments for each of them) needs `expand()`. Build one
    with `k_hop(..., streamed=True)`.

    Args:
        rowptr: `[N + 1]` int64: the edges into node i are `rowptr[i] : rowptr[i + 1]`.
        col: `[edges]` int32, their sources.
        num_hops: the farthest distance of a pair.
        shells: the distances that are kept.
        complete: pairs at distance `num_hops` are those that no search reaches.
        groups: rows for each query, 1 or `num_hops + 1`: the query of row r is `r // groups`.
        device: where the pairs are needed; the graph itself stays on the CPU.

    Attributes:
        starts: `[N + 1]` int64, how many pairs the nodes before have; counted with the object.

    Raises:
        TypeError, ValueError, IndexError: a tensor has the wrong type, shape or range.
    """

    rowptr: Tensor
    col: Tensor
    num_hops: int
    shells: tuple[int, ...]
    complete: bool = False
    groups: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    starts: Tensor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Validate once, at the border, and count the pairs."""
        _check_searched(self)
        object.__setattr__(self, "shells", tuple(sorted(set(self.shells))))
        object.__setattr__(self, "device", torch.device(self.device))
        _check.integers("rowptr", self.rowptr)
        Sparse(self.rowptr, self.col, max(self.rowptr.numel() - 1, 0))  # checks both
        object.__setattr__(self, "starts", _counted(self))

    @classmethod
    def of_graph(
        cls, rowptr: Tensor, col: Tensor, num_hops: int, shells: tuple[int, ...], complete: bool
    ) -> Streamed:
        """A neighbourhood of parts that are right by construction, whose pairs are counted.

        Args: as the constructor.
        """
        parts = {"num_hops": num_hops, "shells": shells, "complete": complete, "groups": 1}
        made = cls.trusted(
            rowptr=rowptr, col=col, starts=rowptr, device=torch.device("cpu"), **parts
        )
        return _changed(made, starts=_counted(made))

    @classmethod
    def trusted(cls, **parts: Any) -> Streamed:
        """A neighbourhood of parts that are right by construction: nothing is checked or counted.

        Args:
            parts: all fields.
        """
        made = object.__new__(cls)
        for part in fields(cls):
            object.__setattr__(made, part.name, parts[part.name])
        return made

    @property
    def num_targets(self) -> int:
        """N, the number of queries."""
        return self.rowptr.numel() - 1

    @property
    def num_sources(self) -> int:
        """N again."""
        return self.num_targets

    @property
    def num_rows(self) -> int:
        """R, the number of rows: `groups` for each target."""
        return self.num_targets * self.groups

    @property
    def num_pairs(self) -> int:
        """The number of pairs: counted, never stored."""
        return int(self.starts[-1])

    def search(self) -> Search | BooleanSearch:
        """What finds the pairs: compiled, or by boolean matrices where there is no compiler."""
        return self.searcher(self.rowptr, self.col)

    def searcher(self, rowptr: Tensor, col: Tensor) -> Search | BooleanSearch:
        """The same searches on another graph."""
        kept, unreached = self.searched_for()
        if missing() is not None:
            return BooleanSearch(rowptr.numpy(), col.numpy(), kept, unreached)
        from gattn._numba.search import Search

        return Search(rowptr.numpy(), col.numpy(), kept, unreached)

    def searched_for(self) -> tuple[np.ndarray, bool]:
        """Which distances count, `[farthest + 1]` bool, and whether those beyond count as one."""
        unreached = self.complete and self.num_hops in self.shells
        searched = self.num_hops - self.complete
        inner = [shell for shell in self.shells if shell <= searched]
        last = searched if unreached else max(inner, default=0)
        kept = np.zeros(last + 1, dtype=bool)
        kept[inner] = True
        return kept, unreached

    def blocks(self, most_pairs: int) -> list[tuple[int, int]]:
        """Ranges of targets, each with at most so many pairs, or a single target.

        Args:
            most_pairs: in a block.
        """
        found, first = [], 0
        while first < self.num_targets:
            limit = self.starts[first] + most_pairs
            last = int(torch.searchsorted(self.starts, limit, right=True)) - 1
            found.append((first, max(min(last, self.num_targets), first + 1)))
            first = found[-1][1]
        return found

    def pairs(self, first: int, last: int) -> Pairs:
        """`rowptr, col, hop` of the rows of some targets, by hop and then by source, on the CPU.

        Args:
            first: the first target.
            last: one past the last.

        Raises:
            TypeError, ValueError: there are no such targets.
        """
        return self.finder()(first, last)

    def finder(self) -> Finder:
        """`pairs`, for many blocks one after the other: they share the memory of the searches.

        What it returns takes a third argument, arrays of int32 and of uint8 in which to write the
        sources and the distances of the pairs; without it they are new.
        """
        search = self.search()

        def pairs(first: int, last: int, room: Room | None = None) -> Pairs:
            _check.integer("first", first, 0, self.num_targets)
            _check.integer("last", last, first, self.num_targets)
            starts = self.starts.numpy()[first : last + 1] - int(self.starts[first])
            col, hop = room or _room(starts[-1])
            rings = np.zeros((last - first if self.groups > 1 else 0, self.groups), np.int64)
            search.fill(first, starts, col, hop, rings)
            rowptr = torch.from_numpy(starts) if self.groups == 1 else _pointers(rings.ravel())
            return rowptr, torch.from_numpy(col), torch.from_numpy(hop)

        return pairs

    def block(self, first: int, last: int) -> Sparse:
        """The pairs of some targets, stored: a neighbourhood of `last - first` targets.

        Args:
            first: the first target.
            last: one past the last.

        Raises:
            TypeError, ValueError: there are no such targets.
        """
        rowptr, col, hop = self.pairs(first, last)
        stored = Sparse.trusted(
            rowptr=rowptr,
            col=col,
            num_sources=self.num_sources,
            hop=hop,
            perm=None,
            num_hops=self.num_hops,
            hops_sorted=True,
            groups=self.groups,
            transpose=compressed_columns(rowptr, col, self.num_sources),
        )
        return stored.to(self.device)

    def expand(self, max_pairs: int = DEFAULT_MAX_PAIRS) -> Sparse:
        """The same pairs, stored, sorted by hop and then by source.

        Args:
            max_pairs: the number of pairs to allocate at the most.

        Raises:
            ValueError: there are more pairs than `max_pairs`.
        """
        budget = _check.integer("max_pairs", max_pairs, 0)
        check_budget(f"{self!r}", self.num_pairs, budget, _ADVICE)
        with outside_of_transforms():
            col, hop, transpose = _written(self)
        stored = Sparse.trusted(
            rowptr=self.starts,
            col=col,
            num_sources=self.num_sources,
            hop=hop,
            perm=None,
            num_hops=self.num_hops,
            groups=1,
            hops_sorted=True,
            transpose=transpose,
        ).to(self.device)
        return stored if self.groups == 1 else stored.rings()

    def edge_index(self) -> Tensor:
        """The pairs as PyG writes them, `[2, E]` (source, target), in the order of `expand()`."""
        return self.expand().edge_index()

    def rings(self) -> Streamed:
        """The rings of the hops: one row for every target and distance, over the same pairs.

        Raises:
            ValueError: the rows are refined already.
        """
        if self.groups != 1:
            raise ValueError(f"neighborhood: found groups = {self.groups}, expected 1")
        return _changed(self, groups=self.num_hops + 1)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Streamed:
        """The same neighbourhood for features on another device; its graph stays on the CPU."""
        place = mover(device, non_blocking)(torch.empty(0, device=self.device)).device
        return _changed(self, device=place)

    def pin_memory(self) -> Streamed:
        """The neighbourhood itself: nothing of it is ever copied to a device as it is."""
        return self

    def __repr__(self) -> str:
        """Sizes only."""
        groups = "" if self.groups == 1 else f", groups={self.groups}"
        return (
            f"Streamed(targets={self.num_targets}, sources={self.num_sources}, "
            f"pairs={self.num_pairs}, num_hops={self.num_hops}{groups})"
        )


def joined(items: list[Streamed]) -> Streamed:
    """The disjoint union of neighbourhoods that agree in everything but their graphs."""
    before = list(accumulate((item.num_targets for item in items), initial=0))
    _check.integer("num_nodes", before[-1], 0, 2**31 - 1)
    cols = [item.col + first for item, first in zip(items, before[:-1], strict=True)]
    return _changed(
        items[0],
        rowptr=_joined_pointers([item.rowptr for item in items]),
        col=torch.cat(cols),
        starts=_joined_pointers([item.starts for item in items]),
    )


def _joined_pointers(items: list[Tensor]) -> Tensor:
    return pointers(torch.cat([item.diff() for item in items]))


def _changed(streamed: Streamed, **changes: Any) -> Streamed:
    """A copy with changes that are right by construction, not validated or counted again."""
    copy = map_tensors(streamed, lambda tensor: tensor)
    for name, value in changes.items():
        object.__setattr__(copy, name, value)
    return copy


def _check_searched(streamed: Streamed) -> None:
    """What is searched for, of an object that is not checked yet."""
    if not isinstance(streamed.complete, bool):
        raise TypeError(f"complete: found {streamed.complete!r}, expected True or False")
    unreached = int(streamed.complete)
    _check.integer("num_hops", streamed.num_hops, unreached, MAX_HOPS + unreached)
    if not isinstance(streamed.shells, Sequence):
        raise TypeError(f"shells: found {streamed.shells!r}, expected distances, such as (2,)")
    for shell in streamed.shells:
        _check.integer("shells", shell, 0, streamed.num_hops)
    if _check.integer("groups", streamed.groups, 1) not in (1, streamed.num_hops + 1):
        raise ValueError(f"groups: found {streamed.groups}, expected 1 or num_hops + 1")
    if not isinstance(streamed.device, (str, torch.device)):
        raise TypeError(f"device: found {streamed.device!r}, expected a device")


def _counted(streamed: Streamed) -> Tensor:
    """Row pointers `[N + 1]` of the pairs."""
    return _pointers(streamed.search().count(np.arange(streamed.num_targets)))


def _pointers(counts: np.ndarray) -> Tensor:
    """Row pointers `[R + 1]` of counts per row `[R]`."""
    return torch.from_numpy(np.concatenate([np.zeros(1, np.int64), counts.cumsum()]))


def _room(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Sources and distances of pairs, yet to be written."""
    # numpy, here and elsewhere: no mode of torch (a default device, a transform) reaches into it.
    return np.empty(count, np.int32), np.empty(count, np.uint8)


def _written(pairs: Streamed) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor, Tensor]]:
    """Sources and distances of all pairs, by row, hop and source; and the transpose."""
    starts, count = pairs.starts.numpy(), pairs.num_sources
    col, hop = _room(pairs.num_pairs)
    search, found = pairs.search(), (torch.from_numpy(col), torch.from_numpy(hop))
    if isinstance(search, BooleanSearch):
        search.fill(0, starts, col, hop, np.zeros((0, 1), np.int64))
        return *found, compressed_columns(pairs.starts, found[0], count)
    from gattn._numba.order import positions
    from gattn._numba.sort import column_starts

    row, far = _room(pairs.num_pairs)
    backwards, columns = _reversed(pairs), starts
    if backwards is None:
        search.fill_both(starts, col, hop, row, far)
    else:
        search.fill(0, starts, col, hop, np.zeros((0, 1), np.int64))
        columns = column_starts(col, count)
        backwards.fill_by_node(columns, row, far)
    perm = positions(starts, hop, row, far, pairs.shells)
    return *found, (torch.from_numpy(columns), torch.from_numpy(row), torch.from_numpy(perm))


def _reversed(pairs: Streamed) -> Any:
    """Searches against the edges, which find the rows of a source; `None` where they are the same.

    Twice transposed, edges are sorted: that shows whether the graph is symmetric.
    """
    count = pairs.num_sources
    rowptr, col, _ = compressed_columns(pairs.rowptr, pairs.col, count)
    same = torch.equal(rowptr, pairs.rowptr)
    if same and torch.equal(col, compressed_columns(rowptr, col, count)[1]):
        return None
    return pairs.searcher(rowptr, col)
