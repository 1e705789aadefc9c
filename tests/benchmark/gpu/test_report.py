"""Table, aims and figure are functions of rows."""

import pytest

from gattn.benchmark import rows as rows_of
from gattn.benchmark.gpu.figure import figure
from gattn.benchmark.gpu.report import LEGEND, aims, faster, lines, table


def row(problem, layer, provider, measure="time", passed="forward+backward", **more):
    """A row as the worker keeps it."""
    found = {"problem": problem, "layer": layer, "pass": passed, "provider": provider}
    found |= {"measure": measure, "status": "ok", "quick": False, "device": "a GPU", "threads": 1}
    found |= more
    return {"key": rows_of.key(found), **found}


def timed(problem, layer, provider, seconds, ratios=(), passed="forward+backward", **more):
    spread = {"seconds": seconds, "low": 0.9 * seconds, "high": 1.1 * seconds}
    ratios = {name: [value, value, value] for name, value in ratios}
    return row(problem, layer, provider, passed=passed, ratios=ratios, **spread, **more)


@pytest.fixture
def rows():
    return [
        timed("arxiv", "GATConv-4x32", "pyg", 0.02),
        timed("arxiv", "GATConv-4x32", "gattn:triton", 0.002, [("pyg", 0.1), ("pyg-compile", 0.4)]),
        timed("arxiv", "dot-4x32", "gattn:triton", 0.001, [("anemoi", 2.0)]),
        timed("arxiv", "dot-4x32", "gattn:triton", 1e-4, passed="forward", of_floor=0.7),
        timed("hub", "dot-4x32", "gattn:triton", 1e-4, ratio=1.6),
        row("arxiv", "GATConv-4x32", "pyg", "memory", peak_bytes=4 * 10**9),
        row("arxiv", "GATConv-4x32", "gattn:triton", "memory", peak_bytes=10**9 // 5),
        row("arxiv", "GATConv-4x32", "gattn:triton", "repeat", equal=True),
        row("arxiv", "dot-4x32", "gattn:triton", "repeat", equal=False),
        row("reddit", "GATConv-4x32", "pyg", status="failed", reason="out of | memory"),
        row("-", "-", "-", "gate", "-", measured_copy_bytes_per_second=4.2e12),
        row("hub", "gat-4x32", "-", "case", "-", status="skipped", reason="no time: 3 s were left"),
    ]


def test_the_table(rows):
    text = table(rows)
    body = text.splitlines()
    assert body[3] == (
        "| arxiv | GATConv-4x32 | forward+backward | gattn:triton | 2.0 ms (1.8 ms to 2.2 ms) | "
        "10.00 | 2.50 |  |  | 200.0 MB | same bits |"
    )
    assert "| 100 µs (90 µs to 110 µs) |  |  |  | 70% |  |  |" in text
    assert "| - |  |  |  |  |  | failed: out of \\| memory |" in text
    assert "other bits in a second run" in text
    assert body[-4] == LEGEND
    assert body[-2:] == [
        "- gate: ok, copies 4200 GB/s",
        "- hub gat-4x32: skipped, no time: 3 s were left",
    ]


def test_aims(rows):
    assert aims(rows) == [
        "forward+backward, PyG's time by ours, aim 8: 10.00 to 10.00, median 10.00; met by 1 of 1",
        "forward+backward, compiled PyG's time by ours, aim 2: 2.50 to 2.50, median 2.50; "
        "met by 1 of 1",
        "forward+backward, anemoi's time by ours, aim 1: 0.50 to 0.50, median 0.50; met by 0 of 1",
        "forward on arxiv, of the floor, aim 65 %: 70% to 70%, median 70%; met by 1 of 1",
        "hub by a regular graph, aim at most 1.5: 1.60 to 1.60, median 1.60; met by 0 of 1",
        "memory by PyG's, aim at most 0.1: 0.05 to 0.05, median 0.05; met by 1 of 1",
        "two runs bitwise equal: 1 of 2",
    ]
    assert all(line.endswith((": not measured", "0 of 0")) for line in aims([]))


def test_a_line_has_all_that_is_known_of_a_pass(rows):
    found = {(line_of(line), *line) for line in lines(rows)}
    assert (("GATConv-4x32", "gattn:triton"), "time", "memory", "repeat") in found


def line_of(line):
    some = next(iter(line.values()))
    return some["layer"], some["provider"]


def test_how_much_faster(rows):
    assert faster(rows[1], "pyg") == pytest.approx(10)
    assert faster(rows[1], "dgl") is None


def test_the_figure(rows, tmp_path):
    path = tmp_path / "gpu.png"
    assert figure(rows, path) == path
    assert path.read_bytes().startswith(b"\x89PNG")
    assert [found.name for found in tmp_path.iterdir()] == ["gpu.png"]


def test_nothing_to_draw(rows, tmp_path):
    assert figure([rows[0], *rows[5:]], tmp_path / "gpu.png") is None
    assert list(tmp_path.iterdir()) == []
