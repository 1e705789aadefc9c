"""The backward of an operator: two passes, block of pairs by block of pairs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gattn._numba import buffers, pool
from gattn.ops.cpu.arguments import Arguments, flat, flat_or_empty
from gattn.ops.cpu.backward_rows import backward_rows
from gattn.ops.cpu.backward_sources import backward_sources
from gattn.ops.cpu.segments import Plan, merge, planned
from gattn.ops.inputs import DIFFERENTIABLE, Inputs

# What the target pass hands over to the source pass takes at the most as much memory as one
# [M, H, D] tensor, and 1 GiB in float32 for large graphs; 64 MiB do not matter for small ones.
_MOST_HANDED = 1 << 28
_LEAST_HANDED = 1 << 24

# Gradients that are sums over all pairs: one for each task, put together in order.
_OF_TASKS = ("weight", "hop_bias", "pair_weight", "pair_value")

OF_SOURCES = ("value", "right", "source_bias")

# In the order of `backward_rows`.
_OF_ROWS = ("left", "pair_bias", "pair_features", *_OF_TASKS, "target_bias")


@dataclass(eq=False)
class Backward:
    """One backward.

    Args:
        inputs: what the forward was given.
        args: the same for kernels.
        needs: which gradients of `DIFFERENTIABLE` are wanted.
        with_score: the scores have a part in it.
        with_value: the values have a part in it.
        earlier: gradients of the sources from other rows, which these are added to in place.
    """

    inputs: Inputs
    args: Arguments
    needs: list[bool]
    with_score: bool = True
    with_value: bool = True
    earlier: dict[str, Tensor] = field(default_factory=dict)
    rows: Plan = field(init=False)
    columns: Plan = field(init=False)
    grads: dict[str, Tensor] = field(init=False)
    halves: Tensor | None = field(init=False)

    def __post_init__(self) -> None:
        """Plan both passes and make room for the gradients."""
        self.rows = planned(self.args.graph[0])
        self.columns = planned(self.args.transpose[0])
        wanted = dict(zip(DIFFERENTIABLE, self.needs, strict=True))
        # The kernels always make the large three of the parts that take part.
        wanted |= {"left": self.with_score, "right": self.with_score or self.shared}
        wanted |= {"value": self.with_value}
        self.grads = {
            name: self.earlier[name] if name in self.earlier else self._room(name)
            for name in DIFFERENTIABLE
            if wanted[name] and getattr(self.inputs, name) is not None
        }
        self.halves = None
        if "weight" in self.grads:
            size = self.columns.num_tasks, *self.inputs.weight.shape  # type: ignore[union-attr]
            self.halves = torch.zeros(size, dtype=self.args.dtype)

    @property
    def shared(self) -> bool:
        """The value is the form's `right`: their gradients are one."""
        return self.with_value and self.inputs.value is None

    def _room(self, name: str) -> Tensor:
        """A gradient in the compute dtype, before it is put together."""
        tensor, dtype = getattr(self.inputs, name), self.args.dtype
        if name in _OF_TASKS:
            return buffers.zeros(self.rows.num_tasks, *tensor.shape, dtype=dtype)
        if name == "pair_features":
            return buffers.zeros(*tensor.shape, dtype=dtype)
        if name in ("left", "target_bias"):
            return buffers.empty(self.inputs.num_rows, *tensor.shape[1:], dtype=dtype)
        return buffers.empty(*tensor.shape, dtype=dtype)

    def run(
        self, grad_out: Any, tilt: Any, saved: Any, centres: Any, given: Any, grad_given: Any
    ) -> list[Tensor]:
        """The gradients of `DIFFERENTIABLE`; those that are not wanted have no size.

        Args: as `backward_rows`.
        """
        heads, parallel = self.inputs.left.shape[1], self.args.parallel
        of_rows = *map(self._for_rows, _OF_ROWS), self._or_empty(grad_given)
        long = [self._slots(self.rows, name) for name in ("left", "target_bias")]
        again = bool(self.earlier)
        for number, tasks in enumerate(blocks(self.rows, heads, self.inputs.values.numel())):
            first, last = (int(self.rows.first_pairs()[t]) for t in (tasks.start, tasks.stop))
            handed = flat(buffers.empty(last - first, 2, heads, dtype=self.args.dtype))
            pool.run(
                backward_rows,
                tasks,
                parallel,
                self.rows.arrays,
                self.args.graph,
                *self.args.common,
                self.with_score or None,
                given,
                grad_out,
                self._or_empty(tilt),
                saved,
                centres,
                of_rows,
                tuple(map(self._or_empty, long)),
                handed,
                np.uint64(first),
            )
            block = np.uint64(first), np.uint64(last), again or number > 0
            self._sources(grad_out, handed, block)
        for name, slots in zip(("left", "target_bias"), long, strict=True):
            merge(self.rows, slots, self._wanted(name), False, parallel)
        return [self._finished(name) for name in DIFFERENTIABLE]

    def _sources(self, grad_out: Any, handed: Any, block: tuple[Any, ...]) -> None:
        long = [self._slots(self.columns, name) for name in OF_SOURCES]
        pool.run(
            backward_sources,
            range(self.columns.num_tasks),
            self.args.parallel,
            self.columns.arrays,
            self.args.transpose,
            self.args.graph[3],
            *self.args.common,
            self.with_score or None,
            self.shared,
            grad_out,
            handed,
            block,
            tuple(map(self._or_empty, (*map(self._wanted, OF_SOURCES), self.halves))),
            tuple(map(self._or_empty, long)),
        )
        for name, slots in zip(OF_SOURCES, long, strict=True):
            merge(self.columns, slots, self._wanted(name), block[2], self.args.parallel)

    def _for_rows(self, name: str) -> Any:
        """A gradient as the kernel takes it: flat, or flat for each task."""
        grad = self._wanted(name)
        if name not in _OF_TASKS:
            return self._or_empty(grad)
        if grad is None:
            grad = torch.empty(self.rows.num_tasks, 0, dtype=self.args.dtype)
        return grad.flatten(1).numpy()

    def _or_empty(self, tensor: Tensor | None) -> np.ndarray:
        return flat_or_empty(tensor, self.args.dtype)

    def _wanted(self, name: str) -> Tensor | None:
        return self.grads.get(name)

    def _slots(self, plan: Plan, name: str) -> Tensor | None:
        """Room for pieces of long rows."""
        grad = self._wanted(name)
        if grad is None:
            return None
        return torch.empty(plan.num_slots, *grad.shape[1:], dtype=grad.dtype)

    def _finished(self, name: str) -> Tensor:
        grad, tensor = self._wanted(name), getattr(self.inputs, name)
        if grad is None:
            return torch.empty(0, dtype=self.inputs.left.dtype)
        if name in _OF_TASKS:
            grad = grad.sum(0)
        if name == "weight" and self.halves is not None:
            grad = grad + self.halves.sum(0)
        if name in ("left", "target_bias") and self.inputs.groups > 1:
            grad = grad.unflatten(0, (-1, self.inputs.groups)).sum(1)
        return grad.to(tensor.dtype)


def blocks(plan: Plan, heads: int, room: int) -> list[range]:
    """Ranges of tasks whose pairs are few enough to be handed over at once.

    Args:
        plan: over the rows.
        heads: H.
        room: numbers of an `[M, H, D]` tensor.
    """
    most = max(min(room, _MOST_HANDED), _LEAST_HANDED) // max(2 * heads, 1)
    starts = plan.first_pairs()
    found, first = [], 0
    for task in range(1, plan.num_tasks + 1):
        if task == plan.num_tasks or starts[task + 1] - starts[first] > most:
            found.append(range(first, task))
            first = task
    return found or [range(0)]  # without rows, the sources still get their zeros
