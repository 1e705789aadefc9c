"""Who is measured on a GPU, and in which order: PyG first, the others are divided by it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from gattn.benchmark.gpu import operators, peers
from gattn.benchmark.gpu.problems import Case
from gattn.benchmark.passes import Model
from gattn.benchmark.problems import Inputs
from gattn.benchmark.providers import Provider, provider

STORED = "+stored"
"""Ours on an `EdgeIndex`, whose sorted form is made once and kept, as in a training."""


_PEERS: dict[str, list[Provider]] = {
    "gat": [],
    "gatv2": [peers.TURBO],
    "dot": [peers.ANEMOI, peers.TURBO],
    "dot+edges": [peers.ANEMOI],
}


def providers_of(case: Case, backend: str | None) -> list[Provider]:
    """Return who takes turns in a case.

    Args:
        case: what is measured.
        backend: of ours; `None` = the first that can.
    """
    name = "gattn" if backend is None else f"gattn:{backend}"
    if case.is_operator:
        mine = operators.ours(name, backend)
        alone = case.captured or case.against is not None
        return [mine, *([] if alone else _PEERS[case.layer.kind])]
    mine = provider(name)
    stored = replace(mine, name=name + STORED, build=partial(_stored, mine))
    if case.captured:
        return [stored]
    compiled = [provider("pyg-compile")] if case.compiled else []
    return [provider("pyg"), *compiled, mine, stored]


def baseline_of(case: Case) -> str | None:
    """Return who the others are divided by: PyG's layer; ours, where nobody has the operator."""
    return None if case.is_operator else "pyg"


def is_ours(name: str) -> bool:
    """Return whether the name of a provider is one of gattn's."""
    return name.startswith("gattn")


def believed(inputs: Inputs) -> Model:
    """Return the model that the others have to agree with: in float32, of the same numbers."""
    inputs = operators.widened(inputs)
    if inputs.layer.kind in operators.KINDS:
        return operators.ours("gattn:reference", "reference").build(inputs)
    return provider("pyg").build(inputs)


def _stored(mine: Provider, inputs: Inputs) -> Model:
    from torch_geometric import EdgeIndex

    edges = inputs.structure
    assert isinstance(edges, Tensor)
    size = (inputs.num_nodes, inputs.num_nodes)
    kept: Any = EdgeIndex(edges, sparse_size=size)  # type: ignore[call-arg]  # it is made by __new__
    return mine.build(replace(inputs, structure=kept))


def free(device: torch.device) -> None:
    """Give what torch keeps of the device's memory back."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
