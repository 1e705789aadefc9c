"""What a score is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from numbers import Real
from typing import Any, Self

import torch
from torch import Tensor, nn

from gattn.forms import Form


class Score(nn.Module, ABC):
    """A measure of how well a query fits a key, reduced to one of the three forms.

    Subclasses do what can be done once per node in `forward` and leave the rest to the form.
    """

    @classmethod
    def for_heads(cls, heads: int, channels: int) -> Self:
        """The score that a layer of `heads` heads and `channels` channels each builds for itself.

        The default suits scores without parameters.
        """
        return cls()

    @abstractmethod
    def forward(self, query: Tensor, key: Tensor) -> Form:
        """The form of the pairs of `query` `[..., N, H, C]` and `key` `[..., M, H, C]`."""

    def __call__(self, query: Tensor, key: Tensor) -> Form:
        """As `forward`, with the hooks of `nn.Module`."""
        return super().__call__(query, key)

    def reset_parameters(self) -> None:
        """Draw the parameters anew; the default suits scores without parameters."""


def positive(name: str, value: float) -> float:
    """`value`, if it is above zero."""
    if isinstance(value, (bool, Tensor)) or not isinstance(value, Real):
        raise TypeError(f"{name}: found {value!r}, expected a number > 0")
    if not value > 0:
        raise ValueError(f"{name}: found {value}, expected a number > 0")
    return value


def wide(tensor: Tensor) -> Tensor:
    """`tensor` in float32 at least: a sum over channels may not fit a half type."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def glorot(*size: int, **options: Any) -> nn.Parameter:
    """A parameter drawn uniformly with Glorot's bound, sqrt(6 / (fan_in + fan_out))."""
    return glorot_(nn.Parameter(torch.empty(*size, **options)))


def glorot_(parameter: nn.Parameter) -> nn.Parameter:
    """Draw `parameter` `[..., fan_in, fan_out]` anew, in place."""
    bound = (6.0 / max(sum(parameter.shape[-2:]), 1)) ** 0.5
    with torch.no_grad():
        parameter.uniform_(-bound, bound)
    return parameter
