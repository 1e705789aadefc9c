"""Which backend computes a problem, and why the others do not."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from gattn import _check
from gattn.ops.problem import Problem

BACKENDS = ("sdpa", "reference")
"""In the order of preference: the first without a reason against it computes."""


def load(name: str) -> ModuleType:
    """The module of a backend, imported when it is first needed.

    Raises:
        ValueError: there is no backend of that name.
    """
    _check.one_of("backend", name, BACKENDS)
    return import_module(f"gattn.ops.{name}")


def reasons(problem: Problem) -> dict[str, list[str]]:
    """For every backend, why it cannot compute the problem; an empty list = it can."""
    return {name: load(name).reasons(problem) for name in BACKENDS}


def choose(problem: Problem, backend: str | None = None) -> ModuleType:
    """The named backend, or without a name the first of `BACKENDS` that can.

    Raises:
        ValueError: the named backend is unknown, or cannot: the message has every backend's
            reasons.
    """
    if backend is not None:
        chosen = load(backend)
        if chosen.reasons(problem):
            raise ValueError(f"backend: found {backend!r}, which cannot: {_told(problem)}")
        return chosen
    return next(load(name) for name in BACKENDS if not load(name).reasons(problem))


def _told(problem: Problem) -> str:
    said = (
        f"{name}: {' and '.join(found) if found else 'can'}"
        for name, found in reasons(problem).items()
    )
    return "; ".join(said)
