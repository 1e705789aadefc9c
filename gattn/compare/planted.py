"""Does a study find what was planted? `python -m gattn.compare.planted --draws 10 --out FOLDER`.

Each draw is a generated task whose answer is known: every node has to tell the most frequent token
at some number of hops (`shell-majority`). What is planted is the cheapest setting that can do it.
Breadth is that number, since nothing nearer tells; depth is 1 where the number is the same for all
nodes, since a hop bias can pick a ring, and 2 where every node has its own, since only the level
`hop` ranks rings by the node. The study trains every breadth and depth over three seeds, and
`gattn.compare.recommend` says which to take. Rows go to one `trials.jsonl`.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gattn._arguments import prepare
from gattn.compare.grid import grid
from gattn.compare.known import filled
from gattn.compare.progress import progress_bar
from gattn.compare.recommend import Recommendation, recommendations
from gattn.compare.run import read_rows, rows_file, run_study
from gattn.compare.trial import Row, Trial

COMMON: Mapping[str, Any] = {
    "dataset": ["shell-majority"],
    "model": ["layer"],
    "breadth": [1, 2, 3, 4],
    "depth": [1, 2],
    "hidden": 32,
    "lr": 0.02,
    "epochs": 200,
    "patience": 60,
    "seeds": 3,
}
"""Arguments of `grid` that all draws share; chosen on draws from number 100 on."""

NODES, DEGREE, TOKENS = 1000, 3, 3

_PLANTED = ((1, False), (2, False), (3, False), (2, True), (3, True))
"""What may be planted: the number of hops, and whether every node has its own."""


@dataclass(frozen=True)
class Draw:
    """One generated task.

    Args:
        number: of the draw; the same number is the same task in every process.
        hops: how far away lies what counts.
        varied: whether every node has a number of hops of its own, up to `hops`.
        seed: of graph, tokens and splits.
    """

    number: int
    hops: int
    varied: bool
    seed: int

    @property
    def planted(self) -> tuple[int, int]:
        """Breadth and depth that are needed, and no more."""
        return self.hops, 2 if self.varied else 1

    @property
    def options(self) -> tuple[tuple[str, Any], ...]:
        """Options of the dataset."""
        sizes = {"num_nodes": NODES, "degree": DEGREE, "num_tokens": TOKENS}
        own = {"num_hops": self.hops, "varied": self.varied, "seed": self.seed}
        return tuple(sorted({**sizes, **own}.items()))

    def trials(self) -> list[Trial]:
        """Return the trials of its study."""
        return grid(**COMMON, options=self.options)


def drawn(count: int, first: int = 0) -> list[Draw]:
    """Return draws by their numbers.

    Args:
        count: how many.
        first: number of the first of them.
    """
    return [_draw(number) for number in range(first, first + count)]


def _draw(number: int) -> Draw:
    source = random.Random(f"planted {number}")
    hops, varied = source.choice(_PLANTED)
    return Draw(number, hops, varied, source.randrange(10**6))


def found(draw: Draw, rows: Iterable[Row]) -> Recommendation | None:
    """Return what the rows of a draw recommend; None while it is not finished.

    Args:
        draw: which.
        rows: of `read_rows`, of any draws.
    """
    by_key = {row["key"]: row for row in rows if row["status"] == "ok"}
    mine = [by_key.get(trial.key()) for trial in draw.trials()]
    if any(row is None for row in mine):
        return None
    return recommendations([row for row in mine if row is not None])[0]


def table(rows: Sequence[Row], draws: Sequence[Draw]) -> str:
    """Return every draw with what was planted and what is recommended, as a Markdown table.

    Args:
        rows: of `read_rows`.
        draws: which.
    """
    head = ["draw", "seed", "hops", "each its own", "planted", "recommended", "right"]
    head += ["validation (%), recommended", "best by validation", "validation (%), best"]
    lines = [head, ["---"] * len(head), *(_line(draw, found(draw, rows)) for draw in draws)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _line(draw: Draw, got: Recommendation | None) -> list[str]:
    asked = [str(draw.number), str(draw.seed), str(draw.hops), "yes" if draw.varied else "no"]
    asked.append(_named(draw.planted))
    if got is None:
        return [*asked, "not finished", "-", "-", "-", "-"]
    right = "yes" if _place(got.settings) == draw.planted else "no"
    means = [f"{100 * (cell.mean('val') or 0.0):.2f}" for cell in (got.cell, got.best)]
    best = _named(_place(got.best.settings))
    return [*asked, _named(_place(got.settings)), right, means[0], best, means[1]]


def _place(settings: Mapping[str, Any]) -> tuple[int, int]:
    return settings["breadth"], settings["depth"]


def _named(place: tuple[int, int]) -> str:
    return f"breadth {place[0]}, depth {place[1]}"


def right(rows: Sequence[Row], draws: Sequence[Draw]) -> int:
    """Return in how many draws the recommended setting is the planted one.

    Args:
        rows: of `read_rows`.
        draws: which.
    """
    got = [(draw, found(draw, rows)) for draw in draws]
    return sum(bool(r) and _place(r.settings) == draw.planted for draw, r in got if r)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the study of the command line, and print its table."""
    parser = argparse.ArgumentParser(prog="python -m gattn.compare.planted", description=__doc__)
    add = parser.add_argument
    add("--draws", type=int, default=10, help="how many draws")
    add("--first", type=int, default=0, help="number of the first of them")
    add("--out", type=Path, required=True, help="folder of rows")
    add("--threads", type=int, help="threads of torch on the CPU")
    add("--jobs", type=int, default=1, help="trials at once")
    add("--table", action="store_true", help="train nothing: make all again from the rows")
    add("--page", type=Path, help="a Markdown page to renew the table of")
    asked = parser.parse_args(arguments)
    try:
        _run(asked)
    except (OSError, ValueError) as error:
        raise SystemExit(f"error: {error}") from error


def _run(asked: argparse.Namespace) -> None:
    prepare("cpu", asked.threads)
    draws = drawn(asked.draws, asked.first)
    if not asked.table:
        trials = [trial for draw in draws for trial in draw.trials()]
        with progress_bar() as watcher:
            how = {"jobs": asked.jobs, "threads": asked.threads}
            run_study(trials, asked.out, watcher=watcher, **how)
    rows = read_rows(rows_file(asked.out))
    made = table(rows, draws)
    if asked.page is not None:
        text = filled(asked.page.read_text(encoding="utf-8"), {"draws": made})
        asked.page.write_text(text, encoding="utf-8")
    print(f"{made}\n{right(rows, draws)} of {len(draws)} right")


if __name__ == "__main__":
    main()
