"""What the tests of the benchmark share: tiny plans, providers that go wrong, one thread."""

from dataclasses import replace

import pytest
import torch

from gattn.benchmark import PROVIDERS, Plan, run, timing


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """One thread, samples of one step, and no wait for a garbage collection."""
    monkeypatch.setattr(timing.interleave, "__defaults__", (1e-6,))
    # One module for all: torch, too, collects through it.
    monkeypatch.setattr("gattn.benchmark.timing.gc.collect", lambda *generation: 0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def tiny():
    """Makes plans of two rounds on tiny graphs, without memory."""

    def plan(*problems, **more):
        usual = {"layers": ("GATConv-8x8",), "rounds": 2, "quick": True, "memory": False}
        return Plan(problems, **{**usual, **more})

    return plan


@pytest.fixture
def measured(tiny):
    """Runs a tiny plan and returns its rows."""
    return lambda *problems, **more: list(run(tiny(*problems, **more)))


@pytest.fixture
def registered(monkeypatch):
    """Adds a provider that builds PyG's model, or that of another, and changes it."""

    def add(name, change, of="pyg"):
        def build(inputs):
            return change(PROVIDERS[of].build(inputs))

        monkeypatch.setitem(PROVIDERS, name, replace(PROVIDERS[of], name=name, build=build))

    return add


@pytest.fixture
def with_forward():
    """Returns a change of models that passes the output through a function."""
    return lambda fn: lambda model: replace(model, forward=lambda: fn(model.forward()))
