"""When a drop-in hands a call over to the forward of PyG's layer that it inherits from.

A drop-in computes the layer's formula, not PyG's sequence of calls. So PyG's own forward runs

- in explain mode;
- when a propagate, message, aggregate, message-and-aggregate or edge-update hook is registered;
- when a subclass (or the instance) overrides one of these methods, or `update`;
- when `aggr`, `flow`, `node_dim` or `decomposed_layers` is not the layer's default;
- when a layer adds a reason of its own: edge features that are not what `edge_dim` announces, a
  replaced or hooked `lin_edge`, or weights returned under dropout (GAT and GATv2 return those
  *after* the dropout, and only PyG's forward hands out the very weights that it used);
- while `torch.compile`, `torch.export` or `torch.jit.trace` records the call, which PyG's forward
  is written for.

With `conv.backend` set, the call is refused with the reasons instead; recording is no reason then.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.nn.aggr import SumAggregation
from torch_geometric.nn.conv import MessagePassing
from torch_geometric.nn.dense.linear import Linear

from gattn.nn.conv.edges import is_sparse_tensor

_STEPS = ("message", "aggregate", "update", "edge_update", "message_and_aggregate")
_ENTRIES = ("propagate", "edge_updater")
_HOOKED = ("propagate", "message", "aggregate", "message_and_aggregate", "edge_update")
_DEFAULTS = {"flow": "source_to_target", "node_dim": 0, "decomposed_layers": 1}


def hands_over(conv: Any, drop_in: type, own_reasons: Sequence[str] = ()) -> bool:
    """Whether PyG's forward has to run.

    Args:
        conv: the layer, with its `backend`.
        drop_in: the drop-in that it is an instance of.
        own_reasons: reasons of this layer and call.

    Raises:
        ValueError: it has to, but a backend is forced.
    """
    recorded = torch.compiler.is_compiling() or torch.jit.is_tracing()
    if recorded and conv.backend is None:
        return True
    found = [*reasons(conv, drop_in), *own_reasons]
    if found and conv.backend is not None:
        raise ValueError(
            f"backend: found {conv.backend!r}, expected None: PyG's own forward has to run, "
            f"because {' and '.join(found)}"
        )
    return bool(found)


def reasons(conv: MessagePassing, drop_in: type) -> list[str]:
    """Why PyG's forward has to run, as far as the layer itself tells."""
    found = ["explain mode is on"] if conv.explain else []
    found += [f"a hook on {name} is registered" for name in _HOOKED if _hooked(conv, name)]
    found += [f"{name} is overridden" for name in _STEPS if _steps_differ(conv, drop_in, name)]
    found += [f"{name} is overridden" for name in _ENTRIES if _redefined(conv, drop_in, name)]
    if type(conv.aggr_module) is not SumAggregation:
        found.append(f"aggr is {conv.aggr!r}, not 'add'")
    for name, default in _DEFAULTS.items():
        value = getattr(conv, name)
        if value != default:
            found.append(f"{name} is {value!r}, not {default!r}")
    return found


def edge_reasons(conv: Any, features: Tensor | None) -> list[str]:
    """Why edge features need PyG's forward: ours takes them only to multiply them by a weight."""
    if features is None:
        return []
    if conv.lin_edge is None:
        return ["there is an edge_attr but no edge_dim"]
    return [] if is_plain(conv.lin_edge) else ["lin_edge is replaced or hooked"]


def gat_reasons(conv: Any, edge_index: Any, wants_weights: Any) -> list[str]:
    """Why a call of GAT or GATv2 needs PyG's forward."""
    found = []
    if wants_weights and conv.training and conv.dropout > 0:
        found.append("weights are returned under dropout")
    if is_sparse_tensor(edge_index) and conv.add_self_loops and conv.edge_dim is not None:
        found.append("self-loops have no features in a SparseTensor")
    return found


def is_plain(lin: nn.Module) -> bool:
    """`lin` does nothing but multiply by its weight, so that the weight can be used without it."""
    hooks = len(lin._forward_hooks) + len(lin._forward_pre_hooks)
    lazy = int(hasattr(lin, "_hook"))  # a lazy weight is initialised by a hook of its own
    return type(lin) is Linear and lin.bias is None and hooks == lazy


def _hooked(conv: MessagePassing, name: str) -> bool:
    return any(getattr(conv, f"_{name}_forward_{kind}") for kind in ("pre_hooks", "hooks"))


def _steps_differ(conv: MessagePassing, drop_in: type, name: str) -> bool:
    return name in vars(conv) or getattr(type(conv), name) is not getattr(drop_in.__base__, name)


def _redefined(conv: MessagePassing, drop_in: type, name: str) -> bool:
    """A class between the layer's and the drop-in defines the entry point itself."""
    for cls in type(conv).__mro__:
        if cls is drop_in:
            return False
        defined = vars(cls).get(name)
        # PyG replaces an inherited entry point by generated code and keeps the inherited one.
        if defined is not None and defined is vars(cls).get(f"_orig_{name}", defined):
            return True
    return False
