"""Run a study: a grid of trials, one JSON line per finished trial, and only what is not there yet.

The rows are `trials.jsonl` in the output folder. A row is on the disk before the next trial starts,
so whatever ends a study, its finished trials stay, and the same call goes on with the rest. A trial
that fails (out of memory, a loss that is not finite) leaves a row with the status "failed" and the
reason; the next call tries it again, and the later row counts.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

from gattn._rows import append_row as append_row
from gattn._rows import check_writable
from gattn._rows import read_rows as read_rows
from gattn.compare.breadth import Breadth
from gattn.compare.models import MODELS
from gattn.compare.surroundings import Structure, needs_clusters
from gattn.compare.trial import (
    Row,
    Trial,
    build_structure,
    circumstances,
    load_task,
    run_trial,
)
from gattn.data import Task, attainable_auc
from gattn.train import Epoch

FILE = "trials.jsonl"

# One layer, so that breadth is the only way to see farther. The other settings were chosen on the
# validation nodes of the first split. A hop bias starts at zero and has to grow by several units,
# and Adam moves a parameter by about lr in a step: hence the large lr. Tensors are so small that a
# second thread gains little, and costs a multiple where another program wants the core.
PRESETS: dict[str, dict[str, Any]] = {
    "demo": {
        "dataset": ["minesweeper"],
        "options": (("size", 40),),
        "model": ["attention"],
        "breadth": [1, 2, 3],
        "depth": [1, 2],
        "seeds": 2,
        "layers": 1,
        "dropout": 0.3,
        "epochs": 250,
        "lr": 0.02,
        "threads": 1,
    },
}
"""Ready-made studies for the command line: arguments of `grid`, and `threads` of torch."""


class Watcher:
    """Told about the progress of a study; this one does not care. Subclass it to show something."""

    def started(self, pending: Sequence[Trial], skipped: int) -> None:
        """Called once, before the first trial."""

    def epoch(self, trial: Trial, epoch: Epoch) -> None:
        """Called after every epoch."""

    def finished(self, trial: Trial, row: Row) -> None:
        """Called when the row of a trial is on the disk."""


def grid(
    *,
    dataset: Iterable[str],
    model: Iterable[str] = ("attention",),
    breadth: Iterable[Breadth] = (1,),
    depth: Iterable[int] = (1,),
    score: Iterable[str] | None = None,
    normalizer: Iterable[str] | None = None,
    encoding: Iterable[str | None] | None = None,
    seeds: int = 1,
    first_seed: int = 0,
    **settings: Any,
) -> list[Trial]:
    """Return the trials of a study, each once, those of one breadth side by side.

    Args:
        dataset: names of datasets.
        model: names of models.
        breadth: hops that a node looks, or words: see `gattn.compare.breadth`.
        depth: nested attentions of a layer.
        score: names of scores; None takes the model's usual one.
        normalizer: names of normalisers; None likewise.
        encoding: names of encodings of positions, or None among them, for features alone.
        seeds: how many seeds.
        first_seed: the first of them.
        **settings: other fields of a trial, the same for all; what is not given is the model's.

    Raises:
        ValueError: an unknown name, a number out of range, a depth that a model cannot have.
    """
    if seeds < 1:
        raise ValueError(f"seeds: found {seeds}, expected at least 1")
    axes = {"breadth": breadth, "depth": depth, "score": score, "normalizer": normalizer}
    axes |= {"encoding": encoding}
    chosen = {name: list(values) for name, values in axes.items() if values is not None}
    trials = (
        Trial.of(data, kind, seed=seed, **dict(zip(chosen, cell, strict=True)), **settings)
        for data in dataset
        for cell in product(*chosen.values())
        for kind in model
        for seed in range(first_seed, first_seed + seeds)
    )
    return list(dict.fromkeys(trials))


def run_study(
    trials: Sequence[Trial],
    out: str | os.PathLike[str] | None,
    *,
    root: str | os.PathLike[str] | None = None,
    device: str = "cpu",
    checkpoints: str | os.PathLike[str] | None = None,
    tensorboard: str | os.PathLike[str] | None = None,
    watcher: Watcher | None = None,
) -> list[Row]:
    """Run the trials that have no finished row yet and return the last row of every trial.

    Args:
        trials: what to run, in this order.
        out: a folder, made when missing; a file of rows, when the name ends in `.jsonl`; None
            keeps the rows in memory only.
        root: of the datasets, see `gattn.data.load`.
        device: where to train.
        checkpoints: a folder for one checkpoint per trial, named by its key; None writes none.
        tensorboard: a folder for one folder of curves per trial, named by its key; None likewise.
        watcher: told about the progress.

    Raises:
        OSError: `out` cannot be written; raised before any work.
        DatasetError: a dataset that cannot be had, also before any work.
    """
    watcher = watcher or Watcher()
    path = None if out is None else rows_file(out)
    rows: dict[str, Row] = {}
    if path is not None:
        check_writable(path)
        rows = latest(read_rows(path))
    bench = _Bench(root)
    for trial in trials:
        bench.task(trial)
    pending = [trial for trial in trials if rows.get(trial.key(), {}).get("status") != "ok"]
    watcher.started(pending, len(trials) - len(pending))
    if pending:
        # What libraries set up once is not a cost of the first trial: one epoch goes unmeasured.
        _attempt(replace(pending[0], epochs=1), bench, device, None, Watcher())
    for trial in pending:
        file = None if checkpoints is None else Path(checkpoints) / f"{trial.key()}.pt"
        row = _attempt(trial, bench, device, file, watcher, tensorboard)
        if path is not None:
            append_row(path, row)
        rows[trial.key()] = row
        watcher.finished(trial, row)
    return [rows[trial.key()] for trial in trials]


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


@contextmanager
def progress_bar() -> Iterator[Watcher]:
    """Show a bar on stderr, with a line above it for every finished trial; yields the watcher."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
    from rich.progress import TimeRemainingColumn as Remaining

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("epochs,"),
        TimeElapsedColumn(),
        TextColumn("gone,"),
        Remaining(),
        TextColumn("left"),
    )
    # Without markup: a reason may have brackets, such as those of a shape.
    with Progress(*columns, console=Console(stderr=True, markup=False, highlight=False)) as bar:
        yield _Bar(bar)


