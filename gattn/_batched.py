"""A leading batch axis on one static graph: it folds into the heads."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from torch import Tensor

from gattn.forms import Additive, Form, Given

# What belongs to a head is the same in every batch entry.
_PER_HEAD_AXIS = {"hop_bias": 1, "pair_bias": 1, "pair_weight": 1, "pair_value": 1}


def size(form: Form, value: Tensor | None) -> int | None:
    """B, or `None` without a batch axis.

    Raises:
        ValueError: query, key and value do not all have the same batch axis.
    """
    named = {"query": form.left, "key": form.right} | ({} if value is None else {"value": value})
    found = {name: tuple(tensor.shape[:-3]) for name, tensor in named.items()}
    if len(set(found.values())) > 1 or any(len(axes) > 1 for axes in found.values()):
        shapes = ", ".join(f"{name} {list(tensor.shape)}" for name, tensor in named.items())
        raise ValueError(
            f"query: found {shapes}, expected one and the same leading batch axis or none"
        )
    axes = found["query"]
    return axes[0] if axes else None


def fold(tensor: Tensor | None) -> Tensor | None:
    """`[B, N, H, ...]` to `[N, B * H, ...]`."""
    return None if tensor is None else tensor.transpose(0, 1).flatten(1, 2)


def unfold(tensor: Tensor, batch: int | None) -> Tensor:
    """`[N, B * H, ...]` to `[B, N, H, ...]`."""
    if batch is None:
        return tensor
    heads = tensor.shape[1] // max(batch, 1)
    return tensor.unflatten(1, (batch, heads)).transpose(0, 1)


def repeat(name: str, value: Any, batch: int) -> Any:
    """An option of `attend`, its heads repeated for every batch entry."""
    axis = _PER_HEAD_AXIS.get(name)
    if axis is None or not isinstance(value, Tensor) or value.dim() <= axis:
        return value
    return value.repeat(*(batch if at == axis else 1 for at in range(value.dim())))


def fold_form(form: Form, batch: int) -> Form:
    """The form over `B * H` heads."""
    if isinstance(form, Given):
        return Given(fold(form.query), fold(form.key), _per_entry(form, batch))  # type: ignore[arg-type]
    batched = {f.name: getattr(form, f.name) for f in fields(form) if f.name != "weight"}
    changes = {name: fold(value) for name, value in batched.items() if isinstance(value, Tensor)}
    if isinstance(form, Additive):
        changes["weight"] = form.weight.repeat(batch, 1)
    return replace(form, **changes)  # type: ignore[arg-type]


def _per_entry(form: Given, batch: int) -> Any:
    """`form.fn` on pairs of all batch entries: `[P, B * H, C]` to `[P * B, H, C]` and back."""

    def fn(query: Tensor, key: Tensor, hop: Tensor | None) -> Tensor:
        query, key = (side.unflatten(1, (batch, -1)).flatten(0, 1) for side in (query, key))
        hops = None if hop is None else hop.repeat_interleave(batch)
        return form.fn(query, key, hops).unflatten(0, (-1, batch)).flatten(1, 2)

    return fn
