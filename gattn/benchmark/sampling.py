"""Seeds per second of samplers of neighbours, and the memory of one on a large graph.

`python -m gattn.benchmark.sampling --out FILE` appends a row for each graph, fan-out, sampler and
number of threads, and prints a table. A round samples batches of 1,024 seeds, one after the other,
without features; the seeds of the small graph are all of its nodes. The best of the rounds counts:
on a shared machine whatever makes a round slower is somebody else. There a round on the clock also
holds the turns of others, which the seconds of the processor, summed over the threads, do not. Each
row on the large graph is measured in a process of its own, whose largest resident set in its whole
life, imports and the making of the graph included, is its memory.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import torch
import torch_geometric.typing
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.sampler import BaseSampler, NeighborSampler, NodeSamplerInput

from gattn._memory import high_water_mark
from gattn._rows import Row, append_row, check_writable
from gattn.benchmark.graphs import compressed_power_law, power_law
from gattn.benchmark.rows import circumstances, now, reason_of
from gattn.loader import KHopSampler

BATCH = 1024
FAN_OUTS = ([10, 10], [15, 10, 5])
THREADS = (1, 2)
PEERS = {"pyg-lib": "WITH_PYG_LIB", "torch-sparse": "WITH_TORCH_SPARSE"}
Seconds = tuple[float, float]
"""On the clock, and of the processor."""

_MARK = "measured: "


@dataclass(frozen=True)
class Large:
    """A measurement in a process of its own.

    Args:
        num_nodes: N.
        num_edges: E.
        fan_out: neighbours at each hop.
        threads: of torch.
        rounds: how often the batches are sampled.
        batches: of a round.
    """

    num_nodes: int
    num_edges: int
    fan_out: list[int]
    threads: int
    rounds: int
    batches: int


def measure(rounds: int = 7, quick: bool = False, large: bool = True) -> Iterator[Row]:
    """One row for each graph, fan-out, sampler and number of threads.

    Args:
        rounds: how often each one samples its batches.
        quick: tiny graphs, to try it out.
        large: measure the large graph as well.
    """
    graph = power_law(*((500, 5000) if quick else (50_000, 700_000)), 0.5, 0)
    data = Data(edge_index=graph.edge_index, num_nodes=graph.num_nodes)
    name = "quick" if quick else "50k"
    for fan_out in FAN_OUTS:
        yield from _ours(name, data, fan_out, rounds)
        for peer in PEERS:
            yield _peer(name, data, fan_out, rounds, peer)
    sizes = (2000, 40_000) if quick else (10_000_000, 200_000_000)
    for fan_out in FAN_OUTS if large else ():
        for threads in THREADS:
            spec = Large(*sizes, fan_out, threads, min(rounds, 5), 2 if quick else 50)
            yield _large("quick-large" if quick else "10m", spec)


def _ours(name: str, data: Data, fan_out: list[int], rounds: int) -> Iterator[Row]:
    sampler = KHopSampler(data, fan_out, seed=0)
    seeds = _seeds(int(data.num_nodes or 0))
    steps = {str(threads): _epoch(sampler, seeds, threads) for threads in THREADS}
    with _threads_kept():
        for threads, taken in _turns(steps, rounds).items():
            yield _row(name, fan_out, "gattn", int(threads), _speed(taken, seeds, sampler))


def _peer(name: str, data: Data, fan_out: list[int], rounds: int, peer: str) -> Row:
    """PyG's own sampler on one of its two wheels, on one thread."""
    if not getattr(torch_geometric.typing, PEERS[peer]):
        reason = f"{peer} cannot be imported"
        return _row(name, fan_out, peer, 1, {"status": "unavailable", "reason": reason})
    by_lib = mock.patch.object(torch_geometric.typing, "WITH_PYG_LIB", peer == "pyg-lib")
    seeds = _seeds(int(data.num_nodes or 0))
    with by_lib, _threads_kept():
        sampler = NeighborSampler(data, fan_out)
        step = {peer: _epoch(sampler, seeds, 1)}
        taken = _turns(step, rounds)[peer]
        return _row(name, fan_out, peer, 1, _speed(taken, seeds, sampler))


def _seeds(num_nodes: int) -> list[NodeSamplerInput]:
    """All nodes in batches, in a fixed order."""
    order = torch.randperm(num_nodes, generator=torch.Generator().manual_seed(0))
    return [NodeSamplerInput(None, part) for part in order.split(BATCH)]


def _epoch(
    sampler: BaseSampler, seeds: list[NodeSamplerInput], threads: int
) -> Callable[[], object]:
    def run() -> None:
        torch.set_num_threads(threads)
        for batch in seeds:
            sampler.sample_from_nodes(batch)

    return run


