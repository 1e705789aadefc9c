"""The front of settings that no other beats in both metric and cost."""

from __future__ import annotations

from collections.abc import Sequence


def front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Return the indices of the points that no other beats, by rising cost.

    One point beats another if it costs no more and is no worse, and one of both is strict. Of equal
    points the first stays.

    Args:
        points: pairs of a cost, which should be small, and a metric, which should be large.
    """
    found: list[int] = []
    for index in sorted(range(len(points)), key=lambda k: (points[k][0], -points[k][1], k)):
        if not found or points[index][1] > points[found[-1]][1]:
            found.append(index)
    return found
