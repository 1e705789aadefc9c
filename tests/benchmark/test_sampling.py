"""The benchmark of samplers, on tiny graphs."""

import json
import sys

import pytest
import torch
import torch_geometric.typing

from gattn._rows import read_rows
from gattn.benchmark import sampling
from gattn.benchmark.sampling import Large, alone, markdown, measure
from gattn.loader import KHopSampler

SPEC = Large(300, 4000, [3, 2], 1, 2, 2)


def test_a_row_for_each_fan_out_sampler_and_number_of_threads(monkeypatch):
    for wheel in sampling.PEERS.values():
        monkeypatch.setattr(torch_geometric.typing, wheel, False)
    before = torch.get_num_threads()
    rows = list(measure(rounds=2, quick=True, large=False))
    assert torch.get_num_threads() == before
    assert len({row["key"] for row in rows}) == len(rows) == 8
    ours = [row for row in rows if row["provider"] == "gattn"]
    assert [(row["fan_out"], row["threads"]) for row in ours] == [
        (fan_out, threads) for fan_out in ([10, 10], [15, 10, 5]) for threads in (1, 2)
    ]
    for row in ours:
        assert row["status"] == "ok" and row["seeds"] == 500 and len(row["rounds"]) == 2
        assert row["seeds_per_second"] == 500 / min(row["rounds"]) >= row["median_seeds_per_second"]
        assert row["seeds_per_cpu_second"] == 500 / min(row["cpu_rounds"])
        assert row["batch_edges"] >= row["batch_nodes"] - 500 and row["commit"] and row["versions"]
    others = [row for row in rows if row["provider"] != "gattn"]
    assert {row["status"] for row in others} == {"unavailable"}
    assert others[0]["reason"] == "pyg-lib cannot be imported"


@pytest.mark.parametrize("peer", ["pyg-lib", "torch-sparse"])
def test_pygs_sampler_where_a_wheel_is(peer, monkeypatch):
    seen = []

    def theirs(data, fan_out):
        seen.append(torch_geometric.typing.WITH_PYG_LIB)
        return KHopSampler(data, fan_out)

    monkeypatch.setattr(sampling, "NeighborSampler", theirs)
    monkeypatch.setattr(torch_geometric.typing, sampling.PEERS[peer], True)
    rows = list(measure(rounds=1, quick=True, large=False))
    found = [row for row in rows if row["provider"] == peer]
    assert [row["status"] for row in found] == ["ok", "ok"]
    assert seen == [peer == "pyg-lib"] * 2


def test_the_large_graph_alone():
    found = alone(SPEC)
    assert found["seeds"] == 300 and found["graph_bytes"] == 8 * 301 + 4 * 4000
    assert found["resident_bytes"] > found["graph_bytes"] and found["status"] == "ok"


@pytest.mark.slow
def test_a_process_of_its_own():
    row = sampling._large("tiny", SPEC)
    assert row["status"] == "ok" and row["key"] == "tiny/3-2/gattn/1" and row["num_edges"] == 4000


def test_a_process_that_fails_says_why(monkeypatch):
    monkeypatch.setattr(sampling, "asdict", lambda spec: {"num_nodes": 3})
    row = sampling._large("tiny", SPEC)
    assert row["status"] == "failed" and "missing" in row["reason"]


def test_the_table_shows_the_last_row_of_a_key():
    row = {"key": "a", "graph": "g", "fan_out": [3, 2], "provider": "gattn", "threads": 1}
    speed = {"seeds_per_second": 1234.5, "median_seeds_per_second": 1000.0}
    speed["seeds_per_cpu_second"] = 1300.0
    size = {"batch_nodes": 5000, "batch_edges": 6, "resident_bytes": 2 * 10**9}
    failed = {**row, "status": "failed"}
    assert markdown([failed, {**row, "status": "ok", **speed, **size}]).splitlines()[2:] == [
        "| g | 3, 2 | gattn | 1 | 1,234 (median 1,000) | 1,300 | 5,000 nodes, 6 edges | 2.00 GB |"
    ]
    assert "| g | 3, 2 | gattn | 1 | failed |  |  |  |" in markdown([failed])


def test_the_command(monkeypatch, tmp_path, capsys):
    given = ["sampling", "--quick", "--no-large", "--rounds", "1"]
    monkeypatch.setattr(sys, "argv", [*given, "--out", str(tmp_path / "rows.jsonl")])
    sampling.main()
    assert markdown(read_rows(tmp_path / "rows.jsonl")).rstrip() in capsys.readouterr().out
    spec = json.dumps({**vars(SPEC)})
    monkeypatch.setattr(sys, "argv", ["sampling", "--alone", spec])
    sampling.main()
    assert capsys.readouterr().out.startswith("measured: {")
