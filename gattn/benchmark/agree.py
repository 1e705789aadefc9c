"""Do two models compute the same? Nothing is timed before that is known."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from gattn.benchmark.passes import Model, clear, forward_backward

TOLERANCE = 1e-3
"""Norm of the difference by norm of what is expected: float32 sums in another order stay far below
it, and one wrong row in a hundred thousand does not."""

# A gradient that is zero in exact arithmetic (that of TransformerConv's key bias) is noise.
_FLOOR = 1e-3


def results(model: Model) -> dict[str, Tensor]:
    """Return the output and the gradients of a model, by name, in the layout that all share."""
    found = {"output": forward_backward(model)}
    for name, leaf in model.leaves.items():
        if leaf.grad is not None:
            found[f"gradient of {name}"] = leaf.grad
    clear(model)
    return {name: model.common(tensor) for name, tensor in found.items()}


def disagreements(
    found: Mapping[str, Tensor], expected: Mapping[str, Tensor], tolerance: float = TOLERANCE
) -> list[str]:
    """Return one text for each result that differs; only what both have is compared.

    Args:
        found: of `results`.
        expected: of `results`, of the model that is believed.
        tolerance: largest norm of a difference, relative to that of what is expected.
    """
    norms = {name: float(tensor.norm()) for name, tensor in expected.items()}
    floor = _FLOOR * max(norms[name] for name in norms if name != "output" or len(norms) == 1)
    said = []
    for name in (name for name in expected if name in found):
        away = float((found[name] - expected[name]).norm()) / max(norms[name], floor)
        if not away <= tolerance:  # NaN is no agreement either
            said.append(f"{name} differs by {away:.1e} of its norm, expected at most {tolerance:g}")
    return said
