"""The profile: its stages add up, and its table says what the rows say."""

import pytest

from gattn._numba import pool
from gattn.benchmark import profile
from gattn.benchmark.passes import forward_backward
from gattn.benchmark.problems import PROBLEMS, make_inputs
from gattn.benchmark.providers import provider


@pytest.fixture
def model():
    problem = PROBLEMS["50k"]
    layer = problem.layers[0]
    return provider("gattn").build(make_inputs(problem, layer, problem.quick(0), 0))


def test_the_stages_are_the_kernels_and_the_rest(model):
    forward_backward(model)
    run = pool.run
    stages = profile._stages(model, 2)
    assert {"attend", "backward_rows", "backward_sources", profile.REST} <= stages.keys()
    assert all(seconds > 0 for seconds in stages.values())
    assert pool.run is run


def test_bytes_are_those_of_the_gathered_rows():
    layers = {layer.name: layer for layer in PROBLEMS["50k"].layers}
    assert profile._bytes(layers["TransformerConv-4x64"], "attend", 10) == 10 * 2 * 256 * 4
    assert profile._bytes(layers["GATConv-8x8"], "backward_rows", 10) == 10 * 64 * 4
    assert profile._bytes(layers["GATConv-8x8"], profile.REST, 10) is None


def test_the_table_has_a_line_for_each_row():
    row = {"layer": "GATConv-8x8", "stage": "attend", "seconds": 0.002, "gathered_bytes": 4e6}
    rows = [row | {"bytes_per_second": 2e9, "copy_bytes_per_second": 4e9}]
    rows.append(rows[0] | {"stage": profile.REST, "gathered_bytes": None})
    lines = profile.markdown(rows).splitlines()
    assert lines[2] == "| GATConv-8x8 | attend | 2.0 ms | 4 MB | 2.0 GB/s | 50% |"
    assert lines[3].startswith("| GATConv-8x8 | everything else | 2.0 ms |")


def test_a_copy_has_a_rate(monkeypatch):
    monkeypatch.setattr(profile, "_COPIED", 1 << 16)
    assert 1e8 < profile.copy_rate() < 1e13
