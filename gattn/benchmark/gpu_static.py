"""What the kernels of the Triton backend take of an H200, a row for each; no GPU is needed.

`python -m gattn.benchmark.gpu_static --out DIR` compiles every kernel that the layers of the
benchmark ask for, forward and backward, on a graph with short rows and a hub, and writes
`DIR/rows.jsonl` and the table. Nothing is run: registers and memory are facts about the machine
code, and say nothing of its speed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from gattn._rows import Row, append_row, check_writable
from gattn.benchmark.gpu_kernels import Kernel, reasons, recorded, resources
from gattn.benchmark.graphs import Graph, power_law, star
from gattn.benchmark.passes import PASSES
from gattn.benchmark.problems import PROBLEMS, Inputs, Layer, make_inputs
from gattn.benchmark.providers import provider
from gattn.benchmark.rows import commit, now, versions

GPU = "NVIDIA H200"
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
LAYERS = tuple(
    Layer(kind, heads, channels)
    for kind in ("GATConv", "GATv2Conv", "TransformerConv")
    for heads, channels in ((4, 32), (8, 64))
)


@dataclass(frozen=True)
class Case:
    """What asks for kernels.

    Args:
        layer: of the benchmark.
        dtype: name of the dtype of features and weights.
    """

    layer: Layer
    dtype: str

    def kernels(self) -> list[Kernel]:
        """The kernels of one forward and backward, in the order of their launches."""
        inputs = _inputs(self.layer, DTYPES[self.dtype])
        backend = import_module("gattn.ops.triton")
        # Its tensors are on the CPU, where no kernel is to run.
        with recorded() as found, mock.patch.object(backend, "reasons", lambda problem: []):
            PASSES["forward+backward"](provider("gattn:triton").build(inputs))
        return found


def _inputs(layer: Layer, dtype: torch.dtype) -> Inputs:
    inputs = make_inputs(PROBLEMS["cora"], layer, _graph(), seed=0)
    tensors = {name: tensor.to(dtype) for name, tensor in inputs.tensors.items()}
    state = {name: weight.to(dtype) for name, weight in inputs.state.items()}
    return replace(inputs, tensors=tensors, state=state)


def _graph() -> Graph:
    """Short rows of every length, and a row that is longer than any block of pairs."""
    hub, rest = star(20_000), power_law(20_001, 200_000, 0.5, seed=0)
    return Graph(torch.cat([hub.edge_index, rest.edge_index], dim=1), hub.num_nodes)


def measure(layers: Iterable[Layer] = LAYERS, dtypes: Iterable[str] = DTYPES) -> Iterator[Row]:
    """One row for each kernel of each layer and dtype.

    Args:
        layers: who asks for kernels.
        dtypes: names of `DTYPES`.
    """
    around = {"gpu": GPU, "versions": versions(), "commit": commit()}
    for dtype in dtypes:
        for layer in layers:
            for kernel in Case(layer, dtype).kernels():
                yield row_of(layer.name, dtype, kernel) | around


def row_of(layer: str, dtype: str, kernel: Kernel) -> Row:
    """Return the row of a kernel.

    Args:
        layer: who asked for it.
        dtype: in which.
        kernel: compiled.
    """
    constants = {name: _plain(value) for name, value in kernel.constants.items()}
    about = {"layer": layer, "dtype": dtype, "kernel": kernel.name, "constants": constants}
    text = json.dumps([about, dict(kernel.types)], sort_keys=True)
    key = hashlib.sha256(text.encode()).hexdigest()[:16]
    return {"key": key, "status": "ok", "time": now(), **about, **resources(kernel)}


def _plain(value: Any) -> Any:
    return value if isinstance(value, bool | int | float | str | None) else str(value)


HEADINGS = (
    "layer",
    "dtype",
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
    """The sizes among the constants, in their order; switches and what is absent say nothing."""
    sizes = {n: v for n, v in constants.items() if isinstance(v, int) and not isinstance(v, bool)}
    return ", ".join(f"{name}={size}" for name, size in sizes.items())


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m gattn.benchmark.gpu_static")
    parser.add_argument("--out", type=Path, help="folder of rows.jsonl and table.md")
    options = parser.parse_args()
    if found := reasons():
        parser.exit(1, f"gpu_static: {'; '.join(found)}\n")
    # Triton announces what a later version will do.
    warnings.filterwarnings("ignore", message="TRITON_DEFAULT_FP_FUSION")
    print(markdown(_written(measure(), options.out)))


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
    (out / "table.md").write_text(markdown(kept))
    return kept


if __name__ == "__main__":
    main()
