"""The benchmark of breadth on a tiny graph: its rows are what they say."""

import pytest
import torch

import gattn
from gattn._rows import read_rows
from gattn.benchmark import breadth


def test_scipy_and_k_hop_find_the_same_pairs():
    graph = breadth.GRAPHS["tiny"]()
    labels = breadth.labelled_powers(graph, 3).tocoo()
    found = gattn.k_hop(graph.edge_index, 3, graph.num_nodes)
    dense = torch.zeros(graph.num_nodes, graph.num_nodes, dtype=torch.uint8)
    dense[found.rows(), found.col.long()] = found.hop + 1
    assert (labels.toarray() == dense.numpy()).all()


def test_uniform_graphs_go_both_ways():
    edges = breadth.uniform(50, 200, 3).edge_index
    assert edges.shape == (2, 200)
    assert sorted(edges.t().tolist()) == sorted(edges.flip(0).t().tolist())


def test_the_command_writes_rows_and_a_figure(tmp_path, capsys):
    breadth.main(["--out", str(tmp_path), "--graph", "tiny", "--hops", "2", "--rounds", "1"])
    rows = read_rows(tmp_path / "breadth.jsonl")
    pairs = gattn.k_hop(breadth.GRAPHS["tiny"]().edge_index, 2, 300).num_pairs
    assert {row["what"]: 0 for row in rows} == {"build": 0, "attend": 0, "memory": 0}
    assert all(row["pairs"] == pairs for row in rows if row["hops"] == 2)
    assert all(row["seconds"] > 0 and row["commit"] is not None for row in rows)
    assert (tmp_path / "memory.png").stat().st_size > 1000
    assert "memory/tiny/2/streamed" in capsys.readouterr().out
    for what, count in (("build", 3), ("attend", 4), ("memory", 2)):
        table = breadth.markdown(rows, what)
        assert table.count("\n") == count + 2
        assert len({line.count("|") for line in table.splitlines()}) == 1


def test_a_process_that_fails_says_why():
    with pytest.raises(RuntimeError, match="no such graph"):
        breadth.memory_row("no such graph", 1, "stored", 1)
