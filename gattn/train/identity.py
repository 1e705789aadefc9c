"""What must agree between a checkpoint and the run that continues it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from gattn.train.settings import Settings

if TYPE_CHECKING:
    from gattn.data.task import Task


def identity(
    task: Task, settings: Settings, seed: int, split: int, processes: int = 1
) -> dict[str, Any]:
    """Return the task, the settings, the seed, the split and the processes, as plain values."""
    return {
        "task": task.name,
        "features": list(task.x.shape),
        "edges": task.edge_index.size(1),
        "metric": task.metric,
        "seed": seed,
        "split": split,
        "processes": processes,
        **asdict(settings),
    }


def shapes(state: dict[str, Tensor]) -> dict[str, Any]:
    """Return the shape of every tensor of a model, by name."""
    return {name: list(value.shape) for name, value in state.items()}


def check_identity(path: Path, saved: dict[str, Any], expected: dict[str, Any]) -> None:
    """Refuse a checkpoint of another run; a setting that it does not name is at its default."""
    usual = {name: value for name, value in asdict(Settings()).items() if name in expected}
    usual |= {"processes": 1} if "processes" in expected else {}
    saved = usual | saved
    for name in saved | expected:
        if saved.get(name) != expected.get(name):
            raise ValueError(
                f"checkpoint: found {name} = {saved.get(name)} in {path}, expected "
                f"{expected.get(name)} (another run wrote it: name another file, or delete it)"
            )


def plain(about: Mapping[str, Any] | None) -> Any:
    """Return a mapping as JSON would give it back: no code is needed to read it."""
    try:
        return None if about is None else json.loads(json.dumps(dict(about)))
    except (TypeError, ValueError) as error:
        raise TypeError(f"about: found what JSON cannot hold ({error}), expected plain") from None
