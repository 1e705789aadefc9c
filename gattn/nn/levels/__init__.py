"""Depth: the nested attentions of one layer, each the same operator on what the finer one gave.

The levels of a layer are a subset of `LEVELS`, fine to coarse; any subset will do:

- "feature": the channels of a source are split into tokens that attend to one another, before the
  source is attended to;
- "node": the pairs of a target, all at once or ring by ring, are weighed by their score. Without
  it they weigh alike;
- "hop": a target attends inside each ring of equal distance, and then over its rings;
- "cluster": the nodes of a cluster are pooled by attention, and a target attends to the clusters
  of its graph beside its own pairs.
"""

from __future__ import annotations

from collections.abc import Sequence

from gattn.nn.levels.across import LayerAttention as LayerAttention
from gattn.nn.levels.cluster import ClusterLevel as ClusterLevel
from gattn.nn.levels.feature import FeatureLevel as FeatureLevel
from gattn.nn.levels.hop import MIXINGS as MIXINGS
from gattn.nn.levels.hop import HopLevel as HopLevel

LEVELS = ("feature", "node", "hop", "cluster")

DEPTHS: dict[int, tuple[str, ...]] = {
    1: ("node",),
    2: ("node", "hop"),
    3: ("feature", "node", "hop"),
    4: ("feature", "node", "hop", "cluster"),
}
"""The levels of a depth that is given as a number."""


def checked_levels(levels: Sequence[str]) -> tuple[str, ...]:
    """The levels as a tuple, if they are a subset of `LEVELS` in its order.

    Raises:
        TypeError: they are no sequence.
        ValueError: they are not, or there are none.
    """
    if not isinstance(levels, Sequence):
        raise TypeError(f"levels: found {levels!r}, expected some of {LEVELS} (DEPTHS has them)")
    found = (levels,) if isinstance(levels, str) else tuple(levels)
    if not found or found != tuple(level for level in LEVELS if level in found):
        raise ValueError(f"levels: found {found}, expected some of {LEVELS}, in this order")
    return found
