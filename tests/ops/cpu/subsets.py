"""Subsets of the cases of `gattn.testing`: each combination of options is compiled anew."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gattn import testing

STORED = ("no nodes", "no pairs", "directed", "duplicates", "hub", "bipartite")
"""Neighbourhoods that remember the order of the edges, and know loops from other pairs."""


def keep_cases(patch: pytest.MonkeyPatch, keep: Callable[[str, str, str], bool]) -> int:
    """Leave out the cases whose form, normaliser and graph are not to be kept; returns the rest."""
    every = testing.cases

    def cases(*args):
        return (case for case in every(*args) if keep(*case.name.rsplit(", ", 2)))

    patch.setattr(testing, "cases", cases)
    return sum(1 for _ in cases())


def most(form: str, normalizer: str, graph: str) -> bool:
    """Everything on stored edges; on other neighbourhoods, the softmax of a product."""
    softmax_product = normalizer == "Softmax()" and form.startswith("Multiplicative")
    return form != "Given" and (graph in STORED or softmax_product)


def main(form: str, normalizer: str, graph: str) -> bool:
    """Both forms with few options, fused, and the softmax of a product with all."""
    few = form in ("Multiplicative", "Additive, value=None")
    fused = normalizer not in ("Sparsemax()", "Entmax15()")
    all_options = form == "Multiplicative, all options" and normalizer == "Softmax()"
    return graph in STORED and ((few and fused) or all_options)