@contextmanager
def _threads_kept() -> Iterator[None]:
    """Set torch's number of threads back in the end."""
    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _turns(steps: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[Seconds]]:
    """The seconds of every step in every round, in turns, after a round that does not count."""
    taken: dict[str, list[Seconds]] = {name: [] for name in steps}
    for round_ in range(rounds + 1):
        for name, step in steps.items():
            start = time.perf_counter(), time.process_time()
            step()
            if round_:
                taken[name].append((time.perf_counter() - start[0], time.process_time() - start[1]))
    return taken


def _speed(taken: list[Seconds], seeds: list[NodeSamplerInput], sampler: BaseSampler) -> Row:
    """The fields of a measurement that succeeded."""
    count = sum(batch.node.numel() for batch in seeds)
    out: Any = sampler.sample_from_nodes(seeds[0])
    clock, cpu = (list(seconds) for seconds in zip(*taken, strict=True))
    return {
        "status": "ok",
        "rounds": clock,
        "cpu_rounds": cpu,
        "seeds": count,
        "seeds_per_second": count / min(clock),
        "median_seeds_per_second": count / statistics.median(clock),
        "seeds_per_cpu_second": count / min(cpu),
        "batch_nodes": out.node.numel(),
        "batch_edges": out.row.numel(),
    }


def _row(name: str, fan_out: list[int], provider: str, threads: int, found: Row) -> Row:
    what = {"graph": name, "fan_out": fan_out, "provider": provider}
    key = "/".join([name, "-".join(map(str, fan_out)), provider, str(threads)])
    where = {**circumstances("cpu"), "threads": threads}
    return {"key": key, **what, "batch_size": BATCH, **found, **where, "time": now()}


def _large(name: str, spec: Large) -> Row:
    """The row of a process of its own."""
    limits = {"OMP_NUM_THREADS": str(spec.threads), "MKL_NUM_THREADS": str(spec.threads)}
    command = [
        sys.executable,
        "-m",
        "gattn.benchmark.sampling",
        "--alone",
        json.dumps(asdict(spec)),
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, **limits}, check=False
    )
    said = [line for line in done.stdout.splitlines() if line.startswith(_MARK)]
    if done.returncode == 0 and said:
        found = json.loads(said[-1].removeprefix(_MARK))
    else:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        found = {"status": "failed", "reason": reason_of(RuntimeError(last))}
    sizes = {"num_nodes": spec.num_nodes, "num_edges": spec.num_edges}
    return _row(name, spec.fan_out, "gattn", spec.threads, {**sizes, **found})


def alone(spec: Large) -> Row:
    """Make the graph and sample from it, in this process, which should be a fresh one.

    Args:
        spec: what to measure.

    Returns:
        What `_speed` tells, `graph_bytes`, and `resident_bytes`, the largest resident set of the
        process in its whole life.
    """
    torch.set_num_threads(spec.threads)
    rows: tuple[Tensor, Tensor] = compressed_power_law(spec.num_nodes, spec.num_edges, 0.4, 0)
    sampler = KHopSampler(rows, spec.fan_out, seed=0)
    seeds = _seeds(spec.num_nodes)[: spec.batches]
    step = {"gattn": _epoch(sampler, seeds, spec.threads)}
    taken = _turns(step, spec.rounds)["gattn"]
    found = _speed(taken, seeds, sampler)
    return {
        **found,
        "graph_bytes": sum(part.nbytes for part in rows),
        "resident_bytes": high_water_mark(),
    }


def markdown(rows: Iterable[Row]) -> str:
    """The table of the rows; of two with the same key the later one counts."""
    head = ("graph", "neighbours", "sampler", "threads", "seeds/s", "of the CPU", "batch", "memory")
    lines = [head, ("---",) * len(head)]
    lines += [_cells(row) for row in {row["key"]: row for row in rows}.values()]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _cells(row: Row) -> tuple[str, ...]:
    what = (row["graph"], ", ".join(map(str, row["fan_out"])), row["provider"], str(row["threads"]))
    if row["status"] != "ok":
        return (*what, row["status"], "", "", "")
    best, median = row["seeds_per_second"], row["median_seeds_per_second"]
    cpu = f"{row['seeds_per_cpu_second']:,.0f}"
    batch = f"{row['batch_nodes']:,} nodes, {row['batch_edges']:,} edges"
    peak = row.get("resident_bytes")
    memory = "" if peak is None else f"{peak / 1e9:.2f} GB"
    return (*what, f"{best:,.0f} (median {median:,.0f})", cpu, batch, memory)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m gattn.benchmark.sampling")
    parser.add_argument("--out", type=Path, help="file that rows are appended to")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="tiny graphs, to try it out")
    parser.add_argument("--no-large", action="store_true", help="leave the large graph out")
    parser.add_argument("--alone", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.alone is not None:
        print(_MARK + json.dumps(alone(Large(**json.loads(options.alone)))), flush=True)
        return
    if options.out is not None:
        check_writable(options.out)
    rows = []
    for row in measure(options.rounds, options.quick, not options.no_large):
        rows.append(row)
        if options.out is not None:
            append_row(options.out, row)
    print(markdown(rows))


if __name__ == "__main__":
    main()
