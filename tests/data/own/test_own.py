"""Every format says the same graph; names, paths and contents are told apart."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch

from gattn.data import DatasetError, load
from gattn.data.graphs import undirected
from gattn.data.own import ENDINGS, OPTIONS, fingerprint, is_path, load_own

EDGES = [(0, 1), (1, 2), (2, 3), (3, 0), (4, 5), (5, 6), (6, 4), (0, 4)]


def test_every_format_says_the_same_graph(own):
    task = load(str(own), undirected=True)
    assert torch.equal(task.edge_index, undirected(torch.tensor(EDGES).t(), 7))
    assert task.y.tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert torch.equal(task.x, torch.tensor([[float(n), n % 2 * 0.5] for n in range(7)]))
    assert task.train_mask[:, 0].tolist() == [True, False, False, False, True, False, True]
    assert task.val_mask.sum() == task.test_mask.sum() == 2
    assert (task.name, task.metric, task.num_classes) == (str(own), "accuracy", 3)
    assert any("both directions" in note for note in task.notes)


def test_every_format_keeps_directions_if_told(own):
    task = load_own(own, undirected=False)
    pairs = list(map(tuple, task.edge_index.t().tolist()))
    if own.suffix in (".graphml", ".gexf"):  # these say themselves that they have no direction
        pairs, expected = [tuple(sorted(pair)) for pair in pairs], [(0, 3), (4, 6)]
        assert sorted(pairs) == sorted({*EDGES, *expected} - {(3, 0), (6, 4)})
    else:
        assert sorted(pairs) == sorted(EDGES)


def test_every_format_draws_splits_if_told(own):
    task = load_own(own, num_splits=3, train=0.4, val=0.3)
    assert task.train_mask.shape == (7, 3)
    assert any("3 splits drawn with the seed 0: 40% train" in note for note in task.notes)
    assert torch.equal(task.val_mask, load_own(own, num_splits=3, train=0.4, val=0.3).val_mask)
    other = load_own(own, num_splits=3, train=0.4, val=0.3, split_seed=1)
    assert not torch.equal(task.train_mask, other.train_mask)


def test_a_path_is_known_by_its_looks_or_by_being_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert is_path("graph.pt")
    assert is_path("./cora")
    assert not is_path("corra")
    assert not is_path("")
    (tmp_path / "corra").mkdir()
    assert is_path("corra")


def test_a_name_is_a_name_even_where_a_folder_has_it(tmp_path, monkeypatch):
    (tmp_path / "karate").mkdir()
    monkeypatch.chdir(tmp_path)
    assert load("karate").num_nodes == 34
    with pytest.raises(DatasetError, match=r"karate: found none, expected one edges\.csv"):
        load("./karate")


@pytest.mark.parametrize("ending", [*ENDINGS, ".parquet"])
def test_what_is_not_there_is_said(tmp_path, ending):
    with pytest.raises(
        DatasetError, match=r"dataset: found nothing at .*expected a file or a fold"
    ):
        load(str(tmp_path / f"graph{ending}"))


def test_another_ending_lists_the_known_ones(tmp_path):
    path = tmp_path / "graph.parquet"
    path.touch()
    with pytest.raises(DatasetError, match=r"graph\.parquet, expected a folder, or a file that e"):
        load(str(path))


def test_unknown_options_are_refused(own):
    with pytest.raises(DatasetError) as caught:
        load(str(own), size=3)
    assert f"expected one of {', '.join(OPTIONS)}" in str(caught.value)


def test_options_of_other_formats_are_refused(tmp_path):
    path = tmp_path / "g.npz"
    np.savez(path, y=np.arange(3))
    with pytest.raises(DatasetError, match=r"options: found 'nodes' for \.npz, expected label"):
        load_own(path, nodes="nodes.csv")


def test_a_fingerprint_is_of_the_content_alone(own, tmp_path):
    before = fingerprint(own)
    assert len(before) == 64
    moved = tmp_path / "elsewhere" / f"renamed{own.suffix}"
    (shutil.copytree if own.is_dir() else shutil.copyfile)(own, _made(moved))
    assert fingerprint(moved) == before
    changed = moved / "nodes.csv" if moved.is_dir() else moved
    changed.write_bytes(changed.read_bytes() + b"\n")
    assert fingerprint(moved) != before
    assert fingerprint(own) == before


def _made(path):
    path.parent.mkdir()
    return path


def test_a_fingerprint_has_the_table_of_nodes_in_it(tables):
    edges = tables / "edges.csv"
    before = fingerprint(edges, nodes="nodes.csv")
    assert before == fingerprint(tables)
    (tables / "nodes.csv").write_text("id,y\n")
    assert fingerprint(edges, nodes="nodes.csv") != before


def test_reading_writes_nothing(own):
    folder = own if own.is_dir() else own.parent
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    load_own(own)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_tables_and_arrays_need_no_pyg_and_no_networkx(tmp_path, tables):
    code = (
        "import sys; from gattn.data import load; load(sys.argv[1]); "
        "print([m for m in ('torch_geometric', 'networkx', 'scipy') if m in sys.modules])"
    )
    command = [sys.executable, "-c", code, os.fspath(tables)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
