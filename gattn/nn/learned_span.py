"""`LearnedSpan`: how far each head looks, which it learns, at a price."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from gattn import _check
from gattn.normalizers import Normalizer, Softmax
from gattn.scores.base import positive


class LearnedSpan(nn.Module):
    r"""A soft radius z for each head, which enters as a hop bias: learned breadth.

    $$ m_h(d) = \min\!\Big(1, \max\!\Big(0, \frac{R + z_h - d}{R}\Big)\Big), \qquad
       b'_{dh} = b_{dh} + \log m_h(d), \qquad 0 \le z_h \le K $$

    Before a softmax this multiplies what a pair at hop d weighs by m: 1 up to hop z, 0 from hop
    z + R on, a ramp between, along which z has a gradient. Hop 0 is always reached. A head starts
    at z = K, where nothing changes, and a price on z makes it shrink as far as the loss allows.
    Hops beyond K count as hop K, as they do for a hop bias.

    Only a hop on the ramp has a gradient. At z = 0 with R <= 1 there is none, so a head that gets
    there stays there, even if the price is lifted later: R > 1 leaves a way back. With R < 1 there
    is none either for z above a hop d and up to d + 1 - R.

    Weight decay is a price on z as well, which grows with z and which nobody asked for: put `share`
    into a parameter group without decay.

    (Sukhbaatar et al., "Adaptive Attention Span in Transformers", 2019, for positions in a text.)

    Args:
        num_hops: K.
        heads: H.
        ramp: R, in hops.
        price: what a hop of the mean radius costs: `penalty` is so many times the mean of z.

    Raises:
        TypeError, ValueError: an argument is out of range.
    """

    def __init__(
        self, num_hops: int, heads: int = 1, ramp: float = 1.0, price: float = 0.0
    ) -> None:
        super().__init__()
        self.num_hops = _check.integer("num_hops", num_hops, 0)
        self.ramp = positive("span_ramp", ramp)
        self.price = _price(price)
        # A share of K: a step of an optimiser then moves it alike, however large K is.
        self.share = nn.Parameter(torch.ones(_check.integer("heads", heads, 1)))

    def reset_parameters(self) -> None:
        """Look as far as there is."""
        nn.init.ones_(self.share)

    def radius(self) -> Tensor:
        """The soft radius z `[H]`, in hops."""
        return self.num_hops * _Held.apply(self.share)

    def mask(self) -> Tensor:
        """Of each hop m `[K + 1, H]`: what is left of the weight of a pair, by hop."""
        radius = self.radius()
        hop = torch.arange(self.num_hops + 1, device=radius.device, dtype=radius.dtype)
        # In this order z = K gives exactly 1, however small the ramp is beside K.
        return (1 + (radius - hop[:, None]) / self.ramp).clamp(0.0, 1.0)

    def forward(self, hop_bias: Tensor) -> Tensor:
        """The hop bias `[K + 1, H]` with the logarithm of the mask added; -inf where that is 0."""
        mask = self.mask()
        inside = mask > 0
        # The logarithm never sees a 0: its gradient there is infinite, and 0 times that is NaN.
        bias = hop_bias + torch.where(inside, mask, 1.0).log()
        return bias.masked_fill(~inside, float("-inf"))

    def radii(self, above: float = 0.0) -> Tensor:
        """The largest hop whose m is greater than `above`, `[H]` int64.

        With 0 no pair beyond it is attended to: a neighbourhood of `radii().max()` hops gives the
        same output, if that is less than K. A learned hop bias can make up for a small m, and under
        a price it does so: an m below 1/2 need not mean that a hop does not count.

        Args:
            above: in [0, 1].
        """
        _check.fraction("above", above)
        return (self.mask() > above).sum(0).sub(1).clamp(min=0)

    def penalty(self) -> Tensor:
        """The price of the mean radius, to be added to a loss; `gattn.train.fit` does so."""
        return self.price * self.radius().mean()

    def extra_repr(self) -> str:
        """The arguments."""
        heads = self.share.numel()
        return f"num_hops={self.num_hops}, heads={heads}, ramp={self.ramp}, price={self.price}"


def built_span(
    span: str | None,
    num_hops: int | None,
    heads: int,
    normalizer: Normalizer,
    **settings: Any,
) -> LearnedSpan | None:
    """The span of a layer, `None` for `None`.

    Args:
        span: `None` or "learned".
        num_hops: K of the layer's hop bias.
        heads: H.
        normalizer: of the layer.
        settings: `ramp` and `price` of `LearnedSpan`.

    Raises:
        TypeError, ValueError: the layer has no hop bias or another normaliser than a softmax, or a
            setting is out of range.
    """
    if span is None:
        return None
    _check.one_of("span", span, ("learned",))
    if num_hops is None:
        raise ValueError("hop_bias: found None, expected a number of hops for span='learned'")
    if not isinstance(normalizer, Softmax):
        raise ValueError(f"span: found 'learned' with {normalizer}, expected Softmax() with it")
    return LearnedSpan(num_hops, heads, **settings)


class _Held(torch.autograd.Function):
    """Numbers held in [0, 1], and of their gradient what would not move them farther out.

    A clamp has no gradient outside, so one step too far would be for good. What the mask has no
    gradient for, as z = 0 with a ramp of 1, is not brought back by it either.
    """

    @staticmethod
    def forward(share: Tensor) -> Tensor:
        return share.clamp(0.0, 1.0)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:  # type: ignore[override]
        (share,) = ctx.saved_tensors
        outwards = ((share <= 0) & (grad > 0)) | ((share >= 1) & (grad < 0))
        return grad.masked_fill(outwards, 0.0)


def _price(value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"span_price: found {value!r}, expected a number >= 0")
    if not 0 <= value < float("inf"):
        raise ValueError(f"span_price: found {value}, expected a number >= 0")
    return float(value)
