r"""How many bytes a fused attention has to move if nothing is gathered twice from a cache.

With H heads of C channels, b bytes for each number and W = H C b, a pair costs

| | forward, and target pass of the backward | source pass of the backward |
| --- | --- | --- |
| gat | W + H b + 4 (value, logit of the source, column) | W + H b + 8 H + 4 |
| gatv2 | W + 4 (one row is score and value) | 2 W + 8 H + 4 |
| dot | 2 W + 4 (key and value) | 2 W + 8 H + 4 |

where the source pass gathers the gradient of the output, what the target has in the score, and the
two float32 of a row (log-sum-exp; output times its gradient). Every node is read and written once
for each pass besides. Edge features are read once in every pass. Statistics are float32, columns
int32, row pointers int64; parameters count nothing. A graph whose features stay in a cache can be
faster than this: it is a floor for neighbours at random.
"""

from __future__ import annotations

from dataclasses import dataclass

FORMS = ("gat", "gatv2", "dot")


@dataclass(frozen=True)
class Sizes:
    """What the bytes depend on.

    Args:
        nodes: N, targets and sources alike.
        pairs: E.
        heads: H.
        channels: C.
        width: bytes of a number: 4 for float32, 2 for bfloat16.
        features: F, numbers of each pair.
    """

    nodes: int
    pairs: int
    heads: int
    channels: int
    width: int
    features: int = 0

    @property
    def row(self) -> int:
        """Bytes of one node's heads."""
        return self.heads * self.channels * self.width


def bytes_moved(form: str, passed: str, sizes: Sizes) -> int:
    """Return the bytes that a pass reads and writes.

    Args:
        form: "gat", "gatv2" or "dot".
        passed: "forward" or "forward+backward".
        sizes: of graph and heads.
    """
    passes = [_forward] if passed == "forward" else [_forward, _target_pass, _source_pass]
    return sum(count(form, sizes) for count in passes)


def _gathered(form: str, s: Sizes) -> int:
    """Bytes of all pairs, read from the sources."""
    return s.pairs * (_source(form, s) + 4 + s.features * s.width)


def _forward(form: str, s: Sizes) -> int:
    """Left side and row pointers in, output and log-sum-exp out."""
    per_node = _left(form, s) + s.row + 4 * s.heads
    return _gathered(form, s) + s.nodes * per_node + _pointers(s)


def _target_pass(form: str, s: Sizes) -> int:
    """Output, its gradient, left side and log-sum-exp in; gradient of the left, and delta out."""
    per_node = 2 * s.row + 2 * _left(form, s) + 8 * s.heads
    return _gathered(form, s) + s.nodes * per_node + _pointers(s)


def _source_pass(form: str, s: Sizes) -> int:
    """The sources' own sides in, their gradients out."""
    per_pair = s.row + _left(form, s) + 8 * s.heads + 4 + s.features * s.width
    return s.pairs * per_pair + s.nodes * 2 * _source(form, s) + _pointers(s)


def _left(form: str, s: Sizes) -> int:
    """Bytes of a target's side of the score."""
    return s.heads * s.width if form == "gat" else s.row


def _source(form: str, s: Sizes) -> int:
    """Bytes of a source: of its side of the score, and its value."""
    return {"gat": s.row + s.heads * s.width, "gatv2": s.row, "dot": 2 * s.row}[form]


def _pointers(s: Sizes) -> int:
    return 8 * (s.nodes + 1)
