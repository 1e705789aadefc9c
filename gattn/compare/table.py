"""Tables and sentences of a study: functions of its rows and of nothing else.

A cell is all rows that differ in seed and split only. Means are over the finished rows of a cell,
the number after +- is their standard deviation (n - 1). Metrics are fractions in rows, per cent
here.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from gattn.compare.breadth import place
from gattn.compare.trial import Row, Trial

if TYPE_CHECKING:
    from rich.table import Table

SETTINGS = tuple(field.name for field in fields(Trial) if field.name not in ("seed", "split"))
"""The fields of a trial that make a cell."""

METRIC_TITLES = {
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    "macro_recall": "macro recall",
    "roc_auc": "ROC AUC",
}


@dataclass(frozen=True)
class Cell:
    """One combination of settings: its finished rows, and the reasons of those that failed."""

    settings: Mapping[str, Any]
    metric: str
    rows: tuple[Row, ...]
    reasons: tuple[str, ...]

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
        groups.setdefault(tuple(_frozen(row.get(name)) for name in SETTINGS), []).append(row)
    found = [_cell(group) for group in groups.values()]
    first = ("dataset", "options", "model", "depth")
    return sorted(
        found,
        key=lambda cell: (
            *(cell.settings[name] for name in first),
            place(cell.settings["breadth"]),
        ),
    )


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


def markdown(rows: Iterable[Row]) -> str:
    """Return a Markdown page: what is common to all cells, and one line per cell.

    Args:
        rows: of `read_rows`.
    """
    found = cells(rows)
    head, body = _columns(found)
    lines = [head, ["---"] * len(head), *body]
    table = "\n".join("| " + " | ".join(map(_escaped, line)) + " |" for line in lines)
    return f"{common(found)}\n\n{table}\n\n{LEGEND}\n"


def rich_table(rows: Iterable[Row]) -> Table:
    """Return the same table for a terminal.

    Args:
        rows: of `read_rows`.
    """
    from rich.table import Table
    from rich.text import Text

    found = cells(rows)
    head, body = _columns(found)
    table = Table(title=Text(common(found)), caption=LEGEND, title_justify="left")
    for name in head:
        table.add_column(name, justify="left" if name in SETTINGS[:2] else "right")
    for line in body:
        table.add_row(*(Text(text.replace("**", "")) for text in line))
    return table


def print_table(rows: Iterable[Row]) -> None:
    """Print the table to the terminal, in its width.

    Args:
        rows: of `read_rows`.
    """
    from rich.console import Console

    Console().print(rich_table(rows))


LEGEND = (
    "test: mean ± standard deviation over seeds, at the epoch with the best validation metric; "
    "s / epoch: median within a run, training step and evaluation; "
    "memory: largest growth of the process (cpu) or largest allocation (cuda) in a run."
)


def common(found: Sequence[Cell]) -> str:
    """Return the settings that all cells share, in one line."""
    if not found:
        return "no rows"
    shared = {name: found[0].settings[name] for name in SETTINGS if name not in varying(found)}
    named = [f"{shared[name]}" for name in ("dataset", "options") if shared.get(name)]
    skipped = ("dataset", "options", "breadth", "depth")
    rest = [f"{k} {v}" for k, v in shared.items() if k not in skipped and v is not None]
    return ", ".join([" ".join(named)] * bool(named) + rest)


def percent(cell: Cell) -> float:
    """Return the mean test metric in per cent."""
    return 100 * (cell.mean("test") or 0.0)


def title(cell: Cell) -> str:
    """Return the name of the metric as one writes it."""
    return METRIC_TITLES.get(cell.metric, cell.metric)


def _columns(found: Sequence[Cell]) -> tuple[list[str], list[list[str]]]:
    """The head and the body of the table, as text."""
    shown = [n for n in SETTINGS if n in ("breadth", "depth") or n in varying(found)]
    by_dataset = [name for name in SETTINGS if name not in ("dataset", "options")]
    metrics = {cell.metric for cell in found}
    metric = METRIC_TITLES.get(*metrics, *metrics) if len(metrics) == 1 else "metric"
    best = {id(max(group, key=_val)) for group in grouped(found, by_dataset) if len(group) > 1}
    columns: dict[str, Callable[[Cell], str]] = {
        **{name: lambda cell, name=name: str(cell.settings[name]) for name in shown},
        "seeds": lambda cell: str(len(cell.rows)),
        f"test {metric} (%)": lambda cell: _test_text(cell, id(cell) in best),
        f"val {metric} (%)": lambda cell: _spread_text(cell, "val"),
        "s / epoch": lambda cell: _number(cell.mean("seconds_per_epoch"), 1, 3),
        "memory (MiB)": lambda cell: _number(cell.mean("peak_memory_bytes"), 2**-20, 0),
        "pairs": lambda cell: _number(cell.mean("pairs"), 1, 0),
        "parameters": lambda cell: _number(cell.mean("parameters"), 1, 0),
    }
    return list(columns), [[text(cell) for text in columns.values()] for cell in found]


def _test_text(cell: Cell, best: bool) -> str:
    failed = f"{len(cell.reasons)} failed: {cell.reasons[-1]}" if cell.reasons else ""
    if not cell.rows:
        return failed
    text = _spread_text(cell, "test")
    return (f"**{text}**" if best else text) + (f" ({failed})" if failed else "")


def _spread_text(cell: Cell, name: str) -> str:
    mean, std = cell.mean(name), cell.std(name)
    if mean is None:
        return "-"
    return f"{100 * mean:.2f}" + ("" if std is None else f" ± {100 * std:.2f}")


def _number(value: float | None, factor: float, digits: int) -> str:
    return "-" if value is None else f"{value * factor:,.{digits}f}"


def _val(cell: Cell) -> float:
    value = cell.mean("val")
    return -1.0 if value is None else value


def _cell(group: list[Row]) -> Cell:
    # Rows older than a setting have no column for it.
    settings = {name: group[0].get(name) for name in SETTINGS}
    finished = tuple(row for row in group if row["status"] == "ok")
    reasons = tuple(row["reason"] for row in group if row["status"] != "ok")
    return Cell(settings, group[0]["metric"], finished, reasons)


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")
