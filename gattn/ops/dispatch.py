"""Which backend computes a problem, and why the others do not."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from torch import Tensor

from gattn import _check
from gattn.ops.problem import Problem

BACKENDS = ("sdpa", "cpu", "triton", "blocks", "reference")
"""In the order of preference: the first without a reason against it computes."""


def load(name: str) -> ModuleType:
    """The module of a backend, imported when it is first needed.

    Raises:
        ValueError: there is no backend of that name.
    """
    _check.one_of("backend", name, BACKENDS)
    # Import statements where they can be: torch.compile does not follow `import_module`.
    if name == "sdpa":
        from gattn.ops import sdpa as module
    elif name == "blocks":
        from gattn.ops import blocks as module
    elif name == "cpu":
        from gattn.ops import cpu as module
    elif name == "triton":
        from gattn.ops import triton as module
    elif name == "reference":
        from gattn.ops import reference as module
    else:
        module = import_module(f"gattn.ops.{name}")
    return module


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
    return _first(problem, [load(name) for name in BACKENDS])


def weights(problem: Problem, backend: str | None = None) -> Tensor:
    """Weights `[E, H]` before the dropout, in the builder's input order.

    From the named backend, or the first of `BACKENDS` that can, of those that have weights: a
    backend that has is a module with a function `weights` besides `forward`.

    Raises:
        ValueError: the named backend has none, or cannot.
    """
    return _chosen("weights", problem, backend).weights(problem)


def aggregated(problem: Problem, given: Tensor, backend: str | None = None) -> Tensor:
    """Output `[R, H, D]` for weights `[E, H]` in the order of the rows, after the dropout.

    As `weights`, from the backends that have a function `aggregated`.

    Raises:
        ValueError: the named backend has none, or cannot.
    """
    return _chosen("aggregated", problem, backend).aggregated(problem, given)


def _chosen(function: str, problem: Problem, backend: str | None) -> ModuleType:
    """The named backend, or the first that can, of those that have the function."""
    having = tuple(name for name in BACKENDS if hasattr(load(name), function))
    if backend is None:
        return _first(problem, [load(name) for name in having])
    _check.one_of("backend", backend, having)
    return choose(problem, backend)


def _told(problem: Problem) -> str:
    said = (
        f"{name}: {' and '.join(found) if found else 'can'}"
        for name, found in reasons(problem).items()
    )
    return "; ".join(said)


def _first(problem: Problem, backends: list[ModuleType]) -> ModuleType:
    """The first that can: a loop, since torch.compile does not follow a generator that stops.

    A backend that is `ONLY_NAMED` computes for those who ask for it, and for nobody else.
    """
    for backend in backends:
        if not getattr(backend, "ONLY_NAMED", False) and not backend.reasons(problem):
            return backend
    raise AssertionError("the reference has no reasons against anything")
