"""Studies of known answers: what they ask for, and tables and figure that say what rows say."""

import statistics
from dataclasses import replace

import matplotlib.image
import pytest

from gattn.compare import Trial, known, read_rows
from gattn.compare.known import filled, main, page, table
from gattn.compare.studies import STUDIES, Case, Study
from gattn.data import attainable_accuracy, load

TINY = {"model": ["layer"], "dataset": ["karate"], "hidden": 8, "epochs": 2}
SMALL = Study(
    asks="Who is who?",
    expected="Nobody knows.",
    common=TINY,
    cases=tuple(
        Case(score, f"breadth {b}", {"score": [score], "breadth": [b]})
        for score in ("gat", "dot")
        for b in (1, 2)
    ),
)
SINGLE = replace(
    SMALL,
    cases=(Case("one", "", {"breadth": [3]}), Case("two", "", {"depth": [2]})),
    shown={"val": "near", "test": "far"},
)


@pytest.fixture
def small(monkeypatch):
    """Two studies that take no time, in the place of those that do."""
    monkeypatch.setattr(known, "STUDIES", {"small": SMALL, "single": SINGLE})


def rows_of(study, seeds):
    """Rows of a study whose results say where they belong."""
    trials = [trial for found in study.trials(seeds).values() for trial in found]
    found = [(t.breadth, t.seed, 0.5 * (t.score == "dot")) for t in trials]
    return [
        {
            **t.row(),
            "status": "ok",
            "metric": "accuracy",
            "val": 0.9,
            "test": v + 0.1 * b + 0.01 * s,
        }
        for t, (b, s, v) in zip(trials, found, strict=True)
    ]


def lines(text):
    return [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_is_of_its_own_task_and_can_be_asked(name):
    study = STUDIES[name]
    found = study.trials(2, first_seed=3)
    assert len(found) == len(study.cases)
    every = [trial for trials in found.values() for trial in trials]
    assert len({trial.key() for trial in every}) == len(every) == 2 * len(study.cases)
    shared = {"varied-shell-majority": "shell-majority", "bounded-score": "keyed-shell-lookup"}
    assert {trial.dataset for trial in every} == {shared.get(name, name)}
    assert {trial.seed for trial in every} == {3, 4}
    assert study.asks.endswith((".", "?")) and study.expected.endswith(".")


def test_a_table_has_means_and_spreads_in_their_places():
    rows = rows_of(SMALL, 3)
    head, _, gat, dot = lines(table(SMALL, rows))
    assert head == ["accuracy (%), 3 seeds", "breadth 1", "breadth 2"]
    spread = f"{100 * statistics.stdev([0.0, 0.01, 0.02]):.1f}"
    assert gat == ["gat", f"11.0 ± {spread}", f"21.0 ± {spread}"]
    assert dot == ["dot", f"61.0 ± {spread}", f"71.0 ± {spread}"]


def test_what_is_missing_or_failed_is_said():
    rows = [row for row in rows_of(SMALL, 2) if (row["breadth"], row["score"]) != (2, "gat")]
    rows[0] = {k: v for k, v in rows[0].items() if k not in ("val", "test")}
    rows[0] |= {"status": "failed", "reason": "wild"}
    _, _, gat, dot = lines(table(SMALL, rows))
    assert gat == ["gat", "11.0 (1)", "-"]
    assert dot[1] == "60.5 ± 0.7"
    failed = [{**rows[0], "key": row["key"]} for row in rows[:2]]
    assert lines(table(SMALL, failed))[2][1] == "failed: wild"
    assert lines(table(SMALL, []))[2] == ["gat", "-", "-"]


def test_several_results_have_columns_each():
    head, _, one, _ = lines(table(SINGLE, rows_of(SINGLE, 1)))
    assert head == ["accuracy (%), 1 seed", "near", "far"]
    assert one == ["one", "90.0", "30.0"]


def test_rows_of_other_settings_stay_out():
    rows = rows_of(SMALL, 2)
    other = Trial.of("karate", "layer", breadth=1, score="gat", hidden=8, epochs=9)
    stray = {**other.row(), "status": "ok", "metric": "accuracy", "val": 0.0, "test": 0.0}
    assert table(SMALL, [*rows, stray]) == table(SMALL, rows)


def test_what_is_attainable_stands_below():
    options = (("num_keys", 8), ("num_nodes", 200))
    common = {**TINY, "dataset": ["keyed-shell-lookup"], "options": options}
    study = replace(SMALL, common=common, attainable=True)
    task = load("keyed-shell-lookup", num_keys=8, num_nodes=200)
    expected = {f"breadth {b}": attainable_accuracy(task, b) for b in (1, 2)}
    assert study.known() == expected
    assert SMALL.known() == {}
    last = lines(table(study, rows_of(study, 1)))[-1]
    assert last == ["attainable", *(f"{100 * value:.1f}" for value in expected.values())]


def test_tables_are_put_into_their_places_and_again():
    text = "Before.\n\n<!-- table a -->\nold\n<!-- end -->\n\nBetween.\n\n"
    text += "<!-- table b -->\n\n<!-- end -->\n"
    once = filled(text, {"a": "| 1 |\n", "b": "| 2\\1 |\n", "c": "| 3 |\n"})
    assert once == (
        "Before.\n\n<!-- table a -->\n\n| 1 |\n\n<!-- end -->\n\nBetween.\n\n"
        "<!-- table b -->\n\n| 2\\1 |\n\n<!-- end -->\n"
    )
    assert filled(once, {"a": "| 1 |\n", "b": "| 2\\1 |\n"}) == once
    assert filled(once, {}) == once


def test_a_page_asks_and_answers():
    text = page("small", SMALL, [])
    assert text.startswith("# small\n\nWho is who?\n\nExpected: Nobody knows.\n\n| accuracy")


def test_a_run_writes_rows_pages_and_a_figure_and_goes_on(small, tmp_path, capsys):
    arguments = ["--out", str(tmp_path), "--threads", "1", "--seeds"]
    main([*arguments, "1", "small"])
    assert len(read_rows(tmp_path / "trials.jsonl")) == 4
    into = tmp_path / "page.txt"
    into.write_text("<!-- table small -->\n\n<!-- end -->\n")
    main([*arguments, "2", "--page", str(into)])
    rows = read_rows(tmp_path / "trials.jsonl")
    assert len(rows) == len({row["key"] for row in rows}) == 8 + 4
    assert {row["status"] for row in rows} == {"ok"}
    written = {path.name for path in tmp_path.iterdir()}
    assert written == {"trials.jsonl", "small.md", "single.md", "known.png", "page.txt"}
    assert table(SMALL, rows) in into.read_text()
    assert (tmp_path / "small.md").read_text() == page("small", SMALL, rows)
    said = capsys.readouterr()
    assert table(SINGLE, rows) in said.out
    assert "4 trials are finished already, 8 to do" in said.err
    image = matplotlib.image.imread(tmp_path / "known.png")
    assert image.shape[1] > 1000
    assert image[..., :3].std() > 0.05


def test_tables_alone_train_nothing(small, tmp_path, monkeypatch):
    monkeypatch.setattr(known, "run_study", None)
    main(["--out", str(tmp_path), "--table"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["single.md", "small.md"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["smal", "--out", "x"], "study: found 'smal', expected one of small, single"),
        (["small"], "the following arguments are required: --out"),
        (["--out", "x", "--threads", "0"], "threads: found 0"),
        (["--out", "x", "--seeds", "0"], "seeds: found 0, expected at least 1"),
    ],
)
def test_arguments_that_cannot_be_meant(small, capsys, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert message in str(stop.value) + capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
