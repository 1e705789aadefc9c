"""The backward of an operator: the target pass, the source pass, and sums over all pairs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from gattn.ops.inputs import DIFFERENTIABLE
from gattn.ops.triton import elementary
from gattn.ops.triton.arguments import Arguments, projected
from gattn.ops.triton.backward_rows import backward_rows
from gattn.ops.triton.backward_sources import backward_sources
from gattn.ops.triton.merging import merge
from gattn.ops.triton.parameters import additive_gradients, feature_gradient, hop_gradient
from gattn.ops.triton.run import launch

_OF_SOURCES = ("value", "right", "source_bias")
_CODES = {"top_k": elementary.TOP_K, "hard": elementary.HARD}


@dataclass(eq=False)
class Backward:
    """One backward.

    Args:
        args: of the call.
        needs: which gradients of `DIFFERENTIABLE` are wanted.
        with_score: the scores have a part in it.
        with_value: the values have a part in it.
        earlier: gradients of the sources from other rows, which these are added to in place; `None`
            where these rows are all.
    """

    args: Arguments
    needs: list[bool]
    with_score: bool = True
    with_value: bool = True
    earlier: dict[str, Tensor] | None = None
    grads: dict[str, Tensor] = field(default_factory=dict, init=False)

    @property
    def shared(self) -> bool:
        """The value is the form's `right`: their gradients are one."""
        return self.with_value and self.args.inputs.value is None

    @property
    def featured(self) -> bool:
        """The value has a part of the features."""
        return self.with_value and self.args.inputs.pair_value is not None

    def run(
        self,
        upstream: Tensor | None = None,
        tilt: Tensor | None = None,
        mass: tuple[Tensor, Tensor, Tensor] | None = None,
        given: Tensor | None = None,
        grad_given: Tensor | None = None,
    ) -> list[Tensor]:
        """The gradients of `DIFFERENTIABLE`; those that are not wanted have no size.

        Args: as `backward_rows`; `mass` is peak, total and exact output of a softmax.
        """
        args = self.args
        pulled = None
        if self.featured:
            assert upstream is not None and args.inputs.pair_value is not None
            pulled = projected(upstream, args.inputs.pair_value, args.dtype)
        handed = args.empty(args.rows.pairs, 2, args.heads)
        self._targets(handed, upstream, pulled, tilt, mass, given, grad_given)
        self._sources(handed, upstream)
        self._pairs(handed, pulled)
        self._features(upstream)
        return [self._finished(name, needed) for name, needed in self._wanted().items()]

    def sources(self) -> dict[str, Tensor]:
        """The gradients of the sources before they are rounded."""
        return {name: self.grads[name] for name in _OF_SOURCES if name in self.grads}

    @property
    def _made(self) -> set[str]:
        """The gradients that the passes make whether they are wanted or not."""
        made = {"left", "right"} if self.with_score else set()
        if self.with_value:
            made.add("right" if self.shared else "value")
        return made

    def _wanted(self) -> dict[str, bool]:
        return dict(zip(DIFFERENTIABLE, self.needs, strict=True))

    def _want(self, name: str) -> bool:
        return self._wanted()[name] and getattr(self.args.inputs, name) is not None

    def _room(self, name: str, rows: int, *size: int) -> Tensor:
        """A gradient, rounded at once where no more is added to it."""
        of_source = name in _OF_SOURCES
        more = self.earlier is not None if of_source else self.args.inputs.groups > 1
        more |= name == "left" and self.args.projected is not None
        dtype = None if more else getattr(self.args.inputs, name).dtype
        self.grads[name] = self.args.empty(rows, *size, dtype=dtype)
        return self.grads[name]

    def _targets(
        self,
        handed: Tensor,
        upstream: Tensor | None,
        pulled: Tensor | None,
        tilt: Tensor | None,
        mass: tuple[Tensor, Tensor, Tensor] | None,
        given: Tensor | None,
        grad_given: Tensor | None,
    ) -> None:
        args, cut, heads = self.args, self.args.rows, self.args.heads
        tile = args.tile(cut)
        found: dict[str, Tensor | None] = dict.fromkeys(_OF_ROWS)
        if self.with_score:
            found["grad_left"] = self._room("left", cut.rows, heads, args.channels)
            if self._want("target_bias"):
                found["grad_target_bias"] = self._room("target_bias", cut.rows, heads)
            if args.projected is not None:
                found["grad_projected"] = args.empty(cut.rows, heads, args.features)
        if self.featured:
            found["summed"] = args.empty(cut.rows, heads, args.features)
        partial = {
            _OF_ROWS[name]: None if grad is None else args.empty(cut.slots, *grad.shape[1:])
            for name, grad in found.items()
        }
        grad_weight = None
        if self.with_score and self._want("weight"):
            grad_weight = args.empty(cut.programs, heads, args.channels)
        scored = args.scored() if self.with_score else args.unscored()
        peak, total, exact = mass or (None, None, None)
        launch(
            backward_rows,
            cut.programs,
            tile.blocks(heads),
            handed,
            **args.graph(),
            **scored,
            **args.dropped(),
            **found,
            **partial,
            **cut.numbers(),
            selected=args.selected if given is None else None,
            value=args.inputs.value if self.with_score else args.inputs.values,
            given=given,
            upstream=upstream,
            pulled=pulled,
            exact=exact,
            peak=peak,
            total=total,
            tilt=tilt,
            handed=handed,
            grad_given=grad_given,
            grad_weight=grad_weight,
            WEIGHTS=self._weights(given, mass),
            SELECT=_CODES.get(args.inputs.normalizer, elementary.ALL).value if given is None else 0,
            SCORED=self.with_score,
            num_warps=tile.warps,
            D=args.width,
            **args.sizes(),
            **tile.sizes(),
        )
        for name, grad in found.items():
            if grad is not None:
                merge(partial[_OF_ROWS[name]], grad, args.inputs.rowptr, cut)  # type: ignore[arg-type]
        if grad_weight is not None:
            self.grads["weight"] = grad_weight.sum(0)
        self.of_projected, self.summed = found["grad_projected"], found["summed"]

    def _weights(self, given: Tensor | None, mass: Any) -> int:
        if given is not None:
            return elementary.GIVEN.value
        return (elementary.SIGMOID if mass is None else elementary.SOFTMAX).value

    def _sources(self, handed: Tensor, upstream: Tensor | None) -> None:
        args, cut, heads = self.args, self.args.columns, self.args.heads
        tile, again = args.tile(cut), bool(self.earlier)
        shapes: dict[str, tuple[int, ...]] = {}
        if self.with_value and not self.shared:
            shapes["value"] = heads, args.width
        if self.with_score or self.shared:
            shapes["right"] = heads, args.channels
        if self.with_score and self._want("source_bias"):
            shapes["source_bias"] = (heads,)
        found: dict[str, Tensor | None] = dict.fromkeys(_OF_SOURCES)
        for name, size in shapes.items():
            if again:
                assert self.earlier is not None
                self.grads[name] = found[name] = self.earlier[name]
            else:
                found[name] = self._room(name, cut.rows, *size)
        partial = {
            name: None if grad is None else args.empty(cut.slots, *grad.shape[1:])
            for name, grad in found.items()
        }
        scored = args.scored() if self.with_score else args.unscored()
        half = None
        if "weight" in self.grads and args.weight_is_nodewise:
            half = args.empty(cut.programs, heads, args.channels)
        launch(
            backward_sources,
            cut.programs,
            tile.blocks(heads),
            handed,
            rowptr=args.inputs.t_rowptr,
            t_col=args.inputs.t_col,
            t_perm=args.inputs.t_perm,
            perm=args.inputs.perm,
            **{name: scored[name] for name in _MEETING},
            upstream=upstream,
            handed=handed,
            **{f"grad_{name}": grad for name, grad in found.items()},
            **{f"partial_{name}": grad for name, grad in partial.items()},
            **cut.numbers(),
            grad_weight=half,
            SCORED=self.with_score,
            SHARED=self.shared,
            AGAIN=again,
            num_warps=tile.warps,
            D=args.width,
            **args.sizes(),
            **{name: size for name, size in tile.sizes().items() if name != "BF"},
        )
        for name, grad in found.items():
            if grad is not None:
                merge(partial[name], grad, args.inputs.t_rowptr, cut, again)  # type: ignore[arg-type]
        if half is not None:
            self.grads["weight"] = self.grads["weight"] + half.sum(0)

    def _pairs(self, handed: Tensor, pulled: Tensor | None) -> None:
        """Gradients of what belongs to pairs, and of the table of hops."""
        inputs = self.args.inputs
        if self.with_score and self._want("pair_bias"):
            assert inputs.pair_bias is not None
            grad = handed[:, 1] if inputs.pair_bias.dim() == 2 else handed[:, 1].sum(1)
            self.grads["pair_bias"] = _in_input_order(grad, inputs.perm)
        if self.with_score and self._want("hop_bias"):
            assert inputs.hop is not None and inputs.hop_bias is not None
            self.grads["hop_bias"] = hop_gradient(handed, inputs.hop, inputs.hop_bias)
        additive = self.with_score and inputs.pair_weight is not None and not self.args.is_product
        wants = self._want("pair_features")
        scored = self.args.projected if self.with_score else None
        if wants and (scored is not None or pulled is not None):
            self.grads["pair_features"] = feature_gradient(self.args, handed, scored, pulled)
        if additive and (wants or self._want("pair_weight")):
            of_features, self.grads["pair_weight"] = additive_gradients(self.args, handed)
            before = self.grads.get("pair_features")
            self.grads["pair_features"] = of_features if before is None else before + of_features

    def _features(self, upstream: Tensor | None) -> None:
        """What the sums over the features of pairs give to nodes and to tables."""
        args, inputs = self.args, self.args.inputs
        if self.of_projected is not None:
            assert inputs.pair_weight is not None
            of_projected = self.of_projected
            if inputs.groups > 1:
                of_projected = of_projected.unflatten(0, (-1, inputs.groups)).sum(1)
                self.grads["left"] = self.grads["left"].unflatten(0, (-1, inputs.groups)).sum(1)
            table = inputs.pair_weight.to(args.dtype)
            added = torch.einsum("nhf,fhc->nhc", of_projected, table)
            self.grads["left"] = self.grads["left"].to(args.dtype) + added
            left = inputs.left.to(args.dtype)
            self.grads["pair_weight"] = torch.einsum("nhf,nhc->fhc", of_projected, left)
        if self.summed is not None:
            assert upstream is not None
            found = torch.einsum("rhf,rhd->fhd", self.summed, upstream.to(args.dtype))
            self.grads["pair_value"] = found

    def _finished(self, name: str, needed: bool) -> Tensor:
        grad, tensor = self.grads.get(name), getattr(self.args.inputs, name)
        apart = self.earlier is not None and name in _OF_SOURCES
        if tensor is None or apart or not (needed or name in self._made):
            return self.args.inputs.left.new_empty(0)
        if grad is None:
            return torch.zeros_like(tensor, memory_format=torch.contiguous_format)
        groups = self.args.inputs.groups
        if name in ("left", "target_bias") and len(grad) != len(tensor):
            grad = grad.unflatten(0, (-1, groups)).sum(1)
        return grad.to(tensor.dtype).contiguous()


_OF_ROWS = {
    "grad_left": "partial_left",
    "grad_target_bias": "partial_target_bias",
    "grad_projected": "partial_projected",
    "summed": "partial_summed",
}

_MEETING = (
    "left",
    "right",
    "weight",
    "features",
    "pair_weight",
    "groups",
    "scale",
    "slope",
    "FORM",
)


def _in_input_order(pairs: Tensor, perm: Tensor | None) -> Tensor:
    if perm is None:
        return pairs.contiguous()
    return torch.empty_like(pairs, memory_format=torch.contiguous_format).index_copy_(
        0, perm, pairs
    )
