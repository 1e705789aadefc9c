"""Checks at the borders: each raises one line that names the argument, found and expected."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real

import torch
from torch import Tensor


def integer(name: str, value: object, low: int, high: int | None = None) -> int:
    """`value` as an int within `[low, high]`."""
    bounds = f">= {low}" if high is None else f"in [{low}, {high}]"
    if isinstance(value, (bool, Tensor)) or not isinstance(value, Integral):
        raise TypeError(f"{name}: found {value!r}, expected an int {bounds}")
    number = int(value)
    if number < low or (high is not None and number > high):
        raise ValueError(f"{name}: found {number}, expected an int {bounds}")
    return number


def fraction(name: str, value: object) -> float:
    """`value` as a float within `[0, 1]`."""
    if isinstance(value, (bool, Tensor)) or not isinstance(value, Real):
        raise TypeError(f"{name}: found {value!r}, expected a number in [0, 1]")
    number = float(value)
    if not 0.0 <= number <= 1.0:
        raise ValueError(f"{name}: found {value}, expected a number in [0, 1]")
    return number


def number(name: str, value: object, expected: str) -> float:
    """`value` as a float; `expected` says which."""
    if isinstance(value, (bool, Tensor)) or not isinstance(value, Real):
        raise TypeError(f"{name}: found {value!r}, expected {expected}")
    return float(value)


def positive(name: str, value: object) -> float:
    """`value` as a finite float above zero."""
    found = number(name, value, "a number > 0")
    if not 0.0 < found < float("inf"):
        raise ValueError(f"{name}: found {value}, expected a number > 0")
    return found


def tensor(name: str, value: object) -> Tensor:
    """`value` as a tensor."""
    if not isinstance(value, Tensor):
        raise TypeError(f"{name}: found {type(value).__name__}, expected a torch.Tensor")
    return value


def integers(name: str, value: object) -> Tensor:
    """`value` as a tensor of a signed or unsigned integer type."""
    found = tensor(name, value)
    if found.is_floating_point() or found.is_complex() or found.dtype == torch.bool:
        raise TypeError(f"{name}: found dtype {found.dtype}, expected an integer dtype")
    return found


def floating(name: str, value: object) -> Tensor:
    """`value` as a tensor of a real floating type."""
    found = tensor(name, value)
    if not found.is_floating_point():
        raise TypeError(f"{name}: found dtype {found.dtype}, expected a floating dtype")
    return found


def shape(name: str, value: Tensor, expected: Sequence[int | str]) -> None:
    """`value` has the expected sizes; a string in `expected` names a size that is free."""
    found = tuple(value.shape)
    fits = len(found) == len(expected) and all(
        isinstance(want, str) or have == want for have, want in zip(found, expected, strict=True)
    )
    if not fits:
        wanted = ", ".join(str(size) for size in expected)
        raise ValueError(f"{name}: found shape {list(found)}, expected [{wanted}]")


def within(name: str, value: Tensor, size: int, size_name: str) -> None:
    """Every entry of an index tensor lies in `[0, size)`."""
    if value.numel() == 0:
        return
    low, high = (int(bound) for bound in torch.aminmax(value))
    if low < 0 or high >= size:
        found = low if low < 0 else high
        raise IndexError(
            f"{name}: found the index {found}, expected 0 <= index < {size_name} = {size}"
        )


def same_device(name: str, value: Tensor, device: torch.device, owner: str) -> None:
    """`value` lives on `device`, that of `owner`."""
    if value.device != device:
        raise ValueError(f"{name}: found device {value.device}, expected {device}, that of {owner}")


def one_of(name: str, value: object, choices: Sequence[object]) -> None:
    """`value` is one of a closed vocabulary."""
    if value not in choices:
        raise ValueError(f"{name}: found {value!r}, expected one of {', '.join(map(str, choices))}")
