"""numpy's files, in the layouts that are about."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from gattn.data import DatasetError, load

Y = np.arange(12) % 2
EDGES = np.array([[0, 1], [1, 2], [2, 3], [3, 4], [4, 5]])
X = np.arange(24.0).reshape(12, 2)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "graph.npz"


def read(path, **arrays):
    np.savez(path, **arrays)
    return load(str(path), num_splits=1)


def test_edge_index_keeps_its_directions(path):
    task = read(path, edge_index=EDGES.T, x=X, y=Y)
    assert torch.equal(task.edge_index, torch.from_numpy(EDGES.T.copy()))
    assert torch.equal(task.x, torch.from_numpy(X).float())


def test_a_list_of_edges_means_both_directions(path):
    task = read(path, edges=EDGES, node_features=X, node_labels=Y)
    assert task.edge_index.size(1) == 10


def test_masks_are_rows_or_columns(path):
    parts = {p: np.arange(12) % 3 == i for i, p in enumerate(("train", "val", "test"))}
    rows = {f"{part}_masks": np.stack([mask] * 4) for part, mask in parts.items()}
    columns = {f"{part}_mask": np.stack([mask] * 4, axis=1) for part, mask in parts.items()}
    for masks in (rows, columns):
        np.savez(path, edges=EDGES, y=Y, **masks)
        assert load(str(path)).train_mask.shape == (12, 4)
        assert load(str(path)).train_mask[:, 2].tolist() == parts["train"].tolist()


def test_compressed_rows_of_edges_and_features(path):
    around = sp.csr_array((np.ones(5), EDGES.T), shape=(12, 12))
    attributes = sp.csr_array(X)
    parts = {}
    for name, matrix in (("adj", around), ("attr", attributes)):
        parts |= {f"{name}_{k}": getattr(matrix, k) for k in ("data", "indices", "indptr", "shape")}
    task = read(path, labels=Y, **parts)
    assert torch.equal(task.x, torch.from_numpy(X).float())
    assert task.edge_index.size(1) == 10
    with pytest.raises(DatasetError, match=r"graph\.npz: found no adj_shape, expected all of adj_"):
        read(path, labels=Y, **{k: v for k, v in parts.items() if k != "adj_shape"})
    with pytest.raises(DatasetError, match="adj_indices: found 12, expected 0 <= column < 12"):
        read(path, labels=Y, **{**parts, "adj_indices": parts["adj_indices"] + 7})
    with pytest.raises(
        DatasetError, match="adj_indptr: found rows that do not fit, expected 12 row"
    ):
        read(path, labels=Y, **{**parts, "adj_indptr": parts["adj_indptr"][:-1]})


def test_the_keys_that_are_there_are_listed(path):
    with pytest.raises(
        DatasetError, match="found the keys x, z, expected labels under y or labels"
    ):
        read(path, x=X, z=Y)
    with pytest.raises(
        DatasetError, match="found the keys x, y, expected edges under edge_index or"
    ):
        read(path, x=X, y=Y)


def test_python_objects_are_refused(path):
    with pytest.raises(DatasetError, match=r"npz: y: found Python objects, which are a pickle"):
        read(path, edges=EDGES, y=np.array(["a", None, 3], dtype=object))


def test_one_array_is_no_graph(path):
    with path.open("wb") as file:
        np.save(file, EDGES)
    with pytest.raises(DatasetError, match="found one array, expected arrays of numbers"):
        load(str(path))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"y": Y.astype(float)}, "y: found the dtype torch.float64, expected integers"),
        ({"y": np.eye(12)}, r"y: found the shape \[12, 12\], expected \[nodes\]"),
        ({"y": Y[:0]}, "y: found no nodes"),
        ({"x": X[:11]}, r"x: found the shape \[11, 2\], expected \[12, features\]"),
        ({"x": np.full((12, 2), np.nan)}, "x: found nan in row 0, column 0, expected finite"),
        ({"x": X * 1e300}, "x: found inf in row 0, column 1"),
        ({"edges": EDGES + 7}, "edges: found the node 12, expected 0 <= node < 12"),
        ({"edges": EDGES - 1}, "edges: found the node -1"),
        ({"edges": EDGES.astype(float)}, "edges: found a tensor of torch.float64"),
        ({"edges": np.ones((3, 3), int)}, r"edges: found the shape \[3, 3\]"),
        (
            {"train_mask": Y[:4]},
            r"train_mask: found the shape \[1, 4\], expected \[12\] or \[12, s",
        ),
        ({"train_idx": [12], "val_idx": [1], "test_idx": [2]}, "train_idx: found the node 12"),
    ],
)
def test_what_does_not_fit_is_named(path, changed, message):
    arrays = {"edges": EDGES, "x": X, "y": Y, **changed}
    np.savez(path, **arrays)
    with pytest.raises(DatasetError, match=message) as caught:
        load(str(path))
    assert "\n" not in str(caught.value)


def test_indices_of_splits(path):
    np.savez(path, edges=EDGES, y=Y, train_idx=[0, 1], valid_idx=[2, 3], test_idx=[4, 5])
    task = load(str(path))
    assert task.val_mask[:, 0].tolist() == [n in (2, 3) for n in range(12)]


@pytest.mark.parametrize("kind", ["u1", "u4", "u8", ">i8", "i2"])
def test_integers_of_any_size_and_order(path, kind):
    task = read(path, edges=EDGES.astype(kind), y=Y.astype(kind), x=X.astype("f2"))
    assert task.y.tolist() == Y.tolist()
    assert task.edge_index.dtype == torch.int64
