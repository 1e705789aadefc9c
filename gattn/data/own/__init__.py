"""Your own graph: `load_own(path) -> Task`, from the formats that graphs come in.

| path | format |
| --- | --- |
| `.pt` | PyG's `Data`, or a dict of tensors, read without running any code of the file |
| `.npz` | numpy's arrays, in the layouts of published graphs |
| `.graphml`, `.gexf` | through networkx |
| `.csv`, `.tsv`, `.txt`, `.edges`, `.edgelist` | an edge list; `nodes=` is a table |
| a folder | `edges.csv` and `nodes.csv` |

A file is data and stays data: nothing in it is run. What is wrong with it is said in one line.
"""

from __future__ import annotations

import hashlib
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

from gattn.data.files import DatasetError
from gattn.data.own import tables
from gattn.data.own.building import OPTIONS as OPTIONS
from gattn.data.own.building import OwnOptions as OwnOptions
from gattn.data.own.building import task_of
from gattn.data.own.graph import OwnGraph, existing
from gattn.data.task import Task

ENDINGS = (".pt", ".npz", ".graphml", ".gexf", *tables.ENDINGS)
"""How a path may end; besides, it may be a folder."""


def is_path(name: str) -> bool:
    """Whether a name means a file or folder: it has a separator, a known ending, or is there."""
    separators = [mark for mark in (os.sep, os.altsep) if mark]
    has = any(mark in name for mark in separators) or Path(name).suffix.lower() in ENDINGS
    return has or (bool(name) and Path(name).exists())


def load_own(path: str | os.PathLike[str], **options: Any) -> Task:
    """Reads a graph from a file or a folder.

    Args:
        path: see the table above.
        **options: see `OwnOptions`.

    Raises:
        DatasetError: if the file is missing, damaged, of another format, or no node classification.
        TypeError: if an option has the wrong type.
        ValueError: if an option is out of range.
    """
    unknown = [name for name in options if name not in OPTIONS]
    if unknown:
        expected = f"one of {', '.join(OPTIONS)}"
        raise DatasetError(f"options: found {unknown[0]!r} for {path}, expected {expected}")
    chosen = OwnOptions(**options)
    found = existing(Path(path).expanduser())
    return task_of(os.fspath(path), _read(found, chosen), chosen)


def _read(path: Path, options: OwnOptions) -> OwnGraph:
    """The graph of a file, by its ending; refuses options that its format does not have."""
    ending = path.suffix.lower()
    if path.is_dir() or ending in tables.ENDINGS:
        named = _given(path, options, ("label", "nodes", "split", "drop"))
        return tables.read_tables(path, **named)
    if ending in (".graphml", ".gexf"):
        from gattn.data.own import xml

        read = {".graphml": xml.read_graphml, ".gexf": xml.read_gexf}[ending]
        return read(path, **_given(path, options, ("label", "split", "drop")))
    if ending == ".pt":
        from gattn.data.own.pyg import read_pyg

        return read_pyg(path, **_given(path, options, ("label",)), splits=not options.draws)
    if ending == ".npz":
        from gattn.data.own.arrays import read_npz

        return read_npz(path, **_given(path, options, ("label",)), splits=not options.draws)
    raise DatasetError(f"dataset: found {path}, expected a folder, or a file {one_of_endings()}")


def _given(path: Path, options: OwnOptions, known: tuple[str, ...]) -> dict[str, Any]:
    for name in ("label", "nodes", "split", "drop"):
        if name not in known and getattr(options, name) is not None:
            kind = path.suffix or "a folder"
            raise DatasetError(f"options: found {name!r} for {kind}, expected {', '.join(known)}")
    return {name: getattr(options, name) for name in known}


def one_of_endings() -> str:
    """The endings, as a sentence has them."""
    return f"that ends in {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}"


def fingerprint(path: str | os.PathLike[str], **options: Any) -> str:
    """The sha256 of the content of a path: equal for equal files, wherever they are.

    Args:
        path: a file or a folder, as for `load_own`.
        **options: as for `load_own`; `nodes` names a second file.

    Raises:
        DatasetError: if a file is missing or cannot be read.
    """
    found = existing(Path(path).expanduser())
    tabled = found.is_dir() or found.suffix.lower() in tables.ENDINGS
    files = tables.table_files(found, options.get("nodes")) if tabled else (found,)
    try:
        digests = [_digest(file.resolve(), *_version(file)) for file in files]
    except OSError as error:
        raise DatasetError(f"dataset: found {error}, expected a file that can be read") from None
    return digests[0] if len(digests) == 1 else _joined(digests)


def _joined(digests: list[str]) -> str:
    return hashlib.sha256(" ".join(digests).encode()).hexdigest()


def _version(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


# A study has hundreds of trials of one file.
@lru_cache(maxsize=256)
def _digest(path: Path, size: int, changed: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
