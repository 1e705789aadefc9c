"""Cora, CiteSeer and PubMed with the public split (Yang et al., 2016, arXiv:1603.08861)."""

from __future__ import annotations

from pathlib import Path

from gattn.data.files import RawFiles, check_sha256, fetch, reading
from gattn.data.graphs import rows_normalized
from gattn.data.task import Task

URL = "https://github.com/kimiyoung/planetoid/raw/master/data"
_PARTS = ("x", "tx", "allx", "y", "ty", "ally", "graph", "test.index")

SHA256: dict[str, dict[str, str]] = {
    "Cora": {
        "ind.cora.allx": "9419ba2f26f5c35243db64aba110e0f35a04851609e0dc5433450676ca6b8543",
        "ind.cora.ally": "2b998f5cc7fedc86e7f97ca2498f47a1ffc1462c29e2d578b23bf3f62b6e7d71",
        "ind.cora.graph": "58f13302f39dde8852dad6fe6d15b89b077b6d7f837626bce671ef80344b383d",
        "ind.cora.test.index": "297ce89af2b51a6a194181c7dbe1796c6a1cf9cd9349a88383b1b1e227867875",
        "ind.cora.tx": "b9afbaa4a400df991f6f02ef677e1e44da55ffc04801fd02f9e673987829226a",
        "ind.cora.ty": "41f5ac76596a1699cc33f53084a2419e92961c42bb75f36fc38e616d348532ad",
        "ind.cora.x": "23cfa55d91c6f624233f5eb7b6e3f141f1bd2b2ae39608a63cf5d084bb27baab",
        "ind.cora.y": "94465c14eb53e04ca262198dcbb2521ee8af60fb3f3d546cd6ca24a511b0e7d1",
    },
    "CiteSeer": {
        "ind.citeseer.allx": "2ac30345d95c9ec933a817ee0bdd6a5f077f8c184a20e696910192d534414668",
        "ind.citeseer.ally": "f704b2d986dde6c2669934de1f3ae5696a6cf9455c0f6b2646a2d135ea0a1c95",
        "ind.citeseer.graph": "d79a4ef9d3e7169aee8946145f6b7306e35bc79bffad26346cfb94e10e9912a7",
        "ind.citeseer.test.index": (
            "2af990671580b6b2df5d158d1038f8292e30c9cd821b5453f399659b25b723d4"
        ),
        "ind.citeseer.tx": "539a8906a2da97628d212f2fdd668c109a8b3f0d36574b59e5d3fd5b5303da21",
        "ind.citeseer.ty": "55e5bd1ba1e733a04598753ad1a8d57957f4b8f89e74519f41f4f4938767e4ce",
        "ind.citeseer.x": "d20de19150741e555de0ed037195630fc194114ebc7fd72ced62810148aa22f6",
        "ind.citeseer.y": "8ba87e515d8e3ee3cf52f6d2c5b86aa73f11ecad825a808455209ec26cd54924",
    },
    "PubMed": {},
}
"""The known checksums. None is known for PubMed: its files are read as they are."""


def raw_files(title: str) -> RawFiles:
    """The published files of Cora, CiteSeer or PubMed, in PyG's layout."""
    names = tuple(f"ind.{title.lower()}.{part}" for part in _PARTS)
    return RawFiles(f"{title}/raw", names, URL)


def planetoid(
    title: str,
    root: str | Path | None = None,
    *,
    normalize_features: bool = True,
    verify: bool = True,
    download: bool = True,
) -> Task:
    """Loads a citation graph with its one public split.

    The files are Python pickles, so they are compared with their known checksums first.

    Args:
        title: "Cora", "CiteSeer" or "PubMed".
        root: the folder of all datasets.
        normalize_features: whether to divide every node's features by their sum.
        verify: whether to refuse files with an unknown checksum.
        download: whether missing files may be downloaded.

    Raises:
        DatasetError: if files are missing, unknown or damaged.
    """
    folder = fetch(raw_files(title), root, download)
    if verify:
        check_sha256(folder, SHA256[title])
    from torch_geometric.io import read_planetoid_data

    with reading(folder):
        stored = read_planetoid_data(str(folder), title).to_dict()
    x, y = stored["x"], stored["y"]
    train, val, test = (stored[f"{part}_mask"][:, None] for part in ("train", "val", "test"))
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
