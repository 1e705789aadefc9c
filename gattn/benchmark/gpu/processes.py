"""Processes that are limited in time, and end with all that they started."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from typing import Any

_POLL = 0.2


def run_limited(command: Sequence[str], is_late: Callable[[], bool], **options: Any) -> int | None:
    """Run a command and return its exit code, `None` if it was late and has been stopped.

    It stays in the session of its parent, so that whoever ends that one ends both; its group is its
    own, so that compilers and workers which it started end with it.

    Args:
        command: the program and its arguments.
        is_late: asked several times a second whether it has to end.
        options: of `subprocess.Popen`.
    """
    process = subprocess.Popen(command, process_group=0, **options)
    try:
        while process.poll() is None:
            if is_late():
                return None
            time.sleep(_POLL)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return process.returncode


def after(limit: float) -> Callable[[], bool]:
    """Return what says whether so many seconds have passed since this call."""
    stop = time.monotonic() + limit
    return lambda: time.monotonic() > stop
