"""Checkpoints of a training run: one file, written atomically, read without running its code."""

import os
import pickle
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch


def generators() -> dict[str, Any]:
    """Return the states of the global generators as tensors and plain containers."""
    _, keys, *rest = np.random.get_state()
    return {
        "python": random.getstate(),
        "numpy": [torch.from_numpy(np.asarray(keys).astype(np.int64)), *rest],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else [],
    }


def set_generators(saved: dict[str, Any]) -> None:
    """Put the global generators into the states that `generators` returned."""
    random.setstate(saved["python"])
    keys, *rest = saved["numpy"]
    np.random.set_state(("MT19937", keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(saved["torch"].cpu())
    if saved["cuda"]:
        torch.cuda.set_rng_state_all([state.cpu() for state in saved["cuda"]])


def write_atomically(path: Path, payload: dict[str, Any]) -> None:
    """Write beside `path`, force to disk, rename: a reader sees the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("wb") as file:
        torch.save(payload, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    if os.name == "posix":
        _force_folder_to_disk(path.parent)


def _force_folder_to_disk(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


_DAMAGE = (
    *(RuntimeError, EOFError, pickle.UnpicklingError, LookupError, ValueError, TypeError),
    *(AttributeError, ImportError, ArithmeticError, AssertionError, MemoryError),
)
"""What torch's reader raises for files that are none of its own."""


def read(path: Path, device: torch.device) -> dict[str, Any]:
    """Return what `write_atomically` wrote; a file that is no checkpoint raises a ValueError."""
    try:
        saved = torch.load(path, map_location=device, weights_only=True)
    except _DAMAGE as error:
        raise ValueError(
            f"checkpoint: found {path}, which torch cannot read, expected a checkpoint of "
            "training (fit)"
        ) from error
    if not isinstance(saved, dict) or "identity" not in saved or "generators" not in saved:
        raise ValueError(
            f"checkpoint: found {path} without a run in it, expected one written by fit"
        )
    return saved
