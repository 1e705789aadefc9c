"""One run: what it was asked for, what is left of its time, and the file that its rows go to."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch

from gattn._rows import Row, append_row
from gattn.benchmark import rows
from gattn.benchmark.problems import Layer

NAME = "gpu.jsonl"


@dataclass(frozen=True)
class Session:
    """What every step of a run knows; names and numbers only, so that it goes to other processes.

    Args:
        out: folder of the rows.
        run: what all rows of the run share.
        device: where everything is measured.
        backend: of ours; `None` = the first that can.
        quick: tiny graphs.
        seed: of graphs, features and weights.
        rounds: turns of every provider.
        shortest: seconds of a sample, at least.
        compiles: how many layers of PyG are compiled at most.
        deadline: when the time is over, in seconds of `time.time`.
        rate: bytes per second of a copy, read and written.
        peers: folder of packages and wheels of others.
        only: texts; cases without any of them in their names are left out. Empty = all cases.
    """

    out: str
    run: str
    device: str = "cuda"
    backend: str | None = "triton"
    quick: bool = False
    seed: int = 0
    rounds: int = 7
    shortest: float = 0.02
    compiles: int = 8
    deadline: float = float("inf")
    rate: float | None = None
    peers: str | None = None
    only: tuple[str, ...] = ()

    @property
    def where(self) -> torch.device:
        """The device."""
        return torch.device(self.device)

    @property
    def path(self) -> Path:
        """The file of rows."""
        return Path(self.out) / NAME

    @property
    def left(self) -> float:
        """Seconds until the deadline."""
        return self.deadline - time.time()

    def finished(self, row: Row) -> Row:
        """A row with all that it depends on, and its key.

        Args:
            row: `problem`, `layer`, `pass`, `provider`, `measure`, `status`, and what was found.
        """
        common = {"run": self.run, "quick": self.quick, "seed": self.seed}
        where = _circumstances(self.device) | {"copy_bytes_per_second": self.rate}
        full = {**row, **common, **where, "finished_at": rows.now()}
        return {"key": rows.key(full), **full}

    def keep(self, row: Row) -> Row:
        """Append a row to the file, at once, and return it with what was added."""
        full = self.finished(row)
        append_row(self.path, full)
        return full


@cache
def _circumstances(device: str) -> Row:
    """Once for each process: they ask git and the processor."""
    return rows.circumstances(device)


def step_row(name: str, status: str, **fields: Any) -> Row:
    """Return a row of a step that belongs to no problem: the gate, the tests, the end."""
    names = dict.fromkeys(("problem", "layer", "pass", "provider"), "-")
    return {**names, "measure": name, "status": status, **fields}


def case_row(
    problem: str, layer: Layer, passed: str, provider: str, status: str, **fields: Any
) -> Row:
    """Return a row of a measurement, or of why there is none."""
    names = {"problem": problem, "layer": layer.name, "pass": passed, "provider": provider}
    return {**names, "status": status, **fields}
