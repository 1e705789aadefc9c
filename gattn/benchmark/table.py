"""The table of a benchmark: a function of its rows.

`python -m gattn.benchmark.table ROWS...` prints that of files of rows.
One line for each layer, pass and provider. A ratio is the time by that of the baseline, of medians,
with the smallest and largest ratio of any round: below 1 is faster.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from gattn._rows import Row, read_rows
from gattn.benchmark.rows import NAMED, latest

if TYPE_CHECKING:
    from rich.table import Table

_NAMES = ("problem", "layer", "pass", "provider")
HEAD = (*_NAMES, "time", "ratio", "by the others", "memory", "note")
_RIGHT = ("time", "ratio", "memory")

LEGEND = (
    "time: median of one pass (fastest to slowest round), providers in turns in one process; "
    "ratio: time by that of the baseline (smallest to largest of any round), below 1 is faster; "
    "by the others: the same to who else took turns; "
    "memory: peak above inputs and parameters, in a fresh process."
)

_LINE = tuple(name for name in NAMED if name != "measure")


def lines(rows: Iterable[Row]) -> list[dict[str, Row]]:
    """Return the latest rows by line of the table: of each line the rows by what they measure.

    Args:
        rows: of `gattn.benchmark.run`, or of a file.
    """
    found: dict[tuple[object, ...], dict[str, Row]] = {}
    for row in latest(rows):
        found.setdefault(tuple(row[name] for name in _LINE), {})[row["measure"]] = row
    return list(found.values())


def markdown(rows: Iterable[Row]) -> str:
    """Return a Markdown page: the table, what its columns are, and who is missing.

    Args:
        rows: of `gattn.benchmark.run`, or of a file.
    """
    rows = list(rows)
    body = [_texts(line) for line in _shown(rows)]
    table = [_escaped(line) for line in (HEAD, ["---"] * len(HEAD), *body)]
    absent = "".join(f"\n- {text}\n" for text in missing(rows))
    return "\n".join(table) + f"\n\n{LEGEND}\n{absent}"


def _escaped(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def missing(rows: Iterable[Row]) -> list[str]:
    """Return what could not be measured here and why, one text for each provider and reason.

    Args:
        rows: of `gattn.benchmark.run`.
    """
    lost = (row for row in rows if row["status"] == "unavailable")
    return list(dict.fromkeys(f"{row['provider']}: {row['reason']}" for row in lost))


def rich_table(rows: Iterable[Row]) -> Table:
    """Return the same table for a terminal.

    Args:
        rows: of `gattn.benchmark.run`, or of a file.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in HEAD:
        table.add_column(name, justify="right" if name in _RIGHT else "left")
    for line in _shown(rows):
        table.add_row(*map(Text, _texts(line)))
    return table


def print_table(rows: Iterable[Row]) -> None:
    """Print the table to the terminal, in its width, and who is missing.

    Args:
        rows: of `gattn.benchmark.run`, or of a file.
    """
    from rich.console import Console

    console, rows = Console(highlight=False, markup=False), list(rows)
    if not console.is_terminal:
        console = Console(highlight=False, markup=False, width=170)  # a file has no width
    console.print(rich_table(rows))
    console.print(LEGEND)
    for text in missing(rows):
        console.print(f"not measured: {text}")


def _shown(rows: Iterable[Row]) -> list[dict[str, Row]]:
    return lines(row for row in rows if row["status"] != "unavailable")


def duration(seconds: float) -> str:
    """Return seconds as one writes them."""
    if seconds >= 1:
        return f"{seconds:.2f} s"
    return f"{1e3 * seconds:.1f} ms" if seconds >= 1e-3 else f"{1e6 * seconds:.0f} µs"


def size(count: float) -> str:
    """Return bytes as one writes them."""
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def _texts(line: dict[str, Row]) -> list[str]:
    some = next(iter(line.values()))
    names = [str(some[name]) for name in _NAMES]
    time, memory = line.get("time", {}), line.get("memory", {})
    return [*names, _time(time), _ratio(time), _others(time), _memory(memory), _note(line)]


def _time(row: Row) -> str:
    if "seconds" not in row:
        return "-"
    low, high = min(row["rounds"]), max(row["rounds"])
    return f"{duration(row['seconds'])} ({duration(low)} to {duration(high)})"


def _ratio(row: Row) -> str:
    if row.get("ratio") is None:
        return "-"
    return f"{row['ratio']:.2f} ({row['ratio_low']:.2f} to {row['ratio_high']:.2f})"


def _others(row: Row) -> str:
    """Of gattn's own lines the ratios to all but the baseline, on the same graph."""
    ratios = row.get("ratios", {})
    graphs = any("@" in name for name in ratios) or row.get("provider") in ratios
    if graphs or not str(row.get("provider")).startswith("gattn"):
        return ""
    others = {name: found for name, found in ratios.items() if name != row["baseline"]}
    return ", ".join(f"{name} {median:.2f}" for name, (median, _, _) in others.items())


def _memory(row: Row) -> str:
    return "-" if row.get("peak_bytes") is None else size(row["peak_bytes"])


def _note(line: dict[str, Row]) -> str:
    """What went wrong, what a ratio is to where it is not the usual, a large resident set."""
    said = [f"{row['status']}: {row['reason']}" for row in line.values() if "reason" in row]
    for row in line.values():
        if row.get("baseline") not in (None, "pyg"):
            said.append(f"by {row['baseline']}")
        if (row.get("resident_bytes") or 0) >= 4e9:
            said.append(f"resident {size(row['resident_bytes'])}")
    return "; ".join(dict.fromkeys(said))


def main(arguments: Sequence[str]) -> None:
    """Print the table of the files of rows that are named."""
    print(markdown([row for path in arguments for row in read_rows(path)]), end="")


if __name__ == "__main__":
    main(sys.argv[1:])
