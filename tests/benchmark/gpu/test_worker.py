"""A worker keeps every row at once, skips what has no time left, and is started again behind what
it died of."""

import sys
import time

import pytest

from gattn.benchmark.gpu import worker
from gattn.benchmark.gpu.measure import Broken
from gattn.benchmark.gpu.problems import Case
from gattn.benchmark.gpu.session import case_row
from gattn.benchmark.problems import Layer

CASES = [Case(name, Layer("dot", 2, 8), needs=5.0) for name in ("cora", "arxiv", "hub")]


@pytest.fixture(autouse=True)
def three_cases(monkeypatch):
    monkeypatch.setattr(worker, "cases", lambda: CASES)
    monkeypatch.setattr(worker, "quick_cases", lambda: CASES)


def measured(case, status="ok"):
    return case_row(case.problem, case.layer, "forward", "gattn", status, measure="time")


def test_rows_are_on_the_disk_as_they_come(session, kept, monkeypatch):
    seen = []

    def measure(bench, case):
        for _ in range(2):
            seen.append(len(kept()))
            yield measured(case)

    monkeypatch.setattr(worker, "measure", measure)
    assert worker.work(session(), 1) == 0
    assert seen == [0, 1, 2, 3]
    assert [row["problem"] for row in kept()] == ["arxiv", "arxiv", "hub", "hub"]
    assert {row["run"] for row in kept()} == {"test"}


def test_what_does_not_fit_says_so(session, kept, monkeypatch):
    monkeypatch.setattr(worker, "measure", lambda bench, case: iter([measured(case)]))
    assert worker.work(session(deadline=time.time() + 1), 0) == 0
    assert [row["status"] for row in kept()] == ["skipped"] * 3
    assert kept()[0]["reason"].startswith("no time: ")
    assert kept()[0]["reason"].endswith(" s were left, 5 s wanted")


def test_a_broken_device_ends_the_worker(session, kept, monkeypatch):
    def measure(bench, case):
        yield measured(case)
        raise Broken("illegal memory access")

    monkeypatch.setattr(worker, "measure", measure)
    assert worker.work(session(), 0) not in (0, 1)
    assert [row["status"] for row in kept()] == ["ok", "failed"]
    assert kept()[-1]["reason"] == "the device failed: illegal memory access"


def test_only_some_cases(session):
    assert worker.cases_of(session(only=("hub", "cor"))) == [CASES[0], CASES[2]]


# A worker that says where it is, then ends as told: by place, the exit code, or None to hang.
_WORKER = """
import json, pathlib, sys, time
asked, ends = json.loads(sys.argv[2]), {ends}
for place in range(asked["start"], 3):
    pathlib.Path(asked["session"]["out"], "progress").write_text(str(place))
    end = ends[place]
    time.sleep(100 if end is None else 0.5)
    if end:
        sys.exit(end)
"""


@pytest.fixture
def ending(tmp_path, monkeypatch):
    """Runs all cases with a worker that ends so at each place, and returns what was said."""

    def run(session, ends, patience=3.0):
        script = tmp_path / "worker.py"
        script.write_text(_WORKER.replace("{ends}", repr(ends)))
        limited, said = worker.run_limited, []

        def replaced(command, is_late, **streams):
            return limited([sys.executable, str(script), *command[-2:]], is_late, **streams)

        monkeypatch.setattr(worker, "run_limited", replaced)
        worker.run_cases(session, said.append, patience)
        return said

    return run


def test_a_worker_that_dies_costs_one_case(session, kept, ending):
    said = ending(session(), [0, 3, 0])
    assert [text.partition(" (")[0] for text in said] == [
        "cora dot-2x8",
        "arxiv dot-2x8",
        "arxiv dot-2x8: its process ended early, going on with the next",
        "hub dot-2x8",
    ]
    (row,) = kept()
    assert (row["problem"], row["status"], row["measure"]) == ("arxiv", "failed", "case")
    assert row["reason"] == "its process ended with 3"


def test_a_worker_that_told_why_leaves_no_second_row(session, kept, ending):
    assert ending(session(), [0, 0, 75])[-1].startswith("hub dot-2x8: its process ended early")
    assert kept() == []


def test_a_worker_that_hangs_is_stopped(session, kept, ending):
    ending(session(), [None, 0, 0], patience=2.0)
    (row,) = kept()
    assert row["problem"] == "cora"
    assert row["reason"] == "its process took longer than 2 s"
