"""A case leaves rows of everyone: timed, measured, or with the reason why not."""

from dataclasses import replace

import pytest
import torch

from gattn.benchmark.gpu import measure as module
from gattn.benchmark.gpu.measure import Bench, Broken, attempt, measure, repeated
from gattn.benchmark.gpu.operators import ours
from gattn.benchmark.gpu.problems import Case
from gattn.benchmark.passes import Model
from gattn.benchmark.problems import Layer
from gattn.benchmark.providers import PROVIDERS

CPU = torch.device("cpu")
DOT, GAT = Layer("dot", 2, 8), Layer("GATConv", 2, 8)


@pytest.fixture
def measured(session):
    """Measures a case and returns its rows by provider, pass and measure."""

    def run(case, **more):
        rows = list(measure(Bench(session(rate=1e9, **more)), case))
        return {(row["provider"], row["pass"], row["measure"]): row for row in rows}

    return run


@pytest.fixture
def provided(monkeypatch):
    """Has a case measured by these providers."""
    return lambda *found: monkeypatch.setattr(module, "providers_of", lambda *_: list(found))


def changed(change, name="gattn:changed"):
    """Ours, with its model changed."""
    mine = ours(name, None)
    return replace(mine, build=lambda inputs: change(mine.build(inputs)))


def test_an_operator_has_times_floor_memory_and_bits(measured):
    rows = measured(Case("arxiv", DOT))
    for passed in ("forward", "forward+backward"):
        row = rows["gattn", passed, "time"]
        assert row["status"] == "ok"
        assert row["low"] <= row["seconds"] <= row["high"]
        assert row["of_floor"] == pytest.approx(row["floor_bytes"] / 1e9 / row["seconds"])
        assert row["difference"] < 1e-3
        assert (row["nodes"], row["pairs"]) == (120, 960)
    assert rows["gattn", "forward+backward", "memory"]["peak_bytes"] >= 0
    repeat = rows["gattn", "forward+backward", "repeat"]
    assert repeat["equal"] is True
    assert len(repeat["tensors"]) == 4
    assert rows["anemoi", "forward", "time"]["status"] == "unavailable"
    assert rows["anemoi", "forward", "time"]["reason"] == "anemoi runs on CUDA only"


def test_layers_are_divided_by_pygs(measured):
    rows = measured(Case("molecules", GAT))
    assert {name for name, _, _ in rows} == {"pyg", "gattn", "gattn+stored"}
    for name in ("gattn", "gattn+stored"):
        row = rows[name, "forward+backward", "time"]
        assert row["ratio"] == pytest.approx(
            row["seconds"] / rows["pyg", "forward+backward", "time"]["seconds"]
        )
        assert row["difference"] < 1e-3
    assert "floor_bytes" not in rows["pyg", "forward", "time"]


def test_a_graph_is_divided_by_another(measured):
    rows = measured(Case("hub", DOT, against="regular"))
    row = rows["gattn", "forward", "time"]
    assert row["ratio"] is not None
    assert row["problem"] == "hub"
    # The same names: the last of the two graphs is kept here.
    found = list(rows.values())
    assert {each["problem"] for each in found} <= {"hub", "regular"}


def test_large_graphs_have_one_provider_at_a_time(measured):
    rows = measured(Case("products", GAT))
    assert rows["gattn", "forward", "time"]["in_turns"] is False
    assert rows["gattn", "forward", "time"]["ratios"].keys() == {"pyg"}
    assert rows["pyg", "forward", "time"]["ratios"] == {}


def test_a_replay_is_measured_alone(measured):
    rows = measured(Case("cora", DOT, captured=True))
    assert {name for name, _, _ in rows} == {"gattn+graph"}
    assert rows["gattn+graph", "forward+backward", "time"]["seconds"] > 0


