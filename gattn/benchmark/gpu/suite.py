"""The tests that need a GPU, as a step of a run: in a process of their own, limited in time."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
import time
from pathlib import Path

import gattn
from gattn._rows import Row
from gattn.benchmark.gpu.processes import after, run_limited
from gattn.benchmark.gpu.session import step_row

LOG = "tests.log"
_STUBBORN = ("--continue-on-collection-errors",)  # a package that is missing stops no other test
_COUNTS = re.compile(r"(\d+) (passed|failed|errors?|skipped|xfailed|xpassed|deselected)")


def run_tests(out: Path, limit: float, arguments: tuple[str, ...] = ("-m", "gpu", "tests")) -> Row:
    """Run them and return a row of how many passed; what they print goes to `tests.log`.

    Args:
        out: folder of the log.
        limit: seconds after which they are stopped.
        arguments: of pytest, that choose the tests.
    """
    root = Path(gattn.__file__).parents[1]
    if importlib.util.find_spec("pytest") is None or not (root / "tests").is_dir():
        reason = "needs a checkout, and in it pip install '.[dev]'"
        return step_row("tests", "skipped", reason=reason, summary="")
    command = [sys.executable, "-m", "pytest", "-q", *_STUBBORN, *arguments, *_parallel()]
    start = time.monotonic()
    environment = {**os.environ, "PYTHONPATH": _path(root), "PYTHONUNBUFFERED": "1"}
    with (out / LOG).open("w") as log:
        streams = {"stdout": log, "stderr": log}
        code = run_limited(command, after(limit), cwd=root, env=environment, **streams)
    taken = time.monotonic() - start
    return _row(code, (out / LOG).read_text(errors="replace"), taken, limit)


def _path(root: Path) -> str:
    return os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")]))


def _parallel() -> tuple[str, ...]:
    count = min(8, os.cpu_count() or 1)
    return ("-n", str(count)) if importlib.util.find_spec("xdist") is not None else ()


def _row(code: int | None, text: str, taken: float, limit: float) -> Row:
    """Exit code 5 is pytest's "no tests were found"."""
    lines = [line for line in text.splitlines() if line.strip()]
    summary = lines[-1].strip("= ") if lines else ""
    counts = {name.rstrip("s"): int(n) for n, name in _COUNTS.findall(summary)}
    found = {"summary": summary[:300], "counts": counts, "seconds": taken}
    if code is None:
        return step_row("tests", "failed", reason=f"stopped after {limit:.0f} s", **found)
    if code == 0 and counts.get("skipped") and not counts.get("passed"):
        return step_row("tests", "skipped", reason="every test was skipped", **found)
    if code == 0:
        return step_row("tests", "ok", **found)
    reason = "no test is marked gpu" if code == 5 else f"pytest ended with {code}: {summary}"[:300]
    return step_row("tests", "failed", reason=reason, **found)
