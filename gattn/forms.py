"""The three pairwise forms to which every score reduces.

A score is work done once per node (ordinary PyTorch on `[N, H, C]`) and one of these per pair.
Kernels know forms, never scores. The tensors may carry a leading batch axis, the same on all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from gattn import _check

ACTIVATIONS = ("leaky_relu", "tanh")


@dataclass(frozen=True, eq=False)
class Multiplicative:
    r"""A scaled inner product, and biases of the two nodes.

    $$ s_{ij} = \text{scale} \cdot \langle l_i, r_j \rangle + b_j + t_i $$

    Args:
        left: `[N, H, C]`, the targets' side.
        right: `[M, H, C]`, the sources' side. C may be 0: the score is then the biases'.
        scale: applied to the product in the compute dtype, not to a half-precision `left`.
        source_bias: `[M, H]`; -inf masks a source.
        target_bias: `[N, H]`; it matters to normalisers that do not ignore a shift (sigmoid).

    Raises:
        TypeError: the scale is a tensor.
    """

    left: Tensor
    right: Tensor
    scale: float = 1.0
    source_bias: Tensor | None = None
    target_bias: Tensor | None = None

    def __post_init__(self) -> None:
        """The scale is a constant of a kernel."""
        if isinstance(self.scale, Tensor):
            raise TypeError("scale: found a Tensor, expected a number (fold it into left)")


@dataclass(frozen=True, eq=False)
class Additive:
    r"""An activation of a sum, weighed per channel.

    $$ s_{ij} = \langle a, \operatorname{act}(l_i + r_j) \rangle $$

    GATv2 is this with LeakyReLU, Bahdanau's attention with tanh; GAT is the case of one channel
    and a = 1.

    Args:
        left: `[N, H, C]`, the targets' side.
        right: `[M, H, C]`, the sources' side.
        weight: a, `[H, C]`.
        activation: "leaky_relu" or "tanh".
        negative_slope: slope of the leaky ReLU below zero.

    Raises:
        ValueError: the activation is unknown.
    """

    left: Tensor
    right: Tensor
    weight: Tensor
    activation: str = "leaky_relu"
    negative_slope: float = 0.2

    def __post_init__(self) -> None:
        """The vocabulary of activations is closed: kernels have one branch for each."""
        _check.one_of("activation", self.activation, ACTIVATIONS)

    def activated(self, inner: Tensor) -> Tensor:
        """The activation of a sum, in PyTorch."""
        if self.activation == "tanh":
            return torch.tanh(inner)
        return torch.nn.functional.leaky_relu(inner, self.negative_slope)


@dataclass(frozen=True, eq=False)
class Given:
    r"""Any function of a pair, written in PyTorch.

    $$ s_{ij} = f(q_i, k_j, \text{hop}_{ij}) $$

    Args:
        query: `[N, H, C]`.
        key: `[M, H, C']`.
        fn: called with a block of P pairs, `(query [P, H, C], key [P, H, C'], hop [P])`, returns
            `[P, H]`. `hop` is `None` where the neighbourhood has none. It must treat pairs
            independently of one another: how they are cut into blocks is not its business.
    """

    query: Tensor
    key: Tensor
    fn: Callable[[Tensor, Tensor, Tensor | None], Tensor]

    def checked(self, query: Tensor, key: Tensor, hop: Tensor | None) -> Tensor:
        """`fn` of a block of pairs, `[P, H]`.

        Raises:
            TypeError, ValueError: it returns something else.
        """
        score = _check.floating("fn", self.fn(query, key, hop))
        _check.shape("fn", score, query.shape[:2])
        return score

    @property
    def left(self) -> Tensor:
        """The targets' side: the query."""
        return self.query

    @property
    def right(self) -> Tensor:
        """The sources' side: the key."""
        return self.key


Form = Multiplicative | Additive | Given
