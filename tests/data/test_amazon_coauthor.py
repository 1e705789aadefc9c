import shutil

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from gattn.data import DatasetError, load


@pytest.fixture
def small(tmp_path):
    """A file in the published layout: a path of 40 nodes, stored in one direction, with a loop."""
    folder = tmp_path / "CS/raw"
    folder.mkdir(parents=True)
    nodes = 40
    steps = np.eye(nodes, k=1)
    steps[3, 3] = 1
    adjacency, columns = sp.csr_array(steps), sp.csr_array(np.eye(nodes, 3) + 1.0)
    np.savez(
        folder / "ms_academic_cs.npz",
        **{f"adj_{part}": getattr(adjacency, part) for part in ("data", "indices", "indptr")},
        adj_shape=(nodes, nodes),
        **{f"attr_{part}": getattr(columns, part) for part in ("data", "indices", "indptr")},
        attr_shape=(nodes, 3),
        labels=np.arange(nodes) % 2,
    )
    return tmp_path


def test_edges_go_both_ways_without_loops(small):
    task = load("cs", small)
    assert task.edge_index.shape == (2, 2 * 39)
    assert (task.edge_index[0] != task.edge_index[1]).all()
    assert set(task.x.unique().tolist()) == {1.0}
    torch.testing.assert_close(
        load("cs", small, normalize_features=True).x, torch.full((40, 3), 1 / 3)
    )


def test_splits_are_stratified_and_decided_by_the_seed(small):
    task, again, other = (load("cs", small, seed=seed, num_splits=4) for seed in (1, 1, 2))
    assert task.num_splits == 4
    for mask, size in ((task.train_mask, 12), (task.val_mask, 4), (task.test_mask, 4)):
        assert set(mask[task.y == 0].sum(dim=0).tolist()) == {size}
    torch.testing.assert_close(task.train_mask, again.train_mask)
    assert not torch.equal(task.train_mask, other.train_mask)
    assert not torch.equal(task.train_mask[:, 0], task.train_mask[:, 1])


@pytest.mark.parametrize("option", ["seed", "num_splits"])
def test_options_out_of_range_are_named(small, option):
    with pytest.raises(ValueError, match=f"{option}: found -1, expected an integer >= "):
        load("cs", small, **{option: -1})


def test_a_damaged_file_is_one_line(small):
    (small / "CS/raw/ms_academic_cs.npz").write_bytes(b"no archive")
    with pytest.raises(DatasetError, match="CS/raw: found a file that does not load"):
        load("cs", small)


def test_photo_is_what_pyg_loads(real_data, tmp_path):
    from torch_geometric.datasets import Amazon

    raw = "Photo/raw/amazon_electronics_photo.npz"
    (tmp_path / raw).parent.mkdir(parents=True)
    shutil.copy(real_data / raw, tmp_path / raw)
    expected = Amazon(str(tmp_path), "Photo").get(0).to_dict()
    task = load("photo", real_data)
    for part in ("x", "edge_index", "y"):
        torch.testing.assert_close(getattr(task, part), expected[part])
    assert (task.num_nodes, task.num_classes, task.num_splits) == (7650, 8, 10)
