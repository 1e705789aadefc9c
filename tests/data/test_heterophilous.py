import shutil

import numpy as np
import pytest
import torch

from gattn.data import DatasetError, load


@pytest.fixture
def small(tmp_path):
    """A file in the published layout, with five nodes and two splits."""
    folder = tmp_path / "tolokers/raw"
    folder.mkdir(parents=True)
    masks = np.zeros((2, 5), bool)
    masks[0, 0] = masks[1, 1] = True
    np.savez(
        folder / "tolokers.npz",
        node_features=np.arange(10, dtype=np.float64).reshape(5, 2),
        node_labels=np.array([0, 1, 1, 0, 1], dtype=np.int32),
        edges=np.array([[0, 1], [1, 2], [4, 3]]),
        train_masks=masks,
        val_masks=np.roll(masks, 1, axis=1),
        test_masks=np.roll(masks, 2, axis=1),
    )
    return tmp_path


def test_edges_go_both_ways_and_masks_stand_in_columns(small):
    task = load("tolokers", small)
    assert task.edge_index.tolist() == [[0, 1, 1, 2, 3, 4], [1, 0, 2, 1, 4, 3]]
    assert task.train_mask.nonzero().tolist() == [[0, 0], [1, 1]]
    assert task.test_mask.nonzero().tolist() == [[2, 0], [3, 1]]
    assert (task.metric, task.num_classes) == ("roc_auc", 2)
    assert task.x[4].tolist() == [8.0, 9.0]


def test_a_damaged_file_is_one_line(small):
    (small / "tolokers/raw/tolokers.npz").write_bytes(b"PK\x03\x04 damaged")
    with pytest.raises(DatasetError, match="tolokers/raw: found a file that does not load"):
        load("tolokers", small)


def test_a_file_with_a_missing_array_is_one_line(small):
    np.savez(small / "tolokers/raw/tolokers.npz", edges=np.zeros((0, 2)))
    with pytest.raises(DatasetError, match=r"does not load .*node_features"):
        load("tolokers", small)


def test_the_published_minesweeper_is_what_pyg_loads(real_data, tmp_path):
    from torch_geometric.datasets import HeterophilousGraphDataset

    raw = "minesweeper/raw/minesweeper.npz"
    (tmp_path / raw).parent.mkdir(parents=True)
    shutil.copy(real_data / raw, tmp_path / raw)
    expected = HeterophilousGraphDataset(str(tmp_path), "Minesweeper").get(0).to_dict()
    task = load("minesweeper-file", real_data)
    for part in ("x", "edge_index", "y", "train_mask", "val_mask", "test_mask"):
        torch.testing.assert_close(getattr(task, part), expected[part])


def test_chameleon_filtered(real_data):
    task = load("chameleon-filtered", real_data)
    assert (task.num_nodes, task.edge_index.shape[1], task.x.shape[1]) == (890, 17708, 2325)
    assert (task.num_classes, task.num_splits, task.metric) == (5, 10, "accuracy")
    assert ((task.train_mask.int() + task.val_mask.int() + task.test_mask.int()) == 1).all()
    both = {tuple(pair) for pair in task.edge_index.t().tolist()}
    assert both == {(target, source) for source, target in both}


def test_squirrel_filtered_says_where_its_file_is_and_goes(tmp_path):
    with pytest.raises(DatasetError) as caught:
        load("squirrel-filtered", tmp_path, download=False)
    message = str(caught.value)
    assert f"squirrel_filtered/raw/squirrel_filtered.npz under {tmp_path}" in message
    assert "https://github.com/yandex-research/heterophilous-graphs/raw/main/data" in message
