"""Rows: what tells them apart, which of them count, and nothing private in them."""

import json
import platform
import subprocess
from pathlib import Path

import pytest

from gattn.benchmark.rows import (
    NAMED,
    circumstances,
    commit,
    cpu_model,
    key,
    latest,
    reason_of,
    time_row,
    versions,
)

ROW = dict.fromkeys(NAMED, "x")


def test_a_key_depends_on_every_name_and_on_nothing_else():
    keys = {key({**ROW, name: "y"}) for name in NAMED} | {key(ROW)}
    assert len(keys) == len(NAMED) + 1
    assert key({**ROW, "seconds": 3.0}) == key(ROW)


def test_the_latest_row_counts_and_a_failure_hides_nothing():
    rows = [
        {"key": "a", "status": "ok", "n": 0},
        {"key": "a", "status": "ok", "n": 1},
        {"key": "a", "status": "failed", "n": 2},
        {"key": "b", "status": "failed", "n": 3},
        {"key": "b", "status": "ok", "n": 4},
        {"key": "c", "status": "failed", "n": 5},
        {"key": "c", "status": "failed", "n": 6},
    ]
    assert [row["n"] for row in latest(rows)] == [1, 4, 6]


def test_a_time_is_a_median_and_ratios_to_all_others():
    taken = {"pyg": [2.0, 4.0, 2.0], "dgl": [1.0, 1.0, 1.0], "gattn": [1.0, 1.0, 4.0]}
    row = time_row(taken, "gattn", "pyg")
    assert row["seconds"] == 1.0
    assert row["rounds"] == [1.0, 1.0, 4.0]
    assert (row["ratio"], row["ratio_low"], row["ratio_high"]) == (0.5, 0.25, 2.0)
    assert row["ratios"] == {"pyg": [0.5, 0.25, 2.0], "dgl": [1.0, 1.0, 4.0]}
    assert time_row(taken, "pyg", None)["ratio"] is None
    absent = time_row({"gattn": [1.0]}, "gattn", "pyg")
    assert (absent["baseline"], absent["ratio"], absent["ratios"]) == (None, None, {})


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("", "ValueError"),
        ("first\nsecond", "first"),
        ("no compiler in /usr/local/bin/g++ here", "no compiler in <path> here"),
        ("num_pairs / 2 of a/b", "num_pairs / 2 of a/b"),
        ("x" * 400, "x" * 300),
    ],
)
def test_a_reason_is_one_line_without_paths(said, reason):
    assert reason_of(ValueError(said)) == reason


def test_circumstances_hold_nothing_private():
    found = circumstances("cpu")
    assert {"threads", "device", "cpu", "cores", "load", "versions", "commit"} == found.keys()
    text = json.dumps(found)
    assert str(Path.home()) not in text.replace('"/"', "")
    assert str(Path(__file__).parents[2]) not in text
    assert platform.node() not in text
    assert {"python", "gattn", "torch", "torch-geometric"} <= versions().keys()


def test_a_machine_that_tells_nothing(monkeypatch):
    def refuse(*_, **__):
        raise OSError

    monkeypatch.setattr(Path, "read_text", refuse)
    monkeypatch.setattr(subprocess, "run", refuse)
    assert cpu_model()
    assert commit() is None
