"""The heterophilous five and the filtered Wikipedia graphs (Platonov et al., arXiv:2302.11640)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gattn.data.files import RawFiles, fetch, reading
from gattn.data.graphs import undirected
from gattn.data.task import Task

URL = "https://github.com/yandex-research/heterophilous-graphs/raw/main/data"


def raw_files(stem: str) -> RawFiles:
    """The one published file of a graph, in PyG's layout."""
    return RawFiles(f"{stem}/raw", (f"{stem}.npz",), URL)


def heterophilous(
    name: str,
    stem: str,
    metric: str,
    root: str | Path | None = None,
    *,
    download: bool = True,
) -> Task:
    """Loads a graph with the masks that are published with it; its edges are made undirected.

    Args:
        name: the name of the task.
        stem: the name of the published file without its suffix.
        metric: the metric that its authors report.
        root: the folder of all datasets.
        download: whether a missing file may be downloaded.

    Raises:
        DatasetError: if the file is missing or damaged.
    """
    folder = fetch(raw_files(stem), root, download)
    path = folder / f"{stem}.npz"
    with reading(folder), path.open("rb") as file, np.load(file) as raw:
        x, y = torch.from_numpy(raw["node_features"]).float(), raw["node_labels"]
        edges = torch.from_numpy(raw["edges"]).long().t()
        train, val, test = (_mask(raw[f"{part}_masks"]) for part in ("train", "val", "test"))
    return Task(
        name=name,
        x=x,
        edge_index=undirected(edges, len(x)),
        y=torch.from_numpy(y).long(),
        train_mask=train,
        val_mask=val,
        test_mask=test,
        metric=metric,
        num_classes=int(y.max()) + 1,
    )


def _mask(stored: np.ndarray) -> Tensor:
    # The file holds one row per split.
    return torch.from_numpy(stored).bool().t().contiguous()
