"""Cells: what is grouped, what is best, what competes."""

import statistics

import pytest

from gattn.compare import Trial, cells
from gattn.compare.cells import best_of, by_dataset, described, fullest
from tests.compare.conftest import row_of


def test_a_cell_is_all_seeds_of_one_setting(study):
    found = cells(study)
    order = [(c.settings["depth"], c.settings["breadth"]) for c in found]
    assert order == [(d, b) for d in (1, 2) for b in (1, 2, 3)]
    assert all(len(cell.rows) == 2 for cell in found)
    assert found[0].mean("test") == pytest.approx(0.77)
    assert found[0].std("test") == pytest.approx(statistics.stdev([0.76, 0.78]))


def test_the_last_row_of_a_key_counts(study):
    again = {**study[0], "test": 0.5}
    failed = {k: v for k, v in study[1].items() if k not in ("val", "test")}
    rows = [{**failed, "status": "failed", "reason": "wild"}, *study, again]
    found = cells(rows)
    assert all(len(cell.rows) == 2 and not cell.reasons for cell in found)
    assert 0.5 in [row["test"] for cell in found for row in cell.rows]


def test_cut_trials_are_neither_finished_nor_failed(study):
    rows = [
        {**row, "status": "cut", "reason": "budget"} if row["breadth"] == 3 else row
        for row in study
    ]
    found = [cell for cell in cells(rows) if cell.settings["breadth"] == 3]
    assert [(cell.rows, cell.reasons, cell.cut) for cell in found] == [((), (), 2)] * 2


def test_a_mean_of_fewer_runs_is_not_the_best(study):
    rows = [row for row in study if (row["breadth"], row["seed"]) != (3, 0)]
    found = cells(rows)
    assert best_of(found).settings["breadth"] == 2
    assert {len(cell.rows) for cell in fullest(found)} == {2}
    assert best_of([]) is None
    assert fullest(cells([{**row, "status": "failed", "reason": ""} for row in study])) == []


def test_cells_of_one_dataset_compete(study):
    other = [{**row, "key": row["key"] + "x", "options": "size=9"} for row in study]
    assert [len(group) for group in by_dataset(cells([*study, *other]))] == [6, 6]


def test_settings_in_words(study):
    cell = cells(study)[0]
    assert described(cell, ["breadth", "depth"]) == "breadth 1, depth 1"
    assert described(cell, []) == "the only setting"


def test_cells_of_different_metrics_do_not_compete():
    rows = [row_of(Trial.of("karate", seed=seed), 0.5 + 0.1 * seed) for seed in (0, 1)]
    other = [
        row | {"key": row["key"] + "f", "metric": "macro_f1", "judged_by": "macro_f1"}
        for row in rows
    ]
    assert [len(group) for group in by_dataset(cells([*rows, *other]))] == [1, 1]


def test_a_row_without_finite_results_is_no_finished_one():
    rows = [row_of(Trial.of("karate", seed=seed), 0.5) for seed in (0, 1, 2)]
    rows[1]["val"], rows[2]["test"] = float("nan"), None
    (cell,) = cells(rows)
    assert len(cell.rows) == 1 and cell.reasons == ("the row has no finite val and test",) * 2
