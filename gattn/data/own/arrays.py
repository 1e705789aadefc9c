"""numpy's `.npz` files, in the layouts that published graphs have; never a pickle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from zipfile import BadZipFile
from zlib import error as ZlibError

import numpy as np
import torch
from torch import Tensor

from gattn.data.own.graph import OwnGraph, listed, reading, refused
from gattn.data.own.tensors import from_tensors

_EXPECTED = "arrays of numbers, saved by numpy.savez"


def read_npz(path: Path, label: str | None = None, *, splits: bool = True) -> OwnGraph:
    """Reads a `.npz` file: `edge_index`, `edges` or a compressed `adj_*`, features and labels.

    Args:
        path: the file.
        label: the key of the labels, None for a usual one.
        splits: whether the masks of the file are wanted.

    Raises:
        DatasetError: if the file is damaged, holds Python objects, or misses a key.
    """
    where = str(path)
    with reading(where, _EXPECTED, BadZipFile, ZlibError, SystemError):
        stored = _arrays(where, path)
        tensors = {key: _tensor(array) for key, array in _plain(where, stored).items()}
    both = True if _compressed(stored) else None
    return from_tensors(where, tensors, label, splits=splits, undirected=both)


def _arrays(where: str, path: Path) -> dict[str, np.ndarray]:
    with path.open("rb") as file:
        stored = np.load(file, allow_pickle=False)
        if not isinstance(stored, np.lib.npyio.NpzFile):
            raise refused(where, "one array", _EXPECTED)
        return {key: _array(f"{where}: {key}", stored, key) for key in stored.files}


def _array(where: str, stored: Mapping[str, np.ndarray], key: str) -> np.ndarray:
    try:
        return stored[key]
    except ValueError as error:
        if "allow_pickle" not in str(error):
            raise
        raise refused(where, "Python objects, which are a pickle", "numbers") from None


def _compressed(stored: Mapping[str, np.ndarray]) -> bool:
    return "adj_indptr" in stored and not {"edge_index", "edges"} & set(stored)


def _plain(where: str, stored: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays that are numbers, compressed rows written out."""
    found = {key: array for key, array in stored.items() if array.dtype.kind in "biuf"}
    if _compressed(stored):
        row, column, _ = _rows(where, "adj", found)
        found["edge_index"] = np.stack([row, column])
    if "attr_indptr" in found:
        row, column, shape = _rows(where, "attr", found)
        found["x"] = dense = np.zeros(shape, dtype=np.float32)
        dense[row, column] = found["attr_data"]
    elif "attr_matrix" in found:
        found["x"] = found["attr_matrix"]
    return found


def _rows(
    where: str, name: str, found: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
    """The rows and columns of compressed rows, and their shape."""
    keys = [f"{name}_{part}" for part in ("data", "indices", "indptr", "shape")]
    missing = [key for key in keys if key not in found]
    if missing:
        raise refused(where, f"no {listed(missing)}", f"all of {listed(keys)}")
    data, column, pointer, shape = (found[key] for key in keys)
    rows, columns = (int(size) for size in shape)
    length = np.diff(pointer)
    fits = len(pointer) == rows + 1 and pointer[0] == 0 and (length >= 0).all()
    if not fits or pointer[-1] != len(column) or len(data) != len(column):
        raise refused(f"{where}: {name}_indptr", "rows that do not fit", f"{rows} rows")
    if len(column) and not 0 <= column.min() <= column.max() < columns:
        raise refused(f"{where}: {name}_indices", f"{column.max()}", f"0 <= column < {columns}")
    return np.repeat(np.arange(rows), length), column.astype(np.int64), (rows, columns)


def _tensor(array: np.ndarray) -> Tensor:
    # torch has no arithmetic on the larger unsigned integers; other byte orders it cannot hold.
    if array.dtype.kind == "u":
        array = array.astype(np.int64)
    return torch.from_numpy(np.ascontiguousarray(array.astype(array.dtype.newbyteorder("="))))
