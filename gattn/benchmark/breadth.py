"""What breadth costs: finding the pairs within k hops, storing them, and streaming them.

    python -m gattn.benchmark.breadth --out docs/results/breadth

On graphs of 50,000 nodes and 700,000 edges, in 4 heads of 64 channels and float32, it measures

- `build`: `k_hop`, stored and streamed, beside boolean powers of scipy with a label for each hop
  (which give the pairs, but no transpose for the backward);
- `attend`: forward, and forward + backward, over stored and streamed pairs, in turns;
- `memory`: the peak above the inputs, of neighbourhood, forward and backward, each in a fresh
  process, and the seconds that it took.

One row for each measurement is appended to OUT/breadth.jsonl; OUT/memory.png is drawn of the file.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import gattn
from gattn._memory import PeakMemory
from gattn._rows import Row, append_row, read_rows
from gattn.benchmark.graphs import Graph, power_law
from gattn.benchmark.rows import circumstances, now, time_row
from gattn.benchmark.timing import interleave, seconds

HEADS, CHANNELS = 4, 64
CPU = torch.device("cpu")
MARK = "measured: "
NO_LIMIT = 1 << 62

Sides = tuple[Tensor, Tensor, Tensor]


def uniform(num_nodes: int, num_edges: int, seed: int) -> Graph:
    """Return a graph of random edges, each of which goes both ways.

    Args:
        num_nodes: N.
        num_edges: E, half of them drawn.
        seed: of the draw.
    """
    draw = torch.Generator().manual_seed(seed)
    half = torch.randint(num_nodes, (2, num_edges // 2), generator=draw)
    return Graph(torch.cat([half, half.flip(0)], dim=1), num_nodes)


GRAPHS: dict[str, Callable[[], Graph]] = {
    "uniform": partial(uniform, 50_000, 700_000, 0),
    "power law": partial(power_law, 50_000, 700_000, 0.5, 0),
    "tiny": partial(uniform, 300, 2_000, 0),
}
"""Of the first the ball of three hops has 143 million pairs; of the second 713 million."""


def labelled_powers(graph: Graph, num_hops: int) -> Any:
    """Return the pairs within k hops by scipy: a matrix of 1 + the distance.

    Args:
        graph: rows of the result are targets.
        num_hops: K.
    """
    import numpy as np
    from scipy import sparse

    source, target = graph.edge_index.numpy()
    shape = (graph.num_nodes, graph.num_nodes)
    step = sparse.csr_matrix((np.ones(len(source), bool), (target, source)), shape=shape)
    ring = visited = sparse.csr_matrix(sparse.identity(graph.num_nodes), dtype=bool)
    labels = ring.astype(np.uint8)
    for hop in range(1, num_hops + 1):
        ring = (ring @ step) > visited
        visited = visited + ring
        labels = labels + ring.astype(np.uint8) * np.uint8(hop + 1)
    return labels


def neighborhood(graph: Graph, num_hops: int, way: str) -> gattn.Sparse | gattn.Streamed:
    """Return the ball of some hops, "stored" or "streamed"."""
    edges, count = graph.edge_index, graph.num_nodes
    return gattn.k_hop(edges, num_hops, count, streamed=way == "streamed", max_pairs=NO_LIMIT)


def features(num_nodes: int) -> Sides:
    """Return query, key and value, with room for gradients."""
    draw = torch.Generator().manual_seed(1)
    size = (num_nodes, HEADS, CHANNELS)
    query, key, value = torch.randn(3, *size, generator=draw)
    return query.requires_grad_(), key.requires_grad_(), value.requires_grad_()


def build_rows(name: str, num_hops: int, rounds: int) -> Iterator[Row]:
    """Measure how long the pairs take to be found."""
    graph = GRAPHS[name]()
    ways: dict[str, Callable[[], object]] = {
        "scipy": partial(labelled_powers, graph, num_hops),
        "stored": partial(neighborhood, graph, num_hops, "stored"),
        "streamed": partial(neighborhood, graph, num_hops, "streamed"),
    }
    pairs = neighborhood(graph, num_hops, "streamed").num_pairs
    taken = _in_turns(ways, rounds)
    for way in ways:
        row = {"what": "build", "graph": name, "hops": num_hops, "way": way, "pairs": pairs}
        yield row | time_row(taken, way, "scipy")


def attend_rows(name: str, num_hops: int, rounds: int) -> Iterator[Row]:
    """Measure attention over stored and streamed pairs."""
    graph = GRAPHS[name]()
    sides, ways = features(graph.num_nodes), ("stored", "streamed")
    around = {way: neighborhood(graph, num_hops, way) for way in ways}
    for passed, step in (("forward", _forward), ("forward+backward", _backward)):
        taken = _in_turns({way: partial(step, sides, around[way]) for way in around}, rounds)
        for way, pairs in around.items():
            row = {"what": "attend", "graph": name, "hops": num_hops, "way": way, "pass": passed}
            yield row | {"pairs": pairs.num_pairs} | time_row(taken, way, "stored")


def _in_turns(steps: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    return interleave(steps, rounds, CPU)


def _forward(sides: Sides, around: gattn.Sparse | gattn.Streamed) -> None:
    with torch.no_grad():
        gattn.attend(*sides, around)


def _backward(sides: Sides, around: gattn.Sparse | gattn.Streamed) -> None:
    out = gattn.attend(*sides, around)
    torch.autograd.grad(out, sides, torch.ones_like(out))


def memory_row(name: str, num_hops: int, way: str, threads: int) -> Row:
    """Measure the peak of one way in a fresh process.

    Raises:
        RuntimeError: the process failed.
    """
    spec = json.dumps([name, num_hops, way, threads])
    command = [sys.executable, "-m", "gattn.benchmark.breadth", "--apart", spec]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = [line for line in done.stdout.splitlines() if line.startswith(MARK)]
    if done.returncode or not found:
        raise RuntimeError(f"{spec}: exit code {done.returncode}: {done.stderr[-300:]}")
    measured = json.loads(found[-1].removeprefix(MARK))
    return {"what": "memory", "graph": name, "hops": num_hops, "way": way, **measured}


def measure(name: str, num_hops: int, way: str, threads: int) -> Row:
    """Measure in this process, which should be a fresh one.

    Returns:
        `pairs`, `peak_bytes` of the neighbourhood and of a forward and backward together, above
        graph, features and compiled code; and the seconds of both.
    """
    torch.set_num_threads(threads)
    tiny = GRAPHS["tiny"]()
    for once in ("stored", "streamed"):
        _backward(features(tiny.num_nodes), neighborhood(tiny, num_hops, once))
    graph = GRAPHS[name]()
    sides, kept = features(graph.num_nodes), []
    peak = PeakMemory(CPU)
    build = seconds(lambda: kept.append(neighborhood(graph, num_hops, way)), 1, CPU)
    step = seconds(lambda: _backward(sides, kept[0]), 1, CPU)
    pairs = kept[0].num_pairs
    return {"pairs": pairs, "peak_bytes": peak.read(), "build_seconds": build, "seconds": step}


def rows(
    kinds: list[str], graphs: list[str], hops: list[int], stored: int, rounds: int
) -> Iterator[Row]:
    """Measure everything.

    Args:
        kinds: of "build", "attend" and "memory".
        graphs: names of `GRAPHS`.
        hops: breadths.
        stored: the most hops that are stored, or given to scipy.
        rounds: turns of each way.
    """
    for name in graphs:
        for num_hops in (k for k in hops if "build" in kinds and 2 <= k <= stored):
            yield from build_rows(name, num_hops, rounds)
        if "attend" in kinds:
            yield from attend_rows(name, 2, rounds)
        for num_hops in hops if "memory" in kinds else ():
            for way in ("stored", "streamed"):
                if way == "streamed" or num_hops <= stored:
                    yield memory_row(name, num_hops, way, torch.get_num_threads())


_COLUMNS: dict[str, tuple[str, ...]] = {
    "build": ("graph", "hops", "pairs", "way", "seconds", "by scipy's"),
    "attend": ("graph", "hops", "pass", "way", "seconds", "by stored"),
    "memory": ("graph", "hops", "pairs", "way", "peak", "to build", "forward + backward"),
}


def markdown(found: list[Row], what: str) -> str:
    """Return the last row of every measurement as a Markdown table.

    Args:
        found: rows of the file.
        what: "build", "attend" or "memory".
    """
    last = {row["key"]: row for row in found if row["what"] == what}
    head = _COLUMNS[what]
    lines = [head, ("---",) * len(head), *(_cells(row) for row in last.values())]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _cells(row: Row) -> tuple[str, ...]:
    pairs = f"{row['pairs']:,}"
    if row["what"] == "memory":
        times = f"{row['build_seconds']:.2f} s", f"{row['seconds']:.2f} s"
        peak = f"{row['peak_bytes'] / 1e9:.2f} GB"
        return row["graph"], str(row["hops"]), pairs, row["way"], peak, *times
    by = "1" if row["ratio"] is None else f"{row['ratio']:.2f}"
    of = pairs if row["what"] == "build" else row["pass"]
    if row["ratio"] is not None:
        by += f" ({row['ratio_low']:.2f}..{row['ratio_high']:.2f})"
    where = row["graph"], str(row["hops"]), of, row["way"]
    return *where, f"{row['seconds']:.3g}", by


def draw(found: list[Row], path: Path) -> None:
    """Draw peak memory against breadth, a line for each way and graph."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    latest = {(r["graph"], r["way"], r["hops"]): r for r in found if r["what"] == "memory"}
    names = sorted({row["graph"] for row in latest.values()})
    with mpl.rc_context({"font.size": 9}):
        figure = Figure(figsize=(4.2 * len(names), 3.2), layout="constrained")
        for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
            for way, colour in (("stored", "#7b8794"), ("streamed", "#3b6fb6")):
                of_way = [row for (n, w, _), row in sorted(latest.items()) if (n, w) == (name, way)]
                points = [(row["hops"], row["peak_bytes"] / 1e9) for row in of_way]
                axes.plot(*zip(*points, strict=True), "o-", color=colour, label=way)
            axes.set(title=name, xlabel="hops", ylabel="peak memory, GB", yscale="log")
            axes.xaxis.get_major_locator().set_params(integer=True)
            axes.legend(frameon=False)
        figure.savefig(path, dpi=150)


