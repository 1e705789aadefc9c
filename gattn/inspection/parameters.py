"""Which parameters of an attention layer belong to which of its heads.

Heads are found by the names that layers give their parts, ours and PyG's; what is not named here
belongs to no head.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

_PROJECTIONS = ("lin", "lin_src", "lin_dst", "lin_l", "lin_r", "lin_query", "lin_key", "lin_value")
_PROJECTIONS += ("lin_edge",)
_VALUES = ("lin_value", "lin_l", "lin", "lin_src", "lin_key")  # the first that there is
_AXES = {"att_src": 1, "att_dst": 1, "att_edge": 1, "att": 1}
_AXES |= {"hop_bias": 1, "edge_key": 1, "edge_value": 1}
_AXES |= {"hop_level.ring_key": 1, "hop_level.ring_bias": 1, "span.share": 0}
_AXES |= {"cluster_level.pool_query": 0, "cluster_level.part_key": 1}


def has_heads(layer: nn.Module) -> bool:
    """Whether the heads of a layer can be told apart by the names of its parts."""
    sizes = all(isinstance(getattr(layer, name, None), int) for name in ("heads", "out_channels"))
    return sizes and _first(layer, _VALUES) is not None


def values_of(layer: nn.Module, head: int) -> list[Tensor]:
    """Views of all that the value of a head is made of: with zeros there its output is zero.

    Args:
        layer: one that `has_heads`.
        head: one of its heads.
    """
    rows = slice(head * channels_of(layer), (head + 1) * channels_of(layer))
    found = [part[rows] for lin in _values(layer) for part in lin.parameters(recurse=False)]
    edge_value = getattr(layer, "edge_value", None)
    return found if edge_value is None else [*found, edge_value[:, head]]


def keep_heads(layer: nn.Module, kept: list[int]) -> None:
    """Leave a layer those heads, in place; what is added behind the heads is not touched.

    Args:
        layer: one that `has_heads`.
        kept: the heads that stay, in ascending order.
    """
    rows = rows_of(layer, kept)
    for lin in _projections(layer):
        _keep_rows(lin, rows)
    for name, axis in _AXES.items():
        _keep(layer, name, axis, kept)
    score = getattr(layer, "score", None)
    if isinstance(score, nn.Module):
        layer.score = copy.deepcopy(score)  # a score may be shared by the layers of a model
        for name, parameter in score.named_parameters():
            if parameter.dim() and parameter.shape[0] == layer.heads:
                _keep(layer.score, name, 0, kept)
    if getattr(layer, "feature_level", None) is not None:
        layer.feature_level.heads = len(kept)  # type: ignore[union-attr]
    layer.heads = len(kept)  # type: ignore[assignment]


def rows_of(layer: nn.Module, heads: Iterable[int]) -> Tensor:
    """Where the channels of some heads are among those of all, `[heads * C]`."""
    channels = channels_of(layer)
    return torch.tensor([head * channels + c for head in heads for c in range(channels)])


def channels_of(layer: nn.Module) -> int:
    """C, the channels of one head."""
    channels = layer.out_channels
    assert isinstance(channels, int)
    return channels


def set_rows(lin: nn.Module, weight: Tensor, bias: Tensor | None) -> None:
    """Give a linear layer other parameters, and the sizes that these have."""
    lin.weight = nn.Parameter(weight.detach().clone(), lin.weight.requires_grad)  # type: ignore[union-attr,arg-type]
    if bias is not None:
        lin.bias = nn.Parameter(bias.detach().clone(), lin.bias.requires_grad)  # type: ignore[union-attr,arg-type]
    sizes = {"out_channels": 0, "out_features": 0, "in_channels": 1, "in_features": 1}
    for name, axis in sizes.items():
        if hasattr(lin, name):
            setattr(lin, name, weight.shape[axis])


def _keep_rows(lin: nn.Module, rows: Tensor) -> None:
    bias = lin.bias
    assert isinstance(lin.weight, Tensor)
    rows = rows.to(lin.weight.device)
    set_rows(lin, lin.weight[rows], bias[rows] if isinstance(bias, Tensor) else None)


def _keep(module: nn.Module, path: str, axis: int, kept: list[int]) -> None:
    """Leave the parameter at a path, if there is one, those places of an axis."""
    *parents, name = path.split(".")
    for parent in parents:
        module = getattr(module, parent, None)  # type: ignore[assignment]
    parameter = getattr(module, name, None)
    if isinstance(parameter, nn.Parameter):
        index = torch.tensor(kept, device=parameter.device)
        left = parameter.detach().index_select(axis, index)
        setattr(module, name, nn.Parameter(left, parameter.requires_grad))


def _projections(layer: nn.Module) -> Iterator[nn.Module]:
    """The linear layers whose rows are those of the heads, each once."""
    named = [getattr(layer, name, None) for name in _PROJECTIONS]
    level = getattr(layer, "feature_level", None)
    named += [] if level is None else [level.lin_key, level.lin_value]
    yield from {id(lin): lin for lin in named if isinstance(lin, nn.Module)}.values()


def _values(layer: nn.Module) -> Iterator[nn.Module]:
    """Those of them that a value is made of."""
    lin, edge = _first(layer, _VALUES), getattr(layer, "lin_edge", None)
    assert lin is not None
    yield lin
    if isinstance(edge, nn.Module):
        yield edge
    level = getattr(layer, "feature_level", None)
    if level is not None:
        yield level.lin_key if level.lin_value is None else level.lin_value


def _first(layer: nn.Module, names: Iterable[str]) -> nn.Module | None:
    found = (getattr(layer, name, None) for name in names)
    return next((lin for lin in found if isinstance(lin, nn.Module)), None)
