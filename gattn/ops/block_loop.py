"""The fused operators over pairs that are found block by block, and dropped again.

The forward finds the pairs of a block of rows and attends to them. The backward finds them once
more, with their transpose, and adds what the block gives to the gradients of the sources: so it
needs no search in the other direction, and recomputes no more than a stored neighbourhood does.
Blocks follow from the graph alone. Who finds the pairs and who attends to them is the backend's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from torch import Tensor

from gattn.ops.inputs import DIFFERENTIABLE, Inputs

MOST_PAIRS = 1 << 22
"""Pairs of a block: many enough that its passes over all sources do not matter."""

_OF_ROWS = ("left", "target_bias")
_OF_SOURCES = ("right", "value", "source_bias")

Columns = tuple[Tensor, Tensor, Tensor]
Attend = Callable[[Inputs], Sequence[Tensor]]
Gradients = Callable[[Inputs, slice, dict[str, Tensor]], tuple[Sequence[Tensor], dict[str, Tensor]]]


class Found(NamedTuple):
    """The pairs of some targets.

    Args:
        targets: which.
        rowptr: `[R + 1]` int64, `groups` rows for each target.
        col: `[E]` int32.
        hop: `[E]` uint8.
        columns: the transpose, as the fields of `Sparse`; of no pairs where nobody asked for it.
    """

    targets: slice
    rowptr: Tensor
    col: Tensor
    hop: Tensor
    columns: Columns

    @classmethod
    def of(
        cls, first: int, last: int, pairs: tuple[Tensor, Tensor, Tensor], columns: Columns | None
    ) -> Found:
        """The pairs of the targets `first .. last - 1`."""
        rowptr, col, hop = pairs
        nothing = rowptr[:1], col[:0], rowptr[:0]
        return cls(slice(first, last), rowptr, col, hop, columns or nothing)


def forward(
    inputs: Inputs, search: Iterable[Found], attend: Attend, whole: Sequence[Tensor]
) -> None:
    """Write what each block has for its rows into tensors of all rows.

    Args:
        inputs: of the operator.
        search: the blocks, in order.
        attend: what a block has for its rows.
        whole: the tensors, in the same order.
    """
    for _, rows, block in _blocks(inputs, search):
        for every, part in zip(whole, attend(block), strict=True):
            every[rows] = part


def backward(
    inputs: Inputs, search: Iterable[Found], gradients: Gradients, sums: Sums
) -> list[Tensor]:
    """The gradients of `DIFFERENTIABLE` that are needed; the others of no size.

    Args:
        inputs: of the operator.
        search: the blocks, in order, with their transpose.
        gradients: `(block, rows, earlier)` -> the gradients of the block, and those of the sources
            in the compute dtype, which are the next block's `earlier`.
        sums: what to put the gradients together in.
    """
    sources: dict[str, Tensor] = {}
    for targets, rows, block in _blocks(inputs, search):
        found, sources = gradients(block, rows, sources)
        sums.add(targets, found)
    return sums.finished(sources)


class Sums:
    """The gradients of all blocks together, in the compute dtype: they are rounded once.

    Args:
        inputs: of the operator, as it was called.
        needs: which gradients of `DIFFERENTIABLE` are wanted.
        empty: `(*size, dtype=)` -> room.
        zeros: the same, filled with zeros.
    """

    def __init__(
        self,
        inputs: Inputs,
        needs: Sequence[bool],
        empty: Callable[..., Tensor],
        zeros: Callable[..., Tensor],
    ) -> None:
        self.inputs = inputs
        self.wanted = [n for n, needed in zip(DIFFERENTIABLE, needs, strict=True) if needed]
        self.grads: dict[str, Tensor] = {}
        for name in self.wanted:
            if name not in _OF_SOURCES:
                make = empty if name in _OF_ROWS else zeros
                shape = getattr(inputs, name).shape
                self.grads[name] = make(*shape, dtype=inputs.compute_dtype)

    def add(self, targets: slice, found: Sequence[Tensor]) -> None:
        """Take in the gradients of a block."""
        for name, grad in zip(DIFFERENTIABLE, found, strict=True):
            if name in self.grads and name in _OF_ROWS:
                self.grads[name][targets] = grad
            elif name in self.grads:
                self.grads[name] += grad

    def finished(self, sources: dict[str, Tensor]) -> list[Tensor]:
        """All of them in the dtypes of the inputs, those that are not wanted of no size."""
        grads, nothing = self.grads | sources, self.inputs.left.new_empty(0)
        return [
            grads[name].to(getattr(self.inputs, name).dtype)
            if name in self.wanted and name in grads
            else getattr(self.inputs, name).new_zeros(getattr(self.inputs, name).shape)
            if name in self.wanted
            else nothing
            for name in DIFFERENTIABLE
        ]


def in_compute_dtype(inputs: Inputs, names: Sequence[str] = DIFFERENTIABLE) -> Inputs:
    """Some inputs in the compute dtype: their gradients are rounded once, when they are sums."""
    dtype, found = inputs.compute_dtype, {name: getattr(inputs, name) for name in names}
    return inputs._replace(**{n: t if t is None else t.to(dtype) for n, t in found.items()})


def _blocks(inputs: Inputs, search: Iterable[Found]) -> Iterator[tuple[slice, slice, Inputs]]:
    """Targets, rows and inputs of every block."""
    for targets, rowptr, col, hop, columns in search:
        first, last = targets.start * inputs.groups, targets.stop * inputs.groups
        bias = inputs.target_bias
        block = inputs._replace(
            rowptr=rowptr,
            col=col,
            hop=None if inputs.hop_bias is None else hop,
            **dict(zip(("t_rowptr", "t_col", "t_perm"), columns, strict=True)),
            left=inputs.left[targets],
            target_bias=None if bias is None else bias[targets],
            first_row=first,
        )
        yield targets, slice(first, last), block
