"""Operators on tensors, computed by the kernels."""

from __future__ import annotations

import torch
from torch import Tensor

from gattn.normalizers import Rows
from gattn.ops.inputs import Inputs
from gattn.ops.library import keeps_exact
from gattn.ops.triton import elementary, forward_rows, pairs
from gattn.ops.triton.arguments import Arguments
from gattn.ops.triton.backward import Backward
from gattn.ops.triton.run import launch

Outputs = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]

_SLOTS = 16
"""Pieces of a long row that are put together at once."""


def attend(inputs: Inputs, keep: bool) -> Outputs:
    """Output, statistic, peak, total, selection and exact output of `gattn_triton::attend`."""
    selected = selection(inputs)
    args = Arguments.of(inputs, selected, ranks(inputs))
    peak, total, statistic = (args.empty(inputs.num_rows, args.heads) for _ in range(3))
    mass = None if inputs.normalizer == "sigmoid" else (peak, total, statistic)
    if mass is None:  # nobody asks, but what an operator returns is the same in every run
        for number in (peak, total, statistic):
            number.zero_()
    out, exact = _summed(args, None, mass, keep and keeps_exact(inputs))
    if inputs.normalizer == "hard":
        chosen = pairs.unpacked(selected, args.heads).to(args.dtype)
        out = _summed(args, chosen, None, False)[0]
    exact = args.empty(0, 0, 0) if exact is None else exact
    return out, statistic, peak, total, selected, exact


def _summed(
    args: Arguments, given: Tensor | None, mass: tuple[Tensor, ...] | None, exactly: bool
) -> tuple[Tensor, Tensor | None]:
    """The weighted sums `[R, H, D]` in the dtype of the value; and as they were summed, if wanted.

    Args:
        args: of the call.
        given: `[E, H]` weights in the order of the rows, or `None` to compute them.
        mass: where peak, total and statistic of a softmax go.
        exactly: the second is wanted, too: `[R, H, D + F]`, values and features.
    """
    inputs, cut = args.inputs, args.rows
    dtype = inputs.values.dtype
    room = cut.rows, args.heads, args.width
    if inputs.pair_value is None:
        out = args.empty(*room, dtype=dtype)
        exact = args.empty(*room) if exactly else None
        _run(args, given, mass, out, exact, None)
        return out, exact
    sums, summed = args.empty(*room), args.empty(cut.rows, args.heads, args.features)
    _run(args, given, mass, sums, None, summed)
    added = torch.einsum("rhf,fhd->rhd", summed, inputs.pair_value.to(args.dtype))
    exact = torch.cat([sums, summed], dim=2) if exactly else None
    return sums.add_(added).to(dtype), exact


def _run(
    args: Arguments,
    given: Tensor | None,
    mass: tuple[Tensor, ...] | None,
    out: Tensor,
    exact: Tensor | None,
    summed: Tensor | None,
) -> None:
    inputs, cut, tile = args.inputs, args.rows, args.tile(args.rows)
    names = ("peak_out", "total_out", "statistic_out")
    outputs = {"out": out, "exact": exact, "summed": summed}
    outputs |= dict(zip(names, mass or (None,) * 3, strict=True))
    partial = {
        "partial": args.empty(cut.slots, args.heads, args.width),
        "partial_summed": args.empty(cut.slots if summed is not None else 0, *_of(summed)),
        "partial_peak": args.empty(cut.slots, args.heads),
        "partial_total": args.empty(cut.slots, args.heads),
    }
    if given is not None:
        weights = elementary.GIVEN
    else:
        weights = elementary.SIGMOID if mass is None else elementary.SOFTMAX
    top_k = inputs.normalizer == "top_k" and given is None
    sizes = args.sizes() | {"D": args.width}
    launch(
        forward_rows.attend,
        cut.programs,
        tile.blocks(args.heads),
        inputs.rowptr,
        **args.graph(),
        **(args.scored() if given is None else args.unscored()),
        **args.dropped(),
        **outputs,
        **partial,
        **cut.numbers(),
        value=inputs.value if given is None else inputs.values,
        given=given,
        selected=args.selected if top_k else None,
        WEIGHTS=weights.value,
        SELECT=elementary.TOP_K.value if top_k else elementary.ALL.value,
        num_warps=tile.warps,
        **sizes,
        **tile.sizes(),
    )
    launch(
        forward_rows.merge,
        cut.chunks,
        args.heads,
        inputs.rowptr,
        rowptr=inputs.rowptr,
        **outputs,
        **partial,
        **{name: number for name, number in cut.numbers().items() if name in _MERGED},
        H=args.heads,
        D=args.width,
        F=args.features,
        REAL=sizes["REAL"],
        BS=_SLOTS,
        BD=tile.value,
        BF=tile.features,
        num_warps=4,
    )


_MERGED = ("num_rows", "num_pairs", "cut")


