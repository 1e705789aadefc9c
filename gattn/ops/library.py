"""The operators that torch knows: their schemas, shapes and gradients.

`gattn::attend` is the fused operator; `gattn::sddmm` and `gattn::spmm` are its halves, with the
scores or weights `[E, H]` between them, for normalisers that the fused one does not know. They are
opaque to `torch.compile`, which needs to know the shapes only. A gradient of a gradient goes
through the reference, which is differentiable any number of times.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
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

_KEPT = "Tensor statistic, Tensor peak, Tensor total"
_BACK = "Tensor? grad_statistic, bool[] needs) -> Tensor[]"


@dataclass(frozen=True)
class Kernels:
    """A family of kernels that computes the operators, and the namespace of these.

    Args:
        namespace: `torch.ops.<namespace>.attend` and so on.
        folder: in `gattn.ops`, where the kernels are.
        devices: dispatch keys of torch.
        keeps: the fused operators are told whether a backward follows, and then keep the output
            itself for it, or where that will not do `exact`, `[R, H, D + F]`: the weighted sums of
            values and of features in the compute dtype. Kernels that take each pair once need it.
    """

    namespace: str
    folder: str
    devices: tuple[str, ...]
    keeps: bool

    @property
    def ops(self) -> Any:
        """`torch.ops.<namespace>`."""
        return getattr(torch.ops, self.namespace)

    def schemas(self) -> Iterator[str]:
        """The operators as torch reads them."""
        told, exact = (", bool keep", ", Tensor exact") if self.keeps else ("", "")
        kept = f"Tensor peak, Tensor total, Tensor selected{exact}, Tensor grad_out"
        found = f"Tensor peak, Tensor total{exact}, Tensor grad_out"
        yield f"attend({_INPUTS}{told}) -> (Tensor out, {_KEPT}, Tensor selected{exact})"
        yield f"attend_backward({_INPUTS}, {kept}, {_BACK}"
        yield f"attend_streamed({_INPUTS}, {_SEARCH}{told}) -> (Tensor out, {_KEPT}{exact})"
        yield f"attend_streamed_backward({_INPUTS}, {_SEARCH}, {found}, {_BACK}"
        yield f"sddmm({_INPUTS}) -> Tensor"
        yield f"sddmm_backward({_INPUTS}, Tensor grad, bool[] needs) -> Tensor[]"
        yield f"spmm({_INPUTS}, Tensor weights) -> Tensor"
        yield (
            f"spmm_backward({_INPUTS}, Tensor weights, Tensor grad_out, bool[] needs) -> Tensor[]"
        )


CPU = Kernels("gattn", "cpu", ("CPU",), keeps=False)
TRITON = Kernels("gattn_triton", "triton", ("CUDA", "CPU"), keeps=True)
"""On the CPU by triton's interpreter."""

_FUNCTIONS = {
    "attend": "launch.attend",
    "attend_backward": "launch.attend_backward",
    "attend_streamed": "streamed.attend",
    "attend_streamed_backward": "streamed.attend_backward",
    "sddmm": "launch.score",
    "sddmm_backward": "launch.score_backward",
    "spmm": "launch.aggregate",
    "spmm_backward": "launch.aggregate_backward",
}


def keeps_exact(inputs: Inputs) -> bool:
    """Whether the output will not do for kernels that keep it for their backward.

    It is rounded, or not that of a softmax, or features have a part in it: where one pair has all
    the weight, what the output says of it and what the pair does must cancel, and would not if
    their parts were added in other orders. (A sigmoid needs nothing of the kind.)
    """
    same = inputs.values.dtype == inputs.compute_dtype and inputs.normalizer != "hard"
    return inputs.normalizer != "sigmoid" and not (same and inputs.pair_value is None)


def _implementation(kernels: Kernels, place: str) -> Callable[..., Any]:
    file, function = place.split(".")

    def compute(*args: Any) -> Any:
        found = import_module(f"gattn.ops.{kernels.folder}.{file}")
        return getattr(found, function)(Inputs(*args[:_COUNT]), *args[_COUNT:])

    def untraced(*args: Any) -> Any:
        # torch.compile calls an operator it has met like any Python code, and would look into it;
        # where it is not in use, it is not imported for that: it takes a second.
        # (Another thread may be importing it at this moment: until that is done, nobody compiles.)
        disable = getattr(sys.modules.get("torch._dynamo"), "disable", None)
        return compute(*args) if disable is None else disable(compute)(*args)

    return untraced


