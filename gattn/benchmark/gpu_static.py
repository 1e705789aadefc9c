"""What the kernels of the Triton backend take of an H200, a row for each; no GPU is needed.

`python -m gattn.benchmark.gpu_static --out DIR` compiles every kernel that the layers of the
benchmark ask for, forward and backward, on a graph with short rows and a hub, and writes
`DIR/rows.jsonl` and `DIR/table.md`. Nothing is run: registers and memory are facts about the
machine code, and say nothing of its speed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from itertools import product
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from gattn import nn
from gattn._rows import Row, append_row, check_writable
from gattn.benchmark.gpu_kernels import Kernel, reasons, recorded, resources
from gattn.benchmark.graphs import Graph, power_law, star
from gattn.benchmark.problems import Layer
from gattn.benchmark.rows import commit, now, versions

GPU = "NVIDIA H200"
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
LAYERS = tuple(
    Layer(kind, heads, channels)
    for kind in ("GATConv", "GATv2Conv", "TransformerConv")
    for heads, channels in ((4, 32), (8, 64))
)


DEGREES = (7, 50)
"""Pairs of a row on average, of ogbn-arxiv and of ogbn-products: tiles depend on them."""


@dataclass(frozen=True)
class Case:
    """What asks for kernels.

    Args:
        layer: of the benchmark.
        dtype: name of the dtype of features and weights.
        degree: pairs of a row on average.
    """

    layer: Layer
    dtype: str
    degree: int

    def kernels(self) -> list[Kernel]:
        """The kernels of one forward and backward, in the order of their launches."""
        backend, dtype, graph = (
            import_module("gattn.ops.triton"),
            DTYPES[self.dtype],
            _graph(self.degree),
        )
        layer = self.layer
        conv = getattr(nn, layer.kind)(layer.in_channels, layer.channels, heads=layer.heads)
        conv.backend = "triton"
        x = torch.randn(graph.num_nodes, layer.in_channels, dtype=dtype, requires_grad=True)
        # Its tensors are on the CPU, where no kernel is to run.
        with recorded() as found, mock.patch.object(backend, "reasons", lambda problem: []):
            conv.to(dtype)(x, graph.edge_index).sum().backward()
        return found


def _graph(degree: int) -> Graph:
    """Short rows of every length, and a hub whose row is cut."""
    hub = star(20_000)
    nodes = hub.num_nodes
    rest = power_law(nodes, degree * nodes - hub.edge_index.size(1), 0.5, seed=0)
    return Graph(torch.cat([hub.edge_index, rest.edge_index], dim=1), nodes)


def measure(
    layers: Iterable[Layer] = LAYERS,
    dtypes: Iterable[str] = DTYPES,
    degrees: Iterable[int] = DEGREES,
) -> Iterator[Row]:
    """One row for each kernel, when it is asked for the first time.

    Args:
        layers: who asks for kernels.
        dtypes: names of `DTYPES`.
        degrees: pairs of a row on average.
    """
    around, seen = {"gpu": GPU, "versions": versions(), "commit": commit()}, set()
    for case in (Case(*each) for each in product(layers, dtypes, degrees)):
        for kernel in case.kernels():
            row = row_of(case, kernel) | around
            if row["key"] not in seen:
                seen.add(row["key"])
                yield row


def row_of(case: Case, kernel: Kernel) -> Row:
    """Return the row of a kernel, whose key does not depend on who asked for it.

    Args:
        case: who asked for it.
        kernel: compiled.
    """
    constants = {name: _plain(value) for name, value in kernel.constants.items()}
    about = {"kernel": kernel.name, "constants": constants, "types": dict(kernel.types)}
    key = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]
    asked = {"layer": case.layer.name, "dtype": case.dtype, "degree": case.degree}
    return {"key": key, "status": "ok", "time": now(), **asked, **about, **resources(kernel)}


def _plain(value: Any) -> Any:
    return value if isinstance(value, bool | int | float | str | None) else str(value)


HEADINGS = (
    "layer",
    "dtype",
    "pairs of a row",
    "kernel",
    "tile",
    "warps",
    "registers",
    "spilled",
    "shared",
    "machine code",
    "loads",
    "occupancy",
)


def markdown(rows: Iterable[Row]) -> str:
    """The table: a line for each kernel.

    Args:
        rows: of `measure`; of two with one key the later counts.
    """
    lines = [HEADINGS, ("---",) * len(HEADINGS)]
    lines += [_cells(row) for row in {row["key"]: row for row in rows}.values()]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row["layer"],
        row["dtype"],
        str(row["degree"]),
        f"`{row['kernel']}`",
        _tile(row["constants"]),
        str(row["warps"]),
        str(row["registers"]),
        f"{row['spilled_bytes']} B",
        f"{row['shared_bytes']} B",
        f"{row['cubin_bytes'] / 1000:.1f} kB",
        ", ".join(f"{count} x {width} B" for width, count in row["loads"].items()),
        f"{row['occupancy']:.0%}",
    )


def _tile(constants: Mapping[str, Any]) -> str:
    """The sizes of blocks, whose names begin with a B."""
    sizes = {name: size for name, size in constants.items() if name.startswith("B")}
    return ", ".join(f"{name}={size}" for name, size in sizes.items())


PASSES = ("attend", "backward_rows", "backward_sources")
"""The kernels that go over all pairs; the others put the pieces of long rows together."""


def summary(rows: Iterable[Row]) -> list[str]:
    """What the rows say, a sentence each.

    Args:
        rows: of `measure`.
    """
    every = list({row["key"]: row for row in rows}.values())
    passes = [row for row in every if row["kernel"] in PASSES]
    filled = sorted(row["occupancy"] for row in passes)
    low = [row for row in passes if row["occupancy"] < 0.25]
    spilling = [row for row in every if row["spilled_bytes"]]
    most = max((row["spilled_bytes"] for row in every), default=0)
    wide = [row for row in passes if "16" in row["loads"]]
    shared = max((row["shared_bytes"] for row in every), default=0)
    return [
        f"{len(every)} kernels, {len(passes)} of which go over all pairs.",
        f"Of these, the occupancy is {filled[0]:.0%} to {filled[-1]:.0%}, and below 25% for "
        f"{len(low)}; registers set it, since no block has more than {shared:,} B of shared "
        "memory.",
        f"{len(spilling)} keep something in local memory, {most} B of a thread at the most.",
        f"{len(wide)} load 16 B at a time, the most that an instruction can.",
    ]


def report(rows: Iterable[Row]) -> str:
    """`summary` and `markdown`, as they stand in the page of results."""
    kept = list(rows)
    return "".join(f"- {sentence}\n" for sentence in summary(kept)) + "\n" + markdown(kept)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m gattn.benchmark.gpu_static")
    parser.add_argument("--out", type=Path, help="folder of rows.jsonl and table.md")
    options = parser.parse_args()
    if found := reasons():
        parser.exit(1, f"gpu_static: {'; '.join(found)}\n")
    # Triton announces what a later version will do.
    warnings.filterwarnings("ignore", message="TRITON_DEFAULT_FP_FUSION")
    print(report(_written(measure(), options.out)))


def _written(rows: Iterator[Row], out: Path | None) -> list[Row]:
    """All rows, each kept in a new file as soon as it is there."""
    if out is None:
        return list(rows)
    path = out / "rows.jsonl"
    check_writable(path)
    path.write_bytes(b"")
    kept = []
    for row in rows:
        append_row(path, row)
        kept.append(row)
    (out / "table.md").write_text(report(kept))
    return kept


if __name__ == "__main__":
    main()
