"""`attention_maps`: the weights of every attention layer, from one forward pass of a model.

Layers are found by what they can do, not by their class:

- a method `attention_weights` with the arguments of `forward`: `GraphAttention` and its relatives;
- an argument `return_attention_weights`: PyG's layers, and the drop-ins for them;
- arguments `need_weights` and `average_attn_weights`: torch's `MultiheadAttention`, and
  `SequenceAttention`.

A hook keeps what each was called with; the weights are computed afterwards, a layer at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn

from gattn.inspection.maps import AttentionMap
from gattn.inspection.pruning import KeptHeads
from gattn.neighborhood import Neighborhood, Span, Sparse, Streamed

Pairs = tuple[Tensor, Tensor | None]
"""`edge_index` `[2, E]` and the distances `[E]` of pairs."""


def attention_maps(
    model: nn.Module, x: Any, structure: Any, *, hops: Sparse | None = None
) -> dict[str, AttentionMap]:
    """The weights of every attention layer of a model, by the name of the layer.

    The model is called once, in evaluation mode and without gradients, and left in the mode that
    it was in. A layer that is called more than once has a map for each call: `name`, `name:2`.

    Args:
        model: called as `model(x, structure)`.
        x: features, whatever the model takes.
        structure: a neighbourhood, an edge_index, or whatever else it takes.
        hops: pairs with distances, such as `gattn.k_hop(edge_index, 3)`, for layers that are given
            mere edges. Without it an edge is at distance 1, and a loop at 0.

    Returns:
        Maps in the order of the calls. Weights are those before the dropout; those of
        `DiffusionAttention` are of one round, and those for each channel are averaged.

    Raises:
        ValueError: a layer attends to no pairs, to too many to write out, or is called with a
            batch axis.
    """
    found = calls(model, x, structure)
    with evaluating(model), torch.no_grad():
        return {call.name: map_of(call, hops) for call in found}


@dataclass(frozen=True, eq=False)
class Call:
    """One call of an attention layer: its arguments by name, and its output."""

    name: str
    layer: nn.Module
    arguments: dict[str, Any]
    output: Any

    @property
    def structure(self) -> Any:
        """Who attends to whom, if that is an argument."""
        given = (self.arguments.get(name) for name in ("neighborhood", "edge_index"))
        return next((each for each in given if each is not None), None)


def calls(model: nn.Module, x: Any, structure: Any) -> list[Call]:
    """The calls of attention layers in one forward pass, in their order.

    Args: as `attention_maps`.
    """
    found: list[Call] = []

    def listen(name: str) -> Callable[..., None]:
        def keep(layer: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
            bound = signature(layer.forward).bind(*args, **kwargs).arguments
            earlier = sum(call.layer is layer for call in found)
            title = f"{name}:{earlier + 1}" if earlier else name
            found.append(Call(title, layer, bound, output))

        return keep

    listen_to(attention_layers(model), listen, model, x, structure)
    return found


def listen_to(
    modules: Mapping[str, nn.Module],
    listen: Callable[[str], Callable[..., None]],
    model: nn.Module,
    x: Any,
    structure: Any,
) -> None:
    """Call a model once, in evaluation mode and without gradients, with ears in its modules.

    Args:
        modules: of the model, by name.
        listen: returns what is called with a module, its arguments and its output.
        model: called as `model(x, structure)`.
        x: features.
        structure: what else it takes.
    """
    handles = [
        module.register_forward_hook(listen(name), with_kwargs=True)
        for name, module in modules.items()
    ]
    try:
        with evaluating(model), torch.no_grad():
            model(x, structure)
    finally:
        for handle in handles:
            handle.remove()


def attention_layers(model: nn.Module) -> dict[str, nn.Module]:
    """The attention layers of a model by name; a model that is a layer has that of its class."""
    named = ((name or type(module).__name__, module) for name, module in model.named_modules())
    return {name: module for name, module in named if _reader(module) is not None}


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode, and every module back in its own mode afterwards."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training


def map_of(call: Call, hops: Sparse | None = None) -> AttentionMap:
    """The weights of one call.

    Args:
        call: of `calls`; its layer in the mode that it was in then.
        hops: as `attention_maps`.

    Raises:
        ValueError: as `attention_maps`.
    """
    reader = _reader(call.layer)
    assert reader is not None
    return reader(call, hops)


def _reader(module: nn.Module) -> Callable[[Call, Sparse | None], AttentionMap] | None:
    """What reads the weights of such a layer; `None` for modules that are no attention layer."""
    if isinstance(module, KeptHeads):
        return None  # the layer in it is one
    names = signature(module.forward).parameters
    if callable(getattr(module, "attention_weights", None)):
        return _own if "neighborhood" in names else _tokens if "tokens" in names else None
    if "return_attention_weights" in names:
        return _drop_in
    return _sequence if {"need_weights", "average_attn_weights"} <= set(names) else None


def _own(call: Call, hops: Sparse | None) -> AttentionMap:
    """`GraphAttention` and its relatives, whose pairs are those of a neighbourhood."""
    structure, features = call.structure, call.arguments["x"]
    structure = structure.expand() if isinstance(structure, Streamed) else structure
    asked = call.arguments | {"neighborhood": structure}
    weights = call.layer.attention_weights(**asked)  # type: ignore[operator]
    target, source = features if isinstance(features, tuple) else (features, features)
    if target.dim() != 2:
        raise ValueError(f"x: found shape {list(target.shape)} in {call.name}, expected [N, F]")
    weights = weights.mean(-1) if weights.dim() == 3 else weights
    pairs = _pairs(structure, hops)
    return AttentionMap(weights, *pairs, target.shape[0], source.shape[0])


def _pairs(structure: Neighborhood | Tensor, hops: Sparse | None) -> Pairs:
    """The pairs in the order of the weights."""
    if isinstance(structure, Tensor):
        edges = _plain(structure)
        return edges, distances(edges, hops)
    stored = structure if isinstance(structure, Sparse) else structure.expand()
    edges, hop = stored.edge_index(), stored.hop
    if hop is None:
        return edges, None if hops is None else distances(edges, hops)
    if isinstance(structure, Span) and structure.signed:
        hop = (hop.int() - (structure.radius or 0)).abs()
    if stored.perm is not None:
        hop = torch.empty_like(hop).index_copy_(0, stored.perm, hop)
    return edges, hop


def _plain(edges: Tensor) -> Tensor:
    if edges.layout != torch.strided:
        raise ValueError("edge_index: found a sparse adjacency, expected [2, E] to read weights by")
    as_tensor = getattr(edges, "as_tensor", None)  # PyG's EdgeIndex is a tensor with metadata
    return edges if as_tensor is None else as_tensor()


def distances(edge_index: Tensor, hops: Sparse | None) -> Tensor:
    """The distance of every edge, `[E]` int64.

    Args:
        edge_index: `[2, E]`.
        hops: pairs with distances; one more than their largest for edges that are not among them.
            `None` = 0 for a loop, 1 for any other edge.

    Raises:
        ValueError: the pairs have no distances.
    """
    source, target = edge_index.long()
    if hops is None:
        return (source != target).long()
    if hops.hop is None or hops.num_hops is None:
        raise ValueError("hops: found pairs without distances, expected those of k_hop")
    known = hops.rows() * hops.num_sources + hops.col.long()
    order = torch.argsort(known)
    wanted = target * hops.num_sources + source
    place = torch.searchsorted(known[order], wanted).clamp(max=max(len(order) - 1, 0))
    if not len(order):
        return torch.where(source == target, 0, hops.num_hops + 1)
    found = hops.hop.long()[order[place]]
    found = torch.where(known[order[place]] == wanted, found, hops.num_hops + 1)
    return torch.where(source == target, 0, found)


def _drop_in(call: Call, hops: Sparse | None) -> AttentionMap:
    """PyG's layers, which return the edges that they made, loops included."""
    _plain(call.structure)
    asked = call.arguments | {"return_attention_weights": True}
    output, (edges, weights) = call.layer.forward(**asked)
    x = call.arguments["x"]
    source = x[0] if isinstance(x, (tuple, list)) else x
    edges = _plain(edges)
    weights = weights[:, None] if weights.dim() == 1 else weights.flatten(1)
    sizes = output.shape[0], source.shape[0]
    return AttentionMap(weights, edges, distances(edges, hops), *sizes)


