"""The fused operator over streamed pairs: the same bits for any number of threads."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from gattn._numba import buffers
from gattn.neighborhood import Streamed
from gattn.neighborhood._compress import compressed_columns
from gattn.ops import block_loop
from gattn.ops.block_loop import Found, Sums, in_compute_dtype
from gattn.ops.cpu import launch
from gattn.ops.inputs import Inputs


def attend(
    inputs: Inputs, starts: Tensor, num_hops: int, shells: list[int], complete: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Output, statistic, peak and total of `gattn::attend_streamed`."""
    around = inputs.streamed(starts, num_hops, shells, complete)
    dtype, width = inputs.compute_dtype, inputs.values.shape[2]
    rows, heads = around.num_rows, inputs.left.shape[1]
    out = buffers.empty(rows, heads, width, dtype=inputs.values.dtype)
    found = (out, *(buffers.empty(rows, heads, dtype=dtype) for _ in range(3)))
    search, cast = _found(around, transposed=False), in_compute_dtype(inputs)
    block_loop.forward(cast, search, lambda block: launch.attend(block)[:4], found)
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

    def gradients(
        block: Inputs, rows: slice, earlier: dict[str, Tensor]
    ) -> tuple[list[Tensor], dict[str, Tensor]]:
        tilt = None if grad_statistic is None else grad_statistic[rows]
        # What was selected in the forward: the same kernel on the same pairs selects it again.
        saved = peak[rows], total[rows], launch.selection(block)
        return launch.gradients(block, *saved, grad_out[rows], tilt, needs, earlier)

    around = inputs.streamed(starts, num_hops, shells, complete)
    search, sums = (
        _found(around, transposed=True),
        Sums(inputs, needs, buffers.empty, buffers.zeros),
    )
    return block_loop.backward(in_compute_dtype(inputs), search, gradients, sums)


def _found(around: Streamed, transposed: bool) -> Iterator[Found]:
    """The pairs of every block."""
    find, sources = around.finder(), around.num_sources
    for first, last in around.blocks(block_loop.MOST_PAIRS):
        pairs = find(first, last)
        columns = compressed_columns(*pairs[:2], sources) if transposed else None
        yield Found.of(first, last, pairs, columns)
