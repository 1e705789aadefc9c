"""The nodes of a call: PyG's ways to give features, and what becomes of the heads."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gattn.forms import Form
from gattn.functional import attend_form
from gattn.neighborhood import Sparse

Features = Tensor | tuple[Tensor, Tensor | None]


def pair_of(x: Features) -> tuple[Tensor, Tensor | None]:
    """Features of the sources and of the targets.

    Raises:
        ValueError: they are not two-dimensional.
    """
    source, target = x if isinstance(x, (tuple, list)) else (x, x)
    for features in (source, target):
        if features is not None and features.dim() != 2:
            raise ValueError(f"x: found shape {list(features.shape)}, expected [N, F]")
    return source, target


def full_pair_of(x: Features) -> tuple[Tensor, Tensor]:
    """`pair_of`, for a layer that cannot do without features of the targets.

    Raises:
        ValueError: there are none.
    """
    source, target = pair_of(x)
    if target is None:
        raise ValueError("x: found None for the targets, expected (x_source, x_target)")
    return source, target


def heads_of(conv: Any, projected: Tensor) -> Tensor:
    """`[N, H * C]` to `[N, H, C]`."""
    return projected.unflatten(-1, (conv.heads, conv.out_channels))


def attended(conv: Any, form: Form, value: Tensor | None, around: Sparse, **options: Any) -> Tensor:
    """`attend_form` with the dropout and the backend of the layer."""
    dropout = conv.dropout if conv.training else 0.0
    return attend_form(form, value, around, dropout=dropout, backend=conv.backend, **options)


def merged(conv: Any, out: Tensor, *terms: Tensor | None) -> Tensor:
    """`[N, H, C]` to `[N, H * C]`, or to the mean over the heads, `[N, C]`, and what is added.

    Args:
        conv: the layer.
        out: fresh from `attend`, and on the CPU of no use to anybody else: there terms are added in
            its place, since fresh memory for a tensor of this size takes longer than the sum.
            (`triton` keeps it for its backward. A view in place would be copied in the backward,
            so the terms take the shape of `out`.)
        terms: of the shape of the result, or `None`.
    """
    kept = conv.concat and (out.device.type != "cpu" or conv.backend == "triton")
    out = out if conv.concat else out.mean(dim=1)
    if kept and all(term is None for term in terms) and out.requires_grad:
        out = out.clone()  # whatever follows may work in place, as it may on PyG's
    for term in terms:
        if term is not None:
            term = term.unflatten(-1, out.shape[1:]) if conv.concat else term
            same = torch.promote_types(out.dtype, term.dtype) == out.dtype
            out = out.add_(term) if same and not kept and _is_eager() else out + term
    return out.flatten(1) if conv.concat else out


def _is_eager() -> bool:
    recorded = torch.compiler.is_compiling() or torch.jit.is_tracing()
    return not recorded and torch._C._functorch.peek_interpreter_stack() is None  # type: ignore[attr-defined]
