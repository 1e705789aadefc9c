"""The gate says what is missing, measures a copy, and sees what is wrong."""

from types import SimpleNamespace

import pytest
import torch

from gattn.benchmark.gpu import gate as module
from gattn.benchmark.gpu.gate import copy_rate, gate, machine, missing
from gattn.benchmark.gpu.operators import KINDS


def test_what_is_missing(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(module.dispatch, "BACKENDS", ("cpu", "reference"))
    assert missing("cuda", "triton") == [
        "torch sees no CUDA device",
        "triton is not installed",
        "gattn has no backend 'triton', only cpu, reference",
    ]
    assert missing("cpu", None) == missing("cpu", "cpu") == []


def test_a_copy_has_a_rate():
    assert copy_rate(torch.device("cpu"), 1 << 16) > 0


def test_the_row(session):
    row = gate(session())
    assert (row["status"], row["measure"], row["gpu"]) == ("ok", "gate", None)
    assert row["agrees"] == sorted(KINDS)
    assert row["measured_copy_bytes_per_second"] > 0


def test_a_backend_that_cannot_is_seen(session, monkeypatch):
    monkeypatch.setattr(module, "copy_rate", lambda device, count: 1.0)
    row = gate(session(backend="sdpa"))
    assert (row["status"], row["agrees"]) == ("failed", [])
    assert row["reason"].startswith("gat: backend: found 'sdpa', which cannot: ")


@pytest.mark.gpu
@pytest.mark.filterwarnings("default")
def test_what_the_device_is():
    found = machine(torch.device("cuda"))
    assert found["gpu"] == torch.cuda.get_device_name()
    assert found["processors"] > 0


def test_what_a_device_tells(monkeypatch):
    told = SimpleNamespace(
        name="a GPU", total_memory=10**11, multi_processor_count=132, major=9, minor=0
    )
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: told)
    monkeypatch.setattr(
        module.subprocess, "run", lambda *command, **options: SimpleNamespace(stdout="580.1\n")
    )
    found = machine(torch.device("cuda"))
    assert (found["gpu"], found["capability"], found["driver"]) == ("a GPU", "9.0", "580.1")

    def absent(*command, **options):
        raise FileNotFoundError("nvidia-smi")

    monkeypatch.setattr(module.subprocess, "run", absent)
    assert machine(torch.device("cuda"))["driver"] is None
