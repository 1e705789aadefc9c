"""Colours of numbers, which the colour-blind can order, and the ink that is readable on them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

# Nine colours of viridis (van der Walt and Smith, 2015, CC0), of even steps in lightness.
GOOD = (
    *("440154", "472d7b", "3b528b", "2c728e", "21918c"),
    *("28ae80", "5ec962", "addc30", "fde725"),
)
"""Of a quantity that should be large, from small to large."""

COST = (
    *("fff6e5", "fee3b8", "fdc98a", "fba85e", "f08540"),
    *("d9622b", "b5431f", "8a2b1a", "5c1a17"),
)
"""Of a quantity that should be small, from small to large."""


def colour(scale: Sequence[str], share: float) -> str:
    """Return the colour `#rrggbb` at a share of a scale.

    Args:
        scale: `GOOD` or `COST`.
        share: from 0 to 1; what lies outside is taken to the end.
    """
    place = min(max(share, 0.0), 1.0) * (len(scale) - 1)
    steps = list(pairwise(scale))
    number = min(int(place), len(steps) - 1)
    low, high = (_channels(name) for name in steps[number])
    mixed = (round(a + (place - number) * (b - a)) for a, b in zip(low, high, strict=True))
    return "#" + "".join(f"{value:02x}" for value in mixed)


def ink_on(background: str) -> str:
    """Return black or white, whichever has more contrast: at least 4.5 on any colour.

    Args:
        background: a colour `#rrggbb`.
    """
    # Both contrasts are equal, 4.58, at the luminance sqrt(1.05 * 0.05) - 0.05.
    return "#000000" if luminance(background) > 0.179 else "#ffffff"


def luminance(name: str) -> float:
    """Return the relative luminance of a colour `#rrggbb`, as WCAG 2 defines it."""
    parts = (value / 255 for value in _channels(name.removeprefix("#")))
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _channels(name: str) -> tuple[int, int, int]:
    red, green, blue = (int(name[k : k + 2], 16) for k in (0, 2, 4))
    return red, green, blue
