"""Amazon co-purchase and Coauthor graphs (Shchur et al., 2018, arXiv:1811.05868)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gattn.data.files import RawFiles, fetch, reading
from gattn.data.graphs import at_least, rows_normalized, stratified_masks
from gattn.data.task import Task

URL = "https://github.com/shchur/gnn-benchmark/raw/master/data/npz"

_FILES = {
    "Photo": "amazon_electronics_photo.npz",
    "Computers": "amazon_electronics_computers.npz",
    "CS": "ms_academic_cs.npz",
    "Physics": "ms_academic_phy.npz",
}


def raw_files(title: str) -> RawFiles:
    """The one published file of a graph, in PyG's layout."""
    return RawFiles(f"{title}/raw", (_FILES[title],), URL)


def amazon_coauthor(
    title: str,
    root: str | Path | None = None,
    *,
    normalize_features: bool = False,
    num_splits: int = 10,
    seed: int = 0,
    download: bool = True,
) -> Task:
    """Loads a graph and splits every class 60/20/20 at random; no split is published with it.

    Args:
        title: "Photo", "Computers", "CS" or "Physics".
        root: the folder of all datasets.
        normalize_features: whether to divide every node's features by their sum.
        num_splits: the number of splits.
        seed: of the splits.
        download: whether a missing file may be downloaded.

    Raises:
        DatasetError: if the file is missing or damaged.
        ValueError: if `num_splits` or `seed` is too small.
    """
    at_least("num_splits", num_splits, 1)
    at_least("seed", seed, 0)
    folder = fetch(raw_files(title), root, download)
    from torch_geometric.io import read_npz

    with reading(folder):
        stored = read_npz(str(folder / _FILES[title])).to_dict()
    x, y = stored["x"], stored["y"]
    train, val, test = stratified_masks(y, (0.6, 0.2), num_splits, np.random.default_rng(seed))
    return Task(
        name=title.lower(),
        x=rows_normalized(x) if normalize_features else x,
        edge_index=stored["edge_index"],
        y=y,
        train_mask=train,
        val_mask=val,
        test_mask=test,
        metric="accuracy",
        num_classes=int(y.max()) + 1,
    )
