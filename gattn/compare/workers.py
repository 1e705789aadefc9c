"""Trials side by side: in this process, in others of this machine, or on a cluster, by joblib.

A worker loads the dataset itself, keeps it for its next trial, trains and returns the row; only the
process that was called writes. Within one process trials run one after another, since they share
torch's random numbers and its threads.

A worker that dies (killed by the system for its memory, a crash in a library) takes the pool with
it. The trials that ran then are tried once more, each in a pool of its own: what dies again gets a
failed row, and the rest goes on.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import torch

from gattn.compare.attempt import Bench, attempt, failed_row
from gattn.compare.progress import Watcher
from gattn.compare.trial import Row, Trial
from gattn.train import Epoch

BACKENDS = ("loky", "dask", "ray")
"""What runs several jobs: processes of this machine, or a cluster."""

_BEAT = 0.5


@dataclass(frozen=True)
class Crew:
    """Who runs the trials, and with what.

    Args:
        jobs: trials at once; 1 with "loky" runs them in this process; -1 stands for all cores, or
            all that the cluster has.
        backend: one of `BACKENDS`.
        scheduler: address of a running cluster of dask or ray; None starts one on this machine.
        threads: of torch in each process; None leaves this process alone, and shares the cores
            among the jobs of this machine.
        device: where to train.
        root: of the datasets, see `gattn.data.load`; on a cluster, a folder that every machine has.
        checkpoints: a folder for one checkpoint per trial; None writes none.
        tensorboard: a folder for the curves of each trial; None writes none.

    Raises:
        ValueError: an unknown backend, no jobs, or a scheduler for processes of this machine.
    """

    jobs: int = 1
    backend: str = "loky"
    scheduler: str | None = None
    threads: int | None = None
    device: str = "cpu"
    root: str | None = None
    checkpoints: str | None = None
    tensorboard: str | None = None

    def __post_init__(self) -> None:
        if self.backend not in BACKENDS:
            expected = ", ".join(BACKENDS)
            raise ValueError(f"backend: found {self.backend!r}, expected one of {expected}")
        if self.jobs < 1 and self.jobs != -1:
            raise ValueError(f"jobs: found {self.jobs}, expected at least 1, or -1 for all")
        if self.scheduler is not None and self.backend == "loky":
            raise ValueError(
                f"scheduler: found {self.scheduler!r} for the backend loky, expected dask or ray"
            )

    @property
    def alone(self) -> bool:
        """Whether trials run in this process."""
        return self.jobs == 1 and self.backend == "loky"

    def at_once(self) -> int:
        """Return how many trials run at once, as far as that is known beforehand."""
        return (os.cpu_count() or 1) if self.jobs == -1 else self.jobs

    def options(self, trial: Trial) -> dict[str, Any]:
        """Return how a trial is run: arguments of `run_trial`."""
        folder = self.checkpoints
        file = None if folder is None else str(Path(folder) / f"{trial.key()}.pt")
        return {"device": self.device, "checkpoint": file, "tensorboard": self.tensorboard}


def run_trials(
    trials: Iterable[Trial],
    crew: Crew,
    watcher: Watcher,
    bench: Bench,
    allowed: Callable[[Trial], bool] = lambda trial: True,
) -> Iterator[Row]:
    """Yield a row for every trial, as soon as it is finished.

    Args:
        trials: what to run.
        crew: by whom.
        watcher: told about what begins, and about epochs.
        bench: of this process.
        allowed: asked for a trial when its turn comes; one that is not is left out.
    """
    if crew.alone:
        for trial in trials:
            if allowed(trial):
                watcher.began(trial)
                yield _here(trial, crew, watcher, bench)
    else:
        yield from _Parallel(crew, watcher, bench, allowed).rows(trials)


def _here(trial: Trial, crew: Crew, watcher: Watcher, bench: Bench) -> Row:
    def progress(epoch: Epoch) -> None:
        watcher.epoch(trial, epoch)

    return attempt(trial, bench, progress=progress, **crew.options(trial))


class _Parallel:
    def __init__(
        self, crew: Crew, watcher: Watcher, bench: Bench, allowed: Callable[[Trial], bool]
    ) -> None:
        self.crew, self.watcher, self.bench, self.allowed = crew, watcher, bench, allowed

    def rows(self, trials: Iterable[Trial]) -> Iterator[Row]:
        left = {trial.key(): trial for trial in trials}
        with _pool(self.crew) as (jobs, deaths), _beats(left, self.watcher) as beats:
            while left:
                sent: dict[str, Trial] = {}
                try:
                    for row in self._side_by_side(left, sent, beats, jobs):
                        sent.pop(row["key"], None)
                        yield row
                except deaths as error:
                    suspects = beats.begun(sent) or sent
                    if not suspects:
                        raise
                    left = {key: sent[key] for key in sent if key not in suspects} | left
                    for trial in list(suspects.values()):
                        yield self._apart(trial, beats, deaths, error)

    def _side_by_side(
        self, left: dict[str, Trial], sent: dict[str, Trial], beats: _Beats, jobs: int
    ) -> Iterator[Row]:
        """Rows as they come; what is handed out moves from `left` to `sent`."""

        def orders() -> Iterator[_Order]:
            while left:
                key, trial = next(iter(left.items()))
                del left[key]
                if self.allowed(trial):
                    sent[key] = trial
                    yield self._order(trial, beats)

        yield from _outcomes(orders(), jobs)

    def _apart(
        self, trial: Trial, beats: _Beats, deaths: tuple[type[BaseException], ...], error: Any
    ) -> Row:
        beats.forget(trial)
        try:
            return next(_outcomes(iter([self._order(trial, beats)]), 2))
        except deaths as again:
            error = again
        killed = "SIGKILL" in str(error)
        reason = "its process was killed, as by a system that runs out of memory"
        reason = reason if killed else f"its process died ({_short(error)})"
        metric = self.bench.task(trial).metric
        return failed_row(trial, reason, "memory" if killed else "error", metric, self.crew.device)

    def _order(self, trial: Trial, beats: _Beats) -> _Order:
        crew, parent = self.crew, None
        threads = crew.threads
        if crew.backend == "loky":
            threads = threads or max(1, (os.cpu_count() or 1) // crew.at_once())
            parent = os.getpid()
        options = crew.options(trial)
        return _Order(trial, crew.root, options, threads or 1, str(beats.folder), parent)


def _short(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:200]


def _outcomes(orders: Iterator[_Order], jobs: int) -> Iterator[Row]:
    from joblib import Parallel, delayed

    options: Any = {"batch_size": 1, "pre_dispatch": "n_jobs"}  # joblib annotates them too closely
    parallel = Parallel(n_jobs=jobs, return_as="generator_unordered", **options)
    rows: Any = parallel(delayed(serve)(order) for order in orders)
    yield from rows


@contextmanager
def _pool(crew: Crew) -> Iterator[tuple[int, tuple[type[BaseException], ...]]]:
    """The backend of joblib while it is in use: how many jobs, and what the death of one raises."""
    from joblib import parallel_config

    with (
        _BACKEND[crew.backend](crew) as (jobs, deaths),
        parallel_config(backend=crew.backend, n_jobs=jobs),
    ):
        yield jobs, deaths


@contextmanager
def _loky(crew: Crew) -> Iterator[tuple[int, tuple[type[BaseException], ...]]]:
    from concurrent.futures.process import BrokenProcessPool

    yield crew.at_once(), (BrokenProcessPool,)


@contextmanager
def _dask(crew: Crew) -> Iterator[tuple[int, tuple[type[BaseException], ...]]]:
    distributed = _needed("distributed", "dask")
    if crew.scheduler is not None:
        client = distributed.Client(crew.scheduler)
    else:
        client = distributed.Client(
            n_workers=crew.at_once(), threads_per_worker=1, dashboard_address=None
        )
    with client:
        yield crew.jobs, (distributed.KilledWorker,)


@contextmanager
def _ray(crew: Crew) -> Iterator[tuple[int, tuple[type[BaseException], ...]]]:
    ray = _needed("ray", "ray")
    from ray.util.joblib import register_ray  # pyright: ignore[reportMissingImports]

    options = {} if crew.scheduler else {"num_cpus": crew.at_once()}
    ray.init(address=crew.scheduler, log_to_driver=False, **options)
    register_ray()
    try:
        yield crew.at_once(), (ray.exceptions.RayError,)
    finally:
        ray.shutdown()


_BACKEND: dict[str, Callable[[Crew], Any]] = {"loky": _loky, "dask": _dask, "ray": _ray}


def _needed(module: str, extra: str) -> Any:
    from importlib import import_module

    try:
        return import_module(module)
    except ImportError:
        raise ValueError(
            f"backend: found {extra!r} without the package {module}, expected it to be installed: "
            f"pip install 'gattn[{extra}]'"
        ) from None


@dataclass(frozen=True)
class _Order:
    """What a worker is told."""

    trial: Trial
    root: str | None
    options: dict[str, Any]
    threads: int
    beats: str
    parent: int | None


_one_at_a_time = threading.Lock()
_benches: dict[str | None, Bench] = {}


def serve(order: _Order) -> Row:
    """Run a trial in a worker and return its row.

    Args:
        order: of a crew.
    """
    with _one_at_a_time:
        torch.set_num_threads(order.threads)
        if order.root not in _benches:
            _benches[order.root] = Bench(order.root)
            _benches[order.root].warm(order.trial, order.options["device"])
        beat = _Beat(order)
        beat.write("")
        return attempt(order.trial, _benches[order.root], progress=beat, **order.options)


class _Beat:
    """Says how far a trial is, in a file, where the folder can be reached."""

    def __init__(self, order: _Order) -> None:
        self.path, self.parent = Path(order.beats) / order.trial.key(), order.parent
        self.last = -_BEAT

    def __call__(self, epoch: Epoch) -> None:
        if self.parent is not None and os.getppid() != self.parent:
            os._exit(1)  # nobody is left to take the row
        now = time.monotonic()
        if now - self.last >= _BEAT:
            self.last = now
            self.write(json.dumps(astuple(epoch)))

    def write(self, text: str) -> None:
        if self.path.parent.is_dir():
            self.path.write_text(text)


class _Beats:
    """Reads what workers write, and tells the watcher."""

    def __init__(self, folder: Path, trials: dict[str, Trial], watcher: Watcher) -> None:
        self.folder, self.trials, self.watcher = folder, trials, watcher
        self.seen: dict[str, str | None] = {}
        self.stop = threading.Event()

    def begun(self, among: dict[str, Trial]) -> dict[str, Trial]:
        """Those that have a file: their workers began."""
        return {key: trial for key, trial in among.items() if (self.folder / key).exists()}

    def forget(self, trial: Trial) -> None:
        (self.folder / trial.key()).unlink(missing_ok=True)

    def watch(self) -> None:
        while not self.stop.wait(_BEAT):
            for file in self.folder.iterdir():
                self._tell(file)

    def _tell(self, file: Path) -> None:
        trial, text = self.trials.get(file.name), _text(file)
        if trial is None or self.seen.get(file.name) == text:
            return
        if file.name not in self.seen:
            self.watcher.began(trial)
        self.seen[file.name] = text
        try:
            self.watcher.epoch(trial, Epoch(*json.loads(text)))
        except (ValueError, TypeError):  # no epoch yet, or half a line
            return


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""


@contextmanager
def _beats(trials: dict[str, Trial], watcher: Watcher) -> Iterator[_Beats]:
    folder = Path(tempfile.mkdtemp(prefix="gattn-"))
    beats = _Beats(folder, dict(trials), watcher)
    thread = threading.Thread(target=beats.watch, daemon=True)
    thread.start()
    try:
        yield beats
    finally:
        beats.stop.set()
        thread.join()
        shutil.rmtree(folder, ignore_errors=True)
