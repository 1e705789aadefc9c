"""The commands of the page train what the rows have, and nothing else."""

import shlex

import pytest
import typer

from gattn import cli
from gattn.cli import studies
from gattn.compare import Trial, grid
from gattn.compare.html.repeat import commands, versions


def rows_of(trials):
    return [{**trial.row(), "status": "ok", "device": "cpu", "threads": 1} for trial in trials]


def repeated(lines, monkeypatch):
    """The keys of the trials that commands would train."""
    seen = []

    def stop(trials, *_, **__):
        seen.extend(trials)
        raise typer.Exit

    monkeypatch.setattr(studies, "_run", stop)
    for line in lines:
        program, *arguments = shlex.split(line)
        assert program == "gattn"
        assert cli.run(arguments) == 0
    return sorted(trial.key() for trial in seen)


STUDIES = {
    "a grid": grid(
        dataset=["minesweeper"], breadth=[1, 2], depth=[1, 2], seeds=2, options=(("size", 8),)
    ),
    "models with recipes of their own": grid(
        dataset=["karate", "minesweeper"], model=["attention", "gat"], breadth=[1, 2], seeds=3
    ),
    "settings that are not the model's own": grid(
        dataset=["karate"],
        score=["dot", "cosine"],
        encoding=[None, "laplacian"],
        lr=0.1,
        patience=5,
        first_seed=4,
    ),
    "breadths in words": grid(dataset=["karate"], breadth=[1, "full", "learned:3"], depth=[1]),
    "a grid with holes": [
        Trial.of("karate", breadth=breadth, depth=depth, seed=seed)
        for breadth, depth, seed in [(1, 1, 0), (2, 1, 0), (2, 2, 0), (2, 2, 1), (1, 1, 5)]
    ],
}


@pytest.mark.parametrize("name", STUDIES)
def test_a_command_trains_what_the_rows_have(name, monkeypatch):
    trials = STUDIES[name]
    lines = commands(rows_of(trials))
    assert repeated(lines, monkeypatch) == sorted(trial.key() for trial in trials)


def test_a_grid_takes_one_command():
    line = "gattn compare --dataset minesweeper --breadth 1 2 --depth 1 2 --option size=8 --seeds 2"
    assert commands(rows_of(STUDIES["a grid"])) == [f"{line} --threads 1 --out results/"]


def test_versions_are_those_of_the_rows():
    rows = rows_of(STUDIES["a grid"])
    rows = [{**row, "torch": "2.13.0", "seconds": 30.0} for row in rows]
    rows[0] |= {"torch": "2.12.0", "status": "failed"}
    said = dict(versions(rows))
    assert said["torch"] == "2.12.0, 2.13.0"
    assert said["trials"] == "8 rows: 1 failed, 7 finished"
    assert said["training time"] == "4.00 min"
    assert "python" not in said and "finished" not in said
