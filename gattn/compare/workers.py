"""Trials side by side: in this process, in others of this machine, or on a cluster.

Processes are used through joblib, clusters by their own clients: joblib's backend for Dask waits
for ever where a worker dies, and its backend for Ray gives no row before the last trial ends.

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
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import astuple, dataclass
from functools import partial
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

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
    folder: Path | None = None,
) -> Iterator[Row]:
    """Yield a row for every trial, as soon as it is finished.

    Args:
        trials: what to run.
        crew: by whom.
        watcher: told about what begins, and about epochs.
        bench: of this process.
        allowed: asked for a trial when its turn comes; one that is not is left out.
        folder: where workers say how far they are; None makes one of its own. It is emptied.
    """
    if crew.alone:
        for trial in trials:
            if allowed(trial):
                watcher.began(trial)
                yield _here(trial, crew, watcher, bench)
    else:
        pool = _Parallel(crew, watcher, bench, allowed)
        with _beats(folder, watcher) as beats:
            yield from pool.rows(trials, beats)


def _here(trial: Trial, crew: Crew, watcher: Watcher, bench: Bench) -> Row:
    def progress(epoch: Epoch) -> None:
        watcher.epoch(trial, epoch)

    return attempt(trial, bench, progress=progress, **crew.options(trial))


class _Parallel:
    def __init__(
        self, crew: Crew, watcher: Watcher, bench: Bench, allowed: Callable[[Trial], bool]
    ) -> None:
        self.crew, self.watcher, self.bench, self.allowed = crew, watcher, bench, allowed

    def rows(self, trials: Iterable[Trial], beats: _Beats) -> Iterator[Row]:
        left = {trial.key(): trial for trial in trials}
        beats.trials = dict(left)
        while left:
            sent: dict[str, Trial] = {}
            with self._pool() as pool:
                try:
                    for row in self._side_by_side(left, sent, beats, pool):
                        sent.pop(row["key"], None)
                        yield row
                    return
                except pool.deaths as error:
                    died = error
            suspects = beats.begun(sent) or sent
            if not suspects:
                raise died
            left = {key: sent[key] for key in sent if key not in suspects} | left
            for trial in suspects.values():
                with self._pool() as pool:
                    yield self._apart(trial, beats, pool)

    def _pool(self) -> AbstractContextManager[_Pool]:
        """A new pool: the death of a worker may have taken others with it."""
        return _BACKEND[self.crew.backend](self.crew)

    def _side_by_side(
        self, left: dict[str, Trial], sent: dict[str, Trial], beats: _Beats, pool: _Pool
    ) -> Iterator[Row]:
        """Rows as they come; what is handed out moves from `left` to `sent`."""

        def orders() -> Iterator[_Order]:
            while left:
                key, trial = next(iter(left.items()))
                del left[key]
                if self.allowed(trial):
                    sent[key] = trial
                    yield self._order(trial, beats)

        yield from pool.outcomes(orders(), pool.jobs)

    def _apart(self, trial: Trial, beats: _Beats, pool: _Pool) -> Row:
        beats.forget(trial)
        try:  # with one job, joblib would run it here
            return next(pool.outcomes(iter([self._order(trial, beats)]), 2))
        except pool.deaths as error:
            killed, why = "SIGKILL" in str(error), _short(error)
        reason = "its process was killed, as by a system that runs out of memory"
        reason = reason if killed else f"its process died ({why})"
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


class _Pool(NamedTuple):
    """A backend in use.

    `outcomes` takes orders one by one, whenever a place is free, and yields rows as they come;
    `deaths` are what it raises when a worker dies.
    """

    jobs: int
    deaths: tuple[type[BaseException], ...]
    outcomes: Callable[[Iterator[_Order], int], Iterator[Row]]


def _by_joblib(orders: Iterator[_Order], jobs: int) -> Iterator[Row]:
    from joblib import Parallel, delayed

    options: Any = {"batch_size": 1, "pre_dispatch": "n_jobs"}  # joblib annotates them too closely
    parallel = Parallel(n_jobs=jobs, return_as="generator_unordered", **options)
    rows: Any = parallel(delayed(serve)(order) for order in orders)
    yield from rows


@contextmanager
def _loky(crew: Crew) -> Iterator[_Pool]:
    from concurrent.futures.process import BrokenProcessPool

    from joblib import parallel_config

    with parallel_config(backend="loky"):
        yield _Pool(crew.at_once(), (BrokenProcessPool,), _by_joblib)


@contextmanager
def _dask(crew: Crew) -> Iterator[_Pool]:
    distributed = _needed("distributed", "dask")
    here = {"n_workers": crew.at_once(), "threads_per_worker": 1, "dashboard_address": None}
    # A worker that dies is our affair, and not to be repeated at the cost of others.
    once = import_module("dask").config.set({"distributed.scheduler.allowed-failures": 0})
    with once, distributed.Client(crew.scheduler, **({} if crew.scheduler else here)) as client:
        client.wait_for_workers(1)
        places = sum(client.ncores().values()) if crew.jobs == -1 else crew.jobs

        def first(running: list[Any]) -> Any:
            done, _ = distributed.wait(running, return_when="FIRST_COMPLETED")
            return next(future for future in running if future in done)

        submit = partial(client.submit, serve, pure=False)
        outcomes = partial(_in_flight, submit, first, lambda future: future.result())
        yield _Pool(places, (distributed.KilledWorker,), outcomes)


@contextmanager
def _ray(crew: Crew) -> Iterator[_Pool]:
    ray = _needed("ray", "ray")
    here = {} if crew.scheduler else {"num_cpus": crew.at_once(), "include_dashboard": False}
    ray.init(address=crew.scheduler or "local", log_to_driver=False, **here)
    places = int(ray.cluster_resources().get("CPU", 1)) if crew.jobs == -1 else crew.jobs
    remote: Any = ray.remote(max_retries=0)(serve)

    def first(running: list[Any]) -> Any:
        return ray.wait(running, num_returns=1)[0][0]

    try:
        outcomes = partial(_in_flight, remote.remote, first, ray.get)
        yield _Pool(places, (ray.exceptions.RayError,), outcomes)
    finally:
        ray.shutdown()


def _in_flight(
    submit: Callable[[_Order], Any],
    first: Callable[[list[Any]], Any],
    result: Callable[[Any], Row],
    orders: Iterator[_Order],
    jobs: int,
) -> Iterator[Row]:
    """As many orders as there are jobs on their way at once; `first` waits for one to be done."""
    running = [submit(order) for order in islice(orders, jobs)]
    while running:
        done = first(running)
        running = [future for future in running if future is not done]
        row = result(done)
        running += [submit(order) for order in islice(orders, 1)]
        yield row


_BACKEND: dict[str, Callable[[Crew], Any]] = {"loky": _loky, "dask": _dask, "ray": _ray}


def _needed(module: str, extra: str) -> Any:
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
        with suppress(OSError):  # a machine of a cluster need not have the folder
            self.path.write_text(text)


class _Beats:
    """Reads what workers write, and tells the watcher."""

    def __init__(self, folder: Path, watcher: Watcher) -> None:
        self.folder, self.watcher = folder, watcher
        self.trials: dict[str, Trial] = {}
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
def _beats(folder: Path | None, watcher: Watcher) -> Iterator[_Beats]:
    if folder is None:
        folder = Path(tempfile.mkdtemp(prefix="gattn-"))
    shutil.rmtree(folder, ignore_errors=True)  # of a study that was killed
    folder.mkdir(parents=True)
    beats = _Beats(folder.absolute(), watcher)
    thread = threading.Thread(target=beats.watch, daemon=True)
    thread.start()
    try:
        yield beats
    finally:
        beats.stop.set()
        thread.join()
        shutil.rmtree(folder, ignore_errors=True)
