"""One writer for each file of rows: a lock that dies with its process.

The lock is the operating system's (`flock`, on Windows `msvcrt.locking`) on a file beside the rows,
so nothing that ends a process leaves it behind, a `kill -9` included. The file says who holds it.
On a network file system it is as good as that system's locks: NFS has them from version 4 on, or
with `lockd`; where there are none, that is said instead of pretended.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

if sys.platform == "win32":
    import msvcrt

    _FAR = 1 << 30  # beyond what is written, since a locked byte cannot be read by others

    def _take(descriptor: int) -> None:
        os.lseek(descriptor, _FAR, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        os.lseek(descriptor, 0, os.SEEK_SET)

    def _taken(error: OSError) -> bool:
        return True

else:
    import fcntl

    def _take(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _taken(error: OSError) -> bool:
        return isinstance(error, BlockingIOError)


@contextmanager
def locked(rows: Path) -> Iterator[None]:
    """Hold the lock of a file of rows; it is gone, with its file, at the end.

    Args:
        rows: the file; its folder has to be there.

    Raises:
        OSError: another process writes there, or the file system has no locks.
    """
    path = lock_file(rows)
    descriptor = _hold(path, rows.parent)
    try:
        os.ftruncate(descriptor, 0)
        os.write(descriptor, json.dumps(_holder()).encode())
        yield
    finally:
        if sys.platform == "win32":  # an open file cannot be removed
            os.close(descriptor)
        else:
            path.unlink(missing_ok=True)
            os.close(descriptor)


def lock_file(rows: Path) -> Path:
    """Return the file whose lock stands for a file of rows: `.lock` beside `trials.jsonl`."""
    name = ".lock" if rows.name == "trials.jsonl" else f".{rows.name}.lock"
    return rows.with_name(name)


def _hold(path: Path, folder: Path) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            _take(descriptor)
        except OSError as error:
            os.close(descriptor)
            raise _refusal(path, folder, error) from error
        if _is_still(path, descriptor):
            return descriptor
        os.close(descriptor)  # its last holder removed it between our open and our lock


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _refusal(path: Path, folder: Path, error: OSError) -> OSError:
    if not _taken(error):
        return OSError(
            f"out: found {folder}, where files cannot be locked ({error.strerror}), expected a "
            "folder on a file system that has locks"
        )
    by = _read(path)
    who = f"process {by.get('pid', '?')} on {by.get('host', '?')} since {by.get('since', '?')}"
    return OSError(
        f"out: found {folder} in use by {who}, expected a folder no other study writes to"
    )


def _holder() -> dict[str, Any]:
    since = datetime.now(UTC).isoformat(timespec="seconds")
    return {"pid": os.getpid(), "host": socket.gethostname(), "since": since}


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):  # just being written, or just removed
        return {}
    return found if isinstance(found, dict) else {}
