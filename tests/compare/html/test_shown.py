"""Cells as the page shows them: names, anchors, statistics."""

import pytest

from gattn.compare.html.shown import anchor_of, described, group_name, groups, shown


def test_cells_have_their_rows_by_seed_and_their_statistics(study):
    found = shown(study)
    assert [each.name for each in found][:3] == [f"breadth {k}, depth 1" for k in (1, 2, 3)]
    assert [row["seed"] for row in found[0].rows] == [0, 1]
    test = found[0].spread("test")
    assert (test.mean, test.std) == pytest.approx((0.77, 0.02 / 2**0.5))
    # t of one degree of freedom is 12.706
    assert test.high - test.mean == pytest.approx(12.706 * 0.01, rel=1e-3)
    assert found[0].mean("nothing") is None


def test_one_seed_has_a_mean_and_nothing_else(study):
    test = shown([row for row in study if row["seed"] == 0])[0].spread("test")
    assert (test.std, test.low, test.high) == (None, None, None)


def test_an_anchor_depends_on_the_cell_alone(study):
    names = {each.anchor for each in shown(study)}
    assert len(names) == 6
    assert {each.anchor for each in shown(study[:5])} <= names
    settings = shown(study)[0].cell.settings
    assert anchor_of({**settings, "breadth": "learned:5"}).startswith("breadth-learned-5-depth-1-")
    assert anchor_of({**settings, "score": "dot"}) != anchor_of(settings)


def test_groups_are_told_apart_by_what_varies(study):
    others = [{**row, "key": row["key"] + "x", "score": "dot"} for row in study]
    found = shown([*study, *others])
    assert sorted(group_name(group, found) for group in groups(found)) == [
        "score dot",
        "score scaled_dot",
    ]
    alone = shown(study)
    assert group_name(groups(alone)[0], alone) == ""


def test_settings_without_a_value_are_left_out():
    settings = {"dataset": "cora", "options": "", "weight_decay": 0.1, "score": None}
    assert described(settings, settings) == "cora, weight decay 0.1"
