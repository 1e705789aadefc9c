"""Intervals and tests against numbers worked out by hand, and against simulation."""

import math
import random

import pytest
from scipy import stats

from gattn.compare import cells, compare_to_best, holm, interval, paired_test, verdicts
from gattn.compare.statistics import p_text


def test_an_interval_by_hand():
    # 1, 2, 3: deviation 1, standard error 1 / sqrt(3), t(2) = 4.302653 at 97.5 %.
    mean, std, low, high = interval([1, 2, 3])
    assert (mean, std) == (2, 1)
    assert (low, high) == pytest.approx((2 - 4.302653 / 3**0.5, 2 + 4.302653 / 3**0.5))


def test_one_value_has_a_mean_and_no_interval():
    found = interval([0.5])
    assert found.mean == 0.5
    assert all(map(math.isnan, found[1:]))
    with pytest.raises(ValueError, match="values: found none"):
        interval([])


def test_95_of_100_intervals_cover_the_mean():
    source = random.Random(0)
    drawn = [interval([source.gauss(3, 2) for _ in range(4)]) for _ in range(2000)]
    assert sum(found.low < 3 < found.high for found in drawn) / 2000 == pytest.approx(
        0.95, abs=0.02
    )


def test_a_paired_difference_by_hand():
    # Differences 1, 2, 3 once more; t = 2 sqrt(3), two-sided p with 2 degrees of freedom.
    found = paired_test([2, 4, 6], [1, 2, 3])
    assert (found.runs, found.difference, found.error) == (3, 2, pytest.approx(3**-0.5))
    assert found.p_value == pytest.approx(0.0741799)
    assert found.hidden == pytest.approx(4.302653 / 3**0.5)
    assert found.effect == 2
    assert found.effect_low < 0 < found.effect < found.effect_high


def test_the_interval_of_an_effect_is_that_of_the_noncentral_t():
    for values in ([0.1, 0.4, 0.2, 0.5, -0.1], [1, 3, 2, 5, 1, 0, -2, 1, 3, 1]):
        found = paired_test(values, [0.0] * len(values))
        t, freedom = found.effect * len(values) ** 0.5, len(values) - 1
        for bound, probability in ((found.effect_low, 0.975), (found.effect_high, 0.025)):
            away = bound * len(values) ** 0.5
            assert stats.nct.cdf(t, freedom, away) == pytest.approx(probability, abs=1e-3)


def test_two_runs_far_apart_have_an_interval_all_the_same():
    found = paired_test([0.5, 0.5 + 1e-9], [0.1, 0.1])
    assert found.effect_low < found.effect < found.effect_high < math.inf


def test_results_that_never_differ():
    same = paired_test([0.5, 0.6], [0.5, 0.6])
    assert (same.difference, same.p_value, same.effect, same.hidden) == (0, 1, 0, 0)
    shifted = paired_test([1, 2], [0, 1])
    assert (shifted.p_value, shifted.effect) == (0.5, math.inf)


def test_unequal_runs_are_refused():
    with pytest.raises(ValueError, match="runs: found 2 and 1 results"):
        paired_test([1, 2], [1])
    with pytest.raises(ValueError, match="found 1 and 1 results, expected as many, two or more"):
        paired_test([1], [1])


def test_holm_by_hand():
    # Sorted: 0.01 x 4, 0.02 x 3, 0.03 x 2, 0.2 x 1; none below the one before.
    assert holm([0.03, 0.01, 0.2, 0.02]) == pytest.approx([0.06, 0.04, 0.2, 0.06])
    assert holm([0.9, 0.8]) == [1, 1]
    assert holm([]) == []


def test_holm_keeps_false_finds_below_the_level():
    source = random.Random(1)

    def family():
        tests = [[source.gauss(0, 1) for _ in range(5)] for _ in range(8)]
        return holm([float(stats.ttest_1samp(values, 0).pvalue) for values in tests])

    assert sum(min(family()) < 0.05 for _ in range(400)) / 400 < 0.08


