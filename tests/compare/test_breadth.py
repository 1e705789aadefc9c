"""How far a node looks, in words: what is understood, and that every model of a word trains."""

import pytest
import torch

from gattn.compare import Trial, grid, run_trial
from gattn.compare.breadth import breadth_of, hops_of, kind_of, ordered, reach_of
from gattn.compare.trial import build_structure, load_task


@pytest.mark.parametrize(
    ("given", "meant", "kind", "hops", "reach"),
    [
        (2, 2, "hops", 2, 2),
        ("0", 0, "hops", 0, 0),
        ("learned", "learned:5", "learned", 5, 5),
        ("learned:03", "learned:3", "learned", 3, 3),
        ("diffusion", "diffusion:6", "diffusion", 6, 6),
        ("full", "full", "full", None, None),
        ("full:2", "full:2", "full", 2, None),
    ],
)
def test_what_is_understood(given, meant, kind, hops, reach):
    found = breadth_of(given)
    assert (found, kind_of(found), hops_of(found), reach_of(found)) == (meant, kind, hops, reach)


@pytest.mark.parametrize("given", ["far", "learned:", "learned:0", "full:-1", "-1", "1.5", ""])
def test_what_is_not_understood_is_named(given):
    with pytest.raises(ValueError, match=rf"breadth: found '{given}', expected a number of hops"):
        breadth_of(given)


def test_from_near_to_far():
    given = ["full:2", "full", "learned:5", 10, "diffusion:6", 2, "learned:3", 2]
    assert ordered(given) == [2, 10, "learned:3", "learned:5", "diffusion:6", "full", "full:2"]


@pytest.mark.parametrize("model", ["attention", "layer"])
@pytest.mark.parametrize(
    ("breadth", "depth"),
    [("learned:2", 1), ("learned:2", 2), ("diffusion:3", 1), ("full", 1), ("full:2", 2)],
)
def test_every_word_trains(model, breadth, depth):
    trial = Trial.of("karate", model, breadth=breadth, depth=depth, hidden=8, heads=2, epochs=3)
    row = run_trial(trial, load_task(trial))
    assert (row["status"], row["breadth"]) == ("ok", breadth)


def test_the_whole_graph_with_and_without_distances():
    trial = Trial.of("karate", breadth="full")
    task = load_task(trial)
    assert build_structure(trial, task).num_pairs == task.num_nodes**2
    told_apart = build_structure(Trial.of("karate", breadth="full:1"), task)
    edges = task.edge_index.size(1)
    counts = torch.bincount(told_apart.hop.long()).tolist()
    assert counts == [task.num_nodes, edges, task.num_nodes**2 - task.num_nodes - edges]


def test_a_word_that_a_model_has_not():
    with pytest.raises(ValueError, match="breadth: found learned:5 for the model gat, expected a"):
        Trial.of("karate", "gat", breadth="learned")
    with pytest.raises(ValueError, match="depth: found 2 for the breadth full, expected 1"):
        Trial.of("karate", breadth="full", depth=2)


def test_a_word_and_its_usual_number_are_one_trial():
    assert len(grid(dataset=["karate"], breadth=["learned", "learned:5"])) == 1
    assert Trial.of("karate", breadth="diffusion").restart == 0.1
