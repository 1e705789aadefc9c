"""Two models side by side, seed by seed: `python -m gattn.compare.paired ROWS... --models A B`.

Both models of a pair train from the same seed on the same split, so the test is of the mean of
the differences (Student's paired t), and its interval says how large a difference could hide.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gattn.compare.cells import SETTINGS
from gattn.compare.run import read_rows
from gattn.compare.statistics import paired_test
from gattn.compare.trial import Row


@dataclass(frozen=True)
class Comparison:
    """Test metrics of two models on one dataset, as fractions.

    `interval` is the 95 % interval of the mean difference, first minus second; `p_value` that of
    the paired t test, 1 where no two results differ.
    """

    dataset: str
    models: tuple[str, str]
    first: tuple[float, ...]
    second: tuple[float, ...]
    difference: float
    interval: tuple[float, float]
    p_value: float


def paired(rows: Iterable[Row], first: str, second: str) -> list[Comparison]:
    """Compare two models, dataset by dataset.

    Args:
        rows: finished rows of both models; of rows with one key the last counts.
        first: name of a model.
        second: name of the other.

    Raises:
        ValueError: a dataset has not the same seeds and settings for both, or fewer than two.
    """
    finished = {row["key"]: row for row in rows if row["status"] == "ok"}.values()
    mine = {name: [row for row in finished if row["model"] == name] for name in (first, second)}
    datasets = sorted({row["dataset"] for group in mine.values() for row in group})
    if not datasets:
        raise ValueError(f"rows: found none of {first} or {second}, expected both")
    return [_compared(name, first, second, mine) for name in datasets]


def _compared(dataset: str, first: str, second: str, mine: dict[str, list[Row]]) -> Comparison:
    by_run = [
        {_run(row): row["test"] for row in mine[name] if row["dataset"] == dataset}
        for name in (first, second)
    ]
    if by_run[0].keys() != by_run[1].keys() or len(by_run[0]) < 2:
        counts = f"{len(by_run[0])} of {first} and {len(by_run[1])} of {second}"
        raise ValueError(f"rows: found {counts} on {dataset}, expected the same runs, two or more")
    runs = sorted(by_run[0])
    left, right = ([results[run] for run in runs] for results in by_run)
    return compared(dataset, (first, second), left, right)


def compared(
    dataset: str, models: tuple[str, str], first: Sequence[float], second: Sequence[float]
) -> Comparison:
    """Compare results that were paired by the caller.

    Args:
        dataset: its name.
        models: what the two sides are called.
        first: results of the one side, as fractions, run by run.
        second: of the other, of the same runs.

    Raises:
        ValueError: they are not as many, or fewer than two.
    """
    if len(first) != len(second) or len(first) < 2:
        counts = f"{len(first)} of {models[0]} and {len(second)} of {models[1]}"
        raise ValueError(f"rows: found {counts} on {dataset}, expected as many, two or more")
    found = paired_test(first, second)
    bounds = found.low, found.high
    sides = tuple(first), tuple(second)
    return Comparison(dataset, models, *sides, found.difference, bounds, found.p_value)


def _run(row: Row) -> tuple[str, ...]:
    """What two paired runs have in common: everything but the model."""
    return tuple(str(row.get(name)) for name in (*SETTINGS, "seed", "split") if name != "model")


def markdown(comparisons: Sequence[Comparison]) -> str:
    """Return a Markdown table in per cent, one line per dataset."""
    first, second = comparisons[0].models
    lines = [
        f"| dataset | runs | {first} | {second} | difference | 95 % interval | p |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for found in comparisons:
        low, high = (100 * bound for bound in found.interval)
        lines.append(
            f"| {found.dataset} | {len(found.first)} | {_spread(found.first)} | "
            f"{_spread(found.second)} | {100 * found.difference:+.2f} | "
            f"{low:+.2f} to {high:+.2f} | {found.p_value:.2f} |"
        )
    return "\n".join(lines) + "\n"


def _spread(values: Sequence[float]) -> str:
    mean, deviation = statistics.fmean(values), statistics.stdev(values)
    return f"{100 * mean:.2f} ± {100 * deviation:.2f}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table of the rows named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m gattn.compare.paired", description=__doc__)
    parser.add_argument("rows", nargs="+", help="files of rows, or folders of studies")
    parser.add_argument("--models", nargs=2, required=True, metavar=("A", "B"))
    found = parser.parse_args(arguments)
    try:
        rows = [row for path in found.rows for row in read_rows(path)]
        print(markdown(paired(rows, *found.models)), end="")
    except (OSError, ValueError) as error:
        parser.exit(1, f"error: {error}\n")


if __name__ == "__main__":
    main()
