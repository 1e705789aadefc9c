"""The cosine of the angle between query and key."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import normalize

from gattn.forms import Multiplicative
from gattn.scores.base import Score


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
        if not temperature > 0:
            raise ValueError(f"temperature: found {temperature}, expected a number > 0")
        self.temperature = temperature

    def forward(self, query: Tensor, key: Tensor) -> Multiplicative:
        """The form of `query` `[..., N, H, C]` and `key` `[..., M, H, C]`."""
        return Multiplicative(
            normalize(query, dim=-1), normalize(key, dim=-1), scale=1.0 / self.temperature
        )
