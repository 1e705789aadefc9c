"""Operators on tensors, computed by the kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from gattn._numba import buffers, pool
from gattn.ops.cpu import backward_rows, forward_rows
from gattn.ops.cpu.arguments import Arguments, flat
from gattn.ops.cpu.gradients import OF_SOURCES, Backward
from gattn.ops.cpu.ranks import duplicate_ranks
from gattn.ops.cpu.segments import Plan, merge, planned
from gattn.ops.inputs import Inputs

Outputs = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]


def attend(inputs: Inputs) -> Outputs:
    """Output, statistic, peak, total and selection of `gattn::attend`."""
    selected = selection(inputs)
    args = Arguments.of(inputs, selected, ranks(inputs))
    plan = planned(args.graph[0])
    rows, heads = inputs.num_rows, inputs.left.shape[1]
    peak, total, statistic = (torch.zeros(rows, heads, dtype=args.dtype) for _ in range(3))
    saved = flat(peak, args.dtype), flat(total, args.dtype), flat(statistic, args.dtype)
    if plan.num_slots and inputs.normalizer != "sigmoid":
        _mass_of_long_rows(plan, args, saved)
    out = _summed(plan, args, None, saved, inputs)
    return out, statistic, peak, total, selected


def _mass_of_long_rows(plan: Plan, args: Arguments, saved: tuple[np.ndarray, ...]) -> None:
    heads = args.sizes[0]
    partial = np.empty((plan.num_slots, 2 * int(heads)), saved[0].dtype)
    pool.run(
        forward_rows.long_row_mass,
        range(plan.num_slots),
        args.parallel,
        plan.arrays,
        plan.pieces,
        args.graph,
        *args.common,
        partial,
    )
    pool.run(
        forward_rows.merge_mass,
        range(len(plan.long_rows)),
        args.parallel,
        plan.long_rows,
        partial,
        heads,
        saved,
    )


def _summed(
    plan: Plan,
    args: Arguments,
    given: Any,
    saved: Any,
    inputs: Inputs,
) -> Tensor:
    """The weighted sums `[R, H, D]` in the dtype of the value."""
    heads, width = inputs.left.shape[1], inputs.values.shape[2]
    out = buffers.empty(inputs.num_rows, heads, width, dtype=args.dtype)
    partial = torch.empty(plan.num_slots, heads, width, dtype=args.dtype)
    pool.run(
        forward_rows.attend,
        range(plan.num_tasks),
        args.parallel,
        plan.arrays,
        args.graph,
        *args.common,
        given,
        flat(out, args.dtype),
        saved,
        flat(partial),
    )
    merge(plan, partial, out, False, args.parallel)
    return out.to(inputs.values.dtype)


def selection(inputs: Inputs) -> Tensor:
    """The selected pairs and heads as bits, `[E, ceil(H / 8)]`; of no size without a selection."""
    if not _selects(inputs):
        return torch.empty(0, 0, dtype=torch.uint8)
    args, heads = Arguments.of(inputs), inputs.left.shape[1]
    plan = planned(args.graph[0])
    selected = torch.zeros(inputs.col.numel(), (heads + 7) // 8, dtype=torch.uint8)
    pool.run(
        forward_rows.select,
        range(plan.num_tasks),
        args.parallel,
        plan.arrays,
        args.graph,
        *args.common,
        inputs.k,
        selected.view(-1).numpy(),
    )
    return selected


def _selects(inputs: Inputs) -> bool:
    return inputs.normalizer in ("top_k", "hard")


def ranks(inputs: Inputs) -> Tensor | None:
    """Place of each pair among those of the same row and source; `None` where all are the first."""
    if not inputs.dropout:
        return None
    found = torch.empty(inputs.col.numel(), dtype=torch.int32)
    many = duplicate_ranks(
        inputs.t_rowptr.numpy(), inputs.t_col.numpy(), inputs.t_perm.numpy(), found.numpy()
    )
    return found if many else None


def attend_backward(
    inputs: Inputs,
    peak: Tensor,
    total: Tensor,
    selected: Tensor,
    grad_out: Tensor,
    grad_statistic: Tensor | None,
    needs: list[bool],
) -> list[Tensor]:
    """The gradients of `DIFFERENTIABLE` that are needed; the others of no size."""
    return gradients(inputs, peak, total, selected, grad_out, grad_statistic, needs, {})[0]


def gradients(
    inputs: Inputs,
    peak: Tensor,
    total: Tensor,
    selected: Tensor,
    grad_out: Tensor,
    grad_statistic: Tensor | None,
    needs: list[bool],
    earlier: dict[str, Tensor],
) -> tuple[list[Tensor], dict[str, Tensor]]:
    """The same, and the gradients of the sources in the compute dtype, with those of earlier rows.

    Args: as `attend_backward`, and
        earlier: what this returned second for the rows before, to be added to in place.
    """
    args = Arguments.of(inputs, selected, ranks(inputs))
    saved = flat(peak, args.dtype), flat(total, args.dtype)
    upstream = flat(grad_out, args.dtype)
    plan = planned(args.graph[0])
    centres = torch.empty(peak.shape, dtype=args.dtype)
    if plan.num_slots and inputs.normalizer != "sigmoid":
        _centre_long_rows(plan, args, upstream, saved, centres)
    backward = Backward(inputs, args, needs, earlier=earlier)
    found = backward.run(upstream, grad_statistic, saved, flat(centres), None, None)
    return found, {name: backward.grads[name] for name in OF_SOURCES if name in backward.grads}


def _centre_long_rows(
    plan: Plan, args: Arguments, upstream: np.ndarray, saved: Any, centres: Tensor
) -> None:
    partial = torch.empty(plan.num_slots, centres.shape[1], dtype=args.dtype)
    pool.run(
        backward_rows.long_row_centres,
        range(plan.num_slots),
        args.parallel,
        plan.arrays,
        plan.pieces,
        args.graph,
        *args.common,
        upstream,
        saved,
        partial.numpy(),
    )
    merge(plan, partial, centres, False, args.parallel)


def score(inputs: Inputs) -> Tensor:
    """Scores `[E, H]` in the order of the rows: `gattn::sddmm`."""
    args = Arguments.of(inputs)
    plan = planned(args.graph[0])
    out = buffers.empty(inputs.col.numel(), inputs.left.shape[1], dtype=args.dtype)
    pool.run(
        forward_rows.write_scores,
        range(plan.num_tasks),
        args.parallel,
        plan.arrays,
        args.graph,
        *args.common,
        flat(out, args.dtype),
    )
    return out


def score_backward(inputs: Inputs, grad: Tensor, needs: list[bool]) -> list[Tensor]:
    """The gradients of `gattn::sddmm`."""
    args = Arguments.of(inputs)
    given = flat(grad, args.dtype)
    backward = Backward(inputs, args, needs, with_value=False)
    return backward.run(None, None, None, None, given, None)


def aggregate(inputs: Inputs, weights: Tensor) -> Tensor:
    """Weighted sums of the values, `[R, H, D]`: `gattn::spmm`."""
    args = Arguments.of(inputs, None, ranks(inputs)).without_score()
    given = flat(weights, args.dtype)
    return _summed(planned(args.graph[0]), args, given, None, inputs)


def aggregate_backward(
    inputs: Inputs, weights: Tensor, grad_out: Tensor, needs: list[bool]
) -> list[Tensor]:
    """The gradients of `gattn::spmm`, that of the weights `[E, H]` last."""
    args = Arguments.of(inputs, None, ranks(inputs)).without_score()
    given, upstream = flat(weights, args.dtype), flat(grad_out, args.dtype)
    grad_weights = buffers.empty(*weights.shape, dtype=args.dtype)
    backward = Backward(inputs, args, needs, with_score=False)
    found = backward.run(upstream, None, None, None, given, grad_weights)
    return [*found, grad_weights.to(weights.dtype)]
