"""Who is measured: PyG, PyG compiled, DGL, torch's attention, and gattn with any of its backends.

A new provider is one entry of `PROVIDERS`: why it cannot run something, and how it is built. All
take PyG's weights, or the same query, key and value, so that all compute the same.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

import gattn
from gattn import _check as check
from gattn.benchmark.passes import Model
from gattn.benchmark.problems import Inputs, Layer
from gattn.ops import dispatch

LAYERS = ("GATConv", "GATv2Conv", "TransformerConv")


@dataclass(frozen=True)
class Provider:
    """A library that can run layers.

    Args:
        name: on the command line and in rows.
        reasons: why it cannot run a layer on a device here; empty = it can, as far as one knows
            without trying.
        build: makes the model from the inputs.
        per_shape: whether it compiles for the shapes that it meets, so that a warm-up has to be on
            the inputs themselves.
    """

    name: str
    reasons: Callable[[Layer, torch.device], list[str]]
    build: Callable[[Inputs], Model]
    per_shape: bool = False


def provider(name: str) -> Provider:
    """Return the provider of that name; `gattn:BACKEND` forces a backend.

    Raises:
        ValueError: there is none.
    """
    family, colon, backend = name.partition(":")
    if family == "gattn" and colon and backend:
        return _gattn(backend)
    check.one_of("provider", name, (*PROVIDERS, "gattn:BACKEND"))
    return PROVIDERS[name]


def _layer_model(conv: nn.Module, inputs: Inputs, call: Callable[..., Tensor]) -> Model:
    x = _leaf(inputs.tensors["x"])
    return Model(lambda: call(x, inputs.structure), {"x": x, **dict(conv.named_parameters())})


def _leaf(tensor: Tensor) -> Tensor:
    """The same memory, with a gradient of its own."""
    return tensor.detach().requires_grad_()


def _loaded(layers: Any, inputs: Inputs) -> nn.Module:
    """The layer of a package with PyG's interface, with PyG's weights."""
    layer = inputs.layer
    conv = getattr(layers, layer.kind)(layer.in_channels, layer.channels, heads=layer.heads)
    conv = conv.to(inputs.device, layer.dtype)
    conv.load_state_dict(inputs.state)
    return conv


def _pyg_reasons(layer: Layer, device: torch.device) -> list[str]:
    return [] if layer.kind in LAYERS else [f"PyG has no {layer.kind}"]


def _pyg(inputs: Inputs) -> Model:
    from torch_geometric import nn as pyg

    conv = _loaded(pyg, inputs)
    return _layer_model(conv, inputs, conv)


def _compile_reasons(layer: Layer, device: torch.device) -> list[str]:
    compilers = (os.environ.get("CXX", "g++"), "clang++", "c++", "cl")
    found = any(shutil.which(name) for name in compilers)
    missing = [] if found else ["torch.compile needs a C++ compiler, and none is found"]
    return _pyg_reasons(layer, device) + missing


def _compiled(inputs: Inputs) -> Model:
    """PyG's own layer through `torch.compile`, for these shapes only, its fastest setting."""
    from torch_geometric import nn as pyg

    # What was compiled for other graphs would turn this compilation into one for any size.
    torch.compiler.reset()
    conv = _loaded(pyg, inputs)
    return _layer_model(conv, inputs, torch.compile(conv, dynamic=False))


_DGL_NAMES = {
    "GATConv": {
        "lin.weight": "fc.weight",
        "att_src": "attn_l",
        "att_dst": "attn_r",
        "bias": "bias",
    },
    "GATv2Conv": {
        "lin_l.weight": "fc_src.weight",
        "lin_l.bias": "fc_src.bias",
        "lin_r.weight": "fc_dst.weight",
        "lin_r.bias": "fc_dst.bias",
        "att": "attn",
    },
}
"""PyG's names of the parameters, and DGL's. DGL's GATv2Conv has no bias after the sum; PyG's is
zero in a new layer, so outputs agree."""


def _dgl_reasons(layer: Layer, device: torch.device) -> list[str]:
    reasons = [] if layer.kind in _DGL_NAMES else [f"DGL has no equal of {layer.kind}"]
    missing = importlib.util.find_spec("dgl") is None
    return reasons + (["dgl is not installed"] if missing else [])