def _of(tensor: Tensor | None) -> tuple[int, ...]:
    return (1, 1) if tensor is None else tuple(tensor.shape[1:])


def selection(inputs: Inputs) -> Tensor:
    """The selected pairs and heads as bits, `[E, ceil(H / 8)]`; of no size without a selection."""
    if inputs.normalizer not in ("top_k", "hard"):
        return inputs.rowptr.new_empty(0, 0, dtype=torch.uint8)
    scores = score(inputs)
    index = pairs.row_of_pairs(inputs.rowptr, len(scores))
    place, masked = Rows(index, inputs.rowptr).rank(scores), float("-inf")
    # As the normalisers: NaN is among the top k, and what it touches is NaN; it is never the one.
    able = scores > masked if inputs.normalizer == "hard" else scores != masked
    return pairs.packed((place < inputs.k) & able)


def ranks(inputs: Inputs) -> Tensor | None:
    """Place of each pair among those of the same row and source; `None` where nobody asks.

    That is without a dropout, and without a transpose: pairs that are searched for come once.
    """
    size = inputs.col.numel()
    if not inputs.dropout or inputs.t_col.numel() < size:
        return None
    found = inputs.rowptr.new_empty(size, dtype=torch.int32)
    launch(
        pairs.write_ranks,
        -(-size // pairs.BLOCK),
        1,
        inputs.rowptr,
        col=inputs.col,
        t_col=inputs.t_col,
        t_perm=inputs.t_perm,
        out=found,
        num_pairs=size,
        BE=pairs.BLOCK,
    )
    return found


def score(inputs: Inputs) -> Tensor:
    """Scores `[E, H]` in the order of the rows: `gattn_triton::sddmm`."""
    args = Arguments.of(inputs)
    cut, tile = args.rows, args.tile(args.rows)
    out = args.empty(cut.pairs, args.heads)
    launch(
        forward_rows.write_scores,
        cut.programs,
        tile.blocks(args.heads),
        inputs.rowptr,
        **args.graph(),
        **args.scored(),
        out=out,
        **cut.numbers(),
        **args.sizes(),
        **{name: size for name, size in tile.sizes().items() if name != "BD"},
        num_warps=tile.warps,
    )
    return out


def aggregate(inputs: Inputs, weights: Tensor) -> Tensor:
    """Weighted sums of the values, `[R, H, D]`: `gattn_triton::spmm`."""
    args = Arguments.of(inputs, None, ranks(inputs))
    given = weights.to(args.dtype).contiguous()
    return _summed(args, given, None, False)[0]


def attend_backward(
    inputs: Inputs,
    peak: Tensor,
    total: Tensor,
    selected: Tensor,
    exact: Tensor,
    grad_out: Tensor,
    grad_statistic: Tensor | None,
    needs: list[bool],
) -> list[Tensor]:
    """The gradients of `DIFFERENTIABLE` that are needed; the others of no size."""
    saved = peak, total, selected, exact
    return gradients(inputs, *saved, grad_out, grad_statistic, needs, None)[0]


def gradients(
    inputs: Inputs,
    peak: Tensor,
    total: Tensor,
    selected: Tensor,
    exact: Tensor,
    grad_out: Tensor,
    grad_statistic: Tensor | None,
    needs: list[bool],
    earlier: dict[str, Tensor] | None,
) -> tuple[list[Tensor], dict[str, Tensor]]:
    """The same, and the gradients of the sources apart, before they are rounded.

    Args: as `attend_backward`, and
        earlier: what this returned second for the rows before, to be added to in place, and of no
            size in the list; `None` where these rows are all.
    """
    args = Arguments.of(inputs, selected, ranks(inputs))
    backward = Backward(args, needs, earlier=earlier)
    tilt = None if grad_statistic is None else grad_statistic.to(args.dtype).contiguous()
    upstream = grad_out.contiguous()
    mass = None if inputs.normalizer == "sigmoid" else (peak, total, exact.contiguous())
    found = backward.run(upstream=upstream, tilt=tilt, mass=mass)
    return found, backward.sources()


def score_backward(inputs: Inputs, grad: Tensor, needs: list[bool]) -> list[Tensor]:
    """The gradients of `gattn_triton::sddmm`."""
    args = Arguments.of(inputs)
    backward = Backward(args, needs, with_value=False)
    return backward.run(given=grad.to(args.dtype).contiguous())


def aggregate_backward(
    inputs: Inputs, weights: Tensor, grad_out: Tensor, needs: list[bool]
) -> list[Tensor]:
    """The gradients of `gattn_triton::spmm`, that of the weights `[E, H]` last."""
    args = Arguments.of(inputs, None, ranks(inputs))
    given = weights.to(args.dtype).contiguous()
    backward = Backward(args, needs, with_score=False)
    grad_given = torch.empty_like(given)
    found = backward.run(upstream=grad_out.contiguous(), given=given, grad_given=grad_given)
    return [*found, grad_given.to(weights.dtype)]
