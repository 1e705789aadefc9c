"""Edges to compressed rows, and rows to columns: by compiled counting, or by sorting."""

from __future__ import annotations

import torch
from torch import Tensor

from gattn import _check
from gattn._numba.compile import missing
from gattn.neighborhood._tensors import pointers

Rows = tuple[Tensor, Tensor, Tensor | None, Tensor | None]


def compressed_rows(
    source: Tensor, target: Tensor, sizes: tuple[int, int], loops: int | None, per_pair: bool
) -> Rows:
    """`rowptr, col, perm, hop` of edges, sorted by target and else in their order.

    Args:
        source: `[E]` int64.
        target: `[E]` int64.
        sizes: `(num_sources, num_targets)`.
        loops: put one loop of each of the first `loops` nodes at the end, in the place of any
            other; `None` = take the edges as they are.
        per_pair: return the last two: the position of each pair, and 0 for a loop, 1 for any
            other pair.

    Raises:
        IndexError: an index is out of range.
    """
    if _counts(source):
        from gattn._numba import sort

        arrays = source.contiguous().numpy(), target.contiguous().numpy()
        found = sort.compressed_rows(*arrays, sizes, loops, per_pair)
        if found is not None:
            rowptr, col, perm, hop = (torch.from_numpy(array) for array in found)
            return (rowptr, col, perm, hop) if per_pair else (rowptr, col, None, None)
    _check.within("edge_index[0]", source, sizes[0], "num_sources")
    _check.within("edge_index[1]", target, sizes[1], "num_targets")
    if loops is not None:
        kept, nodes = source != target, torch.arange(loops, device=source.device)
        source, target = torch.cat([source[kept], nodes]), torch.cat([target[kept], nodes])
    ordered, perm = torch.sort(target.int(), stable=True)  # half the bytes of int64
    col = source[perm]
    rowptr = pointers(torch.bincount(target, minlength=sizes[1]))
    if not per_pair:
        return rowptr, col.int(), None, None
    return rowptr, col.int(), perm, (col != ordered).to(torch.uint8)


def compressed_columns(
    rowptr: Tensor, col: Tensor, num_sources: int
) -> tuple[Tensor, Tensor, Tensor]:
    """`rowptr, col, perm` of the transpose; rows ascend within each source.

    Args:
        rowptr: `[R + 1]` int64.
        col: `[E]` int32, within its range.
        num_sources: M.
    """
    if _counts(col):
        from gattn._numba import sort

        arrays = rowptr.contiguous().numpy(), col.contiguous().numpy()
        starts, row, perm = map(torch.from_numpy, sort.compressed_columns(*arrays, num_sources))
        return starts, row, perm
    perm = torch.sort(col, stable=True).indices
    counts = torch.bincount(col, minlength=num_sources)
    return pointers(counts), row_of_pairs(rowptr, col.numel())[perm].int(), perm


def row_of_pairs(rowptr: Tensor, num_pairs: int) -> Tensor:
    """The row of each pair, `[E]` int64."""
    ids = torch.arange(rowptr.numel() - 1, device=rowptr.device)
    return torch.repeat_interleave(ids, rowptr.diff(), output_size=num_pairs)


def _counts(tensor: Tensor) -> bool:
    """Whether the tensor is one that compiled code can read, and there is compiled code."""
    plain = type(tensor) is Tensor and tensor.device.type == "cpu"
    if not plain or torch.compiler.is_compiling():
        return False
    wrapped = torch._C._functorch.is_functorch_wrapped_tensor(tensor)  # type: ignore[attr-defined]
    return not wrapped and missing() is None
