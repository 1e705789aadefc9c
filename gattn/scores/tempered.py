"""A temperature for any score."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, Self

import torch
from torch import Tensor, nn

from gattn.forms import Additive, Form, Given, Multiplicative
from gattn.scores.base import Score, positive, wide
from gattn.scores.dot import ScaledDot


class Tempered(Score):
    r"""Another score over a temperature, fixed or learnt.

    $$ s_{ij} = \frac{\operatorname{score}(q_i, k_j)}{\tau} $$

    It is one number for all heads. A layer that is given the class itself learns the temperature
    of a `ScaledDot`. (Learnt: Radford et al., "Learning Transferable Visual Models From Natural
    Language Supervision", 2021, with a cosine.)

    Args:
        score: the score to divide.
        temperature: tau; smaller is sharper. Where it is learnt, that of the start.
        learn: make the logarithm of tau a parameter, `log_temperature`. It multiplies the targets'
            side of a product, which is then float32 at least.

    Raises:
        TypeError: the score is none.
        ValueError: the temperature is not positive.
    """

    def __init__(self, score: Score, temperature: float = 1.0, learn: bool = False) -> None:
        super().__init__()
        if not isinstance(score, Score):
            raise TypeError(f"score: found {score!r}, expected a Score, such as ScaledDot()")
        self.score = score
        self.temperature = positive("temperature", temperature)
        start = torch.tensor(math.log(temperature))
        self.log_temperature = nn.Parameter(start) if learn else None

    @classmethod
    def for_heads(cls, heads: int, channels: int) -> Self:
        """A `ScaledDot` whose temperature is learnt."""
        return cls(ScaledDot.for_heads(heads, channels), learn=True)

    def forward(self, query: Tensor, key: Tensor) -> Form:
        """The form of `query` `[..., N, H, C]` and `key` `[..., M, H, C]`."""
        form, factor = self.score(query, key), self._factor()
        if isinstance(form, Multiplicative):
            return _product(form, factor)
        if isinstance(form, Additive):
            return replace(form, weight=wide(form.weight) * factor)
        return _given(form, factor)

    def _factor(self) -> Tensor | float:
        """What to multiply by, a number if it is fixed."""
        if self.log_temperature is None:
            return 1.0 / self.temperature
        return torch.exp(-wide(self.log_temperature))

    def reset_parameters(self) -> None:
        """Draw those of the score anew; the temperature goes back to where it started."""
        self.score.reset_parameters()
        if self.log_temperature is not None:
            nn.init.constant_(self.log_temperature, math.log(self.temperature))


def _product(form: Multiplicative, factor: Tensor | float) -> Multiplicative:
    biases = {name: getattr(form, name) for name in ("source_bias", "target_bias")}
    changes: dict[str, Any] = {
        name: _times(wide(bias), factor) for name, bias in biases.items() if bias is not None
    }
    if isinstance(factor, Tensor):  # the scale of a form is a number
        return replace(form, left=wide(form.left) * factor, **changes)
    return replace(form, scale=form.scale * factor, **changes)


def _given(form: Given, factor: Tensor | float) -> Given:
    def fn(query: Tensor, key: Tensor, hop: Tensor | None) -> Tensor:
        return _times(form.fn(query, key, hop), factor)

    return replace(form, fn=fn)


def _times(score: Tensor, factor: Tensor | float) -> Tensor:
    """The product, but -inf stays as it is: its share of the factor's gradient would be NaN."""
    masked = score == float("-inf")
    return torch.where(masked, score, score.masked_fill(masked, 0.0) * factor)
