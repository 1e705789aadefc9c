"""One writer for each file of rows, across processes, and nothing left behind."""

import json
import os
import re
import signal
import subprocess
import sys

import pytest

from gattn.compare.lock import lock_file, locked

HOLD = """
import sys, time
from pathlib import Path
from gattn.compare.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def rows(tmp_path):
    return tmp_path / "trials.jsonl"


@pytest.fixture
def other(rows):
    """Another process that holds the lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(rows)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_the_second_is_told_who_is_first(rows, other):
    expected = f"out: found {rows.parent} in use by process {other.pid} on "
    with pytest.raises(OSError, match=re.escape(expected)) as caught, locked(rows):
        pass
    text = str(caught.value)
    assert text.endswith("expected a folder no other study writes to")
    assert re.search(r"since \d{4}-\d\d-\d\dT", text) and "\n" not in text


def test_a_killed_holder_leaves_nothing_in_the_way(rows, other):
    os.kill(other.pid, signal.SIGKILL)
    other.wait()
    assert lock_file(rows).exists()
    with locked(rows):
        assert json.loads(lock_file(rows).read_text())["pid"] == os.getpid()


def test_the_file_goes_when_the_lock_does(rows):
    with pytest.raises(KeyError), locked(rows):
        raise KeyError
    assert list(rows.parent.iterdir()) == []
    with locked(rows):
        pass


def test_the_same_process_is_refused_too(rows):
    expected = f"in use by process {os.getpid()}"
    with locked(rows), pytest.raises(OSError, match=expected), locked(rows):
        pass


def test_files_of_rows_in_one_folder_have_locks_of_their_own(tmp_path):
    with locked(tmp_path / "a.jsonl"), locked(tmp_path / "b.jsonl"):
        assert sorted(file.name for file in tmp_path.iterdir()) == [
            ".a.jsonl.lock",
            ".b.jsonl.lock",
        ]


def test_a_file_system_without_locks_is_said(rows, monkeypatch):
    def none(descriptor):
        raise OSError(37, "No locks available")

    monkeypatch.setattr("gattn.compare.lock._take", none)
    with pytest.raises(OSError, match=r"cannot be locked .No locks available"), locked(rows):
        pass


def test_a_lock_whose_file_was_removed_meanwhile_is_taken_anew(rows, monkeypatch):
    """Its last holder removes the file between our open and our lock."""
    from gattn.compare import lock

    real, removed = lock._take, []

    def late(descriptor):
        if not removed:
            removed.append(lock_file(rows).unlink())
        real(descriptor)

    monkeypatch.setattr(lock, "_take", late)
    with locked(rows):
        assert removed and lock_file(rows).exists()
