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
    found += [f"{name} is overridden" for name in _overridden(conv, drop_in)]
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
    return type(lin) is Linear and lin.bias is None and is_untouched(lin)


_KINDS = ("forward_hooks", "forward_pre_hooks", "backward_hooks", "backward_pre_hooks")


def is_untouched(lin: nn.Module) -> bool:
    """Nobody listens to calls of `lin` or of all modules, and its forward is that of its class."""
    hooks = sum(len(getattr(lin, f"_{kind}")) for kind in _KINDS)
    lazy = int(hasattr(lin, "_hook"))  # a lazy weight is initialised by a hook of its own
    everywhere = any(getattr(nn.modules.module, f"_global_{kind}") for kind in _KINDS)
    return hooks == lazy and not everywhere and "forward" not in vars(lin)


def _hooked(conv: MessagePassing, name: str) -> bool:
    return any(getattr(conv, f"_{name}_forward_{kind}") for kind in ("pre_hooks", "hooks"))


def _overridden(conv: MessagePassing, drop_in: type) -> list[str]:
    # PyG itself binds `propagate` to an instance when explain mode is switched.
    found = [name for name in _STEPS if name in vars(conv)]
    for names, owner in ((_STEPS, drop_in.__base__), (_ENTRIES, drop_in)):
        found += [n for n in names if getattr(type(conv), n) is not getattr(owner, n)]
    return found


def keep_entries(subclass: type) -> None:
    """Have a subclass of a drop-in define `propagate` and `edge_updater` itself, as they are.

    PyG replaces what a class inherits there by generated code, which knows no explain mode and
    which it finds again by the name of the class alone. It leaves a class's own definition alone.
    """
    for name in _ENTRIES:
        setattr(subclass, name, getattr(subclass, name))


def propagate(conv: Any, edge_index: Any, size: Any, kwargs: dict[str, Any]) -> Tensor:
    """PyG's `propagate` in its general form."""
    general = conv.explain or conv.decomposed_layers != 1
    kwargs = kwargs if general else _as_generated(conv, kwargs)
    return MessagePassing.propagate(conv, edge_index, size=size, **kwargs)


def edge_updater(conv: Any, edge_index: Any, size: Any, kwargs: dict[str, Any]) -> Tensor:
    """PyG's `edge_updater` in its general form."""
    return MessagePassing.edge_updater(conv, edge_index, size=size, **_as_generated(conv, kwargs))


def _as_generated(conv: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
    # PyG's layers run generated code, where the neighbour takes the first of a pair whatever the
    # flow is. In the general form it takes the second where the flow is reversed.
    if conv.flow == "source_to_target":
        return kwargs
    return {name: v[::-1] if isinstance(v, tuple) else v for name, v in kwargs.items()}