def test_half_types_are_measured(measured):
    rows = measured(Case("arxiv", replace(DOT, precision="bfloat16")))
    row = rows["gattn", "forward", "time"]
    assert (row["layer"], row["status"]) == ("dot-2x8-bfloat16", "ok")
    assert 1e-5 < row["difference"] < 1e-2


def test_who_has_no_room_leaves_a_row_and_the_others_go_on(measured, monkeypatch):
    def full(inputs):
        if inputs.num_nodes < 100:  # the graph of the comparison
            return built(inputs)
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 58.99 GiB.\nMore")

    built = PROVIDERS["pyg"].build
    monkeypatch.setitem(PROVIDERS, "pyg", replace(PROVIDERS["pyg"], build=full))
    rows = measured(Case("molecules", GAT))
    lost = rows["pyg", "forward", "time"]
    assert lost["status"] == "failed"
    assert lost["reason"] == "CUDA out of memory. Tried to allocate 58.99 GiB."
    assert rows["gattn", "forward", "time"]["status"] == "ok"
    assert rows["gattn", "forward", "time"]["ratio"] is None


def test_no_room_for_a_backward_pass_leaves_the_forward_pass(measured, provided):
    def forward_only(model):
        def forward():
            if torch.is_grad_enabled() and len(model.leaves["query"]) > 100:
                raise torch.cuda.OutOfMemoryError("out of memory")
            return model.forward()

        return Model(forward, model.leaves)

    provided(changed(forward_only))
    rows = measured(Case("arxiv", DOT))
    assert rows["gattn:changed", "forward", "time"]["status"] == "ok"
    lost = rows["gattn:changed", "forward+backward", "time"]
    assert (lost["status"], lost["reason"]) == ("failed", "out of memory")


@pytest.mark.parametrize("large", [False, True])
def test_who_is_wrong_is_not_timed(measured, provided, large):
    def wrong(model):
        off = 1.0 if not large or len(model.leaves["query"]) > 100 else 0.0
        return Model(lambda: model.forward() + off, model.leaves)

    provided(changed(wrong))
    (row,) = measured(Case("arxiv", DOT)).values()
    assert row["status"] == "failed"
    said = "not timed: it differs by" if large else "disagrees with the reference: output differs"
    assert row["reason"].startswith(said)


def test_only_so_many_are_compiled(measured, provided):
    compiled = replace(PROVIDERS["pyg"], name="pyg-compile", per_shape=True)
    provided(compiled)
    (row,) = measured(Case("molecules", GAT, compiled=True), compiles=0).values()
    assert (row["status"], row["reason"]) == ("skipped", "not compiled: 0 layers were")
    assert len(measured(Case("molecules", GAT, compiled=True), compiles=1)) > 1


def test_other_bits_are_seen():
    leaf = torch.ones(3, requires_grad=True)
    steps = iter(range(4))
    model = Model(lambda: leaf * (1 + next(steps) * 2**-20), {"x": leaf})
    assert repeated(model) == {"output": False, "gradient of x": False}
    assert repeated(Model(lambda: leaf * 2, {"x": leaf})) == {"output": True, "gradient of x": True}


def test_a_device_that_answers_no_longer_ends_the_process(monkeypatch):
    def step():
        raise RuntimeError("CUDA error: an illegal memory access was encountered\nmore")

    assert attempt(step, CPU) == (None, "CUDA error: an illegal memory access was encountered")

    def dead(device):
        raise RuntimeError("CUDA error")

    monkeypatch.setattr(module, "synchronize", dead)
    with pytest.raises(Broken, match="illegal memory access"):
        attempt(step, CPU)


def test_memory_of_a_device_is_what_came_on_top(session, monkeypatch):
    """Of torch's own count: 500 bytes were there, 800 at most."""
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 500)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 800)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: None)
    monkeypatch.setattr(module, "synchronize", lambda device: None)
    leaf = torch.ones(3, requires_grad=True)
    running = module._Running(Bench(session(device="cuda")), Case("arxiv", DOT))
    assert running._peak(Model(lambda: leaf * 2, {"x": leaf})) == 300