def _tokens(call: Call, hops: Sparse | None) -> AttentionMap:
    """The readout over the tokens of a node, of which token k stands for hop k."""
    tokens = call.arguments["tokens"]
    weights = call.layer.attention_weights(tokens)  # type: ignore[operator]
    nodes, length = tokens.shape[:2]
    hop = torch.arange(1, length, device=tokens.device).repeat(nodes)
    target = torch.arange(nodes, device=tokens.device).repeat_interleave(length - 1)
    edges = torch.stack([target * length + hop, target])
    return AttentionMap(weights.reshape(-1, 1), edges, hop, nodes, nodes * length)


def _sequence(call: Call, hops: Sparse | None) -> AttentionMap:
    """Torch's attention of sequences: position s of sequence b is source `b * S + s`."""
    asked = call.arguments | {"need_weights": True, "average_attn_weights": False}
    dense = call.layer.forward(**asked)[1]
    dense = dense[None] if dense.dim() == 3 else dense
    batch, _, targets, sources = dense.shape
    weights = dense.permute(0, 2, 3, 1)
    at, target, source = (weights != 0).any(-1).nonzero().T
    edges = torch.stack([at * sources + source, at * targets + target])
    hop = (source - target).abs() if targets == sources else None
    sizes = batch * targets, batch * sources
    return AttentionMap(weights[at, target, source], edges, hop, *sizes)


def num_weights(call: Call) -> int | None:
    """How many numbers the weights of a call are; `None` where that is not known beforehand.

    Pairs that are streamed are never written out, so they count as more than any limit.

    Args:
        call: of `calls`.
    """
    structure, heads = call.structure, getattr(call.layer, "heads", 1)
    if isinstance(structure, Streamed):
        return 2**63 - 1
    if isinstance(structure, (Sparse, Span)):
        return structure.num_pairs * heads
    return structure.shape[1] * heads if isinstance(structure, Tensor) else None
