"""PyG's files: what is read, and that nothing in them runs."""

import os
import pickle
import warnings
from pathlib import Path

import pytest
import torch
from torch_geometric.data import Data, HeteroData, InMemoryDataset
from torch_geometric.datasets import KarateClub

from gattn.data import DatasetError, load
from gattn.data.own.pyg import read_pyg


def saved(path: Path, what: object, **more: object) -> Path:
    torch.save(what, path, **more)
    return path


@pytest.fixture
def club() -> Data:
    return Data.from_dict(KarateClub().get(0).to_dict())


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "graph.pt"


WAYS = {
    "Data": lambda club: club,
    "dict": lambda club: club.to_dict(),
    "tuple": lambda club: (club, None),
    "collated": lambda club: (club.to_dict(), None, Data),
    "list": lambda club: [club],
}


@pytest.mark.parametrize("way", WAYS)
def test_a_graph_is_read_however_pyg_saves_it(way, club, path):
    saved(path, WAYS[way](club))
    task = load(str(path), num_splits=2)
    assert torch.equal(task.x, club.x)
    assert torch.equal(task.y, club.y)
    assert torch.equal(task.edge_index, club.edge_index)


def test_a_processed_dataset_of_one_graph_is_read(club, path):
    InMemoryDataset.save([club], str(path))
    assert load(str(path), num_splits=1).num_nodes == 34
    InMemoryDataset.save([club, club], str(path))
    with pytest.raises(DatasetError, match=r"graph\.pt: found 2 graphs, expected one"):
        load(str(path))


def test_the_old_file_format_is_read(club, path):
    saved(path, club, _use_new_zipfile_serialization=False)
    assert load(str(path), num_splits=1).num_nodes == 34


class Evil:
    """What a pickle does that means harm: it runs a command when it is read."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return os.system, (f"touch {self.mark}",)


def plain_pickle(what: object, path: Path) -> None:
    path.write_bytes(pickle.dumps(what))


EVIL = {
    "zip": torch.save,
    "old": lambda what, path: torch.save(what, path, _use_new_zipfile_serialization=False),
    "pickle": plain_pickle,
    "inside": lambda what, path: torch.save({"x": torch.ones(2, 2), "y": what}, path),
    "in a Data": lambda what, path: torch.save(Data(x=torch.ones(2, 2), y=what), path),
}


@pytest.mark.parametrize("way", EVIL)
def test_a_file_never_runs_anything(way, path, tmp_path):
    mark = tmp_path / "harm"
    EVIL[way](Evil(mark), path)
    with pytest.raises(DatasetError) as caught:
        load(str(path))
    assert not mark.exists()
    assert "\n" not in str(caught.value)
    assert "weights_only" not in str(caught.value)
    assert str(path) in str(caught.value)
    if way != "pickle":
        assert "found the class posix.system, expected tensors and PyG's Data only" in str(
            caught.value
        )


def test_the_harm_is_harm(tmp_path):
    pickle.loads(pickle.dumps(Evil(tmp_path / "harm")))
    assert (tmp_path / "harm").exists()


class Mine(Data):
    """A class that no allow-list knows."""


def test_another_class_is_named(club, path):
    saved(path, Mine(**club.to_dict()))
    with pytest.raises(DatasetError, match=r"found the class \S*Mine, expected tensors and PyG's"):
        load(str(path))


def test_several_kinds_of_nodes_are_refused(path):
    data = HeteroData()
    data["paper"].x = torch.ones(2, 3)
    for what in (data, (data.to_dict(), None, HeteroData)):
        saved(path, what)
        with pytest.raises(DatasetError, match="found a HeteroData, expected one kind of nodes"):
            load(str(path))


def test_an_adjacency_without_edges_is_explained(club, path):
    eye = torch.eye(34).to_sparse_coo()
    saved(path, {"x": club.x, "y": club.y, "adj_t": eye})
    with pytest.raises(DatasetError, match="found adj_t and no edge_index, expected edge_index"):
        load(str(path))


@pytest.mark.parametrize("what", [3, [1, 2], torch.ones(3), "text", []])
def test_what_is_no_graph_is_refused(what, path):
    saved(path, what)
    with pytest.raises(DatasetError, match=r"graph\.pt: found .*expected a graph of PyG"):
        load(str(path))


def test_missing_masks_are_explained(club, path):
    saved(path, club)
    with pytest.raises(DatasetError, match=r"splits without a val_mask, expected all three \(or n"):
        load(str(path))


def test_attributes_of_edges_are_told_to_be_left_out(club, path):
    club.edge_attr = torch.ones(club.num_edges, 2)
    del club.train_mask
    saved(path, club)
    assert "not used: edge_attr" in load(str(path)).notes


def test_another_key_of_labels(club, path):
    saved(path, {"x": club.x, "edge_index": club.edge_index, "group": club.y})
    assert read_pyg(path, "group").labels == club.y.tolist()
    with pytest.raises(DatasetError, match="the keys x, edge_index, group, expected labels under"):
        load(str(path))


def test_nothing_is_warned_about(club, path):
    saved(path, club)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load(str(path), num_splits=1)


def test_a_sparse_feature_matrix_is_written_out(club, path):
    saved(path, {"x": club.x.to_sparse(), "edge_index": club.edge_index, "y": club.y})
    assert torch.equal(load(str(path)).x, club.x)
