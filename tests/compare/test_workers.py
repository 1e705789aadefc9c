"""Trials side by side give the rows of trials one by one, whoever runs them, and whatever dies."""

import os
import signal

import pytest

from gattn.compare import Watcher, grid, read_rows, run_study
from gattn.compare import workers as module
from gattn.compare.run import FILE
from gattn.compare.workers import Crew

TINY = {"epochs": 3, "hidden": 8, "heads": 2, "layers": 1}
CIRCUMSTANCES = {"seconds", "seconds_per_epoch", "wall_seconds", "peak_memory_bytes", "finished_at"}


def trials(**changes):
    return grid(**{"dataset": ["karate"], "breadth": [1, 2], "seeds": 2, **TINY, **changes})


def results(rows):
    return [{k: v for k, v in row.items() if k not in CIRCUMSTANCES} for row in rows]


class Seen(Watcher):
    def __init__(self):
        self.begun, self.epochs, self.done = set(), 0, []

    def began(self, trial):
        self.begun.add(trial)

    def epoch(self, trial, epoch):
        self.epochs += 1

    def finished(self, trial, row):
        self.done.append(trial)


@pytest.fixture(scope="module")
def alone():
    import torch

    torch.set_num_threads(1)
    return run_study(trials(), None)


def test_rows_do_not_depend_on_the_number_of_jobs(tmp_path, alone):
    seen = Seen()
    rows = run_study(trials(), tmp_path, jobs=2, threads=1, watcher=seen)
    assert results(rows) == results(alone)
    assert {row["key"] for row in read_rows(tmp_path / FILE)} == {row["key"] for row in alone}
    assert sorted(path.name for path in tmp_path.iterdir()) == [FILE]
    assert set(seen.done) == set(trials())
    assert run_study(trials(), tmp_path, jobs=2, watcher=seen) == rows
    assert len(seen.done) == 4


@pytest.mark.parametrize(("death", "cause"), [("kill", "memory"), ("exit", "error")])
def test_a_worker_that_dies_costs_its_trial_only(tmp_path, alone, monkeypatch, death, cause):
    monkeypatch.setattr(module, "serve", Dies(death))
    rows = run_study(trials(), tmp_path, jobs=2, threads=1)
    assert [row["status"] for row in rows] == ["ok", "failed", "ok", "ok"]
    assert rows[1]["cause"] == cause
    assert rows[1]["metric"] == "accuracy"
    assert results(rows[:1] + rows[2:]) == results(alone[:1] + alone[2:])
    written = read_rows(tmp_path / FILE)
    assert sorted(row["key"] for row in written) == sorted(row["key"] for row in alone)


class Dies:
    """In place of `serve`: one of the trials ends its process."""

    def __init__(self, death):
        self.death = death

    def __call__(self, order):
        if (order.trial.breadth, order.trial.seed) == (1, 1):
            module._Beat(order).write("")
            if self.death == "exit":
                os._exit(3)
            os.kill(os.getpid(), signal.SIGKILL)
        return module.serve(order)  # of the worker, where nothing is replaced


def test_an_error_in_a_worker_is_a_row():
    todo = trials(breadth=[1], seeds=1) + trials(breadth=[2], lr=1e30, epochs=50, seeds=1)
    rows = run_study(todo, None, jobs=2, threads=1)
    assert [row["status"] for row in rows] == ["ok", "failed"]
    assert rows[1]["cause"] == "not finite"


def test_a_budget_stops_handing_out(tmp_path):
    rows = run_study(trials(seeds=3), tmp_path, jobs=2, threads=1, budget=1e-6)
    assert {row["status"] for row in rows} == {"cut"}
    assert len(read_rows(tmp_path / FILE)) == 6
    again = run_study(trials(seeds=3), tmp_path, jobs=2, threads=1)
    assert {row["status"] for row in again} == {"ok"}


def test_epochs_are_heard_of(tmp_path, monkeypatch):
    seen = Seen()
    run_study(trials(epochs=200), None, jobs=2, threads=1, watcher=seen)
    assert seen.begun == set(trials(epochs=200))
    assert seen.epochs > 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"backend": "spark"}, "backend: found 'spark', expected one of loky, dask, ray"),
        ({"jobs": 0}, "jobs: found 0, expected at least 1, or -1 for all"),
        ({"scheduler": "tcp://a"}, "scheduler: found 'tcp://a' for the backend loky"),
    ],
)
def test_wrong_words_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Crew(**settings)


def test_a_package_that_is_missing_is_named(monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(module, "import_module", missing)
    with pytest.raises(ValueError, match=r"without the package distributed.*gattn\[dask\]"):
        run_study(trials(), None, backend="dask", jobs=2)
    with pytest.raises(ValueError, match=r"found 'ray' without the package ray"):
        run_study(trials(), None, backend="ray", jobs=2)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # dask and its parts have some of their own
def test_a_cluster_of_dask_gives_the_same_rows(tmp_path, alone, monkeypatch):
    from distributed import Client, LocalCluster

    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with LocalCluster(**options) as cluster, Client(cluster):
        how = {"backend": "dask", "scheduler": cluster.scheduler_address, "jobs": -1}
        rows = run_study(trials(), tmp_path, threads=1, **how)
        assert results(rows) == results(alone)
        assert len(read_rows(tmp_path / FILE)) == 4
        monkeypatch.setattr(module, "serve", Dies("exit"))
        rows = run_study(trials(), None, threads=1, **how)
    assert [row["status"] for row in rows] == ["ok", "failed", "ok", "ok"]
    assert (rows[1]["cause"], results(rows[2:])) == ("error", results(alone[2:]))
