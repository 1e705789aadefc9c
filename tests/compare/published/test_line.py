"""A line of published results: fair draws, the choice by validation, fresh seeds."""

import pytest

from gattn.compare.published import STUDIES, Line, Search

SPACE = {"hidden": (4, 8), "lr": (0.01, 0.02, 0.03)}
COMMON = {"dataset": "karate", "model": "layer", "epochs": 2, "score": "gat"}
FIXED = Line("fixed", COMMON, 80.0, 1.0, "somebody", 79.0, seeds=3)
SEARCHED = Line(
    "searched", COMMON, 80.0, None, "", 79.0, seeds=4, search=Search(SPACE, candidates=3, seeds=2)
)


def row_of(trial, val, test=0.5):
    row = {**trial.row(), "status": "ok", "metric": "accuracy", "val": val, "test": test}
    return {**row, "seconds": 6.0}


@pytest.fixture
def searched():
    """Rows of a search whose second candidate is the best."""
    return [
        row_of(trial, 0.8 - 0.1 * (number - 1) ** 2)
        for number, many in enumerate(SEARCHED.candidates())
        for trial in many
    ]


def test_draws_are_distinct_and_always_the_same():
    drawn = Search(SPACE, candidates=4).drawn()
    assert drawn == Search(SPACE, candidates=4).drawn()
    assert len({tuple(settings.values()) for settings in drawn}) == 4
    assert all(settings[name] in SPACE[name] for settings in drawn for name in SPACE)
    assert len(Search(SPACE, candidates=40).drawn()) == 6


def test_settings_that_are_given_are_tried_before_those_that_are_drawn():
    given = {"lr": 0.5, "hidden": 4}
    found = Search(SPACE, candidates=2, also=(given,)).drawn()
    assert found == [given, *Search(SPACE, candidates=2).drawn()]
    assert len(Search(SPACE, candidates=9, also=({"lr": 0.01, "hidden": 4},)).drawn()) == 6


def test_a_fixed_line_has_its_seeds_and_no_search():
    assert FIXED.candidates() == [] and FIXED.found([]) == [] and FIXED.chosen([]) == {}
    assert [trial.seed for trial in FIXED.final([])] == [0, 1, 2]
    assert {trial.score for trial in FIXED.final([])} == {"gat"}
    assert FIXED.dataset == "karate"


def test_the_best_by_validation_runs_on_fresh_seeds(searched):
    expected = SEARCHED.search.drawn()[1]
    assert SEARCHED.chosen(searched) == expected
    final = SEARCHED.final(searched)
    assert [trial.seed for trial in final] == [0, 1, 2, 3]
    assert {(trial.hidden, trial.lr) for trial in final} == {tuple(expected.values())}
    assert {row["seed"] for row in searched} == {100, 101}


def test_an_unfinished_search_has_chosen_nothing(searched):
    assert SEARCHED.chosen(searched[1:]) is None
    assert SEARCHED.final(searched[1:]) == [] and SEARCHED.cell(searched[1:]) is None


def test_what_failed_is_finished_and_not_chosen(searched):
    broken = [{**row, "status": "failed"} if row["val"] == 0.8 else row for row in searched]
    assert SEARCHED.chosen(broken) == SEARCHED.search.drawn()[0]
    assert SEARCHED.chosen([{**row, "status": "failed"} for row in searched]) is None


def test_the_cell_and_the_seconds_are_those_of_the_line(searched):
    rows = searched + [row_of(trial, 0.8, 0.9) for trial in SEARCHED.final(searched)]
    assert SEARCHED.cell(rows).mean("test") == pytest.approx(0.9)
    assert SEARCHED.seconds(rows) == (36.0, 24.0)
    assert FIXED.cell(rows) is None and FIXED.seconds(rows) == (0.0, 0.0)


@pytest.mark.parametrize("name", STUDIES)
def test_the_lines_of_a_study_can_be_asked(name):
    study = STUDIES[name]
    assert study.asks.endswith("?")
    assert len({(line.dataset, line.name) for line in study.lines}) == len(study.lines)
    for line in study.lines:
        assert all(line.candidates()) and (line.search or line.final([]))
        assert line.result in ("test", "val") and 0 < line.least <= 100
        finals = range(line.first_seed, line.first_seed + line.seeds)
        assert not {t.seed for many in line.candidates() for t in many} & set(finals)
