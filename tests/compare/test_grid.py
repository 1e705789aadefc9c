"""The trials of a study: every combination once, and what no model can have."""

import pytest

from gattn.compare import grid


def test_the_grid_is_every_combination_once():
    found = grid(dataset=["karate"], breadth=[1, 2, 2], depth=[1, 2], seeds=3, first_seed=5)
    assert len(found) == len(set(found)) == 2 * 2 * 3
    assert [t.breadth for t in found] == sorted(t.breadth for t in found)
    assert {t.seed for t in found} == {5, 6, 7}
    parts = grid(dataset=["karate"], score=["dot", "gat"], normalizer=["softmax", "hard"])
    assert {(t.score, t.normalizer) for t in parts} == {
        ("dot", "softmax"),
        ("dot", "hard"),
        ("gat", "softmax"),
        ("gat", "hard"),
    }
    assert [t.model for t in grid(dataset=["karate"], model=["gat", "pyg-gat"])] == [
        "gat",
        "pyg-gat",
    ]


def test_any_setting_is_an_axis_as_a_list():
    found = grid(dataset=["karate"], heads=[1, 4], layers=[1, 2, 3], lr=[0.1, 0.2], hidden=16)
    assert {(t.heads, t.layers, t.lr) for t in found} == {
        (heads, layers, lr) for heads in (1, 4) for layers in (1, 2, 3) for lr in (0.1, 0.2)
    }
    assert {t.hidden for t in found} == {16}
    assert grid(dataset=["karate"], heads=[4]) == grid(dataset=["karate"], heads=4)


def test_options_of_the_dataset_are_one_value():
    (trial,) = grid(dataset=["minesweeper"], options=(("size", 8),))
    assert trial.options == (("size", 8),)


def test_what_no_model_can_have_is_left_out():
    found = grid(dataset=["karate"], breadth=[1, "full", "diffusion"], depth=[1, 2])
    assert [(t.breadth, t.depth) for t in found] == [
        (1, 1),
        (1, 2),
        ("full", 1),
        ("diffusion:6", 1),
    ]


def test_a_value_that_no_trial_would_have_is_refused():
    with pytest.raises(ValueError, match="depth: found 2 for the breadth full"):
        grid(dataset=["karate"], breadth=["full"], depth=[1, 2])
    with pytest.raises(ValueError, match="depth: found 7"):
        grid(dataset=["karate"], depth=[1, 7])
    with pytest.raises(ValueError, match="model: found 'gta'"):
        grid(dataset=["karate"], model=["gat", "gta"])


def test_no_seeds_are_refused():
    with pytest.raises(ValueError, match="seeds: found 0"):
        grid(dataset=["karate"], seeds=0)
