"""Planted truth: the draws are what they say, and the table tells hits from misses."""

import pytest

from gattn.compare import planted
from gattn.compare.planted import draws, table
from gattn.data import load


def rows_of(draw, best, seeds=2):
    """Rows in which every setting that sees and tells as much as `best` is as good."""
    rows = []
    for trial in draw.trials(seeds):
        good = trial.breadth >= best[0] and trial.depth >= best[1]
        row = {**trial.row(), "status": "ok", "metric": "accuracy", "seconds": 1.0}
        row |= {"val": 0.99 if good else 0.4, "test": 0.98 if good else 0.4}
        row |= {"seconds_per_epoch": 0.01 * trial.breadth * trial.depth}
        row |= {"peak_memory_bytes": None, "pairs": 10, "parameters": 10, "split": trial.seed}
        rows.append(row)
    return rows


def test_draws_differ_and_are_always_the_same():
    found = draws(10)
    assert found == draws(10) and len(set(found)) == 10
    assert {(draw.breadth, draw.depth) for draw in found} == {
        (1, 1),
        (2, 1),
        (3, 1),
        (2, 2),
        (3, 2),
    }
    assert not set(found) & set(draws(10, first_seed=500))


@pytest.mark.parametrize("draw", draws(7), ids=lambda draw: draw.name)
def test_what_is_planted_is_in_the_graph(draw):
    task = load(draw.dataset, **dict(draw.options))
    assert task.num_nodes == planted.NODES
    assert dict(draw.options)["num_hops"] == draw.breadth
    assert dict(draw.options).get("varied", False) == (draw.depth == 2)


def test_a_hit_a_miss_and_what_is_not_finished():
    near, varied, far = draws(10)[0], draws(10)[1], draws(10)[4]
    rows = [*rows_of(near, (1, 1)), *rows_of(varied, (3, 1))]
    lines = table([near, varied, far], rows, 2).splitlines()
    assert lines[2].endswith("| breadth 1, depth 1 | breadth 1, depth 1 | 99.0 | 98.0 | yes |")
    assert lines[3].endswith("| breadth 3, depth 2 | breadth 3, depth 1 | 99.0 | 98.0 | no |")
    assert lines[4].endswith("| breadth 3, depth 1 | - | - | - | - |")
    assert lines[-1] == "1 of 2 draws: the planted setting is recommended."


def test_the_command_trains_goes_on_and_fills_a_page(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(planted, "NODES", 60)
    quick = {**planted.COMMON, "breadth": [1], "epochs": 2, "hidden": 4}
    monkeypatch.setattr(planted, "COMMON", quick)
    page = tmp_path / "page.md"
    page.write_text("<!-- table planted -->\n\n\n<!-- end -->\n")
    given = ["--draws", "1", "--seeds", "1", "--out", str(tmp_path), "--page", str(page)]
    planted.main(given)
    first = (tmp_path / "trials.jsonl").read_bytes()
    planted.main(given)
    assert (tmp_path / "trials.jsonl").read_bytes() == first
    planted.main([*given, "--table"])
    assert "of 1 draws: the planted setting" in page.read_text()
    assert capsys.readouterr().out.count("| 0 | majority at 1 hops |") == 3


def test_a_folder_that_cannot_be_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit, match="error: out: found"):
        planted.main(["--draws", "1", "--out", str(tmp_path / "file" / "in")])