class _Bar(Watcher):
    def __init__(self, bar: Any) -> None:
        self.bar = bar
        self.ended = self.total = self.seen = 0

    def started(self, pending: Sequence[Trial], skipped: int) -> None:
        if skipped:
            self.bar.console.print(f"{skipped} trials are finished already, {len(pending)} to do")
        self.total = len(pending)
        self.line = self.bar.add_task("starting", total=sum(trial.epochs for trial in pending))

    def epoch(self, trial: Trial, epoch: Epoch) -> None:
        self.seen += 1
        self.bar.update(self.line, advance=1, description=_title(trial))

    def finished(self, trial: Trial, row: Row) -> None:
        self.ended += 1
        self.bar.update(self.line, advance=trial.epochs - self.seen)
        self.seen = 0
        self.bar.console.print(f"{self.ended}/{self.total}  {_title(trial)}: {_outcome(row)}")


def _title(trial: Trial) -> str:
    names = f"{trial.dataset}, {trial.model}"
    return f"{names}, breadth {trial.breadth}, depth {trial.depth}, seed {trial.seed}"


def _outcome(row: Row) -> str:
    if row["status"] != "ok":
        return f"failed: {row['reason']}"
    return f"val {row['val']:.4f}, test {row['test']:.4f} in {row['seconds']:.1f} s"


class _Bench:
    """Tasks, and the one structure in use, shared by the trials that need the same."""

    def __init__(self, root: str | os.PathLike[str] | None) -> None:
        self.root = root
        self.tasks: dict[Any, Task] = {}
        self.last: tuple[Any, Structure] | None = None

    def task(self, trial: Trial) -> Task:
        name = (trial.dataset, trial.options, trial.encoding)
        if name not in self.tasks:
            self.tasks[name] = load_task(trial, self.root)
        return self.tasks[name]

    def structure(self, trial: Trial) -> Structure:
        kind = MODELS[trial.model].structure
        name = (trial.dataset, trial.options, kind, trial.breadth, needs_clusters(trial.depth))
        if self.last is None or self.last[0] != name:
            self.last = None  # two large neighbourhoods at once may be one too many
            self.last = (name, build_structure(trial, self.task(trial)))
        return self.last[1]


def _attempt(
    trial: Trial,
    bench: _Bench,
    device: str,
    checkpoint: Path | None,
    watcher: Watcher,
    tensorboard: str | os.PathLike[str] | None = None,
) -> Row:
    """Return the trial's row, a failed one if it raised what a large or wild trial raises."""
    try:
        return run_trial(
            trial,
            bench.task(trial),
            bench.structure(trial),
            device=device,
            checkpoint=checkpoint,
            progress=lambda epoch: watcher.epoch(trial, epoch),
            tensorboard=tensorboard,
        )
    except (ValueError, RuntimeError, MemoryError) as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        metric = bench.task(trial).metric
        failed = {"status": "failed", "reason": reason, "metric": metric}
        return {**trial.row(), **failed, **circumstances(device)}
