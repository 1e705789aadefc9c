"""Predicted costs beside measured ones: pairs, seconds and peak memory, graph by graph.

`python -m gattn.benchmark.cost --out docs/results/cost_estimate` appends rows to `cpu.jsonl` there
and writes a table and a figure of them. What is there already is not measured again; what could not
be measured before is tried. Costs are predicted as a whole for each graph, right before they are
measured, each in a fresh process, so that both see the same machine.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import gattn
from gattn._memory import PeakMemory
from gattn._rows import Row, append_row, check_writable, read_rows
from gattn.benchmark.cost_report import write_report
from gattn.benchmark.graphs import Graph, power_law
from gattn.benchmark.memory import MARK
from gattn.benchmark.rows import circumstances, now, reason_of
from gattn.cost import Costs, Way, clock, predict
from gattn.data import load
from gattn.neighborhood import Estimate, estimate
from gattn.neighborhood.estimating import by_target, searcher

MEASURED = ("stored", "streamed", "diffusion")
"""The ways that are measured: "sampled" depends on a loader, too."""

MOST_SECONDS = 60.0
MOST_BYTES = 4e9
"""What is predicted to need more is not measured."""

# Steps that are timed, fewer of long ones, of which the first one counts, too.
_STEPS = 3
_LONG = 5.0
_ENOUGH = 20.0


def uniform(num_nodes: int, num_edges: int, seed: int) -> Graph:
    """Return a graph of random edges, each in both directions; loops and duplicates may occur.

    Args:
        num_nodes: N.
        num_edges: in one direction.
        seed: of the edges.
    """
    generator = torch.Generator().manual_seed(seed)
    one_way = torch.randint(num_nodes, (2, num_edges), generator=generator)
    return Graph(torch.cat([one_way, one_way.flip(0)], dim=1), num_nodes)


def _of_data(name: str, root: Path | None) -> Graph:
    task = load(name, root)
    return Graph(task.edge_index, task.num_nodes)


GRAPHS: dict[str, Callable[[Path | None], Graph]] = {
    **{name: partial(_of_data, name) for name in ("cora", "citeseer", "photo")},
    "uniform": lambda root: uniform(50_000, 350_000, 0),
    "power-law": lambda root: power_law(50_000, 700_000, 0.5, 0),
    "tiny": lambda root: power_law(60, 240, 0.4, 0),
}
"""By the names in rows; "tiny" is to try it out."""


@dataclass(frozen=True)
class Spec:
    """One measurement in a process of its own; all fields are names and numbers.

    Args:
        graph: of `GRAPHS`.
        way: of `MEASURED`.
        num_hops: K.
        heads: H.
        channels: C.
        threads: of torch.
        root: of the datasets.
    """

    graph: str
    way: str
    num_hops: int
    heads: int
    channels: int
    threads: int
    root: str | None


def run(
    graph: str, breadths: Sequence[int], spec: Mapping[str, Any], known: set[str]
) -> Iterator[Row]:
    """Yield the rows of a graph, without those that are known.

    Args:
        graph: of `GRAPHS`.
        breadths: K of each.
        spec: the other fields of a `Spec`.
        known: keys of finished rows.
    """
    made = GRAPHS[graph](None if spec["root"] is None else Path(spec["root"]))
    common = {"graph": graph, "nodes": made.num_nodes, "edges": made.edge_index.shape[1]}
    common |= {name: spec[name] for name in ("heads", "channels")}
    keys = {(k, what): _key(common, k, what) for k in breadths for what in ("pairs", *MEASURED)}
    if any(keys[k, "pairs"] not in known for k in breadths):
        for row in _pair_rows(made, breadths):
            yield {"key": keys[row["breadth"], "pairs"], **common, **row, **_where()}
    missing = [(k, way) for k in breadths for way in MEASURED if keys[k, way] not in known]
    if missing:
        sizes = {"heads": spec["heads"], "channels": spec["channels"]}
        costs = predict(made.edge_index, breadths, made.num_nodes, **sizes)
        for hops, way in missing:
            row = _step_row(Spec(graph, way, hops, **spec), _way(costs, hops, way))
            yield {"key": keys[hops, way], **common, **row, **_where()}


def _way(costs: Costs, hops: int, way: str) -> Way:
    (found,) = (breadth for breadth in costs.breadths if breadth.num_hops == hops)
    return found.ways[way]


def _key(common: Mapping[str, Any], breadth: int, what: str) -> str:
    sizes = "" if what == "pairs" else f"-{common['heads']}x{common['channels']}"
    return f"{common['graph']}-{breadth}-{what}{sizes}"


def _where() -> Row:
    return {**circumstances("cpu"), "time": now()}


def _pair_rows(graph: Graph, breadths: Sequence[int]) -> Iterator[Row]:
    """The number of pairs of every breadth, estimated by itself, and counted."""
    begin = clock.now()
    search = searcher(by_target(graph.edge_index, graph.num_nodes), max(breadths))
    truth = search.count(np.arange(graph.num_nodes), by_hop=True).sum(0).cumsum()
    counting = clock.now() - begin
    for hops in breadths:
        begin = clock.now()
        found = estimate(graph.edge_index, hops, graph.num_nodes)
        taken = clock.now() - begin
        yield {
            "measure": "pairs",
            "breadth": hops,
            "status": "ok",
            "pairs": int(truth[hops]),
            **_estimated(found),
            "estimate_seconds": taken,
            "count_seconds": counting,
        }


def _estimated(found: Estimate) -> Row:
    total = found.pairs[-1]
    return {
        "estimate": total.value,
        "low": total.low,
        "high": total.high,
        "samples": found.num_samples,
        "counted": found.is_exact,
    }


def _step_row(spec: Spec, way: Way) -> Row:
    row = {
        "measure": "step",
        "breadth": spec.num_hops,
        "way": spec.way,
        "predicted_seconds": way.seconds,
        "predicted_bytes": way.bytes,
        "predicted_building": way.building,
    }
    if way.seconds > MOST_SECONDS or way.bytes > MOST_BYTES:
        return {**row, "status": "skipped", "reason": "predicted to take more than is measured"}
    try:
        return {**row, "status": "ok", **measure_apart(spec)}
    except RuntimeError as error:
        return {**row, "status": "failed", "reason": reason_of(error)}


def measure_apart(spec: Spec) -> dict[str, Any]:
    """Measure in a fresh process; see `measure`.

    Args:
        spec: what to measure.

    Raises:
        RuntimeError: the process failed, with the last line that it said.
    """
    threads = str(spec.threads)
    environment = {**os.environ, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
    command = [sys.executable, "-m", "gattn.benchmark.cost", "--measure", json.dumps(asdict(spec))]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    found = [line for line in done.stdout.splitlines() if line.startswith(MARK)]
    if done.returncode == 0 and found:
        return json.loads(found[-1].removeprefix(MARK))
    said = done.stderr.strip().splitlines()
    raise RuntimeError(said[-1] if said else f"the process ended with exit code {done.returncode}")


def measure(spec: Spec) -> dict[str, Any]:
    """Measure in this process, which should be a fresh one.

    Args:
        spec: what to measure.

    Returns:
        `seconds` (the least of a few steps), `rounds` (all of them), `elapsed` (the same by the
        time of day), `building` (seconds of the neighbourhood), and `bytes`, the growth from before
        there were features and neighbourhood.
    """
    torch.set_num_threads(spec.threads)
    graph = GRAPHS[spec.graph](None if spec.root is None else Path(spec.root))
    _Layer(spec, GRAPHS["tiny"](None)).step()  # compiles
    peak = PeakMemory(torch.device("cpu"))
    layer = _Layer(spec, graph)
    first = layer.step()
    found = peak.read()
    rounds = [first] if first > _LONG else []
    while len(rounds) < _STEPS and sum(rounds) < _ENOUGH:
        rounds.append(layer.step())
    return {
        "seconds": min(rounds),
        "rounds": rounds,
        "elapsed": layer.elapsed[-len(rounds) :],
        "building": layer.building,
        "bytes": found,
    }


class _Layer:
    """One layer on a graph: what the ways have in common."""

    def __init__(self, spec: Spec, graph: Graph) -> None:
        sizes = graph.num_nodes, spec.heads, spec.channels
        generator = torch.Generator().manual_seed(0)
        self.grad = torch.randn(sizes, generator=generator)
        self.leaves = [torch.randn(sizes, generator=generator).requires_grad_() for _ in range(3)]
        begin = clock.now()
        hops = 1 if spec.way == "diffusion" else spec.num_hops
        self.around = gattn.k_hop(
            graph.edge_index,
            hops,
            graph.num_nodes,
            streamed=spec.way == "streamed",
            max_pairs=10**9,
        )
        self.building = clock.now() - begin
        self.elapsed: list[float] = []
        self.rounds = spec.num_hops if spec.way == "diffusion" else None

    def step(self) -> float:
        """Seconds of forward and backward; the gradients are left behind until the next."""
        for leaf in self.leaves:
            leaf.grad = None
        begin, start = clock.now(), time.perf_counter()
        self._forward().backward(self.grad)
        self.elapsed.append(time.perf_counter() - start)
        return clock.now() - begin

    def _forward(self) -> Tensor:
        query, key, value = self.leaves
        if self.rounds is None:
            return gattn.attend(query, key, value, self.around)
        weights = gattn.attention_weights(query, key, self.around)
        return gattn.diffuse(weights, value, self.around, rounds=self.rounds)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what is missing, and write rows, table and figure.

    Args:
        arguments: of the command line.
    """
    options = _parser().parse_args(arguments)
    if options.measure is not None:
        print(MARK + json.dumps(measure(Spec(**json.loads(options.measure)))), flush=True)
        return
    torch.set_num_threads(options.threads)
    path = options.out / "cpu.jsonl"
    check_writable(path)
    known = {row["key"] for row in read_rows(path) if row["status"] == "ok"}
    root = None if options.root is None else str(options.root.absolute())
    spec = {"heads": options.heads, "channels": options.channels}
    spec |= {"threads": options.threads, "root": root}
    for graph in options.graph:
        for row in run(graph, options.breadth, spec, known):
            append_row(path, row)
            print(row["key"], row["status"], file=sys.stderr, flush=True)
    print("written:", *write_report(read_rows(path), options.out))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m gattn.benchmark.cost", description=__doc__)
    data = os.environ.get("GATTN_DATA")
    parser.add_argument("--out", type=Path, default=Path("results/cost_estimate"))
    parser.add_argument("--root", type=Path, default=None if data is None else Path(data))
    parser.add_argument("--graph", nargs="+", choices=GRAPHS, default=[*GRAPHS][:-1])
    parser.add_argument("--breadth", nargs="+", type=int, default=[1, 2, 3, 4])
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--channels", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    main()
