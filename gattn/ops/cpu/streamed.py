"""The fused operator over pairs that are found block by block, and dropped again.

The forward finds the pairs of a block of rows and attends to them. The backward finds them once
more, with their transpose, and adds what the block gives to the gradients of the sources: so it
needs no search in the other direction, and recomputes no more than a stored neighbourhood does.
Blocks follow from the graph alone; results have the same bits for any number of threads.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from gattn._numba import buffers
from gattn.neighborhood import Streamed
from gattn.neighborhood._compress import compressed_columns
from gattn.ops.cpu import launch
from gattn.ops.inputs import DIFFERENTIABLE, Inputs

MOST_PAIRS = 1 << 22
"""Pairs of a block: many enough that its passes over all sources do not matter."""

_OF_ROWS = ("left", "target_bias")


def attend(
    inputs: Inputs, starts: Tensor, num_hops: int, shells: list[int], complete: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Output, statistic, peak and total of `gattn::attend_streamed`."""
    around = inputs.streamed(starts, num_hops, shells, complete)
    dtype, width = inputs.compute_dtype, inputs.values.shape[2]
    rows, heads = around.num_rows, inputs.left.shape[1]
    out = buffers.empty(rows, heads, width, dtype=inputs.values.dtype)
    found = (out, *(buffers.empty(rows, heads, dtype=dtype) for _ in range(3)))
    for _, here, block in _blocks(_cast(inputs), around, transposed=False):
        for whole, part in zip(found, launch.attend(block)[:4], strict=True):
            whole[here] = part
    return found  # type: ignore[return-value]


def attend_backward(
    inputs: Inputs,
    starts: Tensor,
    num_hops: int,
    shells: list[int],
    complete: bool,
    peak: Tensor,
    total: Tensor,
    grad_out: Tensor,
    grad_statistic: Tensor | None,
    needs: list[bool],
) -> list[Tensor]:
    """The gradients of `DIFFERENTIABLE` that are needed; the others of no size."""
    around = inputs.streamed(starts, num_hops, shells, complete)
    sums = _Sums(inputs, needs)
    sources: dict[str, Tensor] = {}
    for targets, rows, block in _blocks(_cast(inputs), around, transposed=True):
        tilt = None if grad_statistic is None else grad_statistic[rows]
        # What was selected in the forward: the same kernel on the same pairs selects it again.
        saved = peak[rows], total[rows], launch.selection(block)
        found, sources = launch.gradients(block, *saved, grad_out[rows], tilt, needs, sources)
        sums.add(targets, found)
    return sums.finished(sources)


class _Sums:
    """The gradients of all blocks together."""

    def __init__(self, inputs: Inputs, needs: list[bool]) -> None:
        self.inputs, self.dtype = inputs, inputs.compute_dtype
        self.wanted = [n for n, needed in zip(DIFFERENTIABLE, needs, strict=True) if needed]
        self.grads: dict[str, Tensor] = {}
        for name in self.wanted:
            shape = getattr(inputs, name).shape
            make = buffers.empty if name in _OF_ROWS else buffers.zeros
            if name not in ("right", "value", "source_bias"):
                self.grads[name] = make(*shape, dtype=self.dtype)

    def add(self, targets: slice, found: list[Tensor]) -> None:
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


def _cast(inputs: Inputs) -> Inputs:
    """All that has gradients in the compute dtype: these are rounded once, when they are sums."""
    dtype, found = inputs.compute_dtype, zip(DIFFERENTIABLE, inputs.differentiable, strict=True)
    return inputs._replace(**{n: t if t is None else t.to(dtype) for n, t in found})


def _blocks(
    inputs: Inputs, around: Streamed, transposed: bool
) -> Iterator[tuple[slice, slice, Inputs]]:
    """Targets, rows and inputs of every block."""
    pairs_of, groups = around.finder(), around.groups
    for first, last in around.blocks(MOST_PAIRS):
        rowptr, col, hop = pairs_of(first, last)
        bias, targets = inputs.target_bias, slice(first, last)
        columns = rowptr[:1], col[:0], rowptr[:0]
        if transposed:
            columns = compressed_columns(rowptr, col, around.num_sources)
        block = inputs._replace(
            rowptr=rowptr,
            col=col,
            hop=None if inputs.hop_bias is None else hop,
            **dict(zip(("t_rowptr", "t_col", "t_perm"), columns, strict=True)),
            left=inputs.left[targets],
            target_bias=None if bias is None else bias[targets],
            first_row=first * groups,
        )
        yield targets, slice(first * groups, last * groups), block
