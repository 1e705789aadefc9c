"""PyG's `.pt` files, read without running anything that a file could bring along.

`torch.load(weights_only=True)` builds tensors, containers, and the classes of an allow-list: those
that PyG's `Data` is made of. A file that asks for anything else is refused, and nothing falls back
to a pickle that runs code.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from zipfile import BadZipFile

import torch
from torch import Tensor

from gattn.data.own.graph import OwnGraph, reading, refused
from gattn.data.own.tensors import from_tensors

_EXPECTED = "a graph of PyG (torch.save of a Data, or of a dict of tensors)"

_HINTS = {
    "HeteroData": "one kind of nodes: data.to_homogeneous() makes a Data",
    "SparseTensor": "edge_index instead of a SparseTensor: torch.stack(adj_t.t().coo()[:2])",
}


def read_pyg(path: Path, label: str | None = None, *, splits: bool = True) -> OwnGraph:
    """Reads a `.pt` file: a `Data`, a dict of tensors, or a dataset of one graph.

    Args:
        path: the file.
        label: the key of the labels, None for `y`.
        splits: whether the masks of the file are wanted.

    Raises:
        DatasetError: if the file is damaged, needs a class that is not allowed, or is no graph.
    """
    where = str(path)
    with reading(where, _EXPECTED, UnpicklingError, BadZipFile, SystemError):
        stored = _mapping(where, _loaded(path))
    return from_tensors(where, _tensors(where, stored), label, splits=splits)


def _allowed() -> list[Any]:
    from torch_geometric.data.data import Data, DataEdgeAttr, DataTensorAttr
    from torch_geometric.data.storage import (
        BaseStorage,
        EdgeStorage,
        GlobalStorage,
        NodeStorage,
    )

    of_data = [Data, DataEdgeAttr, DataTensorAttr]
    return [*of_data, BaseStorage, GlobalStorage, NodeStorage, EdgeStorage]


def _loaded(path: Path) -> Any:
    # The context takes away at its end what it was given, also what PyG itself had allowed.
    allowed = torch.serialization.get_safe_globals()
    more = [each for each in _allowed() if each not in allowed]
    with torch.serialization.safe_globals(more), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except UnpicklingError as error:
            raise _refusal(str(path), str(error)) from None


def _refusal(where: str, message: str) -> Exception:
    """Torch's page of advice (how to load such a file anyway) as one line without that advice."""
    asked = re.search(r"(?:GLOBAL|class|function) ([\w.]+\.\w+)", message)
    if asked is None:
        reason = message.partition("WeightsUnpickler error:")[2] or message
        reason = reason.partition("Check the documentation")[0]
        found = f"a file that does not load ({' '.join(reason.split())[:120]})"
        return refused(where, found, _EXPECTED)
    hint = _HINTS.get(asked[1].rpartition(".")[2])
    expected = hint or "tensors and PyG's Data only (a file may not run code of its own)"
    return refused(where, f"the class {asked[1]}", expected)


def _mapping(where: str, loaded: Any) -> Mapping[str, Any]:
    """What was saved as a mapping, whichever way PyG saves a single graph."""
    if isinstance(loaded, tuple) and len(loaded) in (2, 3):
        loaded, slices = loaded[:2]
        _check_single(where, slices)
    if isinstance(loaded, list) and len(loaded) == 1:
        loaded = loaded[0]
    name = type(loaded).__name__
    if name in _HINTS:
        raise refused(where, f"a {name}", _HINTS[name])
    store = getattr(loaded, "_store", None)
    if store is not None:
        return dict(store.to_dict())
    if isinstance(loaded, Mapping) and "_global_store" in loaded:
        raise refused(where, "a HeteroData", _HINTS["HeteroData"])
    if not isinstance(loaded, Mapping):
        many = f" of {len(loaded)}" if isinstance(loaded, (list, tuple)) else ""
        raise refused(where, f"a {name}{many}", _EXPECTED)
    return loaded


def _check_single(where: str, slices: Any) -> None:
    sizes = slices.values() if isinstance(slices, Mapping) else []
    graphs = max((len(s) - 1 for s in sizes if isinstance(s, Tensor) and s.dim() == 1), default=1)
    if graphs != 1:
        raise refused(where, f"{graphs} graphs", "one")


def _tensors(where: str, stored: Mapping[str, Any]) -> dict[str, Tensor]:
    found = {str(key): value for key, value in stored.items() if isinstance(value, Tensor)}
    if "edge_index" not in found and "adj_t" in found:
        raise refused(where, "adj_t and no edge_index", "edge_index")
    return {key: value.detach() for key, value in found.items()}
