"""What the generated tasks have in common; each has a file of its own for its answer."""

import inspect

import pytest
import torch

from gattn.data import _WITHOUT_FILES, load

NAMES = sorted(set(_WITHOUT_FILES) - {"karate", "minesweeper", "shell-majority"})
TENSORS = ("x", "edge_index", "y", "train_mask", "val_mask", "test_mask")

# Nodes, edges, features, classes, splits, and the nodes of the first split's parts.
DEFAULTS = {
    "far-heterophily": (2000, 8000, 4, 4, 10, (1002, 499, 499)),
    "dictionary-lookup": (10000, 50000, 21, 10, 1, (3760, 620, 620)),
    "tree-neighbors-match": (30000, 28000, 18, 9, 1, (1600, 1600, 400)),
    "keyed-shell-lookup": (2000, 6000, 132, 4, 10, (1001, 499, 500)),
    "max-retrieval": (149500, 148000, 12, 10, 1, (1000, 250, 250)),
    "inner-lookup": (2000, 8000, 20, 4, 10, (1001, 499, 500)),
    "cluster-lookup": (2560, 17920, 37, 4, 10, (1280, 640, 640)),
}


def parts(task) -> torch.Tensor:
    return torch.stack([task.train_mask, task.val_mask, task.test_mask])


@pytest.mark.parametrize("name", NAMES)
def test_sizes_at_the_defaults(name):
    task = load(name)
    nodes, features = task.x.shape
    sizes = tuple(parts(task)[:, :, 0].sum(dim=1).tolist())
    edges, classes, splits = task.edge_index.shape[1], task.num_classes, task.num_splits
    assert (nodes, edges, features, classes, splits, sizes) == DEFAULTS[name]
    assert (task.name, task.metric) == (name, "accuracy")


@pytest.mark.parametrize("name", NAMES)
def test_the_seed_decides_everything(name):
    state = torch.get_rng_state()
    same, again, other = load(name, seed=3), load(name, seed=3), load(name, seed=4)
    for part in TENSORS:
        assert torch.equal(getattr(same, part), getattr(again, part)), part
    assert not torch.equal(same.x, other.x)
    assert not torch.equal(same.y, other.y)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", NAMES)
def test_a_node_is_in_one_part_and_without_a_label_in_none(name):
    task = load(name)
    masks = parts(task)
    if name == "tree-neighbors-match":
        assert torch.equal(masks[0], masks[1])
        masks = masks[[0, 2]]
    assert masks.sum(dim=0).max() == 1
    unlabelled = masks.any(dim=0).logical_not().all(dim=1)
    assert (task.y[unlabelled] == 0).all()
    # Who has a label has it in every split.
    assert masks.any(dim=0)[~unlabelled].all()


@pytest.mark.parametrize("name", NAMES)
def test_features_are_zeros_and_ones_but_for_a_priority(name):
    x = load(name).x
    codes = x[:, 1:] if name == "max-retrieval" else x
    assert set(codes.unique().tolist()) == {0.0, 1.0}


SMALL = [
    (name, option)
    for name in NAMES
    for option in inspect.signature(_WITHOUT_FILES[name]).parameters
]


@pytest.mark.parametrize(("name", "option"), SMALL)
def test_a_number_that_is_too_small_is_one_line(name, option):
    with pytest.raises(ValueError, match=rf"^{option}: found -1, expected an integer >= \d+$"):
        load(name, **{option: -1})
    with pytest.raises(TypeError, match=rf"^{option}: found 2.5, expected an integer >= \d+$"):
        load(name, **{option: 2.5})
