"""Files of rows, one JSON object for each line, kept so that nothing finished is lost."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Row = dict[str, Any]
"""A flat JSON object with at least a `key` and a `status`."""


def check_writable(path: Path) -> None:
    """Make the folder of `path` and prove that files can be written there.

    Raises:
        OSError: one line that names the folder and why it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path.parent).close()
        path.open("ab").close()
    except OSError as error:
        raise OSError(
            f"out: found {path.parent}, which cannot be written ({error.strerror}), "
            "expected a writable folder"
        ) from error


def read_rows(path: str | os.PathLike[str]) -> list[Row]:
    """Return the rows of a file in order; a torn line, wherever it stands, loses only itself.

    Args:
        path: a file of JSON lines; a missing one has no rows.
    """
    try:
        lines = Path(path).read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    rows = (_parsed(line) for line in lines)
    return [row for row in rows if row is not None]


def append_row(path: Path, row: Mapping[str, Any]) -> None:
    """Append one line and force it to the disk; a torn last line is ended first."""
    line = json.dumps(row, allow_nan=False).encode() + b"\n"
    with path.open("a+b") as file:
        if file.tell() > 0:
            file.seek(-1, os.SEEK_END)
            line = line if file.read(1) == b"\n" else b"\n" + line
        file.write(line)
        file.flush()
        os.fsync(file.fileno())


def _parsed(line: bytes) -> Row | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) and {"key", "status"} <= row.keys() else None
