"""Positions in a sequence, put into queries and keys.

For sinusoids that are added to the features, take PyG's `torch_geometric.nn.PositionalEncoding`:
`[N]` positions to `[N, C]`, all the sines before all the cosines, at frequencies spaced evenly in
the logarithm from 1 to `base_freq` (1e-4), both ends included.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gattn import _check
from gattn.scores.base import positive


class Rotary(nn.Module):
    r"""Rotary position embedding: channels are turned in pairs, by an angle for each position.

    $$ \begin{pmatrix} y_c \\ y_{c + C/2} \end{pmatrix} =
       \begin{pmatrix} \cos p\theta_c & -\sin p\theta_c \\
                       \sin p\theta_c & \cos p\theta_c \end{pmatrix}
       \begin{pmatrix} x_c \\ x_{c + C/2} \end{pmatrix}, \qquad
       \theta_c = \text{base}^{-2c / C}, \quad 0 \le c < C / 2 $$

    The product of a turned query and a turned key depends on the difference of their positions
    alone; lengths stay. Channel c goes with channel c + C/2, as in GPT-NeoX and in Llama as
    transformers has it. The paper and GPT-J turn neighbours, 2c with 2c + 1: the same up to a
    permutation of the channels, so weights trained with one layout need permuting for the other.
    There are no parameters. (Su et al., "RoFormer: Enhanced Transformer with Rotary Position
    Embedding", 2021.)

    Args:
        channels: C, channels of a head; even.
        base: wavelengths grow from 2 pi towards 2 pi * base positions.

    Raises:
        TypeError, ValueError: an argument is out of range.
    """

    def __init__(self, channels: int, base: float = 10000.0) -> None:
        super().__init__()
        self.channels = _check.integer("channels", channels, 2)
        if channels % 2:
            raise ValueError(f"channels: found {channels}, expected an even number")
        self.base = positive("base", base)

    def forward(self, x: Tensor, position: Tensor) -> Tensor:
        """`x`, turned by its positions.

        Args:
            x: `[..., N, H, C]`, queries or keys.
            position: `[N]` or `[..., N]`, integers or not.

        Returns:
            `[..., N, H, C]` in the dtype of `x`. Angles and products are float32 for half types.

        Raises:
            TypeError, ValueError: the arguments do not fit.
        """
        self._check(x, position)
        cos, sin = self._turns(position, torch.promote_types(x.dtype, torch.float32))
        first, second = x.to(cos.dtype).chunk(2, dim=-1)
        turned = torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)
        return turned.to(x.dtype)

    def _check(self, x: Tensor, position: Tensor) -> None:
        if _check.floating("x", x).dim() < 3 or x.shape[-1] != self.channels:
            raise ValueError(
                f"x: found shape {list(x.shape)}, expected [..., N, H, {self.channels}]"
            )
        places = x.shape[:-2]
        found = tuple(_check.tensor("position", position).shape)
        if found not in (places, places[-1:]):
            wanted = " or ".join(str(list(size)) for size in dict.fromkeys((places[-1:], places)))
            raise ValueError(f"position: found shape {list(found)}, expected {wanted}")

    def _turns(self, position: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Cosine and sine of every position's angles, `[..., N, 1, C / 2]`."""
        # Not a buffer: `module.half()` would round it.
        channel = torch.arange(0, self.channels, 2, device=position.device, dtype=dtype)
        frequency = self.base ** (-channel / self.channels)
        angle = position.to(dtype)[..., None, None] * frequency
        return angle.cos(), angle.sin()

    def extra_repr(self) -> str:
        """The arguments."""
        return f"{self.channels}, base={self.base}"
