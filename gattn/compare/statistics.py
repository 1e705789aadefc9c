r"""What differences are worth: intervals, paired tests over seeds, a correction for many of them.

Two settings that were trained from the same seed on the same split share what is due to chance in
both, so they are compared run by run. The test is Student's paired t,

$$ t = \frac{\bar d}{s_d / \sqrt n}, \qquad d_i = a_i - b_i, $$

with $n - 1$ degrees of freedom. Tests by ranks or by signs are exact without a normal
distribution, and can say nothing about few runs: with $n$ of them no p value is below $2^{1 - n}$,
0.25 for three. The t test can, and its interval tells in points what it could not have seen.

Where many settings are compared with one, a p value below 0.05 turns up by chance; Holm's
correction keeps the probability of any such find below 0.05.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from gattn.compare.cells import Cell, best_of, by_dataset, described, varying

LEVEL = 0.05
"""What a corrected p value has to be below to call a difference found."""


class Interval(NamedTuple):
    """A mean with what is known about it; `std`, `low` and `high` are NaN for one value."""

    mean: float
    std: float
    low: float
    high: float


def interval(values: Sequence[float]) -> Interval:
    r"""Return mean, standard deviation and the 95 % interval of the mean by Student's t.

    $$ \bar x \pm t_{0.975,\, n - 1}\, s / \sqrt n $$

    Args:
        values: one for each run; of one there is a mean, and NaN for the rest.

    Raises:
        ValueError: there are none.
    """
    if not values:
        raise ValueError("values: found none, expected at least one")
    mean = statistics.fmean(values)
    if len(values) < 2:
        return Interval(mean, math.nan, math.nan, math.nan)
    std = statistics.stdev(values)
    reach = _quantile(len(values) - 1) * std / math.sqrt(len(values))
    return Interval(mean, std, mean - reach, mean + reach)


@dataclass(frozen=True)
class Paired:
    """A paired comparison of two settings.

    Args:
        runs: how many pairs.
        difference: mean of first minus second.
        error: the standard error of that mean.
        low: of the 95 % interval of the mean difference.
        high: likewise.
        p_value: of the paired t test, 1 where no two results differ.
        effect: the mean difference in standard deviations of the differences (Cohen's d_z); 0 where
            no two results differ, infinite where all differ by the same.
        effect_low: of its 95 % interval, by the noncentral t distribution.
        effect_high: likewise.
    """

    runs: int
    difference: float
    error: float
    low: float
    high: float
    p_value: float
    effect: float
    effect_low: float
    effect_high: float

    @property
    def hidden(self) -> float:
        """Half the interval: a smaller difference could not have been told from none."""
        return (self.high - self.low) / 2


def paired_test(first: Sequence[float], second: Sequence[float]) -> Paired:
    """Compare results that were paired by the caller.

    Args:
        first: of the one setting, run by run.
        second: of the other, of the same runs.

    Raises:
        ValueError: they are not as many, or fewer than two.
    """
    from scipy import stats

    if len(first) != len(second) or len(first) < 2:
        counts = f"{len(first)} and {len(second)} results"
        raise ValueError(f"runs: found {counts}, expected as many, two or more")
    mean, std, low, high = interval([a - b for a, b in zip(first, second, strict=True)])
    runs, error = len(first), std / math.sqrt(len(first))
    if std <= _ROUNDING:
        return _alike(runs, mean)
    p_value = float(stats.ttest_rel(first, second).pvalue)
    bounds = _effect_bounds(mean / std, runs)
    return Paired(runs, mean, error, low, high, p_value, mean / std, *bounds)


_ROUNDING = 1e-12
"""Differences of fractions that vary by less are the same number, up to rounding."""


def _alike(runs: int, mean: float) -> Paired:
    """All runs differ by the same: t knows no spread, so the p value is that of the signs."""
    same = abs(mean) <= _ROUNDING
    p_value = 1.0 if same else 2.0 ** (1 - runs)
    effect = 0.0 if same else math.copysign(math.inf, mean)
    return Paired(runs, mean, 0.0, mean, mean, p_value, effect, effect, effect)


def _effect_bounds(effect: float, runs: int) -> tuple[float, float]:
    r"""The 95 % interval of Cohen's d_z: the noncentralities that make t just improbable.

    Of the noncentral t distribution, $T = (Z + \delta) / S$, the probability is a mean over S,
    here over its quantiles: scipy's own is NaN far out, where few runs often are.
    """
    from scipy import optimize, special

    root, scales = math.sqrt(runs), _scales(runs - 1)
    t = effect * root
    ends = sorted((t * scales[0], t * scales[-1]))

    def bound(probability: float) -> float:
        def excess(noncentrality: float) -> float:
            return float(np.mean(special.ndtr(t * scales - noncentrality))) - probability

        found: Any = optimize.brentq(excess, ends[0] - 10, ends[1] + 10)
        return float(found) / root

    return bound(0.975), bound(0.025)


@lru_cache(maxsize=64)
def _scales(freedom: int, number: int = 1000) -> np.ndarray:
    """Quantiles of S, the root of a chi-square over its degrees of freedom."""
    from scipy import stats

    shares = (np.arange(number) + 0.5) / number
    return np.sqrt(stats.chi2.ppf(shares, freedom) / freedom)


def holm(p_values: Sequence[float]) -> list[float]:
    r"""Return p values corrected for their number, in the same order (Holm, 1979).

    $$ \tilde p_{(i)} = \max_{j \le i} \min\bigl(1, (m - j + 1)\, p_{(j)}\bigr) $$

    Args:
        p_values: of the tests of one family.
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    corrected, least = [0.0] * len(p_values), 0.0
    for done, i in enumerate(order):
        least = max(least, min(1.0, (len(p_values) - done) * p_values[i]))
        corrected[i] = least
    return corrected


@dataclass(frozen=True)
class Comparison:
    """One setting beside the best of its dataset.

    Args:
        cell: the setting.
        best: the one with the highest mean validation metric.
        column: what is compared, such as "test".
        paired: setting minus best over the runs that both have; None with fewer than two.
        corrected: p value by Holm over all settings compared with this best; None likewise.
        name: of the setting, in words.
    """

    cell: Cell
    best: Cell
    column: str
    paired: Paired | None
    corrected: float | None
    name: str

    @property
    def found(self) -> bool:
        """Whether a difference is found at the level of 5 %."""
        return self.corrected is not None and self.corrected < LEVEL

    def sentence(self) -> str:
        """Say what was found, or plainly that nothing was, and what could have been missed."""
        if self.paired is None:
            return f"{self.name}: {self._points()}."
        if self.found:
            word = "worse" if self.paired.difference < 0 else "better"
            return f"{self.name}: {word} than the best ({self._points()})."
        return (
            f"{self.name}: no difference found ({self._points()}); one of less than "
            f"{100 * self.paired.hidden:.2f} points could have been hidden."
        )

    def _points(self) -> str:
        if self.paired is None or self.corrected is None:
            return "fewer than two runs in common, so no test"
        low, high = 100 * self.paired.low, 100 * self.paired.high
        return (
            f"{100 * self.paired.difference:+.2f} points, 95 % interval {low:+.2f} to {high:+.2f}, "
            f"{self.paired.runs} runs, p {p_text(self.corrected)}"
        )


def verdicts(found: Sequence[Comparison]) -> list[str]:
    """Say in words which settings differ from the best of their dataset, and which do not.

    Args:
        found: of `compare_to_best`, of one dataset.
    """
    said = []
    for word in ("worse", "better"):
        mine = [item for item in found if item.found and _direction(item) == word]
        if mine:
            listed = "; ".join(f"{item.name} ({item._points()})" for item in mine)
            said.append(f"Found {word} than the best by validation: {listed}.")
    open_ = [item for item in found if item.paired and not item.found]
    if open_:
        listed = "; ".join(f"{item.name} ({item._points()})" for item in open_)
        reach = [100 * item.paired.hidden for item in open_ if item.paired]
        said.append(
            f"No difference found between the best by validation and: {listed}. "
            f"Differences of less than {_span(reach)} points could have been hidden."
        )
    untested = [item.name for item in found if item.paired is None]
    if untested:
        said.append(f"Not tested, for fewer than two runs in common: {'; '.join(untested)}.")
    return said


def _direction(item: Comparison) -> str:
    return "worse" if item.paired and item.paired.difference < 0 else "better"


def _span(values: Sequence[float]) -> str:
    low, high = f"{min(values):.2f}", f"{max(values):.2f}"
    return low if low == high else f"{low} to {high}"


def compare_to_best(found: Sequence[Cell], column: str = "test") -> list[Comparison]:
    """Compare every cell with the best of its dataset, over the seeds that both have.

    The best is chosen by validation; the family of Holm's correction is all comparisons with it.

    Args:
        found: of `cells`, of any number of datasets.
        column: what is compared: "test", on which nothing was chosen, or "val".
    """
    return [item for group in by_dataset(found) for item in _family(group, column)]


def _family(group: Sequence[Cell], column: str) -> list[Comparison]:
    best = best_of(group)
    others = [cell for cell in group if cell is not best and cell.rows]
    if best is None:
        return []
    tests = [_test(cell, best, column) for cell in others]
    corrected = iter(holm([test.p_value for test in tests if test]))
    names = varying(group)
    return [
        Comparison(cell, best, column, test, next(corrected) if test else None, name)
        for cell, test, name in zip(
            others, tests, (described(cell, names) for cell in others), strict=True
        )
    ]


def _test(cell: Cell, best: Cell, column: str) -> Paired | None:
    common = _common(cell, best, column)
    return paired_test(*zip(*common, strict=True)) if len(common) > 1 else None


def _common(cell: Cell, best: Cell, column: str) -> list[tuple[float, float]]:
    """Results of the runs that both have: the same seed and the same split."""
    mine, theirs = (
        {(row["seed"], row["split"]): row[column] for row in side.rows} for side in (cell, best)
    )
    return [(mine[run], theirs[run]) for run in sorted(mine.keys() & theirs.keys())]


def standard_error(cell: Cell, column: str = "val") -> float:
    """Return the standard error of a cell's mean, NaN with fewer than two rows."""
    std = cell.std(column)
    return math.nan if std is None else std / math.sqrt(len(cell.rows))


def p_text(p_value: float) -> str:
    """Return a p value with its sign, as one writes it: `= 0.04`, `< 0.001`."""
    return "< 0.001" if p_value < 0.001 else f"= {p_value:.{3 if p_value < 0.01 else 2}f}"


def _quantile(freedom: int) -> float:
    from scipy import stats

    return float(stats.t.ppf(0.975, freedom))
