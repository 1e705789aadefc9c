"""Tensors and numbers as the kernels take them."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
import triton.language as tl
from torch import Tensor

from gattn.ops.inputs import Inputs
from gattn.ops.philox import threshold
from gattn.ops.triton import elementary
from gattn.ops.triton.tiles import Cut, Tile, tile

_REAL = {torch.float32: tl.float32, torch.float64: tl.float64}
_NODES = ("left", "right", "source_bias", "target_bias", "weight", "hop_bias", "pair_bias")
_SCORED = (*_NODES, "pair_weight", "projected")


@dataclass(eq=False)
class Arguments:
    """What the kernels of a call share.

    Args:
        inputs: with everything contiguous: see `of`.
        selected: the bits of a selection, or `None`.
        rank: of equal pairs, `[E]`, or `None` where there is no dropout.
    """

    inputs: Inputs
    selected: Tensor | None
    rank: Tensor | None

    @classmethod
    def of(
        cls, inputs: Inputs, selected: Tensor | None = None, rank: Tensor | None = None
    ) -> Arguments:
        """The arguments for some inputs."""
        made = {
            name: found.contiguous()
            for name, found in zip(inputs._fields, inputs, strict=True)
            if isinstance(found, Tensor)
        }
        chosen = selected if selected is not None and selected.numel() else None
        return cls(inputs._replace(**made), chosen, rank)

    @property
    def dtype(self) -> torch.dtype:
        """Of all arithmetic."""
        return self.inputs.compute_dtype

    @property
    def heads(self) -> int:
        """H."""
        return self.inputs.left.shape[1]

    @property
    def channels(self) -> int:
        """C."""
        return self.inputs.left.shape[2]

    @property
    def width(self) -> int:
        """D."""
        return self.inputs.values.shape[2]

    @property
    def features(self) -> int:
        """F, 0 without features."""
        found = self.inputs.pair_features
        return 0 if found is None else found.shape[1]

    @property
    def is_product(self) -> bool:
        """The form is a product."""
        return self.inputs.weight is None

    @cached_property
    def projected(self) -> Tensor | None:
        """`[N, H, F]`: what a product's query makes of the features of its pairs."""
        if self.inputs.pair_weight is None or not self.is_product:
            return None
        return projected(self.inputs.left, self.inputs.pair_weight, self.dtype)

    @cached_property
    def rows(self) -> Cut:
        """How the rows are dealt out."""
        return Cut.of(self.inputs.num_rows, self.inputs.col.numel())

    @cached_property
    def columns(self) -> Cut:
        """How the sources are dealt out."""
        return Cut.of(self.inputs.t_rowptr.numel() - 1, self.inputs.col.numel())

    def tile(self, cut: Cut) -> Tile:
        """The tiles of a pass."""
        mean = cut.pairs / max(cut.rows, 1)
        size = self.inputs.values.element_size()
        return tile(self.heads, self.channels, self.width, self.features, mean, size)

    def graph(self) -> dict[str, Any]:
        """Row pointers, sources, and what else is known of the pairs."""
        names = ("rowptr", "col", "hop", "perm")
        return {name: getattr(self.inputs, name) for name in names}

    def scored(self) -> dict[str, Any]:
        """What a score is made of."""
        found = {name: getattr(self.inputs, name) for name in _NODES}
        weight = None if self.is_product else self.inputs.pair_weight
        return found | {
            "features": self.inputs.pair_features,
            "pair_weight": weight,
            "projected": self.projected,
            "last_hop": 0 if self.inputs.hop_bias is None else len(self.inputs.hop_bias) - 1,
            "groups": self.inputs.groups,
            "scale": bits(self.inputs.scale),
            "slope": bits(self.inputs.slope),
            "FORM": self.form,
            "PER_HEAD": self.inputs.pair_bias is not None and self.inputs.pair_bias.dim() == 2,
        }

    def unscored(self) -> dict[str, Any]:
        """The same where weights are given: nothing but the features, which have a value."""
        nothing: dict[str, Any] = dict.fromkeys(_SCORED)
        numbers = {"last_hop": 0, "groups": 1, "scale": 0, "slope": 0, "PER_HEAD": False}
        form = {"FORM": elementary.PRODUCT.value}
        return nothing | numbers | form | {"features": self.inputs.pair_features}

    @property
    def form(self) -> int:
        """The form, by its code in `elementary.py`."""
        if self.is_product:
            return elementary.PRODUCT.value
        return elementary.TANH.value if self.inputs.is_tanh else elementary.LEAKY.value

    @property
    def weight_is_nodewise(self) -> bool:
        """Both passes have a half of the gradient of the form's weight: see `backward_rows`."""
        leaky = self.form == elementary.LEAKY.value
        return leaky and self.inputs.pair_weight is None

    def dropped(self) -> dict[str, Any]:
        """What the dropout needs; a seed of `None` without one."""
        chance = self.inputs.dropout
        kept = 0.0 if chance == 1.0 else 1.0 / (1.0 - chance)
        return {
            "seed": self.inputs.seed if chance else None,
            "rank": self.rank,
            "first_row": self.inputs.first_row,
            "threshold": threshold(chance),
            "keep": bits(kept),
        }

    def sizes(self) -> dict[str, Any]:
        """Sizes of a pair that kernels are compiled for."""
        return {"H": self.heads, "C": self.channels, "F": self.features, "REAL": _REAL[self.dtype]}

    def empty(self, *size: int, dtype: torch.dtype | None = None) -> Tensor:
        """Room on the device."""
        return self.inputs.rowptr.new_empty(size, dtype=dtype or self.dtype)


def bits(value: float) -> int:
    """A number as the bits of a float64, in an integer: see `elementary.number`."""
    return struct.unpack("<q", struct.pack("<d", value))[0]


def projected(vectors: Tensor, table: Tensor, dtype: torch.dtype) -> Tensor:
    """`[N, H, F]`: the products of `[N, H, C]` with every feature's row of `[F, H, C]`."""
    return torch.einsum("nhc,fhc->nhf", vectors.to(dtype), table.to(dtype)).contiguous()
