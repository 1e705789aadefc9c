"""Budgets with a clock that the test turns: who is cut, what begins, what is said."""

import pytest

from gattn.compare import Budget, grid, seconds_of
from gattn.compare.budget import Times, budget_sentences, cut_rows, setting_of
from tests.compare.conftest import row_of


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def trials(breadths=(1, 2, 3, 4, 5, 6, 7, 8), seeds=4):
    return grid(dataset=["karate"], breadth=breadths, seeds=seeds)


def run(todo, budget, clock, seconds, rows=None):
    """Run a study on the clock: what is run, rung by rung. A broader setting is better."""
    rows, ran = {} if rows is None else rows, []
    for rung, batch in budget.rungs(todo, rows):
        for trial in batch:
            if trial.key() not in rows and budget.allows(trial, rows):
                clock.now += seconds
                row = row_of(trial, trial.breadth / 10)
                rows[trial.key()] = {**row, "wall_seconds": seconds, "rung": rung}
                ran.append((rung, trial.breadth, trial.seed))
    return ran, rows


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30m", 1800), ("1.5h", 5400), ("1h30m", 5400)]
)
def test_times_in_words(text, seconds):
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "m", "1d", "5 m", "-5m", "0s", "1h 3m"])
def test_no_times(text):
    with pytest.raises(ValueError, match=r"budget: found .*, expected a time such as 90s"):
        seconds_of(text)


def test_what_fits_is_run_whole(clock):
    ran, _ = run(trials(), Budget(33, clock=clock), clock, 1)
    assert len(ran) == 32
    assert [rung for rung, _, _ in ran] == [0] * 8 + [1] * 24


def test_settings_are_halved_where_it_does_not(clock):
    ran, _ = run(trials(), Budget(19, clock=clock), clock, 1)
    # 8 first seeds; 4 settings to two seeds; then 2 settings to four, which is what is left.
    assert [(rung, breadth) for rung, breadth, _ in ran] == [
        *((0, breadth) for breadth in range(1, 9)),
        *((1, breadth) for breadth in (5, 6, 7, 8)),
        *((2, breadth) for breadth in (7, 7, 8, 8)),
    ]


def test_nobody_is_cut_once_the_rest_fits(clock):
    ran, _ = run(trials(), Budget(24, clock=clock), clock, 1)
    assert sum(breadth >= 5 for _, breadth, _ in ran) == 4 * 4
    assert len(ran) == 20


def test_nothing_begins_that_would_end_too_late(clock):
    ran, _ = run(trials((1, 2), 3), Budget(5.5, clock=clock), clock, 2)
    assert len(ran) == 2
    clock.now = 200
    assert run(trials((1, 2), 3), Budget(1e-9, clock=clock), clock, 2)[0] == [(0, 1, 0)]


def test_jobs_share_the_time(clock):
    budget = Budget(10, jobs=2, clock=clock)
    todo = trials((1, 2), 8)
    rows = {todo[0].key(): {**row_of(todo[0], 0.5), "wall_seconds": 1.0}}
    assert budget.fits(todo, rows)
    assert not Budget(10, clock=clock).fits(todo, rows)


def test_finished_trials_cost_nothing_and_count(clock):
    _, rows = run(trials(seeds=1), Budget(100, clock=clock), clock, 1)
    ran, _ = run(trials(), Budget(11, clock=clock), clock, 1, rows)
    assert [breadth for _, breadth, _ in ran] == [5, 6, 7, 8, 7, 7, 8, 8]


def test_a_setting_that_failed_is_cut_first(clock):
    todo = trials((1, 2, 3, 4), 4)
    rows = {}
    for trial in todo[::4]:
        failed = {**trial.row(), "status": "failed", "reason": "", "metric": "accuracy"}
        done = {**row_of(trial, trial.breadth / 10), "wall_seconds": 1.0}
        rows[trial.key()] = failed if trial.breadth == 4 else done
    rungs = Budget(6, clock=clock).rungs(todo, rows)
    next(rungs)
    assert {trial.breadth for trial in next(rungs)[1]} == {2, 3}


def test_datasets_are_halved_apart(clock):
    todo = grid(dataset=["karate", "minesweeper"], breadth=[1, 2, 3, 4], seeds=4)
    ran, _ = run(todo, Budget(16, clock=clock), clock, 1)
    rungs = {rung for rung, _, _ in ran}
    assert rungs == {0, 1, 2}
    assert sum(rung == 1 for rung, _, _ in ran) == 4


def test_times_are_known_from_what_is_most_alike():
    one, two = trials((1, 2), 2)[::2]
    times = Times([{**row_of(one, 0.5), "wall_seconds": 3.0}])
    assert times.of(one) == times.of(two) == 3
    deeper = grid(dataset=["karate"], breadth=[2], depth=[2])[0]
    times = Times(
        [
            {**row_of(one, 0.5), "wall_seconds": 3.0},
            {**row_of(two, 0.5), "wall_seconds": 5.0},
        ]
    )
    assert times.of(deeper) == 5
    assert Times([row_of(one, 0.5)]).of(one) == 10, "rows older than wall_seconds have seconds"
    assert Times([]).of(one) is None


def test_what_was_not_run_is_a_row_and_a_sentence(clock):
    todo = trials()
    _, rows = run(todo, Budget(19, clock=clock), clock, 1)
    cut = cut_rows(todo, rows)
    assert len(cut) == 32 - 16
    assert {row["status"] for row in cut} == {"cut"}
    assert cut[0]["reason"] == "the budget ended after 1 of 4 seeds"
    assert cut[0]["stopped"] == "budget"
    assert budget_sentences([*rows.values(), *cut]) == [
        "Budget: 6 of 8 settings were cut, 4 after 1 seed, 2 after 2 seeds."
    ]
    assert budget_sentences(list(rows.values())) == []


def test_a_failed_trial_is_not_cut():
    todo = trials((1,), 2)
    failed = {**todo[0].row(), "status": "failed", "reason": "wild"}
    (row,) = cut_rows(todo, {failed["key"]: failed})
    assert row["seed"] == 1


def test_a_setting_is_all_but_the_seed():
    assert len({setting_of(trial) for trial in trials((1, 2), 3)}) == 2
