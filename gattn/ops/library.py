"""The operators that torch knows: their schemas, shapes and gradients.

`gattn::attend` is the fused operator; `gattn::sddmm` and `gattn::spmm` are its halves, with the
scores or weights `[E, H]` between them, for normalisers that the fused one does not know. They are
opaque to `torch.compile`, which needs to know the shapes only. A gradient of a gradient goes
through the reference, which is differentiable any number of times.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from gattn.ops import reference
from gattn.ops.inputs import DIFFERENTIABLE, Inputs
from gattn.ops.problem import Problem

_INPUTS = (
    "Tensor rowptr, Tensor col, Tensor? hop, Tensor? perm, "
    "Tensor t_rowptr, Tensor t_col, Tensor t_perm, "
    "Tensor left, Tensor right, Tensor? value, Tensor? weight, Tensor? source_bias, "
    "Tensor? target_bias, Tensor? hop_bias, Tensor? pair_bias, Tensor? pair_features, "
    "Tensor? pair_weight, Tensor? pair_value, Tensor? seed, int groups, int first_row, "
    "float scale, bool is_tanh, float slope, str normalizer, int k, float dropout"
)
# The rows and columns of a streamed neighbourhood are those of its graph; of the transpose there is
# nothing, and these say what is searched for.
_SEARCH = "Tensor starts, int num_hops, int[] shells, bool complete"
_COUNT = len(Inputs._fields)
_FIRST = Inputs._fields.index("left")

_OF_VALUES = ("value", "pair_value")

_library = torch.library.Library("gattn", "DEF")
_library.define(
    f"attend({_INPUTS}) "
    "-> (Tensor out, Tensor statistic, Tensor peak, Tensor total, Tensor selected)"
)
_library.define(
    f"attend_backward({_INPUTS}, Tensor peak, Tensor total, Tensor selected, Tensor grad_out, "
    "Tensor? grad_statistic, bool[] needs) -> Tensor[]"
)
_library.define(
    f"attend_streamed({_INPUTS}, {_SEARCH}) "
    "-> (Tensor out, Tensor statistic, Tensor peak, Tensor total)"
)
_library.define(
    f"attend_streamed_backward({_INPUTS}, {_SEARCH}, Tensor peak, Tensor total, Tensor grad_out, "
    "Tensor? grad_statistic, bool[] needs) -> Tensor[]"
)
_library.define(f"sddmm({_INPUTS}) -> Tensor")
_library.define(f"sddmm_backward({_INPUTS}, Tensor grad, bool[] needs) -> Tensor[]")
_library.define(f"spmm({_INPUTS}, Tensor weights) -> Tensor")
_library.define(
    f"spmm_backward({_INPUTS}, Tensor weights, Tensor grad_out, bool[] needs) -> Tensor[]"
)


def _on_cpu(name: str, function: str, module: str = "launch") -> None:
    def compute(*args: Any) -> Any:
        found = import_module(f"gattn.ops.cpu.{module}")
        return getattr(found, function)(Inputs(*args[:_COUNT]), *args[_COUNT:])

    _library.impl(name, compute, "CPU")


_on_cpu("attend", "attend")
_on_cpu("attend_backward", "attend_backward")
_on_cpu("attend_streamed", "attend", "streamed")
_on_cpu("attend_streamed_backward", "attend_backward", "streamed")
_on_cpu("sddmm", "score")
_on_cpu("sddmm_backward", "score_backward")
_on_cpu("spmm", "aggregate")
_on_cpu("spmm_backward", "aggregate_backward")


def _shape(name: str) -> Callable[[Callable[..., Any]], Any]:
    return torch.library.register_fake(f"gattn::{name}", lib=_library)


@_shape("attend")
def _attend_shape(*args: Any) -> tuple[Tensor, ...]:
    inputs = Inputs(*args)
    rows, (_, heads, width) = inputs.num_rows, inputs.values.shape
    number = inputs.left.new_empty(rows, heads, dtype=inputs.compute_dtype)
    sizes = (0, 0)
    if inputs.normalizer in ("top_k", "hard"):
        sizes = inputs.col.shape[0], (heads + 7) // 8
    selected = inputs.col.new_empty(sizes, dtype=torch.uint8)
    out = inputs.values.new_empty(rows, heads, width)
    return out, number, torch.empty_like(number), torch.empty_like(number), selected


@_shape("attend_streamed")
def _attend_streamed_shape(*args: Any) -> tuple[Tensor, ...]:
    inputs = Inputs(*args[:_COUNT])
    rows, (_, heads, width) = inputs.num_rows * inputs.groups, inputs.values.shape
    number = inputs.left.new_empty(rows, heads, dtype=inputs.compute_dtype)
    out = inputs.values.new_empty(rows, heads, width)
    return out, number, torch.empty_like(number), torch.empty_like(number)


@_shape("sddmm")
def _sddmm_shape(*args: Any) -> Tensor:
    inputs = Inputs(*args)
    size = inputs.col.shape[0], inputs.left.shape[1]
    return inputs.left.new_empty(size, dtype=inputs.compute_dtype)


@_shape("spmm")
def _spmm_shape(*args: Any) -> Tensor:
    inputs = Inputs(*args[:_COUNT])
    return inputs.values.new_empty(inputs.num_rows, *inputs.values.shape[1:])


def _gradient_shapes(inputs: Inputs, made: set[str], needs: Sequence[bool]) -> list[Tensor]:
    """The gradients that an operator returns: those needed, and those that it makes anyway."""
    shapes = []
    for name, tensor, needed in zip(DIFFERENTIABLE, inputs.differentiable, needs, strict=True):
        if tensor is not None and (needed or name in made):
            shapes.append(tensor.new_empty(tensor.shape))  # contiguous, whatever the tensor is
        else:
            shapes.append(inputs.left.new_empty(0))
    return shapes


@_shape("attend_backward")
def _attend_backward_shape(*args: Any) -> list[Tensor]:
    return _gradient_shapes(Inputs(*args[:_COUNT]), {"left", "right", "value"}, args[-1])


@_shape("attend_streamed_backward")
def _attend_streamed_backward_shape(*args: Any) -> list[Tensor]:
    return _gradient_shapes(Inputs(*args[:_COUNT]), set(), args[-1])


@_shape("sddmm_backward")
def _sddmm_backward_shape(*args: Any) -> list[Tensor]:
    return _gradient_shapes(Inputs(*args[:_COUNT]), {"left", "right"}, args[-1])


@_shape("spmm_backward")
def _spmm_backward_shape(*args: Any) -> list[Tensor]:
    inputs, weights = Inputs(*args[:_COUNT]), args[_COUNT]
    made = {"right"} if inputs.value is None else {"value"}
    return [*_gradient_shapes(inputs, made, args[-1]), weights.new_empty(weights.shape)]


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    saved = output[2:] if isinstance(output, tuple) else ()
    tensors = [arg if isinstance(arg, Tensor) else None for arg in inputs]
    ctx.save_for_backward(*tensors, *saved)
    ctx.numbers = [None if isinstance(arg, Tensor) else arg for arg in inputs]
    ctx.set_materialize_grads(False)


def _kept(ctx: Any) -> tuple[Inputs, tuple[Any, ...]]:
    """The inputs, and what was kept besides."""
    count = len(ctx.numbers)
    saved = ctx.saved_tensors
    args = [t if n is None else n for t, n in zip(saved[:count], ctx.numbers, strict=True)]
    return Inputs(*args[:_COUNT]), (*args[_COUNT:], *saved[count:])


def _needs(ctx: Any, without: Sequence[str] = ()) -> list[bool]:
    """Which of `DIFFERENTIABLE` want a gradient, without those that have no part in it."""
    wanted = ctx.needs_input_grad[_FIRST : _FIRST + len(DIFFERENTIABLE)]
    return [bool(w) and n not in without for n, w in zip(DIFFERENTIABLE, wanted, strict=True)]


def _in_place(grads: Sequence[Tensor | None], needs: Sequence[bool], rest: int) -> tuple[Any, ...]:
    """Gradients in the positions of the inputs."""
    found = [grad if needed else None for grad, needed in zip(grads, needs, strict=True)]
    after = _COUNT - _FIRST - len(DIFFERENTIABLE) + rest
    return (*[None] * _FIRST, *found, *[None] * after)


def needs_plain_torch(grad: Tensor | None) -> bool:
    """The gradient is to be differentiated (`create_graph`), or is one of many at once (`vmap`)."""
    return torch.is_grad_enabled() or (grad is not None and _is_batched(grad))


def _is_batched(tensor: Tensor) -> bool:
    of = torch._C._functorch  # type: ignore[attr-defined]
    return of.is_batchedtensor(tensor) or of.is_legacy_batchedtensor(tensor)


def _attend_gradients(ctx: Any, *grads: Tensor | None) -> tuple[Any, ...]:
    inputs, (peak, total, selected) = _kept(ctx)
    needs, (grad_out, grad_statistic) = _needs(ctx), grads[:2]
    if grad_out is None:
        grad_out = inputs.values.new_zeros(inputs.num_rows, *inputs.values.shape[1:])
    if needs_plain_torch(grad_out) or needs_plain_torch(grad_statistic):
        found = _through_reference(inputs, needs, _attended, (grad_out, grad_statistic))
        return _in_place(found, needs, 0)
    saved = peak, total, selected
    found = torch.ops.gattn.attend_backward(*inputs, *saved, grad_out, grad_statistic, needs)
    return _in_place(found, needs, 0)


def _attend_streamed_gradients(ctx: Any, *grads: Tensor | None) -> tuple[Any, ...]:
    inputs, (starts, num_hops, shells, complete, peak, total) = _kept(ctx)
    needs, (grad_out, grad_statistic) = _needs(ctx), grads[:2]
    if grad_out is None:
        rows = inputs.num_rows * inputs.groups
        grad_out = inputs.values.new_zeros(rows, *inputs.values.shape[1:])
    searched = starts, num_hops, shells, complete
    if needs_plain_torch(grad_out) or needs_plain_torch(grad_statistic):
        stored = inputs.over(inputs.streamed(*searched).expand())
        found = _through_reference(stored, needs, _attended, (grad_out, grad_statistic))
        return _in_place(found, needs, 4)
    saved = peak, total, grad_out, grad_statistic, needs
    found = torch.ops.gattn.attend_streamed_backward(*inputs, *searched, *saved)
    return _in_place(found, needs, 4)


def _sddmm_gradients(ctx: Any, grad: Tensor | None) -> tuple[Any, ...]:
    inputs, _ = _kept(ctx)
    needs = _needs(ctx, without=_OF_VALUES)
    if grad is None:
        return (None,) * _COUNT
    if needs_plain_torch(grad):
        return _in_place(_through_reference(inputs, needs, _scored, (grad,)), needs, 0)
    found = torch.ops.gattn.sddmm_backward(*inputs, grad, needs)
    return _in_place(found, needs, 0)


def _spmm_gradients(ctx: Any, grad: Tensor | None) -> tuple[Any, ...]:
    inputs, (weights,) = _kept(ctx)
    others = [name for name in DIFFERENTIABLE if name not in (*_OF_VALUES, "pair_features")]
    if inputs.value is None:
        others.remove("right")
    needs, needs_weights = _needs(ctx, without=others), bool(ctx.needs_input_grad[_COUNT])
    if grad is None:
        return (None,) * (_COUNT + 1)
    if needs_plain_torch(grad):
        more = [*needs, needs_weights]
        *found, grad_weights = _through_reference(inputs, more, _aggregated, (grad,), weights)
    else:
        *found, grad_weights = torch.ops.gattn.spmm_backward(*inputs, weights, grad, needs)
    return *_in_place(found, needs, 0), grad_weights if needs_weights else None


for _name, _gradients in (
    ("attend", _attend_gradients),
    ("attend_streamed", _attend_streamed_gradients),
    ("sddmm", _sddmm_gradients),
    ("spmm", _spmm_gradients),
):
    torch.library.register_autograd(
        f"gattn::{_name}", _gradients, setup_context=_keep, lib=_library
    )


def _attended(problem: Problem) -> tuple[Tensor, Tensor | None]:
    return reference.forward(problem)


def _scored(problem: Problem) -> tuple[Tensor]:
    return (reference.sddmm(problem, reference.Pairs.of(problem.neighborhood)),)


def _aggregated(problem: Problem, weights: Tensor) -> tuple[Tensor]:
    return (reference.aggregated(problem, weights),)


def _through_reference(
    inputs: Inputs,
    needs: Sequence[bool],
    compute: Callable[..., tuple[Tensor | None, ...]],
    upstream: Sequence[Tensor | None],
    *more: Tensor,
) -> list[Tensor | None]:
    """Gradients that are differentiable themselves."""
    with torch.enable_grad():
        return _differentiated(inputs, needs, compute, upstream, *more)


def _differentiated(
    inputs: Inputs,
    needs: Sequence[bool],
    compute: Callable[..., tuple[Tensor | None, ...]],
    upstream: Sequence[Tensor | None],
    *more: Tensor,
) -> list[Tensor | None]:
    # An alias of each: the same tensor may stand in two places, with a gradient for each.
    aliases = [None if t is None else t.view_as(t) for t in (*inputs.differentiable, *more)]
    ours = dict(zip(DIFFERENTIABLE, aliases, strict=False))
    results = compute(inputs._replace(**ours).problem(), *aliases[len(DIFFERENTIABLE) :])
    pairs = [
        (result, grad)
        for result, grad in zip(results, upstream, strict=True)
        if result is not None and grad is not None and result.requires_grad
    ]
    leaves = [t for t, needed in zip(aliases, needs, strict=True) if needed and t is not None]
    found = iter(
        torch.autograd.grad(
            [result for result, _ in pairs],
            leaves,
            [grad for _, grad in pairs],
            create_graph=True,
            allow_unused=True,
        )
    )
    return [next(found) if needed else None for needed in needs]
