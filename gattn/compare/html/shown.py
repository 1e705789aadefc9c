"""What the page says about a cell: its name, its anchor, its statistics. Functions of rows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gattn.compare.cells import SETTINGS, Cell, cells, grouped, identity, title, varying
from gattn.compare.statistics import interval
from gattn.compare.trial import Row

AXES = ("breadth", "depth")
_DATA = ("dataset", "options")


@dataclass(frozen=True)
class Spread:
    """A mean over seeds with its standard deviation and its 95 % interval, as in the rows.

    Without a second seed there is only the mean.
    """

    mean: float
    std: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, eq=False)
class Shown:
    """A cell as the page shows it.

    Args:
        cell: settings and finished rows.
        anchor: where its trials are on the page; the same whatever other rows there are.
        name: breadth and depth, and what else varies in the study.
        rows: all of its trials, by seed and split, those that failed included.
    """

    cell: Cell
    anchor: str
    name: str
    rows: tuple[Row, ...]

    @property
    def place(self) -> tuple[Any, Any]:
        """Breadth and depth."""
        return self.cell.settings["breadth"], self.cell.settings["depth"]

    def spread(self, column: str) -> Spread | None:
        """Return what the finished rows say about a column, None where none has a number."""
        values = [row[column] for row in self.cell.rows if row.get(column) is not None]
        if not values:
            return None
        return Spread(values[0], None, None, None) if len(values) < 2 else Spread(*interval(values))

    def mean(self, column: str) -> float | None:
        """Return the mean of a column over the finished rows, None where none has a number."""
        found = self.spread(column)
        return None if found is None else found.mean


def shown(rows: Iterable[Row]) -> list[Shown]:
    """Return the cells of rows, in the order of the tables.

    Args:
        rows: of `read_rows`; of rows with one key the last counts.
    """
    last = list({row["key"]: row for row in rows}.values())
    found = cells(last)
    differing = names(found)
    members: dict[tuple[Any, ...], list[Row]] = {}
    for row in last:
        members.setdefault(identity(row), []).append(row)
    return [_shown(cell, differing, members[cell.identity]) for cell in found]


def names(found: Sequence[Cell]) -> list[str]:
    """Return the settings that tell cells apart: breadth and depth, and those that vary."""
    others = [name for name in varying(found) if name not in AXES]
    return [*(n for n in others if n in _DATA), *AXES, *(n for n in others if n not in _DATA)]


def groups(found: Sequence[Shown]) -> list[list[Shown]]:
    """Return the cells that share a heat map: those that differ in breadth and depth only."""
    return _grouped(found, AXES)


def by_dataset(found: Sequence[Shown]) -> list[list[Shown]]:
    """Return the cells of each dataset, options and metric included: those that compete."""
    of_data = _grouped(found, [name for name in SETTINGS if name not in _DATA])
    return [
        [each for each in group if each.cell.metric == metric]
        for group in of_data
        for metric in dict.fromkeys(each.cell.metric for each in group)
    ]


def group_name(group: Sequence[Shown], found: Sequence[Shown]) -> str:
    """Return what sets a group apart from the others, "" where it is the only one."""
    differing = [name for name in names([each.cell for each in found]) if name not in AXES]
    return described(group[0].cell.settings, differing)


def described(settings: Mapping[str, Any], chosen: Iterable[str]) -> str:
    """Return settings in words, those without a value left out: `minesweeper, score dot`."""
    words = [
        str(settings[name]) if name in (*_DATA, "model") else f"{spaced(name)} {settings[name]}"
        for name in chosen
        if settings.get(name) not in (None, "")
    ]
    return ", ".join(words)


def spaced(name: str) -> str:
    """Return the name of a column as one reads it."""
    return name.replace("_", " ")


def metric_of(found: Sequence[Shown]) -> str:
    """Return the name of the metric, "metric" where the cells have several."""
    titles = {title(each.cell) for each in found}
    return titles.pop() if len(titles) == 1 else "metric"


def _grouped(found: Sequence[Shown], free: Sequence[str]) -> list[list[Shown]]:
    by_cell = {id(each.cell): each for each in found}
    return [[by_cell[id(cell)] for cell in group] for group in grouped(cells_of(found), free)]


def cells_of(found: Sequence[Shown]) -> list[Cell]:
    """Return the cells alone."""
    return [each.cell for each in found]


def _shown(cell: Cell, differing: Sequence[str], rows: list[Row]) -> Shown:
    rows = sorted(rows, key=lambda row: (row.get("seed") or 0, row.get("split") or 0))
    name = described(cell.settings, differing)
    return Shown(cell, anchor_of(cell.settings), name, tuple(rows))


def anchor_of(settings: Mapping[str, Any]) -> str:
    """Return the name of a cell in links, the same in every report that has the cell."""
    others = {k: v for k, v in settings.items() if k not in AXES and v not in (None, "")}
    text = json.dumps(others, sort_keys=True, default=str)
    breadth = "".join(c if c.isalnum() else "-" for c in str(settings["breadth"]))
    digits = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"breadth-{breadth}-depth-{settings['depth']}-{digits}"
