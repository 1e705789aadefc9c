"""Tables and the figure of published results say what the rows say."""

import statistics
from dataclasses import replace

import matplotlib.image
import pytest

from gattn.compare.published import Study
from gattn.compare.published.table import chosen_table, draw, table
from gattn.compare.statistics import interval
from tests.compare.published.test_line import FIXED, SEARCHED, row_of

STUDY = Study("Who?", (FIXED, SEARCHED))


def lines(text):
    return [line.strip("| ").split(" | ") for line in text.splitlines()]


def test_a_table_without_rows_is_one_of_dashes():
    _, _, fixed, searched = lines(table(STUDY, []))
    assert fixed[:5] == ["karate", "fixed", "0", "-", "-"]
    assert fixed[5:8] == ["80.0 ± 1.0 (somebody)", "79.0", "-"]
    assert searched[5] == "80.0"


def test_a_table_has_means_spreads_and_minutes():
    rows = [
        row_of(t, 0.5, test) for t, test in zip(FIXED.final([]), (0.79, 0.8, 0.84), strict=True)
    ]
    _, _, fixed, _ = lines(table(STUDY, rows))
    _, _, low, high = interval([79.0, 80.0, 84.0])
    spread = statistics.stdev([79.0, 80.0, 84.0])
    assert fixed[2:5] == ["3", f"81.00 ± {spread:.2f}", f"{low:.2f} to {high:.2f}"]
    assert fixed[7:] == ["yes", "-", "0.3"]


@pytest.mark.parametrize(("least", "said"), [(79.0, "yes"), (80.0, "yes"), (80.1, "no")])
def test_what_is_reached_is_the_mean(least, said):
    line = replace(FIXED, least=least)
    rows = [row_of(trial, 0.5, 0.8) for trial in line.final([])]
    assert lines(table(Study("Who?", (line,)), rows))[2][7] == said


def test_a_line_may_count_another_column():
    line = replace(FIXED, result="val")
    rows = [row_of(trial, 0.9, 0.1) for trial in line.final([])]
    assert lines(table(Study("Who?", (line,)), rows))[2][3] == "90.00 ± 0.00"


def test_further_columns_stand_beside():
    rows = [row_of(trial, 0.9, 0.1) for trial in FIXED.final([])]
    head, _, found = lines(table(Study("Who?", (FIXED,), {"val": "seen"}), rows))
    assert head[-1] == "seen (%)" and found[-1] == "90.00 ± 0.00"


def test_one_run_has_no_spread():
    rows = [row_of(FIXED.final([])[0], 0.5, 0.8)]
    assert lines(table(STUDY, rows))[2][3:5] == ["80.00", "-"]


def test_what_was_chosen_is_said():
    assert chosen_table(Study("Who?", (FIXED,)), []) == ""
    assert lines(chosen_table(STUDY, []))[2][2:] == ["3", "2", "-", "-"]
    rows = [row_of(t, 0.7 + 0.01 * k) for k, ts in enumerate(SEARCHED.candidates()) for t in ts]
    *_, best, said = lines(chosen_table(STUDY, rows))[2]
    settings = SEARCHED.search.drawn()[-1]
    assert best == "72.00" and said == f"hidden {settings['hidden']}, lr {settings['lr']}"


def test_the_figure_is_drawn(tmp_path):
    rows = [row_of(trial, 0.5, 0.8) for trial in FIXED.final([])]
    path = draw({"one": (STUDY, rows), "two": (Study("?", (FIXED,)), rows[:1])}, tmp_path / "f.png")
    assert matplotlib.image.imread(path).shape[2] == 4
