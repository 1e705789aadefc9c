"""The operator alone, on a neighbourhood that is there: what is compared with the floor.

Kinds are `gat`, `gatv2` and `dot`, the pairwise work of the three layers without projections, and
`dot+edges`: a product whose keys and values see 8 features of each pair.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

import gattn
from gattn.benchmark.passes import Model
from gattn.benchmark.problems import Inputs, Layer
from gattn.benchmark.providers import Provider
from gattn.forms import Additive, Form, Multiplicative
from gattn.functional import attend_form
from gattn.neighborhood import Sparse
from gattn.ops import dispatch

KINDS = ("gat", "gatv2", "dot", "dot+edges")
FEATURES = 8
"""Numbers of each pair that `dot+edges` has."""


def make_inputs(layer: Layer, around: Sparse, seed: int) -> Inputs:
    """Return what every provider of an operator is given, made on the device from a seed.

    Args:
        layer: its kind is one of `KINDS`.
        around: the pairs, of as many targets as sources.
        seed: of all numbers.
    """
    generator = torch.Generator(around.device).manual_seed(seed)
    shapes = _shapes(layer, around)
    tensors = {
        name: torch.randn(shape, generator=generator, device=around.device, dtype=layer.dtype)
        for name, shape in shapes.items()
    }
    return Inputs(layer, around, around.num_targets, tensors, {})


def _shapes(layer: Layer, around: Sparse) -> dict[str, tuple[int, ...]]:
    nodes, heads, channels = around.num_targets, layer.heads, layer.channels
    rows, logits = (nodes, heads, channels), (nodes, heads, 1)
    if layer.kind == "gat":
        return {"left": logits, "right": logits, "value": rows}
    if layer.kind == "gatv2":
        return {"left": rows, "right": rows, "att": (heads, channels)}
    shapes: dict[str, tuple[int, ...]] = {"query": rows, "key": rows, "value": rows}
    if layer.kind == "dot+edges":
        pairs = {"features": (around.num_pairs, FEATURES), "weight": (FEATURES, heads, channels)}
        return {**shapes, **pairs}
    return shapes


def leaves_of(inputs: Inputs) -> dict[str, Tensor]:
    """Return what gradients are taken of: everything but the features of pairs."""
    return {
        name: tensor.detach().requires_grad_()
        for name, tensor in inputs.tensors.items()
        if name != "features"
    }


def form_of(layer: Layer, tensors: dict[str, Tensor]) -> tuple[Form, Tensor | None]:
    """Return how the kind scores a pair, and the values."""
    if layer.kind == "gat":
        ones = tensors["right"].new_ones(layer.heads, 1)
        return Additive(tensors["left"], tensors["right"], ones), tensors["value"]
    if layer.kind == "gatv2":
        return Additive(tensors["left"], tensors["right"], tensors["att"]), None
    scale = layer.channels**-0.5
    return Multiplicative(tensors["query"], tensors["key"], scale), tensors["value"]


def ours(name: str, backend: str | None) -> Provider:
    """Return gattn as a provider of operators.

    Args:
        name: in rows.
        backend: forced, or `None`.
    """
    return Provider(name, partial(_reasons, backend), partial(_model, backend))


def _reasons(backend: str | None, layer: Layer, device: torch.device) -> list[str]:
    if backend is None or backend in dispatch.BACKENDS:
        return []
    return [f"gattn has no backend {backend!r}, only {', '.join(dispatch.BACKENDS)}"]


def _model(backend: str | None, inputs: Inputs) -> Model:
    leaves, around = leaves_of(inputs), inputs.structure
    assert isinstance(around, Sparse)  # made so by make_inputs
    form, value = form_of(inputs.layer, leaves)
    options: dict[str, Any] = {"backend": backend}
    if "weight" in leaves:
        options["pair_features"] = inputs.tensors["features"]
        options["pair_weight"] = options["pair_value"] = leaves["weight"]
    return Model(lambda: attend_form(form, value, around, **options), leaves)


def widened(inputs: Inputs) -> Inputs:
    """Return the same numbers in float32, for who is believed."""
    tensors = {name: tensor.float() for name, tensor in inputs.tensors.items()}
    state = {name: tensor.float() for name, tensor in inputs.state.items()}
    layer = Layer(**{**vars(inputs.layer), "precision": "float32"})
    return Inputs(layer, inputs.structure, inputs.num_nodes, tensors, state)


def sampled_difference(inputs: Inputs, out: Tensor, count: int, seed: int) -> float:
    """Return how far some rows of an output are from the reference in float32, by their norm.

    It holds at full size, where the reference has no room for all rows, and where places in
    tensors need more than 32 bits.

    Args:
        inputs: of an operator.
        out: `[N, H, C]`, of the provider.
        count: rows at random; the longest row and the last one come besides.
        seed: which.
    """
    around = inputs.structure
    assert isinstance(around, Sparse)
    rows = _sample(around, count, seed)
    part, places = _rows_of(around, rows)
    tensors = dict(widened(_picked(inputs, rows, places)).tensors)
    form, value = form_of(inputs.layer, tensors)
    options: dict[str, Any] = {}
    if "weight" in tensors:
        options["pair_features"] = tensors["features"]
        options["pair_weight"] = options["pair_value"] = tensors["weight"]
    expected = attend_form(form, value, part, backend="reference", **options)
    return float((out[rows].float() - expected).norm() / expected.norm())


def _sample(around: Sparse, count: int, seed: int) -> Tensor:
    generator = torch.Generator(around.device).manual_seed(seed)
    drawn = torch.randint(around.num_targets, (count,), generator=generator, device=around.device)
    longest = around.rowptr.diff().argmax()[None]
    last = torch.full_like(longest, around.num_targets - 1)
    return torch.cat([drawn, longest, last]).unique()


def _rows_of(around: Sparse, rows: Tensor) -> tuple[Sparse, Tensor]:
    """The neighbourhood of some rows, with sources counted anew, and the old places of its pairs.

    The sources that occur come first in `_picked`, so that nothing as large as the graph is copied.
    """
    counts = around.rowptr.diff()[rows]
    row = torch.arange(len(rows), device=rows.device).repeat_interleave(counts)
    start = around.rowptr[rows] - (counts.cumsum(0) - counts)
    places = torch.arange(len(row), device=rows.device) + start.repeat_interleave(counts)
    sources, col = around.col[places].long().unique(return_inverse=True)
    part = gattn.from_edge_index(torch.stack([col, row]), (len(sources), len(rows)))
    return part, places


def _picked(inputs: Inputs, rows: Tensor, places: Tensor) -> Inputs:
    """What the sampled rows need of every tensor."""
    around = inputs.structure
    assert isinstance(around, Sparse)
    sources = around.col[places].long().unique()
    order = places if around.perm is None else around.perm[places]
    picks = {"left": rows, "query": rows, "features": order}
    picks |= {"right": sources, "key": sources, "value": sources}
    tensors = {
        name: tensor[picks[name]] if name in picks else tensor
        for name, tensor in inputs.tensors.items()
    }
    return Inputs(inputs.layer, around, len(rows), tensors, {})
