"""Intervals, comparisons and the recommendation, until they are those of the study."""

from __future__ import annotations

import statistics
from collections.abc import Sequence


def interval(values: Sequence[float]) -> tuple[float, float, float, float]:
    """Return mean, standard deviation and the 95 % t interval."""
    from scipy import stats

    mean, std = statistics.fmean(values), statistics.stdev(values)
    reach = float(stats.t.ppf(0.975, len(values) - 1)) * std / len(values) ** 0.5
    return mean, std, mean - reach, mean + reach