def main(arguments: list[str] | None = None) -> None:
    """Measure, keep the rows, and draw them."""
    parser = argparse.ArgumentParser(prog="python -m gattn.benchmark.breadth", description=__doc__)
    parser.add_argument("--out", type=Path, help="folder")
    parser.add_argument("--graph", nargs="+", default=["uniform", "power law"], choices=GRAPHS)
    parser.add_argument("--what", nargs="+", default=list(_COLUMNS), choices=_COLUMNS)
    parser.add_argument("--hops", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--stored", type=int, default=3, help="the most hops that are stored")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--apart", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.apart:
        print(MARK + json.dumps(measure(*json.loads(given.apart))), flush=True)
        return
    if given.out is None:
        parser.error("--out: found none, expected a folder")
    torch.set_num_threads(given.threads)
    given.out.mkdir(parents=True, exist_ok=True)
    path = given.out / "breadth.jsonl"
    for row in rows(given.what, given.graph, given.hops, given.stored, given.rounds):
        where = "/".join(str(row[n]) for n in ("what", "graph", "hops", "way"))
        full = {"key": f"{where}/{row.get('pass', '')}", "status": "ok"} | row
        append_row(path, full | circumstances("cpu") | {"time": now()})
        print(where, row.get("pass", ""), row["seconds"], row.get("ratio"), flush=True)
    draw(read_rows(path), given.out / "memory.png")


if __name__ == "__main__":
    main()
