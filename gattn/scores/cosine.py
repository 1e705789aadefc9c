"""The cosine of the angle between query and key."""

from __future__ import annotations

import torch
from torch import Tensor

from gattn.forms import Multiplicative
from gattn.scores.base import Score, positive


class Cosine(Score):
    r"""The cosine of the angle between query and key, over a temperature.

    $$ s_{ij} = \frac{\langle q_i, k_j \rangle}{\tau \lVert q_i \rVert \lVert k_j \rVert} $$

    A zero vector has cosine 0 with everything. (Thekumparampil et al., "Attention-based Graph
    Neural Network for Semi-supervised Learning", 2018.)

    Args:
        temperature: tau; smaller is sharper.

    Raises:
        ValueError: the temperature is not positive.
    """

    def __init__(self, temperature: float = 1.0) -> None:
        super().__init__()
        self.temperature = positive("temperature", temperature)

    def forward(self, query: Tensor, key: Tensor) -> Multiplicative:
        """The form of `query` `[..., N, H, C]` and `key` `[..., M, H, C]`."""
        return Multiplicative(_unit(query), _unit(key), scale=1.0 / self.temperature)


def _unit(vectors: Tensor) -> Tensor:
    """Vectors of length one; zero vectors stay zero.

    They are brought to a size of about one first, as a constant that cancels: no square overflows
    or vanishes, in no dtype.
    """
    wide = vectors.to(torch.promote_types(vectors.dtype, torch.float32))
    size = wide.detach().abs().amax(-1, keepdim=True) if wide.shape[-1] else wide.new_ones(())
    scaled = wide / torch.where(size > 0, size, 1.0)
    squared = scaled.square().sum(-1, keepdim=True)
    return (scaled / torch.where(squared > 0, squared, 1.0).sqrt()).to(vectors.dtype)
