"""The report as a text: a function of its rows, with what they have and without what they lack."""

import re
from pathlib import Path

import pytest

from gattn.compare import read_rows
from gattn.compare.html import report_html, write_html

RESULTS = Path(__file__).parents[3] / "docs" / "results"

NEWER = {
    "curve": [[0, 0.7, 0.7, 0.5], [9, 0.4, 0.5, 0.8]],
    "hop_mass": [[0.2, 0.8], None],
    "gate": {"mean": 0.5, "histogram": [0] * 9 + [4]},
    "radius": [[1.25, 2.0], None],
}


def parts(text):
    """The names of the parts of the page."""
    return re.findall(r'<section id="([a-z]+)">', text)


def test_equal_rows_give_equal_pages_in_whatever_order(study):
    assert report_html(study) == report_html([dict(row) for row in study])
    cells = [
        re.findall(r'id="(breadth-[^"]*)"', report_html(rows)) for rows in (study, study[::-1])
    ]
    assert cells[0] == cells[1]


def test_rows_without_the_newer_columns_have_fewer_parts(study):
    usual = ["answer", "cells", "cost", "settings", "repeat", "trials"]
    assert parts(report_html(study)) == usual
    with_all = [{**row, **NEWER, "best_epoch": 9} for row in study]
    assert parts(report_html(with_all)) == [
        *usual[:4],
        *("curves", "hops", "gates", "radii"),
        *usual[4:],
    ]


def test_without_a_finished_row_it_says_so(study):
    rows = [{**row, "status": "failed", "reason": "wild"} for row in study]
    text = report_html(rows)
    assert "No trial is finished" in text
    assert "What failed (12)" in text
    assert parts(text) == ["answer", "cells", "settings", "failures", "repeat", "trials"]


def test_the_last_row_of_a_key_counts(study):
    failed = [{**row, "status": "failed", "reason": "wild"} for row in study]
    assert report_html([*failed, *study]) == report_html(study)


def test_a_row_that_a_budget_cut_is_neither_finished_nor_failed(study):
    cut = {**study[0], "status": "cut", "stopped": "budget", "rung": 1}
    text = report_html([cut, *study[1:]])
    assert "11 of 12 trials finished" in text and "cut: budget" in text
    assert "failures" not in parts(text)


def test_text_of_rows_is_escaped_everywhere(study):
    bad = "</script><b>'\"&"
    rows = [{**row, "options": bad, "score": bad, "device": bad, "torch": bad} for row in study[1:]]
    rows.append({**study[0], "options": bad, "status": "failed", "reason": bad, "cause": bad})
    text = report_html(rows, title=bad)
    assert text.count("<b>'") == 0 and text.count("</script>") == 2


def test_no_rows_are_refused(tmp_path):
    with pytest.raises(ValueError, match="rows: found none, expected at least one trial"):
        write_html([], tmp_path / "r.html")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["demo", "known", "cost", "diffusion"])
def test_old_rows_have_a_report(name, tmp_path):
    rows = read_rows(RESULTS / name / "trials.jsonl")
    path = write_html(rows, tmp_path / "r.html")
    assert path.stat().st_size < 600_000
    assert path.read_text(encoding="utf-8").count('class="cell"') > 1
