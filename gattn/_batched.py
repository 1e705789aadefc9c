"""A leading batch axis on one static graph: it folds into the heads."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import Tensor

from gattn import _check
from gattn.forms import Additive, Form, Given
from gattn.ops.problem import checked_form

# What belongs to a head is the same in every batch entry.
_PER_HEAD_AXIS = {"hop_bias": 1, "pair_bias": 1, "pair_weight": 1, "pair_value": 1}


def size(form: Form, value: Tensor | None) -> int | None:
    """B, or `None` without a batch axis.

    Raises:
        TypeError: the form is none, or query, key or value no tensor.
        ValueError: query, key and value do not all have the same batch axis.
    """
    checked_form(form)
    named = {"query": form.left, "key": form.right} | ({} if value is None else {"value": value})
    found = {name: tuple(_check.tensor(name, side).shape[:-3]) for name, side in named.items()}
    if len(set(found.values())) > 1 or any(len(axes) > 1 for axes in found.values()):
        shapes = ", ".join(f"{name} {list(tensor.shape)}" for name, tensor in named.items())
        raise ValueError(
            f"query: found {shapes}, expected one and the same leading batch axis or none"
        )
    axes = found["query"]
    return axes[0] if axes else None


def fold_all(
    form: Form, value: Tensor | None, options: dict[str, Any], batch: int
) -> tuple[Form, Tensor | None, dict[str, Any]]:
    """Form, value and options over `B * H` heads.

    Raises:
        ValueError: a tensor does not have the heads of the query.
    """
    heads = form.left.shape[-2]
    if value is not None and value.shape[-2] != heads:
        raise ValueError(f"value: found shape {list(value.shape)}, expected [B, M, {heads}, D]")
    options = {name: _repeated(name, option, batch, heads) for name, option in options.items()}
    return _folded(form, batch), None if value is None else fold(value), options


def unfold(tensor: Tensor, batch: int | None) -> Tensor:
    """`[N, B * H, ...]` to `[B, N, H, ...]`."""
    if batch is None:
        return tensor
    heads = tensor.shape[1] // max(batch, 1)
    return tensor.unflatten(1, (batch, heads)).transpose(0, 1)


def fold(tensor: Tensor) -> Tensor:
    """`[B, N, H, ...]` to `[N, B * H, ...]`."""
    return tensor.transpose(0, 1).flatten(1, 2)


def _repeated(name: str, option: Any, batch: int, heads: int) -> Any:
    """An option of `attend`, its heads repeated for every batch entry."""
    axis = _PER_HEAD_AXIS.get(name)
    if axis is None or not isinstance(option, Tensor) or option.dim() <= axis:
        return option
    if option.shape[axis] != heads:
        raise ValueError(
            f"{name}: found shape {list(option.shape)}, expected {heads} heads on axis {axis}"
        )
    return option.repeat(*(batch if at == axis else 1 for at in range(option.dim())))


def _folded(form: Form, batch: int) -> Form:
    if isinstance(form, Given):
        return Given(fold(form.query), fold(form.key), _per_entry(form, batch))
    changes = {name: fold(side) for name, side in (("left", form.left), ("right", form.right))}
    if isinstance(form, Additive):
        return replace(form, **changes, weight=form.weight.repeat(batch, 1))
    for name in ("source_bias", "target_bias"):
        bias = getattr(form, name)
        if bias is not None:
            _check.shape(f"form.{name}", bias, [batch, "nodes", form.left.shape[-2]])
            changes[name] = fold(bias)
    return replace(form, **changes)


def _per_entry(form: Given, batch: int) -> Any:
    """`form.fn` on pairs of all batch entries: `[P, B * H, C]` to `[P * B, H, C]` and back."""
    heads = form.query.shape[-2]

    def fn(query: Tensor, key: Tensor, hop: Tensor | None) -> Tensor:
        sizes = (len(query), batch)
        query, key = (side.unflatten(1, (batch, heads)).flatten(0, 1) for side in (query, key))
        hops = None if hop is None else hop.repeat_interleave(batch)
        return form.fn(query, key, hops).unflatten(0, sizes).flatten(1, 2)

    return fn
