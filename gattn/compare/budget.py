r"""A study within a given time: successive halving over settings, by seeds.

Rung 0 gives every setting its first seed, rung r as many seeds as $2^r$, until all seeds are run.
After each rung, what is left for the settings still in is predicted from the trials finished so
far. If it fits into the time left, nobody is cut any more; otherwise, on each dataset, the half
with the lower mean validation metric is cut (of an odd number the smaller half; at least two
stay).

Beside that the budget is a plain limit: no trial begins that is predicted to end after it. The
prediction is the mean time of finished trials of the same setting, else of the same breadth, else
of the same dataset; where nothing is known a trial begins.

The time is that of one call, by the clock on the wall. Trials that earlier calls finished count as
results, and cost nothing. Which settings are cut depends on times, and so on the machine; the rows
of those that run do not.
"""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from gattn.compare.trial import Row, Trial

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def seconds_of(text: str) -> float:
    """Return a time such as `90s`, `30m`, `1.5h` or `1h30m` in seconds.

    Example:
        >>> seconds_of("1h30m")
        5400.0

    Raises:
        ValueError: it is none, or not more than nothing.
    """
    parts = re.findall(r"(\d+(?:\.\d+)?)([smh])", text)
    total = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if "".join(number + unit for number, unit in parts) != text or total <= 0:
        raise ValueError(f"budget: found {text!r}, expected a time such as 90s, 30m or 1h30m")
    return total


class Budget:
    """What may run, and when it is enough.

    Args:
        seconds: from now on.
        jobs: trials at once.
        clock: in seconds, for tests.
    """

    def __init__(
        self, seconds: float, jobs: int = 1, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.jobs, self.clock = jobs, clock
        self.end = clock() + seconds

    def rungs(
        self, trials: Sequence[Trial], rows: Mapping[str, Row]
    ) -> Iterator[tuple[int, list[Trial]]]:
        """Yield what is to be run next, with the number of the rung.

        Args:
            trials: of the study.
            rows: the last row of each key; read again after each rung.
        """
        alive = _by_setting(trials)
        seeds, rung = 1, 0
        most = max((len(several) for several in alive.values()), default=0)
        while alive:
            yield rung, [trial for several in alive.values() for trial in several[:seeds]]
            if seeds >= most:
                return
            left = [trial for several in alive.values() for trial in several[seeds:]]
            seeds, rung = 2 * seeds, rung + 1
            if self.fits(left, rows):
                yield rung, left
                return
            alive = _halved(alive, rows)

    def fits(self, trials: Sequence[Trial], rows: Mapping[str, Row]) -> bool:
        """Return whether the trials without a row are predicted to end in time."""
        times = Times(rows.values())
        needed = [times.of(trial) or 0.0 for trial in trials if not _done(rows.get(trial.key()))]
        return sum(needed) / self.jobs <= self.end - self.clock()

    def allows(self, trial: Trial, rows: Mapping[str, Row]) -> bool:
        """Return whether a trial that begins now is predicted to end in time."""
        left = self.end - self.clock()
        return left > 0 and (Times(list(rows.values())).of(trial) or 0.0) <= left


class Times:
    """How long trials took, for those that will be like them.

    Args:
        rows: of trials, finished or not.
    """

    def __init__(self, rows: Any) -> None:
        self.known: dict[Any, list[float]] = {}
        for row in rows:
            if row["status"] == "ok":
                for name in _names(row):
                    self.known.setdefault(name, []).append(row.get("wall_seconds", row["seconds"]))

    def of(self, trial: Trial) -> float | None:
        """Return the predicted seconds of a trial; None where nothing is known."""
        for name in _names(trial.row()):
            if name in self.known:
                return statistics.fmean(self.known[name])
        return None


def _names(row: Row) -> list[Any]:
    """What a trial is known by, from the closest to the farthest."""
    setting = Trial.__dataclass_fields__.keys() - {"seed", "split"}
    own = tuple((name, str(row.get(name))) for name in sorted(setting))
    data = (row["dataset"], row["options"])
    return [own, (*data, row["breadth"]), data]


def _done(row: Row | None) -> bool:
    return row is not None and row["status"] == "ok"


def setting_of(trial: Trial) -> Trial:
    """Return what trials have in common that differ in the seed only."""
    return replace(trial, seed=0)


def _by_setting(trials: Sequence[Trial]) -> dict[Trial, list[Trial]]:
    found: dict[Trial, list[Trial]] = {}
    for trial in trials:
        found.setdefault(setting_of(trial), []).append(trial)
    return found


def _halved(
    alive: Mapping[Trial, list[Trial]], rows: Mapping[str, Row]
) -> dict[Trial, list[Trial]]:
    """The better half of the settings of each dataset, in their order."""
    groups: dict[Any, list[Trial]] = {}
    for setting in alive:
        groups.setdefault((setting.dataset, setting.options), []).append(setting)
    kept: set[Trial] = set()
    for group in groups.values():
        best = sorted(group, key=lambda setting: -_mean(alive[setting], rows))
        kept.update(best[: max(2, (len(group) + 1) // 2)])
    return {setting: several for setting, several in alive.items() if setting in kept}


def _mean(trials: Sequence[Trial], rows: Mapping[str, Row]) -> float:
    found = [rows[trial.key()] for trial in trials if _done(rows.get(trial.key()))]
    return statistics.fmean(row["val"] for row in found) if found else float("-inf")


def cut_rows(trials: Sequence[Trial], rows: Mapping[str, Row]) -> list[Row]:
    """Return rows with the status "cut" for the trials that were not run.

    Args:
        trials: of the study.
        rows: the last row of each key.
    """
    found = []
    for several in _by_setting(trials).values():
        left = [trial for trial in several if rows.get(trial.key(), _NONE)["status"] in _OPEN]
        done = len(several) - len(left)
        for trial in left:
            reason = f"the budget ended after {done} of {len(several)} seeds"
            cut = {"status": "cut", "stopped": "budget", "reason": reason, "seeds_run": done}
            found.append({**trial.row(), **cut})
    return found


_NONE = {"status": "none"}
_OPEN = ("none", "cut")


def budget_sentences(rows: Sequence[Row]) -> list[str]:
    """Say plainly what a budget kept from running.

    Args:
        rows: of `read_rows`; of rows with one key the last counts.
    """
    last = {row["key"]: row for row in rows}.values()
    settings: dict[Any, Row] = {_names(row)[0]: row for row in last if row["status"] == "cut"}
    if not settings:
        return []
    every = len({_names(row)[0] for row in last})
    after: dict[int, int] = {}
    for row in settings.values():
        after[row["seeds_run"]] = after.get(row["seeds_run"], 0) + 1
    listed = ", ".join(
        f"{count} after {seeds} seed{'s' * (seeds != 1)}" for seeds, count in sorted(after.items())
    )
    return [f"Budget: {len(settings)} of {every} settings were cut, {listed}."]
