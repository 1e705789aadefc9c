"""The progress of a study, as it happens: what is done, what runs, when it ends, what is best."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from gattn.compare.trial import Row, Trial
from gattn.train import Epoch


class Watcher:
    """Told about the progress of a study; this one does not care. Subclass it to show something.

    With several jobs, `began` and `epoch` are called from a thread of their own, now and then.
    """

    def started(self, pending: Sequence[Trial], skipped: int) -> None:
        """Called once, before the first trial."""

    def began(self, trial: Trial) -> None:
        """Called when a trial begins to run."""

    def epoch(self, trial: Trial, epoch: Epoch) -> None:
        """Called after every epoch; with several jobs, for the latest one now and then."""

    def finished(self, trial: Trial, row: Row) -> None:
        """Called when the row of a trial is on the disk."""


@contextmanager
def progress_bar() -> Iterator[Watcher]:
    """Show a study on stderr, with a line above for every finished trial; yields the watcher."""
    from rich.console import Console
    from rich.live import Live

    # Without markup: a reason may have brackets, such as those of a shape.
    console = Console(stderr=True, markup=False, highlight=False)
    board = Board()
    try:
        with Live(console=console, get_renderable=board.shown, refresh_per_second=2) as live:
            board.say = live.console.print
            yield board
    finally:
        if not console.is_terminal:
            console.line()  # rich ends the last line of a terminal only


class Board(Watcher):
    """Counts what a study does, and shows it in two lines."""

    def __init__(self) -> None:
        self.say: Any = print
        self.total = self.ended = 0
        self.begun = time.monotonic()
        self.running: dict[Trial, float] = {}
        self.over: set[Trial] = set()
        self.results: dict[Trial, list[float]] = {}

    def started(self, pending: Sequence[Trial], skipped: int) -> None:
        """Say how much there is to do."""
        self.total, self.begun = len(pending), time.monotonic()
        if skipped:
            self.say(f"{skipped} trials are finished already, {len(pending)} to do")

    def began(self, trial: Trial) -> None:
        """Count a trial as running."""
        if trial not in self.over:  # with several jobs the news may be late
            self.running.setdefault(trial, 0.0)

    def epoch(self, trial: Trial, epoch: Epoch) -> None:
        """Note how far a trial is."""
        if trial not in self.over:
            self.running[trial] = (epoch.number + 1) / trial.epochs

    def finished(self, trial: Trial, row: Row) -> None:
        """Say what came out of a trial."""
        self.over.add(trial)
        self.running.pop(trial, None)
        self.ended += 1
        if row["status"] == "ok":
            self.results.setdefault(replace(trial, seed=0), []).append(row["val"])
        self.say(f"{self.ended}/{self.total}  {named(trial)}: {outcome(row)}")

    def shown(self) -> Any:
        """Return the two lines, for rich."""
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        done = self.ended + sum(self.running.copy().values())
        if not self.total:
            return Text()
        line = Table.grid(padding=(0, 1))
        bar = ProgressBar(total=max(1, self.total), completed=done, width=24)
        line.add_row(bar, Text(", ".join(self.counts(done))))
        best = self.best()
        return Group(line, Text(f"best so far: {best}")) if best else Group(line)

    def counts(self, done: float) -> list[str]:
        """Return how many are done and running, and when the rest will be.

        Args:
            done: trials, with the shares of those that run.
        """
        text = [f"{self.ended}/{self.total} trials done", f"{len(self.running)} running"]
        gone = time.monotonic() - self.begun
        if 0 < done < self.total:
            left = timedelta(seconds=round(gone / done * (self.total - done)))
            text.append(f"{left} left, until about {datetime.now() + left:%H:%M}")
        return text

    def best(self) -> str:
        """Return the setting with the highest mean validation metric of those finished here."""
        results = {trial: statistics.fmean(values) for trial, values in self.results.copy().items()}
        if not results:
            return ""
        trial = max(results, key=lambda trial: results[trial])
        seeds = len(self.results[trial])
        name = f"{trial.dataset}, {trial.model}, breadth {trial.breadth}, depth {trial.depth}"
        return f"{name}: val {results[trial]:.4f}, {seeds} seed{'s' * (seeds != 1)}"


def named(trial: Trial) -> str:
    """Return a trial in a few words."""
    names = f"{trial.dataset}, {trial.model}"
    return f"{names}, breadth {trial.breadth}, depth {trial.depth}, seed {trial.seed}"


def outcome(row: Row) -> str:
    """Return what came out of a trial, in a few words."""
    if row["status"] != "ok":
        return f"{row['status']}: {row['reason']}"
    return f"val {row['val']:.4f}, test {row['test']:.4f} in {row['seconds']:.1f} s"
