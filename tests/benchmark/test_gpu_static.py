"""The rows and the table of what kernels take of a GPU."""

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from gattn.benchmark.gpu_kernels import Kernel
from gattn.benchmark.gpu_static import (
    DEGREES,
    DTYPES,
    LAYERS,
    Case,
    _graph,
    markdown,
    replaced,
    row_of,
    summary,
)

CASE = Case(LAYERS[0], "float32", 7)
TAKEN = {
    "warps": 4,
    "registers": 103,
    "spilled_bytes": 8,
    "shared_bytes": 2048,
    "cubin_bytes": 48_640,
    "loads": {"16": 4, "4": 14},
    "occupancy": 0.25,
}


@pytest.fixture
def row(monkeypatch):
    monkeypatch.setattr("gattn.benchmark.gpu_static.resources", lambda kernel: TAKEN)
    constants = {"hop": None, "FORM": 1, "BE": 16, "BD": 32, "REAL": SimpleNamespace()}
    return row_of(CASE, Kernel("attend", constants, {"col": "*i32"}, None))


def test_a_row_says_who_asked_for_what(row):
    assert row["status"] == "ok" and len(row["key"]) == 16
    assert (row["layer"], row["dtype"], row["degree"]) == ("GATConv-4x32", "float32", 7)
    assert row["constants"]["BE"] == 16 and row["types"] == {"col": "*i32"}
    assert json.loads(json.dumps(row)) == row


def test_a_line_of_the_table(row):
    last = markdown([row]).splitlines()[-1]
    assert last == (
        "| GATConv-4x32 | float32 | 7 | `attend` | BE=16, BD=32 | 4 | 103 | 8 B | 2048 B | 48.6 kB "
        "| 4 x 16 B, 14 x 4 B | 25% |"
    )


def test_the_later_of_two_rows_counts(row):
    lines = markdown([row, row | {"registers": 50}]).splitlines()
    assert len(lines) == 3 and "| 50 |" in lines[-1]


def test_what_the_rows_say(row):
    low = row | {"key": "low", "kernel": "backward_rows", "occupancy": 0.125, "loads": {"4": 1}}
    joined = row | {"key": "joined", "kernel": "merge", "spilled_bytes": 0, "shared_bytes": 4096}
    assert summary([row, row, low, joined]) == [
        "3 kernels, 2 of which go over all pairs.",
        "Of these, the occupancy is 12% to 25%, and below 25% for 1; registers set it, since no "
        "block has more than 4,096 B of shared memory.",
        "2 keep something in local memory, 8 B of a thread at the most.",
        "1 load 16 B at a time, the most that an instruction can.",
    ]


def test_a_page_keeps_what_is_around_its_report():
    page = "# Title\n\n<!-- report -->\nold\n<!-- end -->\nmore\n"
    assert replaced(page, "new\n") == page.replace("old", "new")
    assert replaced(replaced(page, "new\n"), "old\n") == page


@pytest.mark.parametrize("degree", DEGREES)
def test_the_graph_has_a_hub_and_the_degree(degree):
    graph = _graph(degree)
    counts = graph.edge_index[1].bincount(minlength=graph.num_nodes)
    assert graph.edge_index.size(1) == degree * graph.num_nodes
    assert counts.max() >= 20_000 and counts.median() < 2 * degree


CODE = """
import json
from gattn.benchmark.gpu_static import LAYERS, measure
print(json.dumps(list(measure(LAYERS[:1], ["float32"], [7]))))
"""


def test_a_layer_asks_for_kernels_that_fit_into_the_gpu():
    pytest.importorskip("triton", reason="triton is not installed")
    env = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    command = [sys.executable, "-W", "ignore", "-c", CODE]
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert {"attend", "backward_rows", "backward_sources"} <= {row["kernel"] for row in rows}
    assert all(row["occupancy"] > 0 and row["shared_bytes"] <= 227 * 1024 for row in rows)
    assert all(row["dtype"] in DTYPES and row["registers"] <= 255 for row in rows)


def test_the_command_says_why_it_cannot():
    command = [sys.executable, "-W", "ignore", "-m", "gattn.benchmark.gpu_static"]
    env = os.environ | {"TRITON_INTERPRET": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 1
    assert done.stderr.strip() == "gpu_static: TRITON_INTERPRET is set: unset it"
