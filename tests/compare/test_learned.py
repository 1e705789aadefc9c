"""What is learned about breadth: trainings that are watched, and tables that say what rows say."""

from dataclasses import replace

import matplotlib.image
import pytest

from gattn.compare import Trial, learned, read_rows
from gattn.compare.learned import Case, cases, main, train
from gattn.compare.learned_shown import TABLES, breadth, mixing
from gattn.compare.trial import build_structure, load_task

SIZES = {"hidden": 8, "epochs": 11, "options": (("num_nodes", 60), ("degree", 3))}
SPAN = (("span", "learned"), ("span_price", 0.5))


def tiny(line, study="breadth", column="1", seed=0, more=(), **settings):
    settings = {"breadth": 3, **SIZES, **settings}
    return Case(
        study, line, column, Trial.of("shell-majority", "layer", seed=seed, **settings), more
    )


@pytest.fixture
def small(monkeypatch):
    """One seed of three trainings that take no time, in the place of those that do."""

    def few(names, seeds, first_seed=0):
        chosen = range(first_seed, first_seed + seeds)
        made = [tiny("learned", more=SPAN, seed=seed) for seed in chosen]
        made += [tiny("all hops", seed=seed) for seed in chosen]
        more = (("hop_mixing", "signed"),)
        made += [tiny("signed", "other", "board", s, more, depth=2) for s in chosen]
        return [case for case in made if case.study in names]

    monkeypatch.setattr(learned, "cases", few)


def lines(text):
    return [line.strip("| ").split(" | ") for line in text.splitlines()]


def test_every_case_has_a_key_of_its_own():
    found = cases(TABLES, 2, first_seed=3)
    assert len({case.key() for case in found}) == len(found) == 2 * (16 + 4 + 6 + 6)
    assert {case.study for case in found} == set(TABLES)
    assert {case.trial.seed for case in found} == {3, 4}
    case = tiny("learned", more=SPAN)
    assert case.key() == replace(case, line="elsewhere").key()
    assert case.key() != replace(case, more=()).key() != tiny("learned", seed=1).key()
    assert case.row()["attention"] == "span=learned span_price=0.5"


def test_a_training_is_watched_to_its_end():
    case = tiny("learned", more=SPAN, heads=2)
    task = load_task(case.trial)
    row = train(case, task, build_structure(case.trial, task))
    assert [len(row[name]) for name in ("path", "span", "radius", "ring_bias")] == [3, 1, 1, 0]
    assert all(
        0 < z < first <= 3 for z, first in zip(row["span"][0], row["path"][0][0], strict=True)
    )
    assert row["radius"] == [[-int(-z // 1) for z in row["span"][0]]]
    assert 0 <= row["last"] <= 1 and row["epochs_run"] == 11
    assert row == row | case.row() | {"split": 0}


def test_signed_rings_leave_what_they_weigh():
    case = tiny("signed", more=(("hop_mixing", "signed"),), depth=2)
    task = load_task(case.trial)
    row = train(case, task, build_structure(case.trial, task))
    assert len(row["ring_bias"]) == 1 and len(row["ring_bias"][0]) == 4
    assert row["path"] == [[]] * 3


def row_of(case, value, **more):
    return {**case.row(), "status": "ok", "metric": "accuracy", "test": value, "last": value} | more


def test_the_tables_have_means_and_radii_in_their_places():
    rows = [
        row_of(
            tiny("learned", seed=s, more=SPAN),
            0.5 + 0.1 * s,
            radius=[[1, s]],
            span=[[0.5 + s, 2.0]],
        )
        for s in (2, 1)
    ]
    rows += [row_of(tiny("all hops", seed=1), 0.25, radius=[], span=[])]
    head, _, one = lines(breadth("breadth", rows))
    assert head == ["hops that matter", "radius, learned", "z, learned", "learned", "all hops"]
    assert one == ["1", "1 2", "1.500 to 2.500", "65.0 ± 7.1", "25.0"]
    rows = [row_of(tiny("signed", "other", c), v) for c, v in (("a", 0.5), ("b", 0.25))]
    rows[1]["metric"] = "roc_auc"
    rows[1]["key"] = "another"
    rows += [row_of(tiny("gate", "other", "a", seed=1), 0.75), row_of(tiny("x"), 0.9)]
    assert lines(mixing("other", rows)) == [
        ["mixing", "a, accuracy (%)", "b, ROC AUC (%)"],
        ["---", "---", "---"],
        ["signed", "50.0", "25.0"],
        ["gate", "75.0", "-"],
    ]


def test_a_run_writes_rows_tables_and_a_figure_and_goes_on(small, tmp_path, capsys):
    main(["--out", str(tmp_path), "--threads", "1", "--seeds", "1", "breadth"])
    assert len(read_rows(tmp_path / "rows.jsonl")) == 2
    into = tmp_path / "page.txt"
    into.write_text("<!-- table other -->\n\n<!-- end -->\n")
    main(["--out", str(tmp_path), "--threads", "1", "--seeds", "2", "--page", str(into)])
    rows = read_rows(tmp_path / "rows.jsonl")
    assert len(rows) == len({row["key"] for row in rows}) == 6
    assert mixing("other", rows) in into.read_text()
    assert breadth("breadth", rows) in capsys.readouterr().out
    image = matplotlib.image.imread(tmp_path / "learned.png")
    assert image.shape[1] > 1000 and image[..., :3].std() > 0.03


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["bread", "--out", "x"], "study: found 'bread', expected one of breadth, ramp, far-heter"),
        ([], "the following arguments are required: --out"),
        (["--out", "x", "--seeds", "0"], "seeds: found 0, expected an int >= 1"),
    ],
)
def test_arguments_that_cannot_be_meant(capsys, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert message in str(stop.value) + capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
