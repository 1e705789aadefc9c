"""`python -m gattn.benchmark.gpu` runs gate, tests and cases, and ends with what it found."""

import contextlib
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from gattn._rows import append_row, read_rows
from gattn.benchmark.gpu import command, worker
from gattn.benchmark.gpu.command import main, parser, session_of
from gattn.benchmark.gpu.session import step_row

TRIED = ["--device", "cpu", "--quick", "--rounds", "1"]


@pytest.mark.slow
def test_all_of_it_in_processes(tmp_path, capfd):
    out = ["--out", str(tmp_path), "--no-tests", "--only", "arxiv dot-2x8"]
    assert main([*TRIED, *out]) == 0
    rows = read_rows(tmp_path / "gpu.jsonl")
    assert (rows[0]["measure"], rows[-1]["measure"]) == ("gate", "end")
    assert {row["layer"] for row in rows[1:-1]} == {"dot-2x8"}
    assert len({row["run"] for row in rows}) == 1
    assert rows[1]["copy_bytes_per_second"] == rows[0]["measured_copy_bytes_per_second"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gpu.jsonl", "gpu.log", "gpu.png"]
    captured = capfd.readouterr()
    assert "its times say nothing about a GPU" in captured.err
    assert "two runs bitwise equal: 1 of 1" in captured.out


@pytest.fixture
def steps(monkeypatch, session, tmp_path):
    """Steps in this process, that keep these rows and take no time."""

    def replace(gate=True, cases=(), tests="ok"):
        def run_gate(asked, limit, say):
            (tmp_path / worker.LOG).write_text("why it ended")
            row = step_row("gate", "ok", measured_copy_bytes_per_second=5.0)
            if gate:
                asked.keep(row)
            return 0 if gate else 9

        def run_cases(asked, say, patience):
            assert asked.rate == 5.0
            for row in cases:
                asked.keep(row)

        monkeypatch.setattr(worker, "run_gate", run_gate)
        monkeypatch.setattr(worker, "run_cases", run_cases)
        monkeypatch.setattr(
            command, "run_tests", lambda out, limit: step_row("tests", tests, summary="said")
        )

    return replace


def ours(status="ok", **more):
    names = {"problem": "cora", "layer": "dot-2x8", "pass": "forward", "measure": "time"}
    return {**names, "provider": "gattn", "status": status, "reason": "none", **more}


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({}, 0),
        ({"gate": False}, 2),
        ({"tests": "failed"}, 1),
        ({"cases": [ours()]}, 0),
        ({"cases": [ours("failed")]}, 1),
        ({"cases": [ours(equal=False, measure="repeat")]}, 1),
        ({"cases": [ours("failed", provider="pyg")]}, 0),
        ({"cases": [ours("skipped")]}, 0),
    ],
)
def test_exit_codes(tmp_path, steps, given, code):
    steps(**given)
    assert main([*TRIED, "--out", str(tmp_path)]) == code


def test_failures_of_earlier_runs_do_not_count(tmp_path, steps):
    for cases, code in (([ours("failed")], 1), ([], 0)):
        steps(cases=cases)
        assert main([*TRIED, "--out", str(tmp_path)]) == code


def test_without_a_gpu_nothing_starts(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main(["--out", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("cannot run on cuda: torch sees no CUDA device")
    assert main([]) == 2
    assert main([*TRIED, "--out", str(tmp_path), "--peers", "nowhere"]) == 2
    assert "--peers: found 'nowhere', expected a folder" in capsys.readouterr().err


def test_arguments_reach_the_session():
    given = ["--out", "there", "--budget", "30", "--peers", "wheels", "--only", "a", "b"]
    session = session_of(parser().parse_args(given))
    assert 25 < session.deadline - time.time() <= 30
    assert (session.backend, session.peers, session.only) == ("triton", "wheels", ("a", "b"))
    assert session_of(parser().parse_args([*given, "--device", "cpu"])).backend is None


def test_rows_are_drawn_again(tmp_path, capsys):
    path = tmp_path / "gpu.jsonl"
    append_row(path, {"key": "a", "quick": True, "device": "cpu", **ours("failed")})
    assert main(["--draw", str(path)]) == 0
    assert "failed: none" in capsys.readouterr().out


def test_other_files_are_not_drawn(tmp_path, capsys):
    other = tmp_path / "cpu.jsonl"
    append_row(other, {"problem": "cora", "provider": "pyg", "measure": "time", "status": "ok"})
    for path in (other, tmp_path / "none.jsonl", tmp_path):
        assert main(["--draw", str(path)]) == 2
        assert f"--draw: found no rows of this benchmark, or others, in {path}" in (
            capsys.readouterr().err
        )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--only", "nonsense"], "--only: found ['nonsense'], expected parts of names such as"),
        (["--device", "foo"], "--device: found 'foo', expected cuda, cuda:1 or cpu"),
        (["--device", "mps"], "--device: found 'mps', expected cuda, cuda:1 or cpu"),
    ],
)
def test_what_cannot_run_is_said_in_a_line(tmp_path, given, said, capsys):
    assert main([*TRIED, "--out", str(tmp_path), *given]) == 2
    assert said in capsys.readouterr().err


def test_a_budget_is_a_positive_number(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["--out", str(tmp_path), "--budget", "0"])
    assert "found 0, expected a number above 0" in capsys.readouterr().err


@pytest.mark.slow
def test_whoever_is_told_to_end_ends_its_workers(tmp_path):
    """A run in the middle of its gate: nothing of it is left a moment later."""
    call = [sys.executable, "-m", "gattn.benchmark.gpu", *TRIED, "--out", str(tmp_path)]
    with subprocess.Popen(call, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        while "gate (" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 143
    assert _running(str(tmp_path)) == []


def _running(text):
    """Processes with a text in their command."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found += [path.parent.name] if text in path.read_text() else []
    return found
