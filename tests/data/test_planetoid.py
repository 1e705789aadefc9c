import os
import pickle
import shutil

import pytest
import torch

from gattn.data import DatasetError, load
from gattn.data.planetoid import SHA256, raw_files


@pytest.mark.parametrize(
    ("title", "nodes", "edges", "columns", "classes", "train"),
    [("Cora", 2708, 10556, 1433, 7, 140), ("CiteSeer", 3327, 9104, 3703, 6, 120)],
)
def test_is_what_pyg_loads(real_data, tmp_path, title, nodes, edges, columns, classes, train):
    from torch_geometric.datasets import Planetoid
    from torch_geometric.transforms import NormalizeFeatures

    task = load(title.lower(), real_data)
    assert (task.num_nodes, task.edge_index.shape[1], task.x.shape[1]) == (nodes, edges, columns)
    assert (task.num_classes, task.num_splits, task.metric) == (classes, 1, "accuracy")
    assert [int(mask.sum()) for mask in task.split(0)] == [train, 500, 1000]
    shutil.copytree(real_data / title / "raw", tmp_path / title / "raw", copy_function=shutil.copy)
    (tmp_path / title).chmod(0o755)
    expected = Planetoid(str(tmp_path), title, transform=NormalizeFeatures()).get(0).to_dict()
    expected["x"] = NormalizeFeatures()(Planetoid(str(tmp_path), title).get(0)).x
    for part in ("x", "edge_index", "y"):
        torch.testing.assert_close(getattr(task, part), expected[part])
    for part in ("train_mask", "val_mask", "test_mask"):
        torch.testing.assert_close(getattr(task, part)[:, 0], expected[part])


def test_features_may_stay_as_they_are(real_data):
    raw = load("cora", real_data, normalize_features=False).x
    assert set(raw.unique().tolist()) == {0.0, 1.0}


class Evil:
    """A pickle that makes a folder when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_an_unknown_pickle_is_not_opened(tmp_path):
    files = raw_files("Cora")
    folder = tmp_path / "root" / files.folder
    folder.mkdir(parents=True)
    for name in files.names:
        (folder / name).write_bytes(pickle.dumps(Evil(str(tmp_path / "opened"))))
    with pytest.raises(DatasetError, match=r"ind\.cora\.allx: found sha256 .*verify=False"):
        load("cora", tmp_path / "root")
    assert not (tmp_path / "opened").exists()


def test_an_unknown_file_loads_when_told_to(real_data, tmp_path):
    files = raw_files("Cora")
    shutil.copytree(real_data / files.folder, tmp_path / files.folder, copy_function=shutil.copy)
    index = tmp_path / files.folder / "ind.cora.test.index"
    index.chmod(0o644)
    index.write_text(index.read_text().replace("\n", " \n"))
    with pytest.raises(DatasetError, match=r"ind\.cora\.test\.index: found sha256"):
        load("cora", tmp_path)
    task = load("cora", tmp_path, verify=False)
    torch.testing.assert_close(task.x, load("cora", real_data).x)


def test_a_damaged_file_is_one_line(tmp_path):
    files = raw_files("PubMed")
    folder = tmp_path / files.folder
    folder.mkdir(parents=True)
    for name in files.names:
        (folder / name).write_bytes(b"")
    with pytest.raises(DatasetError, match="PubMed/raw: found a file that does not load"):
        load("pubmed", tmp_path)


def test_every_file_with_a_known_checksum_is_one_that_is_read():
    for title, known in SHA256.items():
        assert set(known) in (set(), set(raw_files(title).names))
