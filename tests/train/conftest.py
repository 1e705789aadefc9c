"""Haste: the trainings here are tiny."""

import pytest


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """No full garbage collection before each of the many tiny trainings."""
    monkeypatch.setattr("gattn._memory.gc.collect", lambda: 0)
