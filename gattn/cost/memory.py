"""Bytes by formula: what one step, forward and backward in float32, holds at its peak."""

from __future__ import annotations

from gattn.cost.calibration import Sizes

# As in `gattn.ops.cpu`, which is not imported here since it needs a compiler; a test compares them.
BLOCK = 1 << 22
MOST_HANDED = 1 << 28
LEAST_HANDED = 1 << 24

_NUMBER = 4
# int32 column and uint8 hop; int32 row and int64 position in the transpose.
_PAIR = 17
_PAIR_AS_FOUND = 5
# Beside its pairs a builder keeps one more byte for each.
_BUILT = 18
# Query, key, value, their gradients, the output and its gradient.
_FEATURES = 8
# Weights, scores and what a softmax makes of them, forward and backward.
_WEIGHTS = 6


def stored(nodes: int, pairs: float, sizes: Sizes) -> float:
    r"""Peak of a step over stored pairs, in bytes.

    $$ \max\big(18 P, \; 17 P + 8 H \min(P, B)\big) + 8 \cdot 4 N H C $$

    with P pairs, B of which are handed from one pass of the backward to the other at a time.

    Args:
        nodes: N.
        pairs: P.
        sizes: H and C.
    """
    return max(_BUILT * pairs, _PAIR * pairs + _handed(nodes, pairs, sizes)) + _features(
        nodes, sizes, _FEATURES
    )


def streamed(nodes: int, edges: int, pairs: float, sizes: Sizes) -> float:
    r"""Peak of a step over streamed pairs, in bytes.

    $$ (17 + 8 H) \min(P, 2^{22}) + 4 E + 21 N + 8 \cdot 4 N H C $$

    Args:
        nodes: N.
        edges: E, of the graph.
        pairs: P.
        sizes: H and C.
    """
    block = min(pairs, BLOCK)
    graph = 4 * edges + 21 * nodes
    return graph + _PAIR * block + _handed(nodes, block, sizes) + _features(nodes, sizes, _FEATURES)


def diffusion(nodes: int, pairs: float, rounds: int, sizes: Sizes) -> float:
    r"""Peak of a step of K rounds over the pairs of one hop, in bytes.

    $$ (17 + 6 \cdot 4 H) P_1 + (8 + K) \cdot 4 N H C $$

    Args:
        nodes: N.
        pairs: those of one hop.
        rounds: K.
        sizes: H and C.
    """
    per_pair = _PAIR + _WEIGHTS * _NUMBER * sizes.heads
    return per_pair * pairs + _features(nodes, sizes, _FEATURES + rounds)


def sampled(nodes: float, edges: float, layers: int, sizes: Sizes) -> float:
    r"""Peak of a step on a batch of so many nodes and edges, of one layer for each hop, in bytes.

    Args:
        nodes: of the batch.
        edges: of the batch.
        layers: K.
        sizes: H and C.
    """
    return (
        _PAIR * edges + _handed(nodes, edges, sizes) + layers * _features(nodes, sizes, _FEATURES)
    )


def features(nodes: float, sizes: Sizes) -> float:
    r"""What any step over all nodes holds beside its pairs, in bytes: $8 \cdot 4 N H C$.

    Query, key, value, their gradients, the output and its gradient.

    Args:
        nodes: N.
        sizes: H and C.
    """
    return _features(nodes, sizes, _FEATURES)


def _features(nodes: float, sizes: Sizes, tensors: int) -> float:
    return tensors * _NUMBER * nodes * sizes.heads * sizes.channels


def _handed(nodes: float, pairs: float, sizes: Sizes) -> float:
    """What one pass of the backward hands over to the other."""
    numbers = nodes * sizes.heads * sizes.channels
    most = max(min(numbers, MOST_HANDED), LEAST_HANDED)
    return _NUMBER * min(2 * sizes.heads * pairs, most)
