"""Diffusion against none, each tuned alike: `python -m gattn.compare.diffusion --out FOLDER`.

One network (`gattn.compare.diffusing`), with rounds and a restart, or with one round and none,
which is plain attention. Both get the same random settings, the diffusion its rounds and restart
besides; the best by validation meet on fresh seeds. Rows go to one `trials.jsonl`, so that a run
which was stopped goes on.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gattn._arguments import prepare
from gattn.compare.cells import Cell, cells
from gattn.compare.known import filled
from gattn.compare.paired import compared, markdown
from gattn.compare.run import grid, latest, progress_bar, read_rows, rows_file, run_study
from gattn.compare.trial import Row, Trial

DATASETS = ("cora", "citeseer")
ARMS = ("diffusion", "none")

COMMON: Mapping[str, Any] = {
    "model": ["diffusion"],
    "layers": 2,
    "heads": 8,
    "epochs": 200,
    "patience": 50,
}
"""Arguments of `grid` that all trials share."""

SHARED: Mapping[str, tuple[Any, ...]] = {
    "hidden": (4, 8),
    "dropout": (0.4, 0.5, 0.6, 0.7, 0.8),
    "attention_dropout": (0.0, 0.2, 0.4, 0.6),
    "feature_dropout": (0.0, 0.2, 0.4),
    "lr": (0.005, 0.01, 0.02),
    "weight_decay": (5e-4, 1e-3, 2e-3, 5e-3),
}
"""What is drawn for both arms, the same draws for each."""

OF_DIFFUSION: Mapping[str, tuple[Any, ...]] = {
    "breadth": (2, 3, 4, 6, 8),
    "restart": (0.05, 0.1, 0.15, 0.25, 0.4),
}
"""What is drawn for the diffusion besides."""

_NONE = {"breadth": 1, "restart": 0.0}


@dataclass(frozen=True)
class Plan:
    """How much is run.

    Args:
        candidates: random settings of each arm on each dataset.
        search_seeds: seeds of each, from 100 on.
        seeds: seeds of the best, from 0 on.
    """

    candidates: int = 10
    search_seeds: int = 2
    seeds: int = 20

    def search(self, dataset: str, arm: str) -> list[list[Trial]]:
        """Return the trials of the search, candidate by candidate."""
        return [
            _trials(dataset, settings, self.search_seeds, 100)
            for settings in drawn(self.candidates, arm)
        ]

    def final(self, dataset: str, arm: str, rows: Iterable[Row]) -> list[Trial]:
        """Return the trials of the best candidate; none while the search is not finished."""
        best = self.best(dataset, arm, rows)
        if best is None:
            return []
        settings = {name: best.settings[name] for name in (*SHARED, *OF_DIFFUSION)}
        return _trials(dataset, settings, self.seeds, 0)

    def best(self, dataset: str, arm: str, rows: Iterable[Row]) -> Cell | None:
        """Return the candidate of the highest mean validation accuracy, the first among equals."""
        search = self.search(dataset, arm)
        found = [_cell(trials, rows) for trials in search]
        if any(cell is None or len(cell.rows) < self.search_seeds for cell in found):
            return None
        return max((cell for cell in found if cell), key=lambda cell: cell.mean("val") or 0.0)


def drawn(count: int, arm: str) -> list[dict[str, Any]]:
    """Return the settings of the candidates, which are the same in every process.

    Args:
        count: how many.
        arm: one of `ARMS`.
    """
    source = random.Random(0)
    found = []
    for _ in range(count):
        settings = {name: source.choice(values) for name, values in SHARED.items()}
        own = {name: source.choice(values) for name, values in OF_DIFFUSION.items()}
        found.append(settings | (own if arm == "diffusion" else _NONE))
    return found


def _trials(dataset: str, settings: Mapping[str, Any], seeds: int, first: int) -> list[Trial]:
    chosen = {**settings, "breadth": [settings["breadth"]]}
    return grid(dataset=[dataset], **COMMON, **chosen, seeds=seeds, first_seed=first)


def _cell(trials: Sequence[Trial], rows: Iterable[Row]) -> Cell | None:
    by_key = latest(rows)
    mine = [by_key[trial.key()] for trial in trials if trial.key() in by_key]
    return cells(mine)[0] if mine else None


def chosen_table(rows: Sequence[Row], plan: Plan) -> str:
    """Return the settings that the search chose, as a Markdown table.

    Args:
        rows: of `read_rows`.
        plan: how much was run.
    """
    names = {**dict.fromkeys(OF_DIFFUSION), **dict.fromkeys(SHARED)}
    shown = ["rounds" if name == "breadth" else name.replace("_", " ") for name in names]
    lines = [["dataset", "arm", *shown, "validation (%), search"]]
    lines.append(["---"] * len(lines[0]))
    for dataset in DATASETS:
        for arm in ARMS:
            best = plan.best(dataset, arm, rows)
            if best is not None:
                settings = [f"{best.settings[name]:g}" for name in names]
                lines.append([dataset, arm, *settings, f"{100 * (best.mean('val') or 0.0):.2f}"])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def paired_table(rows: Sequence[Row], plan: Plan) -> str:
    """Return the two arms side by side on the fresh seeds, as a Markdown table.

    Args:
        rows: of `read_rows`.
        plan: how much was run.
    """
    by_key = latest(rows)
    found = []
    for dataset in DATASETS:
        sides = [_tests(plan.final(dataset, arm, rows), by_key) for arm in ARMS]
        if all(len(side) == plan.seeds for side in sides):
            found.append(compared(dataset, ARMS, *sides))
    return markdown(found) if found else ""


def _tests(trials: Sequence[Trial], by_key: Mapping[str, Row]) -> list[float]:
    rows = [by_key.get(trial.key(), {}) for trial in trials]
    return [row["test"] for row in rows if row.get("status") == "ok"]


def tables(rows: Sequence[Row], plan: Plan) -> dict[str, str]:
    """Return all tables by name.

    Args:
        rows: of `read_rows`.
        plan: how much was run.
    """
    return {"chosen": chosen_table(rows, plan), "paired": paired_table(rows, plan)}


def run(plan: Plan, found: argparse.Namespace) -> None:
    """Train what has no row yet: dataset by dataset the search, then the best of both arms."""
    path = rows_file(found.out)
    for dataset in DATASETS:
        search = [
            trial for arm in ARMS for several in plan.search(dataset, arm) for trial in several
        ]
        _train(search, found)
        rows = read_rows(path)
        _train([trial for arm in ARMS for trial in plan.final(dataset, arm, rows)], found)


def _train(trials: Sequence[Trial], found: argparse.Namespace) -> None:
    with progress_bar() as watcher:
        run_study(trials, found.out, root=found.root, device=found.device, watcher=watcher)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the study of the command line, and print its tables."""
    found = _parser().parse_args(arguments)
    plan = Plan(found.candidates, found.search_seeds, found.seeds)
    try:
        prepare(found.device, found.threads)
        if not found.table:
            run(plan, found)
        made = tables(read_rows(rows_file(found.out)), plan)
        if found.page is not None:
            text = filled(found.page.read_text(encoding="utf-8"), made)
            found.page.write_text(text, encoding="utf-8")
        print("\n".join(made.values()))
    except (OSError, ValueError) as error:
        raise SystemExit(f"error: {error}") from error


def _parser() -> argparse.ArgumentParser:
    name, usual = "python -m gattn.compare.diffusion", Plan()
    parser = argparse.ArgumentParser(prog=name, description=__doc__)
    add = parser.add_argument
    add("--out", type=Path, required=True, help="folder of rows")
    add("--root", type=Path, help="folder of the datasets, in PyG's layout")
    add("--candidates", type=int, default=usual.candidates, help="settings tried for each arm")
    add("--search-seeds", type=int, default=usual.search_seeds, help="seeds of each of them")
    add("--seeds", type=int, default=usual.seeds, help="seeds of the best")
    add("--device", default="cpu", help="cpu, cuda or cuda:1")
    add("--threads", type=int, help="threads of torch on the CPU")
    add("--table", action="store_true", help="train nothing: make all again from the rows")
    add("--page", type=Path, help="a Markdown page to renew the tables of")
    return parser


if __name__ == "__main__":
    main()
