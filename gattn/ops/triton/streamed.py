"""The fused operator over streamed pairs, which are found on the device or, beside it, on the CPU.

Either way finds the same pairs in the same order, in the same blocks, so that where they are found
decides nothing but time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor

from gattn.neighborhood import Streamed
from gattn.neighborhood.streamed import Finder
from gattn.ops import block_loop
from gattn.ops.block_loop import Found, Sums, in_compute_dtype
from gattn.ops.inputs import Inputs
from gattn.ops.library import keeps_exact
from gattn.ops.triton import launch
from gattn.ops.triton.ahead import Tensors, ahead, copied
from gattn.ops.triton.search import Search, columns

WORDS_PER_EDGE = 4
"""Words of 64 searches that the device joins while the CPU, with all its threads, looks at one edge
of one search. From counted bytes, and not measured yet: to be set on a GPU. It decides nothing but
time."""

_OF_ALL = ("weight", "hop_bias")


def attend(
    inputs: Inputs, starts: Tensor, num_hops: int, shells: list[int], complete: bool, keep: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Output, statistic, peak, total and exact output of `gattn_triton::attend_streamed`."""
    around, left = inputs.streamed(starts, num_hops, shells, complete), inputs.left
    rows, heads, width = around.num_rows, left.shape[1], inputs.values.shape[2]
    out = inputs.values.new_empty(rows, heads, width)
    mass = [left.new_empty(rows, heads, dtype=inputs.compute_dtype) for _ in range(3)]
    wanted = keep and keeps_exact(inputs)
    sizes = (rows, heads, width) if wanted else (0, 0, 0)
    exact = left.new_empty(sizes, dtype=inputs.compute_dtype)

    def of_block(block: Inputs) -> list[Tensor]:
        *found, _, precise = launch.attend(block, keep)
        return [*found, precise] if wanted else found

    search = found(around, left.device, transposed=False)
    block_loop.forward(inputs, search, of_block, [out, *mass, exact][: 5 if wanted else 4])
    return out, *mass, exact  # type: ignore[return-value]


def attend_backward(
    inputs: Inputs,
    starts: Tensor,
    num_hops: int,
    shells: list[int],
    complete: bool,
    peak: Tensor,
    total: Tensor,
    exact: Tensor,
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
        saved = peak[rows], total[rows], launch.selection(block), exact[rows]
        return launch.gradients(block, *saved, grad_out[rows], tilt, needs, earlier)

    around, left = inputs.streamed(starts, num_hops, shells, complete), inputs.left
    sums = Sums(inputs, needs, partial(_empty, left), partial(_zeros, left))
    # Nodes stay in their dtype, which the kernels read: what they sum up is the compute dtype's.
    cast = in_compute_dtype(inputs, _OF_ALL)
    search = found(around, left.device, transposed=True)
    return block_loop.backward(cast, search, gradients, sums)


def _empty(like: Tensor, *size: int, dtype: torch.dtype) -> Tensor:
    return like.new_empty(size, dtype=dtype)


def _zeros(like: Tensor, *size: int, dtype: torch.dtype) -> Tensor:
    return like.new_zeros(size, dtype=dtype)


def found(around: Streamed, device: torch.device, transposed: bool) -> Iterator[Found]:
    """The pairs of every block, on a device.

    Args:
        around: what to search for.
        device: where the pairs are needed.
        transposed: their transpose is needed as well.
    """
    cut = around.blocks(block_loop.MOST_PAIRS)
    on_device = is_searched_on_device(around, device)
    pairs = (_by_device if on_device else _by_cpu)(around, cut, device)
    for (first, last), (rowptr, col, hop) in zip(cut, pairs, strict=True):
        turned = columns(rowptr, col, around.num_sources) if transposed else None
        yield Found.of(first, last, (rowptr, col, hop), turned)


def is_searched_on_device(around: Streamed, device: torch.device) -> bool:
    r"""Whether the device finds the pairs sooner than the CPU does.

    With N nodes, E edges, P pairs and K hops, the device joins $K E N / 64$ words whatever it
    finds, and the CPU looks at about $P E / N$ edges: so the balls have to be wide,

    $$ K N^2 / 64 \le \text{WORDS\_PER\_EDGE} \cdot P $$

    Args:
        around: what to search for.
        device: where the pairs are needed; one that triton interprets is never the faster.
    """
    words = around.num_hops * around.num_targets * -(-around.num_targets // 64)
    return device.type == "cuda" and words <= WORDS_PER_EDGE * around.num_pairs


def _by_device(
    around: Streamed, cut: list[tuple[int, int]], device: torch.device
) -> Iterator[Tensors]:
    # The graph is copied for every call: a byte of it for many of the search, and nothing to keep.
    search = Search(around, device) if cut else None
    for first, last in cut:
        assert search is not None
        yield search(first, last)


def _by_cpu(
    around: Streamed, cut: list[tuple[int, int]], device: torch.device
) -> Iterator[Tensors]:
    """Blocks that are found while the one before is computed."""
    return copied(ahead(_tasks(around, cut, pinned=device.type == "cuda")), device)


def _tasks(
    around: Streamed, cut: list[tuple[int, int]], pinned: bool
) -> Iterator[Callable[[], Tensors]]:
    """Searches of the CPU, each into memory of its own, from which a device may copy by itself."""
    find, starts = around.finder(), around.starts.tolist() if cut else []
    for first, last in cut:
        size = {"size": (starts[last] - starts[first],), "device": "cpu", "pin_memory": pinned}
        room = torch.empty(dtype=torch.int32, **size), torch.empty(dtype=torch.uint8, **size)
        yield partial(_search, find, first, last, room)


def _search(find: Finder, first: int, last: int, room: tuple[Tensor, Tensor]) -> Tensors:
    col, hop = room
    rowptr = find(first, last, (col.numpy(), hop.numpy()))[0]
    return rowptr, col, hop
