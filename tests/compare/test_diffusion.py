"""The study of diffusion against none: fair draws, the best by validation, paired tables."""

import json
import re

import pytest

from gattn.compare import diffusion, read_rows
from gattn.compare.diffusion import ARMS, OF_DIFFUSION, SHARED, Plan, drawn, main, tables

TINY = Plan(candidates=3, search_seeds=2, seeds=4)


def row_of(trial, val, test):
    return {**trial.row(), "status": "ok", "metric": "accuracy", "val": val, "test": test}


@pytest.fixture
def rows(monkeypatch):
    """The second candidate is the best of both arms; diffusion gains a point on cora."""
    monkeypatch.setattr(diffusion, "DATASETS", ("cora",))
    found = []
    for arm in ARMS:
        for number, trials in enumerate(TINY.search("cora", arm)):
            found += [row_of(trial, 0.8 - 0.1 * (number - 1) ** 2, 0.5) for trial in trials]
        for trial in TINY.final("cora", arm, found):
            found.append(row_of(trial, 0.8, 0.7 + 0.001 * trial.seed + 0.01 * (arm == "diffusion")))
    return found


def test_both_arms_draw_the_same():
    mine, theirs = (drawn(9, arm) for arm in ARMS)
    assert [{k: s[k] for k in SHARED} for s in mine] == [{k: s[k] for k in SHARED} for s in theirs]
    assert {(s["breadth"], s["restart"]) for s in theirs} == {(1, 0.0)}
    assert all(s[name] in values for s in mine for name, values in OF_DIFFUSION.items())
    assert drawn(9, "diffusion") == mine and drawn(4, "diffusion") == mine[:4]
    assert len({json.dumps(s) for s in mine}) == 9


def test_arms_differ_in_rounds_and_restart_only():
    for mine, theirs in zip(*(TINY.search("cora", arm) for arm in ARMS), strict=True):
        a, b = mine[0].row(), theirs[0].row()
        assert {name for name in a if a[name] != b[name]} == {"key", "breadth", "restart"}


def test_the_seeds_of_the_search_are_not_those_of_the_result(rows):
    search = {trial.seed for arm in ARMS for many in TINY.search("cora", arm) for trial in many}
    final = {trial.seed for arm in ARMS for trial in TINY.final("cora", arm, rows)}
    assert search == {100, 101} and final == {0, 1, 2, 3}


def test_the_best_is_chosen_by_validation(rows):
    for arm in ARMS:
        best, expected = TINY.best("cora", arm, rows), drawn(3, arm)[1]
        assert {name: best.settings[name] for name in expected} == expected
    assert TINY.best("cora", "none", rows[:-4]) is not None
    assert TINY.best("cora", "diffusion", rows[1:]) is None
    assert TINY.final("cora", "diffusion", rows[1:]) == []


def test_tables_say_what_rows_say(rows):
    made = tables(rows, TINY)
    assert "| cora | 4 | 71.15 ± 0.13 | 70.15 ± 0.13 | +1.00 |" in made["paired"]
    assert made["paired"].startswith("| dataset | runs | diffusion | none |")
    lines = [re.split(r" *\| *", line)[1:-1] for line in made["chosen"].splitlines()]
    assert [line[:2] for line in lines[2:]] == [["cora", "diffusion"], ["cora", "none"]]
    assert lines[0][2:5] == ["rounds", "restart", "hidden"]
    assert [line[-1] for line in lines[2:]] == ["80.00", "80.00"]
    assert lines[3][2:4] == ["1", "0"]


def test_what_is_not_finished_is_not_shown(rows):
    assert "+1.00" not in tables(rows[:-1], TINY)["paired"]
    assert tables([], TINY)["paired"] == ""


def test_a_run_goes_on_where_it_was(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(diffusion, "DATASETS", ("karate",))
    monkeypatch.setattr(diffusion, "COMMON", {**diffusion.COMMON, "epochs": 2})
    few = ["--candidates", "1", "--search-seeds", "1", "--seeds"]
    arguments = ["--out", str(tmp_path), "--threads", "1", *few]
    main([*arguments, "2"])
    assert len(read_rows(tmp_path / "trials.jsonl")) == 2 + 4
    into = tmp_path / "page.txt"
    into.write_text("<!-- table paired -->\n\n<!-- end -->\n")
    main([*arguments, "3", "--page", str(into)])
    found = read_rows(tmp_path / "trials.jsonl")
    assert len(found) == len({row["key"] for row in found}) == 2 + 6
    made = tables(found, Plan(1, 1, 3))
    assert made["paired"] in into.read_text() and made["paired"] in capsys.readouterr().out
    monkeypatch.setattr(diffusion, "run_study", None)
    main([*arguments, "3", "--table"])


def test_arguments_that_cannot_be_meant(tmp_path):
    with pytest.raises(SystemExit, match="threads: found 0"):
        main(["--out", str(tmp_path), "--threads", "0"])
