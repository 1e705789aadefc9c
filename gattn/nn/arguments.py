"""Arguments that layers share, built and checked."""

from __future__ import annotations

from torch import Tensor
from torch_geometric.nn.dense.linear import Linear

from gattn import _check
from gattn.normalizers import Normalizer, Softmax
from gattn.scores import Score


def built_score(score: Score | type[Score], heads: int, channels: int) -> Score:
    """The score of a layer, built if it is a class.

    Raises:
        TypeError: it is neither a class of scores nor one.
    """
    if isinstance(score, type) and issubclass(score, Score):
        return score.for_heads(heads, channels)
    if not isinstance(score, Score):
        raise TypeError(f"score: found {score!r}, expected a Score or a class of them")
    return score


def checked_normalizer(normalizer: Normalizer | None) -> Normalizer:
    """The normaliser of a layer; `Softmax()` for `None`.

    Raises:
        TypeError: it is none.
    """
    if normalizer is None:
        return Softmax()
    if not isinstance(normalizer, Normalizer):
        raise TypeError(f"normalizer: found {normalizer!r}, expected a Normalizer")
    return normalizer


def check_features(x: Tensor, lin: Linear) -> None:
    """Features `[N, F]` or `[B, N, F]` that a projection takes.

    Raises:
        TypeError, ValueError: they are no such tensor.
    """
    if _check.floating("x", x).dim() not in (2, 3):
        raise ValueError(f"x: found shape {list(x.shape)}, expected [N, F] or [B, N, F]")
    if lin.in_channels > 0 and x.shape[-1] != lin.in_channels:
        raise ValueError(f"x: found {x.shape[-1]} features, expected {lin.in_channels}")