def _attend_shape(kernels: Kernels, *args: Any) -> tuple[Tensor, ...]:
    inputs = Inputs(*args[:_COUNT])
    sizes = (0, 0)
    if inputs.normalizer in ("top_k", "hard"):
        sizes = inputs.col.shape[0], (inputs.left.shape[1] + 7) // 8
    selected = inputs.col.new_empty(sizes, dtype=torch.uint8)
    out, *numbers = _output_shapes(inputs, inputs.num_rows)
    return out, *numbers, selected, *_exact_shape(kernels, inputs, out, args[-1])


def _attend_streamed_shape(kernels: Kernels, *args: Any) -> tuple[Tensor, ...]:
    inputs = Inputs(*args[:_COUNT])
    out, *numbers = _output_shapes(inputs, inputs.num_rows * inputs.groups)
    return out, *numbers, *_exact_shape(kernels, inputs, out, args[-1])


def _output_shapes(inputs: Inputs, rows: int) -> tuple[Tensor, ...]:
    """Output, and what each row and head has a number of: statistic, peak and total."""
    _, heads, width = inputs.values.shape
    dtype = inputs.compute_dtype
    numbers = (inputs.left.new_empty(rows, heads, dtype=dtype) for _ in range(3))
    return inputs.values.new_empty(rows, heads, width), *numbers


def _exact_shape(kernels: Kernels, inputs: Inputs, out: Tensor, keep: bool) -> tuple[Tensor, ...]:
    if not kernels.keeps:
        return ()
    rows, heads, width = out.shape
    if inputs.pair_value is not None:
        width = width + inputs.pair_value.shape[0]
    wanted = keep and keeps_exact(inputs)
    size = (rows, heads, width) if wanted else (0, 0, 0)
    return (out.new_empty(size, dtype=inputs.compute_dtype),)


def _sddmm_shape(kernels: Kernels, *args: Any) -> Tensor:
    inputs = Inputs(*args)
    size = inputs.col.shape[0], inputs.left.shape[1]
    return inputs.left.new_empty(size, dtype=inputs.compute_dtype)


def _spmm_shape(kernels: Kernels, *args: Any) -> Tensor:
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


def _attend_backward_shape(kernels: Kernels, *args: Any) -> list[Tensor]:
    return _gradient_shapes(Inputs(*args[:_COUNT]), {"left", "right", "value"}, args[-1])


def _attend_streamed_backward_shape(kernels: Kernels, *args: Any) -> list[Tensor]:
    return _gradient_shapes(Inputs(*args[:_COUNT]), set(), args[-1])


def _sddmm_backward_shape(kernels: Kernels, *args: Any) -> list[Tensor]:
    return _gradient_shapes(Inputs(*args[:_COUNT]), {"left", "right"}, args[-1])


def _spmm_backward_shape(kernels: Kernels, *args: Any) -> list[Tensor]:
    inputs, weights = Inputs(*args[:_COUNT]), args[_COUNT]
    made = {"right"} if inputs.value is None else {"value"}
    return [*_gradient_shapes(inputs, made, args[-1]), weights.new_empty(weights.shape)]


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    saved = output[2:] if isinstance(output, tuple) else ()
    _save(ctx, inputs, saved)


