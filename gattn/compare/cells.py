"""Cells of a study: all rows that differ in seed and split only, and what their means are."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import PurePath
from typing import Any

from gattn.compare.breadth import place
from gattn.compare.trial import Row, Trial

_NOT_SHOWN = ("seed", "split", "dataset_sha256")
SETTINGS = tuple(field.name for field in fields(Trial) if field.name not in _NOT_SHOWN)
"""The fields of a trial that make a cell; a file of one's own is what its content is."""

METRIC_TITLES = {
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    "macro_recall": "macro recall",
    "roc_auc": "ROC AUC",
}


@dataclass(frozen=True)
class Cell:
    """One combination of settings: its finished rows, the reasons of those that failed.

    `cut` is the number of trials that a budget kept from running, `identity` that of its rows.
    """

    settings: Mapping[str, Any]
    metric: str
    rows: tuple[Row, ...]
    reasons: tuple[str, ...]
    cut: int = 0
    identity: tuple[Any, ...] = ()

    def mean(self, name: str) -> float | None:
        """Return the mean of a column, None where no row has a number."""
        values = [row[name] for row in self.rows if row[name] is not None]
        return statistics.fmean(values) if values else None

    def std(self, name: str) -> float | None:
        """Return the standard deviation (n - 1) of a column, None below two rows."""
        values = [row[name] for row in self.rows]
        return statistics.stdev(values) if len(values) > 1 else None


def cells(rows: Iterable[Row]) -> list[Cell]:
    """Group rows by settings, ordered by dataset, model, depth, breadth, then as they came.

    Args:
        rows: of `read_rows`; of rows with one key the last counts.
    """
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in {row["key"]: row for row in rows}.values():
        groups.setdefault(identity(row), []).append(row)
    found = [_cell(name, group) for name, group in groups.items()]
    first = ("dataset", "options", "model", "depth")
    return sorted(
        found,
        key=lambda cell: (
            *(cell.settings[name] for name in first),
            place(cell.settings["breadth"]),
        ),
    )


def identity(row: Row) -> tuple[Any, ...]:
    """Return what rows of one cell have in common: their settings, and of a file its content.

    Wherever a file was when it was trained on, rows of one content belong together.
    """
    settings = {name: row.get(name) for name in SETTINGS}
    settings["dataset"] = row.get("dataset_sha256") or row["dataset"]
    return tuple(map(_frozen, settings.values()))


def grouped(found: Iterable[Cell], free: Sequence[str]) -> list[list[Cell]]:
    """Return the cells that agree in everything but the free settings, each group in order."""
    groups: dict[tuple[Any, ...], list[Cell]] = {}
    for cell in found:
        name = tuple(_frozen(v) for k, v in cell.settings.items() if k not in free)
        groups.setdefault(name, []).append(cell)
    return list(groups.values())


def varying(found: Sequence[Cell]) -> list[str]:
    """Return the settings in which the cells differ."""
    return [name for name in SETTINGS if len({_frozen(c.settings[name]) for c in found}) > 1]


def by_dataset(found: Iterable[Cell]) -> list[list[Cell]]:
    """Return the cells of each dataset, options and metric included: those that compete."""
    groups: dict[tuple[Any, ...], list[Cell]] = {}
    for cell in found:
        name = (cell.settings["dataset"], _frozen(cell.settings["options"]), cell.metric)
        groups.setdefault(name, []).append(cell)
    return list(groups.values())


def fullest(found: Sequence[Cell]) -> list[Cell]:
    """Return the cells with as many finished rows as any: means of fewer are not held to theirs."""
    most = max((len(cell.rows) for cell in found), default=0)
    return [cell for cell in found if most and len(cell.rows) == most]


def best_of(found: Sequence[Cell]) -> Cell | None:
    """Return the cell of the highest mean validation metric, of equal ones the first.

    Args:
        found: of one dataset; only those with the most finished rows are considered.
    """
    return max(fullest(found), key=lambda cell: cell.mean("val") or 0.0, default=None)


def described(cell: Cell, names: Iterable[str]) -> str:
    """Return the named settings of a cell in words: `breadth 2, depth 1`."""
    shown = [f"{name} {cell.settings[name]}" for name in names]
    return ", ".join(shown) or "the only setting"


def dataset_title(row: Row) -> str:
    """Return what a dataset is called: a file by its name and the first digits of its sha256."""
    content = row.get("dataset_sha256")
    if content is None:
        return row["dataset"]
    return f"{PurePath(row['dataset']).name or row['dataset']} ({content[:8]})"


def percent(cell: Cell) -> float:
    """Return the mean test metric in per cent."""
    return 100 * (cell.mean("test") or 0.0)


def title(cell: Cell) -> str:
    """Return the name of the metric as one writes it."""
    return METRIC_TITLES.get(cell.metric, cell.metric)


def _cell(name: tuple[Any, ...], group: list[Row]) -> Cell:
    # Rows older than a setting have no column for it.
    settings = {name: group[0].get(name) for name in SETTINGS}
    settings["dataset"] = dataset_title(group[-1])
    finished = tuple(row for row in group if row["status"] == "ok" and _is_whole(row))
    reasons = tuple(row["reason"] for row in group if row["status"] == "failed")
    reasons += (_TORN,) * sum(row["status"] == "ok" and not _is_whole(row) for row in group)
    cut = sum(row["status"] == "cut" for row in group)
    return Cell(settings, group[0]["metric"], finished, reasons, cut, name)


_TORN = "the row has no finite val and test"


def _is_whole(row: Row) -> bool:
    numbers = (row.get(name) for name in ("val", "test"))
    return all(isinstance(number, (int, float)) and math.isfinite(number) for number in numbers)


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
