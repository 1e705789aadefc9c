"""Is the planted setting recommended? `python -m gattn.compare.planted --out FOLDER`.

Each draw is a generated graph whose best breadth and depth are known: the smallest breadth at which
the answer can be seen, and depth 2 only where every node has a distance of its own. A study over
all breadths and depths is run on it, and `gattn.compare.recommend` is asked, which knows nothing of
the task. Rows go to one `trials.jsonl`, so that a run which was stopped goes on.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gattn._arguments import prepare
from gattn.compare.cells import described
from gattn.compare.known import filled
from gattn.compare.recommend import Recommendation, recommend
from gattn.compare.run import grid, latest, progress_bar, read_rows, rows_file, run_study
from gattn.compare.trial import Row, Trial

COMMON: Mapping[str, Any] = {
    "model": ["layer"],
    "breadth": [1, 2, 3, 4],
    "depth": [1, 2],
    "hidden": 32,
    "lr": 0.02,
    "epochs": 200,
    "patience": 60,
}
"""What is compared on every draw, and how it is trained."""

NODES, DEGREE = 1500, 3


@dataclass(frozen=True)
class Draw:
    """A generated graph, and the setting that is planted in it.

    Args:
        name: what is asked of a node, in words.
        dataset: a name of `gattn.data.NAMES`.
        options: of the dataset.
        breadth: the planted breadth.
        depth: the planted depth.
    """

    name: str
    dataset: str
    options: tuple[tuple[str, Any], ...]
    breadth: int
    depth: int

    def trials(self, seeds: int) -> list[Trial]:
        """Return the trials of the study on this graph.

        Args:
            seeds: of each setting.
        """
        return grid(dataset=[self.dataset], options=self.options, **COMMON, seeds=seeds)

    def recommended(self, rows: Sequence[Row], seeds: int) -> Recommendation | None:
        """Return what is recommended, None while the study is not finished.

        Args:
            rows: of `read_rows`, of any draws.
            seeds: of each setting.
        """
        by_key = latest(rows)
        mine = [by_key.get(trial.key(), {"status": "missing"}) for trial in self.trials(seeds)]
        return recommend(mine) if all(row["status"] == "ok" for row in mine) else None

    def hit(self, found: Recommendation) -> bool:
        """Return whether the planted setting is recommended."""
        return (found.settings["breadth"], found.settings["depth"]) == (self.breadth, self.depth)


def draws(number: int, first_seed: int = 0) -> list[Draw]:
    """Return the draws; each kind of task comes in turn, with a graph of its own.

    Args:
        number: how many.
        first_seed: of the graphs.
    """
    return [_drawn(turn, first_seed + turn) for turn in range(number)]


def _drawn(turn: int, seed: int) -> Draw:
    kind, hops = _KINDS[turn % len(_KINDS)]
    common = (("num_nodes", NODES), ("num_hops", hops), ("degree", DEGREE), ("seed", seed))
    if kind == "keyed":
        options = (*common, ("num_keys", 8))
        return Draw(f"a key within {hops} hops", "keyed-shell-lookup", options, hops, 1)
    if kind == "varied":
        name = f"majority at a distance of its own, up to {hops} hops"
        return Draw(name, "shell-majority", (*common, ("varied", True)), hops, 2)
    return Draw(f"majority at {hops} hops", "shell-majority", common, hops, 1)


_KINDS = (
    ("shell", 1),
    ("varied", 3),
    ("shell", 2),
    ("keyed", 2),
    ("shell", 3),
    ("varied", 2),
    ("keyed", 3),
)


def table(found: Sequence[Draw], rows: Sequence[Row], seeds: int) -> str:
    """Return the draws, what is planted in each and what is recommended, as a Markdown table.

    Args:
        found: of `draws`.
        rows: of `read_rows`.
        seeds: of each setting.
    """
    head = ["draw", "task", "planted", "recommended", "validation (%)", "test (%)", "hit"]
    lines = [head, ["---"] * len(head)]
    hits = finished = 0
    for number, draw in enumerate(found):
        answer = draw.recommended(rows, seeds)
        finished += answer is not None
        hits += answer is not None and draw.hit(answer)
        lines.append([str(number), draw.name, *_outcome(draw, answer)])
    said = f"{hits} of {finished} draws: the planted setting is recommended.\n"
    return "".join(f"| {' | '.join(line)} |\n" for line in lines) + "\n" + said


def _outcome(draw: Draw, answer: Recommendation | None) -> list[str]:
    planted = f"breadth {draw.breadth}, depth {draw.depth}"
    if answer is None:
        return [planted, "-", "-", "-", "-"]
    val, test = (f"{100 * (answer.cell.mean(name) or 0.0):.1f}" for name in ("val", "test"))
    named = described(answer.cell, ("breadth", "depth"))
    return [planted, named, val, test, "yes" if draw.hit(answer) else "no"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the studies of the command line, and print the table."""
    found = _parser().parse_args(arguments)
    planted = draws(found.draws, found.first_seed)
    try:
        prepare("cpu", found.threads)
        if not found.table:
            with progress_bar() as watcher:
                trials = [trial for draw in planted for trial in draw.trials(found.seeds)]
                run_study(trials, found.out, watcher=watcher)
        made = table(planted, read_rows(rows_file(found.out)), found.seeds)
        if found.page is not None:
            text = filled(found.page.read_text(encoding="utf-8"), {"planted": made})
            found.page.write_text(text, encoding="utf-8")
        print(made, end="")
    except (OSError, ValueError) as error:
        raise SystemExit(f"error: {error}") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m gattn.compare.planted", description=__doc__)
    add = parser.add_argument
    add("--out", type=Path, required=True, help="folder of rows")
    add("--draws", type=int, default=10, help="how many graphs")
    add("--first-seed", type=int, default=0, help="of the graphs")
    add("--seeds", type=int, default=3, help="of each setting")
    add("--threads", type=int, help="threads of torch on the CPU")
    add("--table", action="store_true", help="train nothing: make the table again from the rows")
    add("--page", type=Path, help="a Markdown page to renew the table of")
    return parser


if __name__ == "__main__":
    main()
