"""What has to be known before anything is measured: the machine, its bandwidth, that ours is right.

`python -m gattn.benchmark.gpu` stops here where there is no GPU or no Triton.
"""

from __future__ import annotations

import importlib.util
import statistics
import subprocess

import torch

from gattn._rows import Row
from gattn.benchmark.agree import disagreements, results
from gattn.benchmark.gpu import operators
from gattn.benchmark.gpu.measure import Bench, attempt
from gattn.benchmark.gpu.problems import AGREEMENT, SIZES
from gattn.benchmark.gpu.providers import believed
from gattn.benchmark.gpu.session import Session, step_row
from gattn.benchmark.problems import Layer
from gattn.benchmark.timing import seconds
from gattn.ops import dispatch

_COPIED = {"cuda": 1 << 30, "cpu": 1 << 24}
"""Numbers of float32 that are copied: far more than any cache holds."""


def missing(device: str, backend: str | None) -> list[str]:
    """Return what is not here that a run needs.

    Args:
        device: where it should run.
        backend: of ours.
    """
    try:
        kind = torch.device(device).type
    except RuntimeError:
        kind = None
    if kind not in _COPIED:
        return [f"--device: found {device!r}, expected cuda, cuda:1 or cpu"]
    found = []
    if kind == "cuda" and not torch.cuda.is_available():
        found.append("torch sees no CUDA device")
    if backend == "triton" and importlib.util.find_spec("triton") is None:
        found.append("triton is not installed")
    if backend is not None and backend not in dispatch.BACKENDS:
        found.append(f"gattn has no backend {backend!r}, only {', '.join(dispatch.BACKENDS)}")
    return found


def gate(session: Session) -> Row:
    """Return a row of what is here; its status is "failed" where ours is wrong.

    Args:
        session: what is asked for.
    """
    kind = session.where.type
    rate = copy_rate(session.where, _COPIED[kind] >> (6 if session.quick else 0))
    wrong = agreement(session)
    said = {name: text for name, text in wrong.items() if text}
    reason = {"reason": "; ".join(f"{name}: {text}" for name, text in said.items())[:300]}
    status = "failed" if said else "ok"
    found = {"measured_copy_bytes_per_second": rate, "agrees": sorted(wrong.keys() - said.keys())}
    return step_row("gate", status, **found, **machine(session.where), **(reason if said else {}))


def copy_rate(device: torch.device, count: int) -> float:
    """Return the bytes per second, read and written, of a copy between two large tensors.

    Args:
        device: where both are.
        count: numbers of float32.
    """
    source, target = (torch.ones(count, device=device) for _ in range(2))
    target.copy_(source)
    taken = [seconds(lambda: target.copy_(source), 5, device) for _ in range(7)]
    return 2 * source.nbytes / statistics.median(taken)


def agreement(session: Session) -> dict[str, str]:
    """Return for every operator what differs from the reference, "" where nothing does.

    Args:
        session: with the backend that is asked about.
    """
    bench, mine = Bench(session), operators.ours("ours", session.backend)
    found: dict[str, str] = {}
    for kind in operators.KINDS:
        layer = Layer(kind, *SIZES[0])
        inputs = bench.inputs(layer, AGREEMENT)
        got, reason = attempt(lambda inputs=inputs: results(mine.build(inputs)), session.where)
        wrong = [] if reason else disagreements(got, results(believed(inputs)))
        found[kind] = reason or "; ".join(wrong)
    return found


def machine(device: torch.device) -> Row:
    """Return what the device is, and its driver; little on a CPU."""
    if device.type != "cuda":
        return {"gpu": None}
    properties = torch.cuda.get_device_properties(device)
    return {
        "gpu": properties.name,
        "gpu_bytes": properties.total_memory,
        "processors": properties.multi_processor_count,
        "capability": f"{properties.major}.{properties.minor}",
        "cuda": torch.version.cuda,
        "driver": _driver(),
    }


def _driver() -> str | None:
    """The version of the driver, as its own tool tells."""
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    lines = done.stdout.split()
    return lines[0] if lines else None
