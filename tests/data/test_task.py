import pickle
from dataclasses import replace

import pytest
import torch

from gattn.data import Task


@pytest.fixture
def task() -> Task:
    masks = torch.eye(3, dtype=torch.bool)
    return Task(
        name="triangle",
        x=torch.zeros(3, 2),
        edge_index=torch.tensor([[0, 1, 2], [1, 2, 0]]),
        y=torch.tensor([0, 1, 1]),
        train_mask=masks[:, :2],
        val_mask=masks[[1, 2, 0], :2],
        test_mask=masks[[2, 0, 1], :2],
        metric="accuracy",
        num_classes=2,
    )


def test_sizes_and_splits(task):
    assert (task.num_nodes, task.num_splits) == (3, 2)
    train, val, test = task.split(1)
    assert [mask.nonzero().item() for mask in (train, val, test)] == [1, 0, 2]


@pytest.mark.parametrize("index", [-1, 2])
def test_there_is_no_other_split(task, index):
    with pytest.raises(
        IndexError, match=rf"index: found {index}, expected 0 <= index < num_sp.* 2"
    ):
        task.split(index)


def test_to_moves_every_tensor(task):
    moved = task.to("meta")
    assert {moved.x.device.type, moved.y.device.type, moved.test_mask.device.type} == {"meta"}
    assert moved.name == task.name


def test_pickles(task):
    copy = pickle.loads(pickle.dumps(task))
    torch.testing.assert_close(copy.edge_index, task.edge_index)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"x": torch.zeros(3)},
            r"x: found torch.float32 \[3\], expected torch.float32 \[any, any\]",
        ),
        ({"x": torch.zeros(3, 2).double()}, "x: found torch.float64"),
        ({"edge_index": torch.zeros(3, 2).long()}, r"edge_index: found .* expected .* \[2, any\]"),
        ({"edge_index": torch.full((2, 1), 3)}, "edge_index: found 3, .* < num_nodes = 3"),
        ({"edge_index": torch.full((2, 1), -1)}, "edge_index: found -1, expected 0 <= "),
        ({"y": torch.tensor([0, 1, 2])}, "y: found 2, expected 0 <= value < num_classes = 2"),
        ({"y": torch.tensor([0, 1])}, r"y: found torch.int64 \[2\], expected torch.int64 \[3\]"),
        (
            {"val_mask": torch.ones(3, dtype=torch.bool)},
            r"val_mask: .* expected torch.bool \[3, 2\]",
        ),
    ],
)
def test_what_does_not_fit_is_named(task, change, message):
    with pytest.raises(ValueError, match=message):
        replace(task, **change)
