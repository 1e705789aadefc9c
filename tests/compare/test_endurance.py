"""Kill -9 and two studies in one folder, for real but few; and that a loss would be seen."""

import os
import sys

import pytest

from gattn.compare import endurance
from gattn.compare.endurance import Plan, end, kills, sentences, table, together

QUICK = Plan(kills=2, seeds=3, epochs=5, within=1.0, crowded=3)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is of POSIX systems")
def test_killed_finished_and_doubled_a_study_loses_nothing(tmp_path):
    folder = tmp_path / "killed"
    folder.mkdir()
    found = list(kills(QUICK, folder))
    assert [row["lost"] for row in found] == [0, 0] and all(row["began"] for row in found)
    last = end(QUICK, folder, tmp_path / "whole")
    assert last == {"codes": [0, 0], "trials": 12, "rows": 12, "twice": 0, "equal": True}
    both = together(QUICK, tmp_path / "both")
    assert both["codes"] == [0, 1] and (both["rows"], both["twice"]) == (12, 0)
    assert both["said"].startswith("error: out: found FOLDER") and "process PID" in both["said"]


def test_a_loss_would_be_counted(tmp_path, monkeypatch):
    class Process:
        """Says that it finished two trials, and wrote the row of one."""

        pid = 1

        def __init__(self, command, stdout, stderr):
            stdout.write(b"1/9  karate: val 1\n2/9  karate: val 1\n")

        def poll(self):
            (tmp_path / "killed" / "trials.jsonl").write_text('{"key": "a", "status": "ok"}\n{"to')
            return 0

        def wait(self):
            return -9

    monkeypatch.setattr(endurance.subprocess, "Popen", Process)
    monkeypatch.setattr(os, "kill", lambda *_: None)
    (tmp_path / "killed").mkdir()
    (row,) = kills(Plan(kills=1, within=0.0), tmp_path / "killed")
    assert (row["said"], row["after"], row["lost"], row["torn"]) == (2, 1, 1, True)


def test_moments_are_always_the_same():
    assert Plan().moments() == Plan().moments() and len(set(Plan().moments())) == 20
    assert all(0 <= moment <= Plan().within for moment in Plan().moments())


def test_the_page_says_what_the_rows_say():
    kill = {
        "kind": "kill",
        "number": 1,
        "jobs": 1,
        "moment": 0.5,
        "before": 3,
        "said": 2,
        "after": 4,
    }
    rows = [
        {**kill, "lost": 1, "torn": True},
        {"kind": "end", "codes": [0, 0], "trials": 8, "rows": 8, "twice": 0, "equal": True},
        {"kind": "together", "codes": [0, 1], "rows": 8, "twice": 0, "said": "error: out: found"},
    ]
    assert table(rows).splitlines()[2] == "| 1 | 1 | 0.5 | 3 | 2 | 4 | 1 |"
    said = sentences(rows)
    assert said[0] == "1 kills, 1 finished trials lost, 1 torn lines left behind."
    assert (
        "8 rows of 8 trials, 0 of them twice, equal to those of a study that nobody killed"
        in said[1]
    )
