"""One line of a table of published results: what is trained, what is published, what is wanted."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gattn.compare.run import grid, latest
from gattn.compare.table import Cell, cells
from gattn.compare.trial import Row, Trial

Arguments = Mapping[str, Any]
AXES = ("dataset", "model", "breadth", "depth", "score", "normalizer", "encoding")
"""Arguments of `grid` that are lists there, and one value each in a line."""


@dataclass(frozen=True)
class Search:
    """A random search, by mean validation alone.

    Args:
        space: by field of a trial the values that are drawn from.
        candidates: how many settings are drawn.
        seeds: of each.
        first_seed: the first of them; not one of a final run.
        also: settings that are tried besides, before those that are drawn, such as published ones.
    """

    space: Mapping[str, tuple[Any, ...]]
    candidates: int = 40
    seeds: int = 2
    first_seed: int = 100
    also: tuple[Mapping[str, Any], ...] = ()

    def drawn(self) -> list[dict[str, Any]]:
        """Return the settings, each once and the same in every process; all, if there are fewer."""
        source = random.Random(0)
        found = {_fixed(settings): dict(settings) for settings in self.also}
        wanted = len(found) + self.candidates
        for _ in range(100 * self.candidates):
            settings = {name: source.choice(values) for name, values in self.space.items()}
            found.setdefault(_fixed(settings), settings)
            if len(found) == wanted:
                break
        return list(found.values())


def _fixed(settings: Arguments) -> tuple[Any, ...]:
    return tuple(sorted(settings.items(), key=lambda pair: pair[0]))


@dataclass(frozen=True)
class Line:
    """One line: a setting, or a search for one, and the published number beside it.

    Args:
        name: of the setting.
        arguments: fields of a trial that are not the model's usual ones.
        published: mean in per cent, None where there is none.
        spread: its standard deviation in per cent, None where none is published.
        source: who published it.
        least: per cent that the mean has to reach.
        seeds: of the final run.
        first_seed: the first of them.
        search: for settings beyond `arguments`; None has all there.
        result: the column of a row that counts.
    """

    name: str
    arguments: Arguments = field(repr=False)
    published: float | None
    spread: float | None
    source: str
    least: float
    seeds: int = 10
    first_seed: int = 0
    search: Search | None = None
    result: str = "test"

    @property
    def dataset(self) -> str:
        """The name of the dataset."""
        return self.arguments["dataset"]

    def candidates(self) -> list[list[Trial]]:
        """Return the trials of the search, candidate by candidate; none without a search."""
        if self.search is None:
            return []
        several = (self.search.seeds, self.search.first_seed)
        return [self._trials(settings, *several) for settings in self.search.drawn()]

    def found(self, rows: Iterable[Row]) -> list[Cell]:
        """Return what came out of the candidates that are finished, in their order."""
        by_key = latest(rows)
        all_of = ([by_key.get(trial.key(), {}) for trial in many] for many in self.candidates())
        return [cells(many)[0] for many in all_of if all(r.get("status") == "ok" for r in many)]

    def chosen(self, rows: Iterable[Row]) -> dict[str, Any] | None:
        """Return what the search chose, the first among equals; None while it is not finished.

        A candidate that failed is finished, and not chosen.
        """
        if self.search is None:
            return {}
        kept = list(rows)
        by_key = latest(kept)
        if any(trial.key() not in by_key for many in self.candidates() for trial in many):
            return None
        best = max(self.found(kept), key=lambda cell: cell.mean("val") or 0.0, default=None)
        return None if best is None else {name: best.settings[name] for name in self.search.space}

    def final(self, rows: Iterable[Row]) -> list[Trial]:
        """Return the trials of the setting on fresh seeds; none while it is not known."""
        settings = self.chosen(rows)
        return [] if settings is None else self._trials(settings, self.seeds, self.first_seed)

    def cell(self, rows: Iterable[Row]) -> Cell | None:
        """Return what came out of the final run; None where there is no row."""
        kept = list(rows)
        by_key = latest(kept)
        mine = [by_key[trial.key()] for trial in self.final(kept) if trial.key() in by_key]
        return cells(mine)[0] if mine else None

    def seconds(self, rows: Iterable[Row]) -> tuple[float, float]:
        """Return the seconds of the search and of the final run."""
        kept = list(rows)
        by_key = latest(kept)
        searched = [trial for many in self.candidates() for trial in many]
        return _seconds(searched, by_key), _seconds(self.final(kept), by_key)

    def _trials(self, settings: Arguments, seeds: int, first_seed: int) -> list[Trial]:
        chosen = {**self.arguments, **settings}
        axes = {name: [chosen.pop(name)] for name in AXES if name in chosen}
        return grid(**axes, **chosen, seeds=seeds, first_seed=first_seed)


def _seconds(trials: Sequence[Trial], by_key: Mapping[str, Row]) -> float:
    return sum(by_key.get(trial.key(), {}).get("seconds", 0.0) for trial in trials)


@dataclass(frozen=True)
class Study:
    """One table: its question and its lines.

    Args:
        asks: the question.
        lines: of the table, in this order.
        beside: further columns of rows that are shown, with their titles.
        besides: called with the rows, the folder and the root of the datasets when all is trained.
        draw: called with the rows and the folder, for a figure of the study's own.
    """

    asks: str
    lines: tuple[Line, ...]
    beside: Mapping[str, str] = field(default_factory=dict)
    besides: Callable[[Sequence[Row], Path, Path | None], None] | None = None
    draw: Callable[[Sequence[Row], Path], None] | None = None
