"""The command line: what it accepts, what it writes, and one line for whatever goes wrong."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import typer

from gattn import cli, compare
from gattn.cli import options, studies
from gattn.compare import MODELS, NORMALIZERS, PRESETS, SCORES, attempt, read_rows
from gattn.compare.lock import locked
from gattn.data import ENCODINGS
from gattn.nn import DEPTHS

TINY = ["--epochs", "2", "--hidden", "8", "--heads", "2", "--layers", "1"]
KARATE = ["--dataset", "karate", *TINY]
BOARD = ["--dataset", "minesweeper", "--option", "size=8", *TINY]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """One thread, and no full garbage collection before each of the many tiny trainings."""
    monkeypatch.setattr("gattn._memory.gc.collect", lambda: 0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def refused(capsys):
    """Runs a command that must fail: exit code, and the one line that it says."""

    def command(*arguments):
        code = cli.run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        # The progress bar may have been drawn; what it says is not the error.
        lines = [line for line in captured.err.splitlines() if line.startswith("error: ")]
        assert "Traceback" not in captured.err
        assert len(lines) == 1
        assert captured.err.rstrip().endswith(lines[0])
        return code, lines[0]

    return command


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("--breadth 1 2 3 --lr 1", "--breadth 1 --breadth 2 --breadth 3 --lr 1"),
        ("--lr 1 --breadth 1 --breadth 2", "--lr 1 --breadth 1 --breadth 2"),
        ("--breadth=1 2 --out x", "--breadth=1 --breadth 2 --out x"),
        ("--breadth 1,2,3", "--breadth 1,2,3"),
        ("--breadth -1 2", "--breadth -1 --breadth 2"),
        ("--breadth -1,2", "--breadth -1,2"),
        ("--lr -1 --breadth 1", "--lr -1 --breadth 1"),
        ("name --breadth 1 2", "name --breadth 1 --breadth 2"),
        ("--breadth", "--breadth"),
        ("--breadth --lr 1", "--breadth --lr 1"),
    ],
)
def test_values_are_spread(given, meant):
    assert cli.spread(given.split(), {"--breadth"}) == meant.split()


@pytest.mark.parametrize(
    "breadth",
    [
        "--breadth 1 2 3",
        "--breadth 1,2,3",
        "--breadth 1 --breadth 2 3",
        "--breadth=1 --breadth=2,3",
    ],
)
def test_several_values_in_any_form(monkeypatch, breadth):
    seen = []

    def stop(trials, *_, **__):
        seen.extend(trials)
        raise typer.Exit

    monkeypatch.setattr(studies, "_run", stop)
    assert cli.run(["compare", *breadth.split(), *KARATE, "--out", "results"]) == 0
    assert [trial.breadth for trial in seen] == [1, 2, 3]


def test_compare_writes_rows_table_and_figures_and_goes_on(tmp_path, capsys):
    arguments = ["compare", *BOARD, "--depth", "1", "2", "--out", str(tmp_path / "out")]
    assert cli.run([*arguments, "--seeds", "1"]) == 0
    first = (tmp_path / "out" / "trials.jsonl").read_bytes()
    assert cli.run([*arguments, "--seeds", "2"]) == 0
    second = (tmp_path / "out" / "trials.jsonl").read_bytes()
    assert second.startswith(first)
    assert len(read_rows(tmp_path / "out" / "trials.jsonl")) == 4
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        *("curves.png", "curves.svg", "heatmap.png", "heatmap.svg"),
        *("pareto.png", "pareto.svg", "reach.png", "reach.svg", "report.html"),
        "study.json",
        "table.md",
        "trials.jsonl",
    ]
    said = capsys.readouterr()
    assert "2 trials are finished already, 2 to do" in said.err
    assert "Chosen by validation: breadth 1, depth" in said.out
    assert "Belief propagation, which uses no label and sees 1, 3, 5" in said.out


def test_jobs_axes_and_a_budget_on_the_command_line(tmp_path, capsys):
    out = tmp_path / "out"
    several = ["--heads", "1", "2", "--layers", "1,2", "--jobs", "2", "--threads", "1"]
    assert cli.run(["compare", *KARATE, *several, "--budget", "30m", "--out", str(out)]) == 0
    rows = read_rows(out / "trials.jsonl")
    assert {(row["heads"], row["layers"]) for row in rows} == {(1, 1), (1, 2), (2, 1), (2, 2)}
    assert {(row["rung"], row["threads"]) for row in rows} == {(0, 1)}
    assert "4/4 trials done" in capsys.readouterr().err
    assert '"heads": [' in (out / "study.json").read_text(encoding="utf-8")


def test_a_study_in_use_is_left_alone(refused, tmp_path):
    with locked(tmp_path / "trials.jsonl"):
        code, line = refused("compare", *KARATE, "--out", tmp_path)
        assert [path.name for path in tmp_path.iterdir() if path.name != ".lock"] == [
            "trials.jsonl"
        ]
    assert code == 1 and "in use by process" in line


def test_train_prints_mean_and_spread_and_writes_rows(tmp_path, capsys):
    out = tmp_path / "rows.jsonl"
    arguments = ["train", *KARATE, "--model", "gat", "--seeds", "2", "--out", str(out)]
    assert cli.run(arguments) == 0
    assert " ± " in capsys.readouterr().out
    rows = read_rows(out)
    assert [(row["model"], row["seed"], row["epochs"]) for row in rows] == [
        ("gat", 0, 2),
        ("gat", 1, 2),
    ]
    assert cli.run(arguments) == 0
    assert read_rows(out) == rows


def test_options_reach_the_trial(tmp_path):
    settings = {
        "breadth": 2,
        "depth": 2,
        "score": "cosine",
        "normalizer": "entmax15",
        "dropout": 0.25,
        "lr": 0.5,
        "weight_decay": 0.125,
        "optimizer": "adam",
        "patience": 1,
        "monitor": "both",
        "clip": 0.5,
        "scheduler": "step",
        "lr_factor": 0.2,
        "lr_every": 3,
        "warmup": 1,
        "label_smoothing": 0.125,
        "precision": "bfloat16",
        "region": 3,
        "halo": 1,
        "steps": 2,
        "hide": 0.3,
        "fill": 0.5,
    }
    flags = {name: name.replace("_", "-") for name in settings} | {"scheduler": "lr-scheduler"}
    named = [f"--{flags[name]}={value}" for name, value in settings.items()]
    rest = ["--first-seed", "7", "--threads", "1", "--checkpoints", str(tmp_path / "checkpoints")]
    assert cli.run(["train", *BOARD, *named, *rest, "--out", str(tmp_path)]) == 0
    (row,) = read_rows(tmp_path / "trials.jsonl")
    expected = {**settings, "seed": 7, "options": "size=8", "hidden": 8, "epochs": 2, "threads": 1}
    assert {name: row[name] for name in expected} == expected
    assert [path.stem for path in (tmp_path / "checkpoints").iterdir()] == [row["key"]]


def test_options_of_batches_reach_the_trial(tmp_path):
    named = ["--breadth", "2", "--batch-size", "16", "--num-neighbors", "5,4"]
    named += ["--metric", "accuracy"]
    assert cli.run(["train", *BOARD, *named, "--out", str(tmp_path)]) == 0
    (row,) = read_rows(tmp_path / "trials.jsonl")
    assert (row["batch_size"], row["num_neighbors"]) == (16, [5, 4])
    assert row["metric"] == row["judged_by"] == "accuracy"


@pytest.mark.parametrize(("depth", "breadth"), [(3, 1), (4, 2)])
def test_every_depth_trains(tmp_path, depth, breadth):
    named = ["--depth", str(depth), "--breadth", str(breadth), "--model", "layer"]
    assert cli.run(["train", *KARATE, *named, "--out", str(tmp_path)]) == 0
    (row,) = read_rows(tmp_path / "trials.jsonl")
    assert (row["depth"], row["status"]) == (depth, "ok")


def test_breadth_of_diffusion_is_its_rounds(tmp_path):
    named = ["--model", "diffusion", "--breadth", "3", "--restart", "0.2"]
    more = ["--feature-dropout", "0.1", "--out", str(tmp_path)]
    assert cli.run(["train", *KARATE, *named, *more]) == 0
    (row,) = read_rows(tmp_path / "trials.jsonl")
    assert (row["model"], row["breadth"], row["restart"]) == ("diffusion", 3, 0.2)
    assert (row["feature_dropout"], row["attention_dropout"]) == (0.1, 0.2)


def test_encodings_are_compared_beside_none(tmp_path):
    named = ["--encoding", "none", "laplacian", "random_walk"]
    assert cli.run(["compare", *KARATE, *named, "--out", str(tmp_path)]) == 0
    rows = read_rows(tmp_path / "trials.jsonl")
    assert [row["encoding"] for row in rows] == [None, "laplacian", "random_walk"]
    assert "| laplacian |" in (tmp_path / "table.md").read_text(encoding="utf-8")
    out = ["--out", str(tmp_path / "one")]
    assert cli.run(["train", *KARATE, "--encoding", "laplacian", *out]) == 0
    (row,) = read_rows(tmp_path / "one" / "trials.jsonl")
    assert row["key"] == rows[1]["key"]


def test_the_demo_is_the_study_that_was_promised():
    study = {name: value for name, value in PRESETS["demo"].items() if name != "threads"}
    trials = compare.grid(**study)
    assert {(t.breadth, t.depth, t.seed) for t in trials} == {
        (b, d, s) for b in (1, 2, 3) for d in (1, 2) for s in (0, 1)
    }
    assert {(t.dataset, t.options) for t in trials} == {("minesweeper", (("size", 40),))}
    assert len({t.epochs for t in trials}) == 1


def test_a_preset_can_be_changed(tmp_path, monkeypatch):
    prepared = []
    monkeypatch.setattr(studies, "prepare", lambda *found: prepared.append(found))
    changes = ["--option", "size=8", "--breadth", "2", "--depth", "1", "--seeds", "1", *TINY]
    changes += ["--threads", "2"]
    assert cli.run(["compare", "--preset", "demo", "--out", str(tmp_path), *changes]) == 0
    (row,) = read_rows(tmp_path / "trials.jsonl")
    expected = {"dataset": "minesweeper", "options": "size=8", "breadth": 2, "epochs": 2}
    expected |= {"lr": PRESETS["demo"]["lr"]}
    assert {name: row[name] for name in expected} == expected
    assert prepared == [("cpu", 2)]


@pytest.mark.parametrize(
    "command", [[], ["train"], ["compare"], ["inspect"], ["data"], ["data", "show"]]
)
def test_help(command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert cli.run([*command, "--help"]) == 0
    assert "Usage: gattn" in capsys.readouterr().out


def test_help_names_what_there_is(capsys, monkeypatch):
    assert options.MODELS.split(", ") == list(MODELS)
    assert options.SCORES.split(", ") == list(SCORES)
    assert options.NORMALIZERS.split(", ") == list(NORMALIZERS)
    assert options.ENCODINGS.split(", ") == list(ENCODINGS)
    levels = [set(DEPTHS[depth]) - set(DEPTHS.get(depth - 1, ())) for depth in DEPTHS]
    said = options.LEVELS.partition(": ")[2].replace("+ ", "").split(", ")
    assert said == [f"{depth} {min(level)}" for depth, level in zip(DEPTHS, levels, strict=True)]
    monkeypatch.setenv("COLUMNS", "300")
    cli.run(["train", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    for model in ("attention", "gat", "layer"):
        usual = ", ".join(f"{k} {v}" for k, v in MODELS[model].recipe.items())
        assert usual in text


def test_data_lists_and_shows(capsys):
    assert cli.run(["data", "list"]) == 0
    assert {"cora", "minesweeper", "karate"} <= set(capsys.readouterr().out.split())
    assert cli.run(["data", "show", "minesweeper", "--option", "size=10", "num_splits=3"]) == 0
    text = capsys.readouterr().out
    assert "nodes      100\n" in text
    assert "classes    2 (80, 20 nodes)" in text
    assert "splits     3 (train 50, val 25, test 25)" in text


OUT = ["--out", "results"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train"], "Missing option '--dataset'"),
        (["trian"], "No such command 'trian'"),
        (["train", *KARATE, "--bredth", "1"], "No such option"),
        (["train", "--dataset", "coral"], "dataset: found 'coral', expected one of cora, citeseer"),
        (
            ["train", *KARATE, "--model", "gta"],
            "model: found 'gta', expected one of attention, recurrent",
        ),
        (["train", *KARATE, "--score", "dott"], "score: found 'dott', expected one of dot"),
        (
            ["train", *KARATE, "--normalizer", "max"],
            "normalizer: found 'max', expected one of soft",
        ),
        (["train", *KARATE, "--breadth", "-1"], "breadth: found '-1', expected a number of hops"),
        (["train", *KARATE, "--breadth", "two"], "breadth: found 'two', expected a number of hops"),
        (["train", *KARATE, "--lr", "fast"], "'--lr': found 'fast', expected a number"),
        (["train", *KARATE, "--depth", "5"], "depth: found 5"),
        (["train", *KARATE, "--encoding", "sine"], "encoding: found 'sine', expected one of lapl"),
        (["train", *KARATE, "--model", "gat", "--depth", "2"], "depth: found 2 for the model gat"),
        (["train", *KARATE, "--seeds", "0"], "seeds: found 0, expected at least 1"),
        (["train", *KARATE, "--epochs", "0"], "epochs: found 0"),
        (["train", *KARATE, "--monitor", "f1"], "monitor: found 'f1', expected one of metric"),
        (["train", *KARATE, "--clip", "0"], "clip: found 0.0, expected a number > 0"),
        (
            ["train", *KARATE, "--lr-scheduler", "exp"],
            "scheduler: found 'exp', expected one of cos",
        ),
        (["train", *KARATE, "--lr-every", "3"], "lr_every: found 3, expected None"),
        (["train", *KARATE, "--warmup", "-1"], "warmup: found -1, expected an int >= 0"),
        (["train", *KARATE, "--label-smoothing", "1"], "label_smoothing: found 1.0, expected"),
        (["train", *KARATE, "--precision", "half"], "precision: found 'half', expected one of"),
        (["train", *KARATE, "--batch-size", "0"], "batch_size: found 0, expected an int >= 1"),
        (["train", *KARATE, "--num-neighbors", "5"], "num_neighbors: found (5,) without a batch"),
        (["train", *KARATE, "--num-neighbors", "x"], "--num-neighbors: found 'x', expected whole"),
        (["train", *KARATE, "--metric", "f2"], "metric: found 'f2', expected one of accuracy"),
        (["train", *KARATE, "--device", "tpu"], "--device: found 'tpu', expected cpu, cuda"),
        (["train", *KARATE, "--threads", "0"], "threads: found 0, expected an int >= 1"),
        (["train", *KARATE, "--option", "size"], "--option: found 'size', expected name=value"),
        (["compare", *KARATE], "Missing option '--out'"),
        (["compare", *OUT], "--dataset: found none, expected a name of `gattn data list`"),
        (["compare", *OUT, *KARATE, "--budget", "soon"], "budget: found 'soon', expected a time"),
        (["compare", *OUT, *KARATE, "--backend", "spark"], "backend: found 'spark', expected one"),
        (["compare", *OUT, *KARATE, "--jobs", "0"], "jobs: found 0, expected at least 1"),
        (["compare", *OUT, *KARATE, "--scheduler", "tcp://a"], "scheduler: found 'tcp://a' for"),
        (["compare", *OUT, "--preset", "demo2"], "--preset: found 'demo2', expected one of demo"),
        (["compare", *OUT, *KARATE, "--breadth", "-1"], "breadth: found '-1', expected a number"),
        (
            ["compare", *OUT, *KARATE, "--breadth", "1", "x"],
            "breadth: found 'x', expected a number",
        ),
        (["compare", *OUT, "--dataset", "karate", "coral"], "dataset: found 'coral'"),
        (["compare", "--out", "rows.jsonl", *KARATE], "--out: found the file rows.jsonl, expected"),
    ],
)
def test_arguments_that_cannot_be_meant(refused, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    code, line = refused(*arguments)
    assert message in line
    assert code == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["data", "show", "coral"], "name: found 'coral', expected one of cora"),
        (["data", "show", "minesweeper", "--option", "size=2"], "size: found 2"),
        (["data", "show", "minesweeper", "--option", "sise=9"], "options: found 'sise'"),
        (
            ["train", "--dataset", "cora", "--root", "nowhere", "--option", "download=false"],
            "root: found no Cora/raw/ind.cora.x",
        ),
    ],
)
def test_work_that_cannot_be_done(refused, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    code, line = refused(*arguments)
    assert message in line
    assert code == 1


def test_cuda_where_there_is_none(refused, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    code, line = refused("train", *KARATE, "--device", "cuda")
    assert "torch sees 0 CUDA devices" in line
    assert code == 2


@pytest.mark.parametrize("command", ["train", "compare"])
def test_an_output_that_cannot_be_written(refused, tmp_path, command):
    (tmp_path / "file").write_text("")
    code, line = refused(command, *KARATE, "--out", tmp_path / "file" / "out")
    assert "which cannot be written (Not a directory), expected a writable folder" in line
    assert code == 1


def test_a_loss_that_is_not_finite_is_a_row_and_an_error(refused, tmp_path):
    code, line = refused("compare", *KARATE, "--lr", "1e20", "--out", tmp_path)
    assert "1 of 1 trials failed: loss: found" in line
    assert code == 1
    (row,) = read_rows(tmp_path / "trials.jsonl")
    assert row["status"] == "failed"
    assert "1 failed: loss: found" in (tmp_path / "table.md").read_text(encoding="utf-8")


def test_features_that_are_nan_are_named(refused, monkeypatch, tmp_path):
    real = attempt.load_task

    def spoilt(trial, root):
        task = real(trial, root)
        task.x[0, 1] = torch.nan
        return task

    monkeypatch.setattr(attempt, "load_task", spoilt)
    code, line = refused("train", *KARATE, "--out", tmp_path)
    assert "x: found 1 values that are not finite (the first at node 0, feature 1)" in line
    assert code == 1


def test_ctrl_c_keeps_what_is_finished(monkeypatch, tmp_path, capsys):
    real = attempt.run_trial

    def stops(trial, *rest, **more):
        if trial.seed == 1:
            raise KeyboardInterrupt
        return real(trial, *rest, **more)

    monkeypatch.setattr(attempt, "run_trial", stops)
    assert cli.run(["compare", *KARATE, "--seeds", "3", "--out", str(tmp_path)]) == 130
    captured = capsys.readouterr().err
    assert f"interrupted: finished trials are in {tmp_path}; the same command goes on" in captured
    assert len(read_rows(tmp_path / "trials.jsonl")) == 1


def _gattn(*arguments: str, **more) -> subprocess.Popen:
    path = {"PYTHONPATH": str(Path(__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "gattn", *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env={**os.environ, **path}, **pipes, **more)


def test_the_program_says_one_line_and_no_traceback():
    process = _gattn("train", "--dataset", "karate", "--breadth", "-1")
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (2, "")
    assert err.startswith("error: breadth: found '-1', expected a number of hops")
    assert err.count("\n") == 1


def test_a_killed_study_goes_on(tmp_path):
    rows = tmp_path / "trials.jsonl"
    arguments = ["compare", *KARATE, "--seeds", "200", "--out", str(tmp_path)]
    process = _gattn(*arguments)
    try:
        waited = time.monotonic() + 120
        while len(read_rows(rows)) < 2 and time.monotonic() < waited:
            time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    finished = read_rows(rows)
    assert 2 <= len(finished) < 200
    arguments[arguments.index("200")] = str(len(finished) + 1)
    assert cli.run(arguments) == 0
    again = read_rows(rows)
    assert again[: len(finished)] == finished
    assert len(again) == len(finished) + 1


def test_report_writes_one_file_and_says_where(tmp_path, capsys):
    rows = Path(__file__).parents[1] / "docs" / "results" / "demo" / "trials.jsonl"
    (tmp_path / "trials.jsonl").write_bytes(rows.read_bytes())
    assert cli.run(["report", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'report.html'}\n"
    other = tmp_path / "other.html"
    assert cli.run(["report", str(rows), "--out", str(other), "--title", "A < B"]) == 0
    assert "<h1>A &lt; B</h1>" in other.read_text(encoding="utf-8")


TRIAL = json.dumps(
    {"key": 1, "status": "ok", "metric": "accuracy", "split": 0} | compare.Trial.of("karate").row()
)


@pytest.mark.parametrize(
    ("rows", "out", "message"),
    [
        (None, None, "error: FOLDER: found no "),
        ("", None, "error: FOLDER: found no row in "),
        ('{"key": 1, "status": "ok"}', None, "error: FOLDER: found rows without dataset in "),
        (TRIAL, "no/where.html", "error: --out: found "),
    ],
)
def test_report_refuses_in_one_line(rows, out, message, tmp_path, capsys):
    if rows is not None:
        (tmp_path / "trials.jsonl").write_text(rows)
    more = [] if out is None else ["--out", str(tmp_path / out)]
    assert cli.run(["report", str(tmp_path), *more]) == 2
    said = capsys.readouterr().err
    assert said.startswith(message) and said.count("\n") == 1
