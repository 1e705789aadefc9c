"""The rows of a benchmark: a JSON object for each measurement, with all that it depends on."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import statistics
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

import gattn
from gattn._rows import Row
from gattn.benchmark.timing import ratio

NAMED = ("problem", "layer", "pass", "provider", "measure", "quick", "device", "threads")
"""The fields that tell one measurement from another; of two rows that agree in them the later
counts."""

PACKAGES = ("torch", "torch-geometric", "numba", "triton", "dgl", "numpy")


def key(row: Mapping[str, Any]) -> str:
    """Return 16 hexadecimal digits that stand for what a row is about."""
    text = json.dumps([row[name] for name in NAMED])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def latest(rows: Iterable[Row]) -> list[Row]:
    """Return the last row of every key; a measurement that failed later hides no finished one."""
    last: dict[str, Row] = {}
    for row in rows:
        if row["status"] == "ok" or last.get(row["key"], row)["status"] != "ok":
            last[row["key"]] = row
    return list(last.values())


def time_row(taken: Mapping[str, Sequence[float]], label: str, base: str | None) -> Row:
    """Return the fields of a time: the median, all rounds, and the ratios to all others.

    Args:
        taken: seconds by round, by label, of all that took turns.
        label: whose row it is.
        base: whose time `ratio` is relative to; None, or one that did not run, gives none.
    """
    ratios = {name: ratio(taken[label], other) for name, other in taken.items() if name != label}
    found = ratios.get(base or "")
    return {
        "measure": "time",
        "seconds": statistics.median(taken[label]),
        "rounds": list(taken[label]),
        "baseline": None if found is None else base,
        "ratio": None if found is None else found.median,
        "ratio_low": None if found is None else found.low,
        "ratio_high": None if found is None else found.high,
        "ratios": {name: [r.median, r.low, r.high] for name, r in ratios.items()},
    }


def memory_row(found: Mapping[str, Any]) -> Row:
    """Return the fields of a peak of memory.

    Args:
        found: of `gattn.benchmark.memory.measure`.
    """
    names = ("peak_bytes", "resident_bytes")
    return {"measure": "memory", **{name: found[name] for name in names}}


def reason_of(error: BaseException) -> str:
    """Return why something failed, in one line of at most 300 characters without paths."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    text = re.sub(r"(?<![\w.])(?:/[\w.+~-]+){2,}/?", "<path>", lines[0])
    return " ".join(text.split())[:300]


def circumstances(device: str) -> Row:
    """Return where, when and with what a row is made; no name of a host, no path.

    Args:
        device: where the work runs.
    """
    cuda = torch.device(device).type == "cuda"
    return {
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if cuda else "cpu",
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "versions": versions(),
        "commit": commit(),
    }


def now() -> str:
    """Return the time, for rows."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def versions() -> dict[str, str]:
    """Return the versions of what takes part and is installed, without importing it."""
    found = {"python": platform.python_version(), "gattn": gattn.__version__}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def cpu_model() -> str:
    """Return the name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def commit() -> str | None:
    """Return the commit of the checkout, with `+` where files differ from it; None without git."""
    folder = Path(gattn.__file__).parent
    head = _git(folder, "rev-parse", "--short=12", "HEAD")
    changed = _git(folder, "status", "--porcelain", "--", str(folder))
    return None if head is None else head + ("+" if changed else "")


def _git(folder: Path, *arguments: str) -> str | None:
    command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
