"""What is said about a study follows from its rows, whichever way they go."""

from gattn.compare import read_rows, sentences, write_report


def said(rows, reference=()):
    return "\n".join(sentences(rows, reference))


def test_a_rise_is_called_a_rise(study):
    text = said(study)
    assert "Depth 1: test ROC AUC by breadth is 77.0 at 1, 82.0 at 2, 87.0 at 3" in text
    assert "it rises at every step, +10.0 points from first to last, more than the spread" in text
    assert "An epoch at breadth 3 takes 3.0 times as long as at breadth 1." in text
    assert "Breadth 1: depth 2 against depth 1 is +2.0 points, more than the spread" in text
    assert "Chosen by validation: breadth 3, depth 2, test ROC AUC 89.0." in text


def test_a_fall_is_called_a_fall(study):
    rows = [{**row, "test": 1 - row["test"], "val": 1 - row["val"]} for row in study]
    text = said(rows)
    assert "it falls at every step, -10.0 points from first to last" in text
    assert "Chosen by validation: breadth 1, depth 1, test ROC AUC 23.0." in text


def test_no_direction_and_no_spread_are_said(study):
    rows = [{**row, "test": 0.7 + 0.01 * (row["breadth"] == 2)} for row in study if not row["seed"]]
    text = said(rows)
    assert "it does not move in one direction, +0.0 points from first to last" in text
    assert "with one seed, so without a spread to compare it with" in text


def test_a_small_change_is_no_more_than_the_spread(study):
    rows = [{**row, "test": 0.7 + 0.002 * row["breadth"] + 0.03 * row["seed"]} for row in study]
    assert "no more than the spread over seeds (2.1; 2 seeds are few to judge by)" in said(rows)


def test_the_reference_is_compared_within_reach(study, reference):
    text = said(study, reference)
    assert "It sees 6 hops far (2 x 3)." in text
    assert "reaches 94.0 within 5; the model is 5.0 points below that." in text
    assert "Belief" not in said(study)


def test_several_models_are_told_apart(study):
    others = [{**row, "key": row["key"] + "x", "model": "gat", "score": None} for row in study]
    text = said([*study, *others])
    assert "attention, scaled_dot: Depth 1" in text
    assert "gat, None: Depth 1" in text


def test_failed_rows_and_no_rows_say_nothing(study):
    assert sentences([{**row, "status": "failed", "reason": "wild"} for row in study]) == []
    assert sentences([]) == []


def test_the_report_is_written_where_it_is_asked_for(study, reference, tmp_path):
    lines, written = write_report(study, tmp_path, reference)
    figures = [
        f"{name}{end}" for name in ("heatmap", "pareto", "reach") for end in (".png", ".svg")
    ]
    expected = sorted([*figures, "report.html", "table.md"])
    assert sorted(path.name for path in tmp_path.iterdir()) == expected
    assert sorted(path.name for path in written) == expected
    page = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert all(f"- {line}\n" in page for line in lines)
    assert "| breadth |" in page


def test_a_study_where_all_failed_has_a_table_and_no_figures(study, tmp_path):
    rows = [{**row, "status": "failed", "reason": "wild"} for row in study]
    _, written = write_report(rows, tmp_path)
    assert [path.name for path in written] == ["table.md", "report.html"]
    assert read_rows(tmp_path / "trials.jsonl") == []
