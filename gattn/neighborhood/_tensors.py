"""What both kinds of neighbourhood share: moving their tensors, and the budget of pairs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import fields
from typing import Any, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")

MAX_HOPS = 254
"""The largest number of hops: a distance is a uint8, and one value is kept for "unreached"."""

DEFAULT_MAX_PAIRS = 100_000_000
"""Pairs that a builder allocates at the most unless told otherwise."""

BYTES_PER_PAIR = 29
"""A stored pair: int32 column, uint8 hop and int64 input position; int32 row and int64 position
in the transpose; the int32 scratch of the sort."""


def map_tensors(item: T, function: Callable[[Tensor], Tensor]) -> T:
    """A copy of a frozen dataclass with `function` applied to its tensors, not validated again."""
    copy = object.__new__(type(item))
    for field in fields(item):  # type: ignore[arg-type]
        object.__setattr__(copy, field.name, _mapped(getattr(item, field.name), function))
    return copy


def mover(device: torch.device | str, non_blocking: bool) -> Callable[[Tensor], Tensor]:
    """What moves a tensor to a device, and does nothing else to it."""
    if not isinstance(device, (str, torch.device)):  # Tensor.to would take a dtype as well
        raise TypeError(f"device: found {device!r}, expected a device")
    place = torch.device(device)
    return lambda tensor: tensor.to(place, non_blocking=non_blocking)


@contextmanager
def outside_of_transforms() -> Iterator[None]:
    """No transform of `torch.func` sees what happens here: it would hide the memory of tensors."""
    inside = torch._C._functorch.peek_interpreter_stack  # type: ignore[attr-defined]
    with ExitStack() as outside:
        while not torch.compiler.is_compiling() and inside() is not None:
            from torch._functorch.pyfunctorch import temporarily_pop_interpreter_stack

            outside.enter_context(temporarily_pop_interpreter_stack())
        yield


def _mapped(value: Any, function: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(value, Tensor):
        return function(value)
    return map_tensors(value, function) if hasattr(value, "__dataclass_fields__") else value


def pointers(counts: Tensor) -> Tensor:
    """Row pointers `[R + 1]` of counts per row `[R]`."""
    return torch.cat([counts.new_zeros(1), counts.cumsum(0)])


def check_budget(what: str, num_pairs: int, max_pairs: int, advice: str) -> None:
    """Refuse to allocate more pairs than the budget, saying how many there are and what to do."""
    if num_pairs > max_pairs:
        gigabytes = num_pairs * BYTES_PER_PAIR / 1e9
        raise ValueError(
            f"max_pairs: {what} has {num_pairs:,} pairs (about {gigabytes:.3g} GB), expected at "
            f"most max_pairs = {max_pairs:,}; {advice}"
        )
