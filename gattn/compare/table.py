"""Tables and sentences of a study: functions of its rows and of nothing else.

A cell is all rows that differ in seed and split only. Means are over the finished rows of a cell,
the number after +- is their standard deviation (n - 1). Metrics are fractions in rows, per cent
here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from gattn.compare.cells import METRIC_TITLES, SETTINGS, best_of, by_dataset, varying
from gattn.compare.cells import Cell as Cell
from gattn.compare.cells import cells as cells
from gattn.compare.statistics import compare_to_best, interval, p_text
from gattn.compare.trial import Row

if TYPE_CHECKING:
    from rich.table import Table


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
    "95 % interval: of the mean, by Student's t; difference: from the best by validation (bold), "
    "mean of the test differences seed by seed; p: paired t test, corrected by Holm for all "
    "comparisons with that best; "
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


def _columns(found: Sequence[Cell]) -> tuple[list[str], list[list[str]]]:
    """The head and the body of the table, as text."""
    shown = [n for n in SETTINGS if n in ("breadth", "depth") or n in varying(found)]
    metrics = {cell.metric for cell in found}
    metric = METRIC_TITLES.get(*metrics, *metrics) if len(metrics) == 1 else "metric"
    best = {id(best_of(group)) for group in by_dataset(found) if len(group) > 1}
    columns: dict[str, Callable[[Cell], str]] = {
        **{name: lambda cell, name=name: str(cell.settings[name]) for name in shown},
        "seeds": lambda cell: str(len(cell.rows)),
        f"test {metric} (%)": lambda cell: _test_text(cell, id(cell) in best),
        **_tested(found),
        f"val {metric} (%)": lambda cell: _spread_text(cell, "val"),
        "s / epoch": lambda cell: _number(cell.mean("seconds_per_epoch"), 1, 3),
        "memory (MiB)": lambda cell: _number(cell.mean("peak_memory_bytes"), 2**-20, 0),
        "pairs": lambda cell: _number(cell.mean("pairs"), 1, 0),
        "parameters": lambda cell: _number(cell.mean("parameters"), 1, 0),
    }
    return list(columns), [[text(cell) for text in columns.values()] for cell in found]


def _tested(found: Sequence[Cell]) -> dict[str, Callable[[Cell], str]]:
    """Columns that take several seeds: an interval, and where there is a best, how far off it."""
    if all(len(cell.rows) < 2 for cell in found):
        return {}
    columns: dict[str, Callable[[Cell], str]] = {"95 % interval": _interval_text}
    compared = {id(item.cell): item for item in compare_to_best(found) if item.paired}
    if not compared:
        return columns

    def difference(cell: Cell) -> str:
        item = compared.get(id(cell))
        return f"{100 * item.paired.difference:+.2f}" if item and item.paired else "-"

    def corrected(cell: Cell) -> str:
        item = compared.get(id(cell))
        return (
            "-"
            if item is None or item.corrected is None
            else p_text(item.corrected).removeprefix("= ")
        )

    return {**columns, "difference": difference, "p": corrected}


def _interval_text(cell: Cell) -> str:
    if len(cell.rows) < 2:
        return "-"
    found = interval([row["test"] for row in cell.rows])
    return f"{100 * found.low:.1f} to {100 * found.high:.1f}"


def _test_text(cell: Cell, best: bool) -> str:
    failed = f"{len(cell.reasons)} failed: {cell.reasons[-1]}" if cell.reasons else ""
    cut = f"{cell.cut} cut by the budget" if cell.cut else ""
    notes = "; ".join(note for note in (failed, cut) if note)
    if not cell.rows:
        return notes
    text = _spread_text(cell, "test")
    return (f"**{text}**" if best else text) + (f" ({notes})" if notes else "")


def _spread_text(cell: Cell, name: str) -> str:
    mean, std = cell.mean(name), cell.std(name)
    if mean is None:
        return "-"
    return f"{100 * mean:.2f}" + ("" if std is None else f" ± {100 * std:.2f}")


def _number(value: float | None, factor: float, digits: int) -> str:
    return "-" if value is None else f"{value * factor:,.{digits}f}"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")