def _keep_exact(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    """As `_keep`, and the output in the place of `exact` where that will do."""
    made = Inputs(*inputs[:_COUNT])
    apart = keeps_exact(made) or made.normalizer == "sigmoid"
    _save(ctx, inputs, (*output[2:-1], output[-1] if apart else output[0]))


def _save(ctx: Any, inputs: tuple[Any, ...], saved: tuple[Tensor, ...]) -> None:
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


def _attend_gradients(kernels: Kernels, ctx: Any, *grads: Tensor | None) -> tuple[Any, ...]:
    inputs, kept = _kept(ctx)
    told = int(kernels.keeps)
    needs, (grad_out, grad_statistic) = _needs(ctx), grads[:2]
    if grad_out is None:
        grad_out = inputs.values.new_zeros(inputs.num_rows, *inputs.values.shape[1:])
    if needs_plain_torch(grad_out) or needs_plain_torch(grad_statistic):
        found = _through_reference(inputs, needs, _attended, (grad_out, grad_statistic))
        return _in_place(found, needs, told)
    found = kernels.ops.attend_backward(*inputs, *kept[told:], grad_out, grad_statistic, needs)
    return _in_place(found, needs, told)


def _attend_streamed_gradients(
    kernels: Kernels, ctx: Any, *grads: Tensor | None
) -> tuple[Any, ...]:
    inputs, kept = _kept(ctx)
    told = int(kernels.keeps)
    searched, saved = kept[:4], kept[4 + told :]
    needs, (grad_out, grad_statistic) = _needs(ctx), grads[:2]
    if grad_out is None:
        rows = inputs.num_rows * inputs.groups
        grad_out = inputs.values.new_zeros(rows, *inputs.values.shape[1:])
    if needs_plain_torch(grad_out) or needs_plain_torch(grad_statistic):
        stored = inputs.over(inputs.streamed(*searched).expand())
        found = _through_reference(stored, needs, _attended, (grad_out, grad_statistic))
        return _in_place(found, needs, 4 + told)
    upstream = grad_out, grad_statistic, needs
    found = kernels.ops.attend_streamed_backward(*inputs, *searched, *saved, *upstream)
    return _in_place(found, needs, 4 + told)


def _sddmm_gradients(kernels: Kernels, ctx: Any, grad: Tensor | None) -> tuple[Any, ...]:
    inputs, _ = _kept(ctx)
    needs = _needs(ctx, without=_OF_VALUES)
    if grad is None:
        return (None,) * _COUNT
    if needs_plain_torch(grad):
        return _in_place(_through_reference(inputs, needs, _scored, (grad,)), needs, 0)
    found = kernels.ops.sddmm_backward(*inputs, grad, needs)
    return _in_place(found, needs, 0)


def _spmm_gradients(kernels: Kernels, ctx: Any, grad: Tensor | None) -> tuple[Any, ...]:
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
        *found, grad_weights = kernels.ops.spmm_backward(*inputs, weights, grad, needs)
    return *_in_place(found, needs, 0), grad_weights if needs_weights else None


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


_SHAPES: dict[str, Callable[..., Any]] = {
    "attend": _attend_shape,
    "attend_streamed": _attend_streamed_shape,
    "sddmm": _sddmm_shape,
    "spmm": _spmm_shape,
    "attend_backward": _attend_backward_shape,
    "attend_streamed_backward": _attend_streamed_backward_shape,
    "sddmm_backward": _sddmm_backward_shape,
    "spmm_backward": _spmm_backward_shape,
}
_GRADIENTS: dict[str, Callable[..., Any]] = {
    "attend": _attend_gradients,
    "attend_streamed": _attend_streamed_gradients,
    "sddmm": _sddmm_gradients,
    "spmm": _spmm_gradients,
}


def _registered(kernels: Kernels) -> torch.library.Library:
    """The operators of a namespace: schemas, kernels, shapes and gradients."""
    library = torch.library.Library(kernels.namespace, "DEF")
    for schema in kernels.schemas():
        library.define(schema)
    for name, place in _FUNCTIONS.items():
        for device in kernels.devices:
            library.impl(name, _implementation(kernels, place), device)
    for name, shape in _SHAPES.items():
        torch.library.register_fake(
            f"{kernels.namespace}::{name}", partial(shape, kernels), lib=library
        )
    for name, gradients in _GRADIENTS.items():
        keep = _keep_exact if kernels.keeps and name.startswith("attend") else _keep
        torch.library.register_autograd(
            f"{kernels.namespace}::{name}",
            partial(gradients, kernels),
            setup_context=keep,
            lib=library,
        )
    return library


_LIBRARIES = [_registered(kernels) for kernels in (CPU, TRITON)]
