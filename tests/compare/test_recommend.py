"""The rule of recommendation, on rows whose truth is known."""

import random

import pytest

from gattn.compare import Trial, cells, grid, pareto, recommend, recommendations
from gattn.compare.recommend import by_cost
from tests.compare.conftest import row_of


def rows_of(val, **columns):
    """Rows of breadths 1 to 4: `val` by breadth gives one value for each seed."""
    rows = []
    for breadth, values in val.items():
        for seed, value in enumerate(values):
            trial = Trial.of("karate", breadth=breadth, seed=seed)
            changes = {name: found[breadth] for name, found in columns.items()}
            rows.append(row_of(trial, value) | {"val": value, **changes})
    return rows


def chosen(rows, **more):
    return recommend(rows, **more).settings["breadth"]


def test_what_is_better_is_recommended_though_it_costs_more():
    rows = rows_of({1: [0.70, 0.71, 0.72], 2: [0.90, 0.91, 0.92]})
    found = recommend(rows)
    assert (found.settings["breadth"], found.alternatives) == (2, ())
    assert found.why == (
        "Recommended: breadth 2, the best by validation (91.00 %); nothing cheaper comes as close."
    )


def test_half_a_point_is_no_reason_to_pay_more():
    rows = rows_of({1: [0.905, 0.907, 0.906], 2: [0.909, 0.911, 0.910], 3: [0.8, 0.8, 0.8]})
    found = recommend(rows)
    assert found.settings["breadth"] == 1
    assert found.best.settings["breadth"] == 2
    assert [cell.settings["breadth"] for cell in found.alternatives] == [2]
    assert "0.40 points below it, within the margin of 0.50." in found.why
    assert "An epoch of the best takes 2.0 times as long." in found.why
    assert chosen(rows, tolerance=0.0) == 2


def test_one_standard_error_is_no_reason_either():
    # The best scatters by 0.03, so its mean by 0.0173; run by run the difference scatters by less.
    noise = [-0.03, 0.0, 0.03]
    near = rows_of({1: [0.88 + e for e in noise], 2: [0.90 + 0.5 * e for e in noise]})
    assert chosen(near) == 2
    assert chosen(rows_of({1: [0.893, 0.905, 0.887], 2: [0.87, 0.90, 0.93]})) == 1


def test_a_setting_that_fails_in_one_seed_is_not_as_good():
    # One bad run of n makes its mean and the error of its difference the same: only the error of
    # the best tells them apart.
    rows = rows_of({1: [0.99, 0.99, 0.5], 2: [0.99, 0.99, 0.99]})
    assert chosen(rows) == 2


def in_words(rows):
    """The same of learned spans: of hops the smaller number is the cheaper one in any case."""
    return [{**row, "breadth": f"learned:{row['breadth']}"} for row in rows]


def test_costs_within_a_tenth_are_the_same_and_the_smaller_counts():
    val = {breadth: [0.9, 0.9] for breadth in (1, 2, 3)}
    seconds = {1: 0.105, 2: 0.1, 3: 0.2}
    assert chosen(in_words(rows_of(val, seconds_per_epoch=seconds))) == "learned:1"
    for memory, expected in (
        ({1: 90 << 20, 2: 50 << 20, 3: 10 << 20}, "learned:2"),
        ({1: 900 << 10, 2: 8 << 10, 3: 0}, "learned:1"),
        ({1: None, 2: 50 << 20, 3: None}, "learned:1"),
    ):
        rows = rows_of(val, seconds_per_epoch=seconds, peak_memory_bytes=memory)
        assert chosen(in_words(rows)) == expected


def test_test_results_are_not_looked_at():
    rows = rows_of({1: [0.7, 0.7], 2: [0.9, 0.9]})
    assert chosen([{**row, "test": 1 - row["val"]} for row in rows]) == 2


def test_settings_with_fewer_runs_are_left_out_and_it_is_said():
    rows = rows_of({1: [0.99], 2: [0.9, 0.9], 3: [0.95, 0.95]})
    found = recommend(rows)
    assert found.settings["breadth"] == 3
    assert found.why.endswith("1 of 3 settings have fewer runs and were left out.")


