"""Where the time of a forward and backward goes, kernel by kernel, and how far it is from a copy.

`python -m gattn.benchmark.profile --out FOLDER` appends a row for each stage to `FOLDER`'s
`cpu_profile.jsonl` and prints a table. A stage is a kernel of the CPU backend; "everything else" is
projections, sums and PyTorch's own work. For the kernels that gather, the row has the bytes that
they would have to move if nothing stayed in a cache, and the rate at which they do, beside that of
a plain copy on the same machine in the same minute.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from gattn._numba import pool
from gattn._rows import Row, append_row
from gattn.benchmark.passes import Model, forward_backward
from gattn.benchmark.problems import PROBLEMS, Layer, make_inputs
from gattn.benchmark.providers import provider
from gattn.benchmark.rows import circumstances

REST = "everything else"
_COPIED = 64 << 20  # numbers: far beyond any cache

# Rows of H * C numbers that a kernel gathers for each pair.
_GATHERED_ROWS = {
    "GATConv": {"attend": 1, "backward_rows": 1, "backward_sources": 1},
    "GATv2Conv": {"attend": 1, "backward_rows": 1, "backward_sources": 2},
    "TransformerConv": {"attend": 2, "backward_rows": 2, "backward_sources": 2},
}


def profile(rounds: int = 5) -> Iterator[Row]:
    """One row for each layer and stage, of medians over the rounds.

    Args:
        rounds: forward and backward passes of each layer.
    """
    rate = copy_rate()
    problem = PROBLEMS["50k"]
    graph = problem.graph(0)
    for layer in problem.layers:
        inputs = make_inputs(problem, layer, graph, 0)
        model = provider("gattn").build(inputs)
        for _ in range(2):
            forward_backward(model)
        for stage, seconds in _stages(model, rounds).items():
            moved = _bytes(layer, stage, inputs.num_pairs)
            yield {
                "key": f"{layer.name}/{stage}",
                "status": "ok",
                "layer": layer.name,
                "stage": stage,
                "seconds": seconds,
                "gathered_bytes": moved,
                "bytes_per_second": moved / seconds if moved else None,
                "copy_bytes_per_second": rate,
                **circumstances("cpu"),
            }


def copy_rate() -> float:
    """Bytes per second, read and written, of a copy between two large tensors."""
    source, target = torch.ones(_COPIED), torch.ones(_COPIED)
    taken = [_seconds(lambda: target.copy_(source)) for _ in range(5)]
    return 2 * source.nbytes / statistics.median(taken)


def _stages(model: Model, rounds: int) -> dict[str, float]:
    found: dict[str, list[float]] = defaultdict(list)
    for _ in range(rounds):
        with _observed() as kernels:
            whole = _seconds(lambda: forward_backward(model))
        kernels[REST] = whole - sum(kernels.values())
        for stage, seconds in kernels.items():
            found[stage].append(seconds)
    return {stage: statistics.median(taken) for stage, taken in found.items()}


@contextmanager
def _observed() -> Iterator[dict[str, float]]:
    """Seconds of every kernel that the pool runs, by name."""
    run, found = pool.run, defaultdict(float)

    def timed(kernel: Any, *args: Any) -> None:
        found[kernel.__name__] += _seconds(lambda: run(kernel, *args))

    pool.run = timed  # type: ignore[assignment]
    try:
        yield found
    finally:
        pool.run = run


def _seconds(step: Callable[[], object]) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def _bytes(layer: Layer, stage: str, pairs: int) -> int | None:
    """What a gathering kernel would move without caches, in float32."""
    rows = _GATHERED_ROWS[layer.kind].get(stage)
    return None if rows is None else 4 * pairs * layer.heads * layer.channels * rows


def markdown(rows: Iterable[Row]) -> str:
    """The table of a profile."""
    head = ("layer", "stage", "time", "gathered", "rate", "of a copy")
    lines = [head, ("---",) * len(head)]
    for row in rows:
        moved, rate = row["gathered_bytes"], row["bytes_per_second"]
        gathered = (
            (f"{moved / 1e6:.0f} MB", f"{rate / 1e9:.1f} GB/s", _share(row)) if moved else ("",) * 3
        )
        lines.append((row["layer"], row["stage"], f"{1e3 * row['seconds']:.1f} ms", *gathered))
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _share(row: Row) -> str:
    return f"{row['bytes_per_second'] / row['copy_bytes_per_second']:.0%}"


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m gattn.benchmark.profile")
    parser.add_argument("--out", type=Path, help="folder of cpu_profile.jsonl")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=None)
    options = parser.parse_args()
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    rows = []
    for row in profile(options.rounds):
        rows.append(row)
        if options.out is not None:
            append_row(options.out / "cpu_profile.jsonl", row)
    print(markdown(rows))


if __name__ == "__main__":
    main()
