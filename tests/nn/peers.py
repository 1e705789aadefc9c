"""Drop-ins beside PyG's layers: pairs with the same parameters, graphs, and what to compare."""

from __future__ import annotations

from typing import Any

import torch
import torch_geometric.nn as pyg
from torch import Tensor

import gattn.nn

NAMES = ("GATConv", "GATv2Conv", "TransformerConv")
GATS = NAMES[:2]
TIGHT = {"rtol": 1e-12, "atol": 1e-12}


def pair(name: str, *args: Any, dtype: torch.dtype = torch.float64, **kwargs: Any) -> tuple:
    """PyG's layer and ours, with one state_dict; the biases are not zero."""
    peer = getattr(pyg, name)(*args, **kwargs).to(dtype)
    ours = getattr(gattn.nn, name)(*args, **kwargs).to(dtype)
    with torch.no_grad():
        for parameter in peer.parameters():
            if not torch.nn.parameter.is_lazy(parameter):
                parameter.copy_(torch.randn_like(parameter) * 0.5)
    ours.load_state_dict(peer.state_dict())
    return peer, ours


def graph(num_sources: int = 7, num_targets: int = 7, num_edges: int = 30) -> Tensor:
    """Random edges with a duplicate, a loop, an isolated last source and last target."""
    edges = torch.stack(
        [
            torch.randint(num_sources - 1, (num_edges,)),
            torch.randint(num_targets - 1, (num_edges,)),
        ]
    )
    edges[:, 1] = edges[:, 0]
    edges[:, 2] = 1
    return edges


def features(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Normal numbers that want a gradient."""
    return torch.randn(*shape, dtype=dtype, requires_grad=True)


def close(found: Tensor, expected: Tensor, **tolerance: float) -> None:
    """Same shape, dtype and, to rounding, numbers."""
    torch.testing.assert_close(found, expected, **(tolerance or TIGHT))


def same_call(peer: Any, ours: Any, x: Any, *args: Any, inputs: tuple = (), **kwargs: Any) -> None:
    """Output and gradients of every parameter and of the given inputs are PyG's."""
    expected, found = peer(x, *args, **kwargs), ours(x, *args, **kwargs)
    close(found, expected)
    cotangent = torch.randn_like(expected)
    wanted = [p for p in peer.parameters() if p.requires_grad]
    have = [p for p in ours.parameters() if p.requires_grad]
    grads = [
        torch.autograd.grad(out, [*parameters, *inputs], cotangent, allow_unused=True)
        for out, parameters in ((expected, wanted), (found, have))
    ]
    for one, other in zip(*grads, strict=True):
        zero = one is None or other is None
        close(
            *((t if t is not None else torch.zeros(())).sum() if zero else t for t in (other, one))
        )


def own_forward_runs(ours: Any) -> Any:
    """Make a drop-in refuse to hand over: its backend is forced."""
    ours.backend = "reference"
    return ours
