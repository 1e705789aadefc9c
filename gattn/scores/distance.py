"""The distance of query and key."""

from __future__ import annotations

from torch import Tensor

from gattn.forms import Multiplicative
from gattn.scores.base import Score, positive, wide


class Distance(Score):
    r"""The negative squared distance of query and key, over a temperature.

    $$ s_{ij} = -\frac{\lVert q_i - k_j \rVert^2}{\tau}
              = \frac{2 \langle q_i, k_j \rangle - \lVert q_i \rVert^2
                - \lVert k_j \rVert^2}{\tau} $$

    It is computed as on the right, so nothing of its own is left for a pair. The three terms
    cancel where two long vectors lie close together: the error is about that of rounding the
    norms, a few 1e-7 of their squares in float32, and the score of two equal vectors may come out
    slightly above 0. If all vectors lie far from the origin, shift queries and keys by the same
    constant first; that changes no distance. Features of pairs enter the product alone. (Kim,
    Papamakarios & Mnih, "The Lipschitz Constant of Self-Attention", 2021.)

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
        target_bias, source_bias = (
            -wide(side).square().sum(-1) / self.temperature for side in (query, key)
        )
        return Multiplicative(query, key, 2.0 / self.temperature, source_bias, target_bias)
