"""Projections whose result is about to be gathered from, written to memory that is good for it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch_geometric.nn.dense.linear import Linear

from gattn._numba import buffers

_PLAIN = (Linear, nn.Linear)


def projected(lin: nn.Module, x: Tensor) -> Tensor:
    """`lin(x)`; where nothing but speed can tell, into a buffer of `gattn._numba.buffers`.

    Args:
        lin: a layer; only PyG's and PyTorch's own linear ones, without hooks, are known well
            enough to be computed here.
        x: `[N, in]`.
    """
    if not _is_known(lin) or not _is_plain(x, lin.weight):  # type: ignore[arg-type]
        return lin(x)
    return _Projected.apply(x, lin.weight, lin.bias)  # type: ignore[return-value]


def _is_known(lin: nn.Module) -> bool:
    kinds = ("forward_hooks", "forward_pre_hooks", "backward_hooks", "backward_pre_hooks")
    return type(lin) in _PLAIN and not any(getattr(lin, f"_{kind}") for kind in kinds)


def _is_plain(x: Tensor, weight: Tensor) -> bool:
    """Ordinary tensors on the CPU that fit, of a size that makes a difference."""
    transformed = torch._C._functorch.peek_interpreter_stack() is not None  # type: ignore[attr-defined]
    recorded = torch.compiler.is_compiling() or torch.jit.is_tracing() or transformed
    if recorded or forward_ad._current_level >= 0 or torch.is_autocast_enabled("cpu"):
        return False
    if type(x) is not Tensor or x.dim() != 2 or x.shape[1] != weight.shape[1]:
        return False
    same = x.dtype == weight.dtype and x.device == weight.device == torch.device("cpu")
    return same and buffers.is_worthwhile(x.shape[0] * weight.shape[0] * x.element_size())


class _Projected(torch.autograd.Function):
    """x W^T + b."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:  # type: ignore[override]
        ctx.save_for_backward(x, weight)
        out = buffers.empty(x.shape[0], weight.shape[0], dtype=x.dtype)
        if bias is None:
            return torch.mm(x, weight.t(), out=out)
        return torch.addmm(bias, x, weight.t(), out=out)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        x, weight = ctx.saved_tensors
        needs = ctx.needs_input_grad
        return (
            grad @ weight if needs[0] else None,
            grad.t() @ x if needs[1] else None,
            grad.sum(0) if needs[2] else None,
        )
