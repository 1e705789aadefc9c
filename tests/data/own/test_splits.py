"""Splits of a file are checked, others drawn."""

import pytest
import torch

from gattn.data import DatasetError, load
from gattn.data.own.splits import stored_masks


@pytest.fixture
def path(tmp_path):
    return tmp_path / "graph.pt"


def saved(path, **changes):
    third = torch.arange(9) % 3
    masks = {f"{part}_mask": third == n for n, part in enumerate(("train", "val", "test"))}
    edges = torch.tensor([[0, 1], [1, 2]])
    stored = {"edge_index": edges, "y": torch.arange(9) % 2, **masks, **changes}
    torch.save({key: value for key, value in stored.items() if value is not None}, path)
    return str(path)


def test_splits_of_the_file_are_taken(path):
    assert load(saved(path)).test_mask[:, 0].nonzero().flatten().tolist() == [2, 5, 8]


def test_one_test_set_serves_all_splits(path):
    many = torch.zeros(9, 4, dtype=torch.bool)
    many[0] = True
    task = load(saved(path, train_mask=many))
    assert task.test_mask.shape == (9, 4)
    assert task.test_mask[:, 3].tolist() == (torch.arange(9) % 3 == 2).tolist()


def test_a_node_in_two_parts_is_refused(path):
    wrong = torch.ones(9, dtype=torch.bool)
    with pytest.raises(DatasetError, match="found 3 nodes in both train and test, expected every"):
        load(saved(path, train_mask=wrong, val_mask=~wrong))


def test_an_empty_part_is_refused(path):
    with pytest.raises(DatasetError, match="found no labelled node for val in split 0, expected"):
        load(saved(path, val_mask=torch.zeros(9, dtype=torch.bool)))


def test_nodes_without_a_label_leave_the_splits(path):
    y = torch.arange(9) % 2
    y[0] = -1
    task = load(saved(path, y=y))
    assert "1 nodes of the splits have no label and are in none" in task.notes
    assert task.train_mask[:, 0].nonzero().flatten().tolist() == [3, 6]


def test_numbers_of_splits_must_agree():
    two, three = torch.ones(5, 2, dtype=torch.bool), torch.ones(5, 3, dtype=torch.bool)
    with pytest.raises(DatasetError, match="splits: 2 of train, 3 of val, 3 of test"):
        stored_masks("file", {"train_mask": two, "val_mask": three, "test_mask": three}, 5)


def test_masks_of_numbers_are_zeros_and_ones():
    ones = torch.ones(5, dtype=torch.uint8)
    masks = {"train_mask": ones, "val_mask": ones * 0, "test_mask": ones * 0}
    assert stored_masks("file", masks, 5)[0].all()
    with pytest.raises(DatasetError, match=r"train_mask: found other values than 0 and 1 \(torch"):
        stored_masks("file", {**masks, "train_mask": ones * 2}, 5)


def test_drawn_splits_have_every_class_in_equal_shares(tmp_path):
    y = torch.arange(100) % 4
    path = tmp_path / "g.pt"
    torch.save({"edge_index": torch.tensor([[0], [1]]), "y": y}, path)
    task = load(str(path))
    assert task.num_splits == 10
    assert "10 splits drawn with the seed 0: 60% train, 20% val, 20% test of every class" in (
        task.notes
    )
    for split in range(10):
        train, val, test = task.split(split)
        assert y[train].bincount().tolist() == [15] * 4
        assert y[val].bincount().tolist() == y[test].bincount().tolist() == [5] * 4
