"""`gattn bench`: what it writes, what it refuses, and what is left when it is stopped."""

import pytest
import typer

from gattn import cli
from gattn._rows import read_rows
from gattn.benchmark import PROBLEMS, PROVIDERS, runner

QUICK = ["bench", "--quick", "--no-memory", "--rounds", "1", "--threads", "1"]
ONE = [*QUICK, "--problem", "cora", "--layer", "GATConv-8x8", "--pass", "forward"]
USUAL = ("cora", "50k", "star", "ball", "full", "causal", "packed")


def test_rows_are_appended_and_drawn(tmp_path, capsys):
    for _ in range(2):
        assert cli.run([*ONE, "--provider", "pyg", "gattn", "--out", str(tmp_path)]) == 0
    rows = read_rows(tmp_path / "cpu.jsonl")
    assert [row["provider"] for row in rows] == ["pyg", "gattn"] * 2
    assert (tmp_path / "cpu.png").read_bytes().startswith(b"\x89PNG")
    captured = capsys.readouterr()
    assert "cora GATConv-8x8 forward: timing pyg, gattn" in captured.err
    assert "GATConv-8x8" in captured.out
    assert "written:" in captured.out


def test_sequences_are_measured(tmp_path):
    names = ["full", "causal", "packed", "window", "window4k"]
    call = [*QUICK, "--problem", *names, "--out", str(tmp_path)]
    assert cli.run(call) == 0
    rows = read_rows(tmp_path / "cpu.jsonl")
    assert [(row["problem"], row["pass"], row["provider"]) for row in rows] == [
        (name, passed, provider)
        for name in names
        for passed in ("forward", "forward+backward")
        for provider in ("sdpa", "gattn")
    ]
    assert {row["layer"] for row in rows} == {"attend-8x64"}
    assert [row["baseline"] for row in rows] == [None, "sdpa"] * (len(rows) // 2)


def test_every_name_is_in_the_help():
    (options,) = (typer.main.get_command(cli.app).commands["bench"].params,)
    said = {option.name: option.help for option in options}
    assert all(name in said["problem"] for name in PROBLEMS)
    assert all(name in said["provider"] for name in PROVIDERS)


def test_without_out_nothing_is_written(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.run([*ONE, "--provider", "pyg"]) == 0
    assert list(tmp_path.iterdir()) == []
    assert "written" not in capsys.readouterr().out


def test_who_is_not_here_leaves_no_row(tmp_path, capsys):
    given = ["--provider", "pyg,gattn:nothing", "--out", str(tmp_path)]
    assert cli.run([*ONE, *given]) == 0
    assert [row["provider"] for row in read_rows(tmp_path / "cpu.jsonl")] == ["pyg"]
    assert "not measured: gattn:nothing: gattn has no backend" in capsys.readouterr().out


def test_a_failure_is_kept_and_ends_with_1(tmp_path, capsys, registered, with_forward):
    registered("wrong", with_forward(lambda out: out + 1))
    given = ["--provider", "wrong", "pyg", "--out", str(tmp_path)]
    assert cli.run([*ONE, *given]) == 1
    assert [r["status"] for r in read_rows(tmp_path / "cpu.jsonl")] == ["failed", "ok"]
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("error: 1 of 2 rows failed: not timed, it disagrees with pyg: output")


def test_stopped_rows_are_kept_and_shown(tmp_path, capsys, monkeypatch):
    def stopped(steps, *_):
        if (tmp_path / "cpu.jsonl").stat().st_size:
            raise KeyboardInterrupt
        return {name: [1.0] for name in steps}

    monkeypatch.setattr(runner, "interleave", stopped)
    call = [*QUICK, "--problem", "cora", "--provider", "pyg", "--out", str(tmp_path)]
    assert cli.run(call) == 130
    assert len(read_rows(tmp_path / "cpu.jsonl")) == 1
    captured = capsys.readouterr()
    assert "interrupted: the rest is not measured" in captured.err
    assert "1.00 s" in captured.out


@pytest.mark.parametrize(
    ("given", "problems"),
    [
        ([], USUAL),
        (["--products"], (*USUAL, "products")),
        (["--problem", "star", "--products"], ("star", "products")),
        (["--problem", "star,star", "products", "--products"], ("star", "products")),
    ],
)
def test_which_problems_are_measured(monkeypatch, given, problems):
    seen = []
    monkeypatch.setattr(runner, "run", lambda plan, say: seen.append(plan) or iter(()))
    assert cli.run(["bench", *given]) == 0
    assert seen[0].problems == problems
    assert set(problems) <= set(PROBLEMS)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--problem", "citeseer"], "problem: found 'citeseer', expected one of cora, 50k, "),
        (["--provider", "jax"], "provider: found 'jax', expected one of pyg, pyg-compile, dgl, "),
        (["--layer", "GCN"], "layer: found 'GCN', expected one of GATConv-8x8, "),
        (["--pass", "back"], "pass: found 'back', expected one of forward, forward+backward"),
        (["--rounds", "0"], "rounds: found 0, expected an int >= 1"),
        (["--rounds", "few"], "Invalid value for '--rounds': found 'few', expected a whole number"),
        (["--threads", "0"], "threads: found 0, expected an int >= 1"),
        (["--device", "tpu"], "--device: found 'tpu', expected cpu, cuda or cuda:1"),
        (["--device", "cuda:99"], "--device: found 'cuda:99', but torch sees "),
        (["--out", "rows.jsonl"], "--out: found the file rows.jsonl, expected a folder"),
    ],
)
def test_bad_arguments_are_one_line(capsys, given, said):
    assert cli.run(["bench", *given]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {said}")


def test_a_folder_that_cannot_be_written_is_refused_before_any_work(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert cli.run([*ONE, "--out", str(tmp_path / "file" / "out")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: out: found ")