def test_the_best_by_validation_is_compared_with_the_others(study):
    found = compare_to_best(cells(study))
    assert [(item.cell.settings["breadth"], item.cell.settings["depth"]) for item in found] == [
        (1, 1),
        (2, 1),
        (3, 1),
        (1, 2),
        (2, 2),
    ]
    assert all(item.best.settings["breadth"] == 3 for item in found)
    assert found[0].paired.difference == pytest.approx(-0.12)
    assert found[0].name == "breadth 1, depth 1"


def test_the_other_column_can_be_compared(study):
    for row in study:
        row["val"] = row["test"] - 0.1 * (row["breadth"] == 1)
    first = compare_to_best(cells(study), "val")[0]
    assert first.paired.difference == pytest.approx(-0.22)


def test_every_dataset_has_a_best_of_its_own(study):
    other = [{**row, "key": row["key"] + "x", "dataset": "karate"} for row in study]
    found = compare_to_best(cells([*study, *other]))
    assert {item.best.settings["dataset"] for item in found} == {"minesweeper", "karate"}
    assert len(found) == 10


def noisy(study, seeds):
    """A study over more seeds, with noise that all settings share and some of their own."""
    source, rows = random.Random(2), []
    shared = [source.gauss(0, 0.05) for _ in range(seeds)]
    for row in (row for row in study if row["seed"] == 0):
        for seed in range(seeds):
            test = row["test"] + shared[seed] + source.gauss(0, 0.004)
            changes = {"seed": seed, "split": seed, "test": test, "val": test}
            rows.append({**row, "key": f"{row['key']}{seed}", **changes})
    return rows


def test_noise_that_seeds_share_is_taken_out(study):
    found = compare_to_best(cells(noisy(study, 6)))
    assert all(item.found for item in found)
    (said,) = verdicts(found)
    assert said.startswith("Found worse than the best by validation: breadth 1, depth 1 (-12.")
    assert "worse than the best (" in found[0].sentence()


def test_no_difference_is_said_plainly_with_what_could_hide(study):
    for row in study:
        row["test"] = 0.7 + 0.01 * row["seed"] * row["breadth"]
    found = compare_to_best(cells(study))
    assert not any(item.found for item in found)
    said = found[0].sentence()
    assert said.startswith("breadth 1, depth 1: no difference found (-1.00 points, 95 % interval")
    assert said.endswith("one of less than 12.71 points could have been hidden.")
    (together,) = verdicts(found)
    assert together.startswith("No difference found between the best by validation and: breadth 1")
    assert "could have been hidden" in together


def test_one_run_in_common_is_no_test(study):
    rows = [row for row in study if row["breadth"] != 1 or row["seed"] == 0]
    found = compare_to_best(cells(rows))
    assert found[0].paired is None and not found[0].found
    assert "no test" in found[0].sentence()
    expected = (
        "Not tested, for fewer than two runs in common: breadth 1, depth 1; breadth 1, depth 2."
    )
    assert verdicts(found)[-1] == expected


def test_runs_are_paired_by_split_too(study):
    rows = [{**row, "split": row["seed"] + (row["breadth"] == 1)} for row in study]
    assert compare_to_best(cells(rows))[0].paired is None


def test_nothing_finished_is_nothing_compared(study):
    assert compare_to_best([]) == []
    failed = [{**row, "status": "failed", "reason": "wild"} for row in study]
    assert compare_to_best(cells(failed)) == []


@pytest.mark.parametrize(
    ("value", "text"), [(1, "= 1.00"), (0.049, "= 0.05"), (0.0042, "= 0.004"), (1e-5, "< 0.001")]
)
def test_p_values_as_one_writes_them(value, text):
    assert p_text(value) == text


def test_differences_that_do_not_vary_are_judged_by_their_signs():
    for first, second in (([0.7, 0.8, 0.9], [0.6, 0.7, 0.8]), ([0.81, 0.82], [0.80, 0.81])):
        found = paired_test(first, second)
        assert found.p_value == 2.0 ** (1 - len(first)) and found.effect == math.inf
    assert paired_test([0.7, 0.8], [0.7, 0.8]).p_value == 1.0
