"""What the tests of the GPU benchmark share: sessions on the CPU, and how rows are read."""

import gc

import pytest

from gattn._rows import read_rows
from gattn.benchmark.gpu.session import Session


@pytest.fixture
def session(tmp_path, monkeypatch):
    """Makes sessions of two rounds on tiny graphs, without a wait for garbage collections."""
    monkeypatch.setattr(gc, "collect", lambda *generation: 0)

    def make(**more):
        usual = {"device": "cpu", "backend": None, "quick": True, "rounds": 2, "shortest": 1e-6}
        return Session(str(tmp_path), "test", **{**usual, **more})

    return make


@pytest.fixture
def kept(tmp_path):
    """Reads what has been kept so far."""
    return lambda: read_rows(tmp_path / "gpu.jsonl")
