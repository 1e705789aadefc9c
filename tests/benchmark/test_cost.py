"""Predicted beside measured costs: rows, what is not measured, and what is not measured again."""

import json

import pytest
import torch

import gattn
from gattn._rows import read_rows
from gattn.benchmark import cost
from gattn.benchmark.cost import GRAPHS, MARK, Spec, main, measure, measure_apart, uniform

TINY = Spec("tiny", "stored", 2, 2, 4, 1, None)
CALL = ["--graph", "tiny", "--breadth", "1", "2", "--heads", "2", "--channels", "4"]


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> list[Spec]:
    """Measurements in this process; what was measured."""
    seen = []

    def apart(spec):
        seen.append(spec)
        return measure(spec)

    monkeypatch.setattr(cost, "measure_apart", apart)
    return seen


def test_rows_of_pairs_and_steps(here, tmp_path, capsys) -> None:
    main([*CALL, "--out", str(tmp_path)])
    rows = read_rows(tmp_path / "cpu.jsonl")
    pairs = {row["breadth"]: row for row in rows if row["measure"] == "pairs"}
    graph = GRAPHS["tiny"](None)
    for hops in (1, 2):
        truth = gattn.k_hop(graph.edge_index, hops, graph.num_nodes).num_pairs
        assert pairs[hops]["pairs"] == pairs[hops]["estimate"] == truth
        assert pairs[hops]["counted"]
    steps = {(row["breadth"], row["way"]): row for row in rows if row["measure"] == "step"}
    assert set(steps) == {(hops, way) for hops in (1, 2) for way in cost.MEASURED}
    for row in steps.values():
        assert row["status"] == "ok"
        assert row["seconds"] == min(row["rounds"]) > 0
        assert row["predicted_seconds"] > 0 and row["predicted_bytes"] > 0
    assert "written:" in capsys.readouterr().out
    assert (tmp_path / "table.md").read_text().count("| tiny |") == 6
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_what_is_finished_is_not_measured_again(here, tmp_path) -> None:
    main([*CALL, "--out", str(tmp_path)])
    before = len(here)
    main([*CALL, "--out", str(tmp_path)])
    assert len(here) == before == 6


def test_what_would_take_long_is_skipped(here, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(cost, "MOST_SECONDS", 0.0)
    main([*CALL, "--out", str(tmp_path)])
    steps = [row for row in read_rows(tmp_path / "cpu.jsonl") if row["measure"] == "step"]
    assert {row["status"] for row in steps} == {"skipped"} and here == []
    assert ", skipped" in (tmp_path / "table.md").read_text()
    assert not (tmp_path / "figure.png").exists()


def test_a_failure_is_a_row_and_is_tried_again(tmp_path, monkeypatch) -> None:
    def fail(spec):
        raise RuntimeError("no luck")

    monkeypatch.setattr(cost, "measure_apart", fail)
    main([*CALL, "--out", str(tmp_path)])
    steps = [row for row in read_rows(tmp_path / "cpu.jsonl") if row["measure"] == "step"]
    assert {(row["status"], row["reason"]) for row in steps} == {("failed", "no luck")}
    monkeypatch.setattr(cost, "measure_apart", measure)
    main([*CALL, "--out", str(tmp_path)])
    assert ", failed" not in (tmp_path / "table.md").read_text()


def test_a_fresh_process_says_one_line(capsys) -> None:
    found = measure_apart(TINY)
    assert found["seconds"] > 0 and len(found["rounds"]) == 3
    main(["--measure", json.dumps(vars(TINY))])
    (line,) = capsys.readouterr().out.splitlines()
    assert set(json.loads(line.removeprefix(MARK))) == set(found)


def test_a_fresh_process_that_fails_says_why() -> None:
    with pytest.raises(RuntimeError, match="nothing"):
        measure_apart(Spec("nothing", "stored", 2, 2, 4, 1, None))


def test_random_edges_go_both_ways() -> None:
    graph = uniform(50, 70, 0)
    assert graph.edge_index.shape == (2, 140) and graph.num_nodes == 50
    there = set(map(tuple, graph.edge_index.t().tolist()))
    assert {(b, a) for a, b in there} == there
    assert torch.equal(uniform(50, 70, 0).edge_index, graph.edge_index)