def _dgl(inputs: Inputs) -> Model:
    """DGL's layer on a graph built beforehand, with the loops that PyG's adds on each call."""
    os.environ.setdefault("DGLBACKEND", "pytorch")  # DGL writes to the home folder without it
    import dgl  # type: ignore[import-not-found]  # optional, and has no types
    from dgl.nn import pytorch as layers  # type: ignore[import-not-found]

    dgl.utils.set_num_threads(torch.get_num_threads())
    layer, names = inputs.layer, _DGL_NAMES[inputs.layer.kind]
    conv = getattr(layers, layer.kind)(layer.in_channels, layer.channels, layer.heads)
    conv = conv.to(inputs.device, layer.dtype)
    conv.load_state_dict({theirs: inputs.state[ours] for ours, theirs in names.items()})
    x = _leaf(inputs.tensors["x"])
    assert isinstance(inputs.structure, Tensor)  # there is no layer for a neighbourhood
    graph = dgl.graph(tuple(inputs.structure), num_nodes=inputs.num_nodes)
    graph = dgl.add_self_loop(dgl.remove_self_loop(graph))
    parameters = dict(conv.named_parameters())
    leaves = {ours: parameters[theirs] for ours, theirs in names.items()}
    return Model(lambda: conv(graph, x).flatten(1), {"x": x, **leaves})


def _sdpa_reasons(layer: Layer, device: torch.device) -> list[str]:
    if layer.kind != "attend":
        return [f"torch has no {layer.kind}"]
    return ["torch's attention has no hop bias"] if layer.hop_bias else []


def _sdpa(inputs: Inputs) -> Model:
    """What torch has itself, on leaves that lie as it wants them, `[1, H, N, C]`."""
    span = inputs.structure
    if not isinstance(span, gattn.Span):
        raise TypeError(f"structure: found {span!r}, expected a Span")
    leaves = {
        name: _leaf(tensor.transpose(0, 1)[None].contiguous())
        for name, tensor in inputs.tensors.items()
    }
    query, key, value = (leaves[name] for name in ("query", "key", "value"))
    attention = _torch_attention(span)
    return Model(lambda: attention(query, key, value), leaves, lambda t: t[0].transpose(0, 1))


def _torch_attention(span: gattn.Span) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """How one calls torch for the pairs of a span; a mask is made here, once."""
    if span.kind == "full":
        return scaled_dot_product_attention
    if span.kind == "window" and span.causal and span.radius is None:
        return partial(scaled_dot_product_attention, is_causal=True)
    if span.kind == "packed":
        lengths = span.start.unique_consecutive(return_counts=True)[1].tolist()
        return partial(_one_by_one, lengths)
    source = torch.arange(span.num_sources, device=span.device)
    mask = (span.start[:, None] <= source) & (source < span.stop[:, None])
    return partial(scaled_dot_product_attention, attn_mask=mask)


def _one_by_one(lengths: list[int], query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Every sequence alone. To split costs nothing, its backward pass copies each gradient once."""
    parts = zip(*(tensor.split(lengths, dim=2) for tensor in (query, key, value)), strict=True)
    return torch.cat([scaled_dot_product_attention(*part) for part in parts], dim=2)


def _gattn_reasons(backend: str | None, layer: Layer, device: torch.device) -> list[str]:
    known = ", ".join(dispatch.BACKENDS)
    missing = backend is not None and backend not in dispatch.BACKENDS
    reasons = [f"gattn has no backend {backend!r}, only {known}"] if missing else []
    kinds = (*LAYERS, "attend")
    return reasons + ([] if layer.kind in kinds else [f"gattn has no {layer.kind}"])


def _gattn_model(backend: str | None, inputs: Inputs) -> Model:
    if inputs.layer.kind == "attend":
        return _attend(backend, inputs)
    from gattn import nn as drop_ins

    conv: Any = _loaded(drop_ins, inputs)
    conv.backend = backend
    return _layer_model(conv, inputs, conv)


def _attend(backend: str | None, inputs: Inputs) -> Model:
    leaves = {name: _leaf(tensor) for name, tensor in inputs.tensors.items()}
    around = inputs.structure
    assert not isinstance(around, Tensor)  # made so by make_inputs
    query, key, value = (leaves[name] for name in ("query", "key", "value"))
    options: Any = {"hop_bias": leaves.get("hop_bias"), "backend": backend}
    return Model(lambda: gattn.attend(query, key, value, around, **options), leaves)


def _gattn(backend: str | None = None) -> Provider:
    name = "gattn" if backend is None else f"gattn:{backend}"
    return Provider(name, partial(_gattn_reasons, backend), partial(_gattn_model, backend))


_ALL = (
    Provider("pyg", _pyg_reasons, _pyg),
    Provider("pyg-compile", _compile_reasons, _compiled, per_shape=True),
    Provider("dgl", _dgl_reasons, _dgl),
    Provider("sdpa", _sdpa_reasons, _sdpa),
    _gattn(),
)

PROVIDERS: dict[str, Provider] = {found.name: found for found in _ALL}
"""By name; besides these there is `gattn:BACKEND` for every backend of gattn."""