def test_one_run_each_is_said():
    found = recommend(rows_of({1: [0.9], 2: [0.8]}))
    assert found.settings["breadth"] == 1
    assert found.why.endswith("One run each does not tell chance from difference.")


def test_words_for_breadth_come_after_numbers():
    rows = rows_of({1: [0.9, 0.9], 2: [0.9, 0.9]})
    for row in rows:
        row |= {"seconds_per_epoch": 0.1, "peak_memory_bytes": 0}
    word = [{**row, "key": row["key"] + "x", "breadth": "full"} for row in rows]
    found = by_cost([*cells(word[:2]), *cells(rows)])
    assert [cell.settings["breadth"] for cell in found] == [1, 2, "full"]


def test_every_dataset_has_its_own():
    rows = rows_of({1: [0.7, 0.7], 2: [0.9, 0.9]})
    other = [
        {**row, "key": row["key"] + "x", "dataset": "cora", "val": 1 - row["val"]} for row in rows
    ]
    found = recommendations([*rows, *other])
    assert [(r.settings["dataset"], r.settings["breadth"]) for r in found] == [
        ("cora", 1),
        ("karate", 2),
    ]
    with pytest.raises(ValueError, match="found finished ones of 2 datasets, expected of one"):
        recommend([*rows, *other])
    with pytest.raises(ValueError, match="of 0 datasets"):
        recommend([])


def test_the_front_of_accuracy_and_cost():
    rows = rows_of(
        {1: [0.7], 2: [0.9], 3: [0.85], 4: [0.95]},
        seconds_per_epoch={1: 1, 2: 2, 3: 3, 4: 4},
        peak_memory_bytes={1: None, 2: 4, 3: 3, 4: 9},
    )
    assert [c.settings["breadth"] for c in pareto(cells(rows))] == [1, 2, 4]
    assert [c.settings["breadth"] for c in pareto(cells(rows), "peak_memory_bytes")] == [3, 2, 4]
    assert pareto([]) == []


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_the_planted_breadth_is_recommended(seeds):
    """Breadth `truth` is needed and more does not help: nine of ten simulated studies find it."""
    source, right = random.Random(seeds), 0
    for number in range(200):
        truth = 1 + number % 4
        shared = [source.gauss(0, 0.02) for _ in range(seeds)]
        val = {
            breadth: [
                0.9 - 0.1 * max(0, truth - breadth) + noise + source.gauss(0, 0.004)
                for noise in shared
            ]
            for breadth in range(1, 5)
        }
        right += chosen(rows_of(val)) == truth
    assert right >= 180


def test_many_settings_alike_are_no_trap():
    """Of eight settings that differ in cost only, the cheapest is taken nearly always."""
    source, right = random.Random(7), 0
    trials = grid(dataset=["karate"], breadth=[1, 2, 3, 4], depth=[1, 2], seeds=5)
    for _ in range(100):
        rows = [row_of(t, 0.9) | {"val": 0.9 + source.gauss(0, 0.004)} for t in trials]
        for row in rows:
            row["seconds_per_epoch"] = 0.1 * row["breadth"] * row["depth"]
        found = recommend(rows).settings
        right += (found["breadth"], found["depth"]) == (1, 1)
    assert right >= 90


def test_more_hops_are_never_cheaper_whatever_the_clock_said():
    values = {breadth: [0.9, 0.91, 0.92] for breadth in (1, 2, 3)}
    rows = rows_of(values, seconds_per_epoch={1: 0.02, 2: 0.01, 3: 0.005})
    assert chosen(rows) == 1
    deeper = [
        row | {"depth": 2, "key": row["key"] + "d", "seconds_per_epoch": 0.001} for row in rows
    ]
    assert chosen([*deeper, *rows]) == 1
    learned = [row | {"breadth": "learned:5", "key": row["key"] + "l"} for row in deeper]
    found = recommend([*learned, *rows])  # words do work of another kind: the clock decides
    assert found.settings["breadth"] == "learned:5"
