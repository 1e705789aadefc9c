"""Run a study: a grid of trials, one JSON line per finished trial, and only what is not there yet.

The rows are `trials.jsonl` in the output folder. A row is on the disk as soon as its trial is
finished, so whatever ends a study, its finished trials stay, and the same call goes on with the
rest. One process at a time writes there, which a lock sees to (`gattn.compare.lock`). A trial that
fails leaves a row with the status "failed", the reason, and its cause ("memory", "not finite",
"error"); the next call tries it again, and the later row counts. What a budget kept from running
has the status "cut".
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from gattn._rows import append_row as append_row
from gattn._rows import check_writable
from gattn._rows import read_rows as read_rows
from gattn.compare.attempt import Bench
from gattn.compare.budget import Budget, cut_rows
from gattn.compare.grid import PRESETS as PRESETS
from gattn.compare.grid import grid as grid
from gattn.compare.lock import locked
from gattn.compare.progress import Watcher as Watcher
from gattn.compare.progress import progress_bar as progress_bar
from gattn.compare.trial import Row, Trial, load_task
from gattn.compare.workers import Crew, run_trials
from gattn.data import attainable_auc

FILE = "trials.jsonl"


def run_study(
    trials: Sequence[Trial],
    out: str | os.PathLike[str] | None,
    *,
    root: str | os.PathLike[str] | None = None,
    device: str = "cpu",
    checkpoints: str | os.PathLike[str] | None = None,
    tensorboard: str | os.PathLike[str] | None = None,
    watcher: Watcher | None = None,
    jobs: int = 1,
    backend: str = "loky",
    scheduler: str | None = None,
    threads: int | None = None,
    budget: float | Budget | None = None,
    ready: Callable[[], object] = lambda: None,
) -> list[Row]:
    """Run the trials that have no finished row yet and return the last row of every trial.

    Rows do not depend on `jobs` and `backend`, times and memory aside.

    Args:
        trials: what to run, in this order.
        out: a folder, made when missing; a file of rows, when the name ends in `.jsonl`; None
            keeps the rows in memory only.
        root: of the datasets, see `gattn.data.load`.
        device: where to train.
        checkpoints: a folder for one checkpoint per trial, named by its key; None writes none.
        tensorboard: a folder for one folder of curves per trial, named by its key; None likewise.
        watcher: told about the progress.
        jobs: trials at once; -1 for as many as there are cores, or places in the cluster.
        backend: who runs them: "loky" (processes of this machine), "dask" or "ray".
        scheduler: address of a cluster of dask or ray; None starts one on this machine.
        threads: of torch in a worker; None divides the cores by `jobs`. With one job of "loky",
            which runs in this process, torch's threads stay as they are.
        budget: seconds, see `gattn.compare.budget`; None runs everything.
        ready: called once the output is locked, before the first trial.

    Raises:
        OSError: `out` cannot be written, or another study writes there; raised before any work.
        DatasetError: a dataset that cannot be had, also before any work.
        ValueError: an unknown backend, or one whose package is missing.
    """
    given = (root, checkpoints, tensorboard)
    places = [None if path is None else os.fspath(path) for path in given]
    crew = Crew(jobs, backend, scheduler, threads, device, *places)
    budget = Budget(budget, crew.at_once()) if isinstance(budget, (int, float)) else budget
    path = None if out is None else rows_file(out)
    if path is not None:
        check_writable(path)
    with nullcontext() if path is None else locked(path):
        ready()
        return _Study(trials, path, crew, watcher or Watcher(), budget).run()


class _Study:
    def __init__(
        self,
        trials: Sequence[Trial],
        path: Path | None,
        crew: Crew,
        watcher: Watcher,
        budget: Budget | None,
    ) -> None:
        self.trials, self.path, self.crew = trials, path, crew
        self.watcher, self.budget = watcher, budget
        self.rows = {} if path is None else latest(read_rows(path))
        self.bench = Bench(crew.root)

    def run(self) -> list[Row]:
        for trial in self.trials:
            self.bench.task(trial)
        pending = self.pending(self.trials)
        self.watcher.started(pending, len(self.trials) - len(pending))
        if pending and self.crew.alone:
            self.bench.warm(pending[0], self.crew.device)
        for rung, batch in self.batches():
            self.run_batch(rung, self.pending(batch))
        if self.budget is not None:
            self.cut()
        return [self.rows[trial.key()] for trial in self.trials]

    def pending(self, trials: Iterable[Trial]) -> list[Trial]:
        return [t for t in trials if self.rows.get(t.key(), {}).get("status") != "ok"]

    def batches(self) -> Iterator[tuple[int | None, list[Trial]]]:
        if self.budget is None:
            yield None, list(self.trials)
        else:
            yield from self.budget.rungs(self.trials, self.rows)

    def run_batch(self, rung: int | None, batch: list[Trial]) -> None:
        by_key = {trial.key(): trial for trial in batch}
        path = self.path
        beats = None if path is None else path.with_name(f".{path.stem}.running")
        for row in run_trials(batch, self.crew, self.watcher, self.bench, self.allowed, beats):
            row = row if rung is None else {**row, "rung": rung}
            self.keep(row)
            self.watcher.finished(by_key[row["key"]], row)

    def allowed(self, trial: Trial) -> bool:
        return self.budget is None or self.budget.allows(trial, self.rows)

    def keep(self, row: Row) -> None:
        if self.path is not None:
            append_row(self.path, row)
        self.rows[row["key"]] = row

    def cut(self) -> None:
        metrics = {trial.key(): self.bench.task(trial).metric for trial in self.trials}
        for row in cut_rows(self.trials, self.rows):
            self.keep({**row, "metric": metrics[row["key"]]})


def rows_file(out: str | os.PathLike[str]) -> Path:
    """Return the file of rows: `out` itself if it ends in `.jsonl`, else `trials.jsonl` in it."""
    path = Path(out)
    return path if path.suffix == ".jsonl" else path / FILE


def latest(rows: Iterable[Row]) -> dict[str, Row]:
    """Return the last row of every key."""
    return {row["key"]: row for row in rows}


def attainable_rows(
    rows: Sequence[Row],
    trial: Trial,
    root: str | os.PathLike[str] | None = None,
    rounds: Sequence[int] = (1, 2, 3, 4, 5),
) -> list[Row]:
    """Return what belief propagation reaches, by radius, on the test nodes of the rows' splits.

    Args:
        rows: of a study.
        trial: one of its trials, for its dataset.
        root: of the datasets, see `gattn.data.load`.
        rounds: of belief propagation; t rounds see 2 t - 1 hops.

    Returns:
        Rows with `rounds`, `radius` (hops), `mean` and `std` over the splits (fractions); none
        where nothing is known: off minesweeper, on several boards, before a row is finished.
    """
    boards = {(row["dataset"], row["options"]) for row in rows}
    splits = sorted({row["split"] for row in rows if row["status"] == "ok"})
    if not splits or len(boards) > 1 or not trial.dataset.startswith("minesweeper"):
        return []
    task = load_task(replace(trial, encoding=None), root)
    masks = ("train_mask", "val_mask", "test_mask")
    task = replace(task, **{name: getattr(task, name)[:, splits] for name in masks})
    return [row._asdict() for row in attainable_auc(task, rounds=rounds)]
