"""Projections whose result is about to be gathered from, written to memory that is good for it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch_geometric.nn.dense.linear import Linear

from gattn._numba import buffers
from gattn.nn.conv import handover
from gattn.ops.library import needs_plain_torch

_PLAIN = (Linear, nn.Linear)


def projected(lin: nn.Module, x: Tensor) -> Tensor:
    """`lin(x)`; where nothing but speed can tell, into a buffer of `gattn._numba.buffers`.

    Args:
        lin: a layer; only PyG's and PyTorch's own linear ones, without hooks, are known well
            enough to be computed here.
        x: `[N, in]`.
    """
    if not can_project(lin, x):
        return lin(x)
    return _Projected.apply(x, lin.weight, lin.bias, None)[0]


def projected_twice(lin: nn.Module, x: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """`lin(x)` and `x @ other` in one operation, whose gradients of x make one tensor, not two.

    Args:
        lin: one that `can_project`.
        x: `[N, in]`.
        other: `[in, K]`, K small.
    """
    return _Projected.apply(x, lin.weight, lin.bias, other)


def can_project(lin: nn.Module, x: Tensor) -> bool:
    """Whether `lin(x)` is known to be but a product of large ordinary tensors on the CPU."""
    known = type(lin) in _PLAIN and type(lin.weight) is nn.Parameter
    return known and handover.is_untouched(lin) and _is_eager() and _fit(x, lin.weight)  # type: ignore[arg-type]


def _is_eager() -> bool:
    """Nobody records or transforms the call, and autocast is off."""
    transformed = torch._C._functorch.peek_interpreter_stack() is not None  # type: ignore[attr-defined]
    recorded = torch.compiler.is_compiling() or torch.jit.is_tracing() or transformed
    return not (recorded or forward_ad._current_level >= 0 or torch.is_autocast_enabled("cpu"))


def _fit(x: Tensor, weight: Tensor) -> bool:
    if type(x) is not Tensor or x.dim() != 2 or x.shape[1] != weight.shape[1]:
        return False
    same = x.dtype == weight.dtype and x.device == weight.device == torch.device("cpu")
    return same and buffers.is_worthwhile(x.shape[0] * weight.shape[0] * x.element_size())


class _Projected(torch.autograd.Function):
    """x W^T + b, and x V where there is a V."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, other: Tensor | None
    ) -> Any:  # type: ignore[override]
        ctx.save_for_backward(x, weight, other)
        out = buffers.empty(x.shape[0], weight.shape[0], dtype=x.dtype)
        if bias is None:
            torch.mm(x, weight.t(), out=out)
        else:
            torch.addmm(bias, x, weight.t(), out=out)
        return out, None if other is None else x @ other

    @staticmethod
    def backward(ctx: Any, grad: Tensor, grad_other: Tensor | None) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        x, weight, other = ctx.saved_tensors
        needs = ctx.needs_input_grad
        return (
            _grad_of_x(grad, weight, grad_other, other) if needs[0] else None,
            grad.t() @ x if needs[1] else None,
            grad.sum(0) if needs[2] else None,
            None if grad_other is None or not needs[3] else x.t() @ grad_other,
        )


def _grad_of_x(
    grad: Tensor, weight: Tensor, grad_other: Tensor | None, other: Tensor | None
) -> Tensor:
    if needs_plain_torch(grad):
        found = grad @ weight
        return found if grad_other is None or other is None else found + grad_other @ other.t()
    out = buffers.empty(grad.shape[0], weight.shape[1], dtype=grad.dtype)
    torch.mm(grad, weight, out=out)
    return out if grad_other is None or other is None else out.addmm_(grad_other, other.t())
