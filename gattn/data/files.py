"""Files of published datasets: where they belong, where they come from, if they are known."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from pickle import UnpicklingError
from urllib.request import urlopen
from zipfile import BadZipFile

DEFAULT_ROOT = Path("~/.cache/gattn")
"""Where files are looked for, and downloaded to, when `root` is not given."""

_TIMEOUT_SECONDS = 60


class DatasetError(ValueError):
    """A dataset that cannot be had: an unknown name, a missing or a damaged file."""


@dataclass(frozen=True)
class RawFiles:
    """The published files of one dataset.

    Args:
        folder: where they belong, relative to the root; PyG's own layout.
        names: the names of the files.
        url: the address of the folder that publishes them.
    """

    folder: str
    names: tuple[str, ...]
    url: str


def fetch(files: RawFiles, root: str | Path | None = None, download: bool = True) -> Path:
    """The folder that holds the files, after downloading those that are missing.

    Files that are there are only read: nothing is written beside them.

    Args:
        files: what is wanted.
        root: the folder of all datasets; `None` is `~/.cache/gattn`.
        download: whether missing files may be downloaded.

    Raises:
        DatasetError: if a file is missing and cannot be downloaded; says what belongs where.
    """
    base = Path(DEFAULT_ROOT if root is None else root).expanduser()
    folder = base / files.folder
    missing = [name for name in files.names if not (folder / name).is_file()]
    if not missing:
        return folder
    reason = _download(files.url, missing, folder) if download else "download=False"
    if reason is not None:
        paths = ", ".join(f"{files.folder}/{name}" for name in missing)
        raise DatasetError(
            f"root: found no {paths} under {base} (no download: {reason}), "
            f"expected these files, published at {files.url}"
        )
    return folder


def check_sha256(folder: Path, known: Mapping[str, str]) -> None:
    """Compares files with their known checksums.

    Args:
        folder: the folder of the files.
        known: the sha256 of every file, in hexadecimal, by the file's name.

    Raises:
        DatasetError: at the first file that differs.
    """
    for name, expected in known.items():
        found = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        if found != expected:
            raise DatasetError(
                f"{folder / name}: found sha256 {found}, expected {expected}; "
                f"it is a pickle, which can run code: pass verify=False only if you trust it"
            )


@contextmanager
def reading(folder: Path) -> Iterator[None]:
    """Turns what a damaged file raises into a one-line DatasetError that names the folder."""
    try:
        yield
    except (BadZipFile, EOFError, KeyError, OSError, UnpicklingError, ValueError) as error:
        what = f"{type(error).__name__}: {error}".splitlines()[0]
        raise DatasetError(
            f"{folder}: found a file that does not load ({what}), expected the published file"
        ) from None


def _download(url: str, names: list[str], folder: Path) -> str | None:
    """Downloads into the folder; the reason if that was not possible, else None."""
    if not _writable(folder):
        return f"{folder} is read-only"
    try:
        for name in names:
            _write_atomically(folder / name, _content(f"{url}/{name}"))
    except (OSError, HTTPException) as error:
        return " ".join(str(error).split()) or type(error).__name__
    return None


def _content(url: str) -> bytes:
    with urlopen(url, timeout=_TIMEOUT_SECONDS) as response:
        return response.read()


def _write_atomically(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _writable(folder: Path) -> bool:
    # A super-user may write anywhere: the mode bits still say what the owner meant.
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    return os.access(nearest, os.W_OK) and bool(nearest.stat().st_mode & 0o222)
