"""`SequenceAttention`: torch's `nn.MultiheadAttention`, over `attend`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gattn import _check
from gattn.forms import Form
from gattn.functional import attend_form, form_weights
from gattn.neighborhood import full, window
from gattn.nn.arguments import built_score, checked_normalizer
from gattn.nn.packing import (
    Packed,
    Sizes,
    has_holes,
    padding,
    pair_mask,
    pointer,
    positions,
    rows_of,
)
from gattn.nn.position import Rotary
from gattn.normalizers import Normalizer
from gattn.ops.dispatch import BACKENDS
from gattn.scores import ScaledDot, Score

_FARTHEST = 127  # a signed hop is one byte


class SequenceAttention(nn.Module):
    r"""Multi-head attention over sequences, with the arguments and parameters of torch's.

    $$ q_i = W_q x_i + b_q, \quad k_j = W_k y_j + b_k, \quad v_j = W_v z_j + b_v, \qquad
       o_i = W_o \big\Vert_h \sum_j w^h_{ij} v^h_j + b_o $$

    A drop-in for `nn.MultiheadAttention`, whose `state_dict` it loads, strictly: same numbers,
    and score, normaliser, window and position to choose. It also stands in for `self_attn` of
    `nn.TransformerEncoderLayer`, in training and in eval. `add_bias_kv` and `add_zero_attn`, with
    their `bias_k` and `bias_v`, are not taken. Differences to torch:

    - Padded keys are left out, not masked: they cost nothing, and not even NaN in them leaks.
    - A query that sees no key gives `out_proj.bias`, not NaN.
    - In a window (`radius`, `causal`, `is_causal`), a padded position is no query either: it
      gives `out_proj.bias`.
    - Weights are those before the dropout.
    - Nested tensors are not taken: build a `nn.TransformerEncoder` with
      `enable_nested_tensor=False`.

    (Vaswani et al., "Attention Is All You Need", 2017.)

    Args:
        embed_dim: E, features of query and output; H heads of C = E / H channels.
        num_heads: H.
        dropout: probability to drop a weight in training.
        bias: add learned biases to all four projections.
        kdim: features of the key; E without it.
        vdim: features of the value; E without it.
        batch_first: batches are `[B, L, E]` instead of `[L, B, E]`.
        score: how query and key are compared: a class of `gattn.scores`, built for the heads and
            channels of this layer, or an instance, which is used as it is.
        normalizer: scores of a row to weights of a row; `Softmax()` if not given.
        radius: how far a position looks to either side; `None` = without limit.
        causal: look back only.
        position: `None`; "rotary", or a `Rotary` of C channels, on query and key; or "relative":
            learn a bias for each head and distance in the window, `relative_bias`
            `[2 * radius + 1, H]` by `j - i + radius`, zero at the start. The latter needs a
            `radius` of 127 at most.
        backend: as in `gattn.attend`.
        device: of the parameters.
        dtype: of the parameters.

    Raises:
        TypeError, ValueError: an argument is out of range.
    """

    # nn.TransformerEncoderLayer asks for it in eval, and if it is true computes torch's attention
    # from the parameters, past any score or radius.
    _qkv_same_embed_dim = False

    in_proj_weight: nn.Parameter | None
    q_proj_weight: nn.Parameter
    k_proj_weight: nn.Parameter
    v_proj_weight: nn.Parameter

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        *,
        score: Score | type[Score] = ScaledDot,
        normalizer: Normalizer | None = None,
        radius: int | None = None,
        causal: bool = False,
        position: str | Rotary | None = None,
        backend: str | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.embed_dim = _check.integer("embed_dim", embed_dim, 1)
        self.num_heads = _check.integer("num_heads", num_heads, 1)
        if embed_dim % num_heads:
            raise ValueError(f"embed_dim: found {embed_dim}, expected a multiple of {num_heads}")
        self.head_dim = embed_dim // num_heads
        self.kdim = embed_dim if kdim is None else _check.integer("kdim", kdim, 1)
        self.vdim = embed_dim if vdim is None else _check.integer("vdim", vdim, 1)
        self.dropout = _check.fraction("dropout", dropout)
        self.batch_first = batch_first
        self.radius = None if radius is None else _check.integer("radius", radius, 0, 2**31 - 1)
        self.causal = causal
        self.normalizer = checked_normalizer(normalizer)
        self.backend = backend
        if backend is not None:
            _check.one_of("backend", backend, BACKENDS)
        place: dict[str, Any] = {"device": device, "dtype": dtype}
        self._build_projections(bias, place)
        self._build_position(position, place)
        self.score = built_score(score, num_heads, self.head_dim)
        if self.score is not score:
            self.score.to(**place)

    def _build_projections(self, bias: bool, place: dict[str, Any]) -> None:
        wide, rows = self.embed_dim, {"q": self.embed_dim, "k": self.kdim, "v": self.vdim}
        alike = self.kdim == self.vdim == wide
        joint = nn.Parameter(torch.empty(3 * wide, wide, **place)) if alike else None
        self.register_parameter("in_proj_weight", joint)
        for name, size in rows.items():
            alone = None if alike else nn.Parameter(torch.empty(wide, size, **place))
            self.register_parameter(f"{name}_proj_weight", alone)
        self.in_proj_bias = nn.Parameter(torch.empty(3 * wide, **place)) if bias else None
        self.out_proj = nn.Linear(wide, wide, bias=bias, **place)
        self._reset_projections()

    def _build_position(self, position: str | Rotary | None, place: dict[str, Any]) -> None:
        self.rotary = position if isinstance(position, Rotary) else None
        self.relative_bias = None
        if isinstance(position, Rotary):
            if position.channels != self.head_dim:
                wanted = f"{self.head_dim} channels, those of a head"
                raise ValueError(f"position: found {position}, expected {wanted}")
        elif position == "rotary":
            self.rotary = Rotary(self.head_dim)
        elif position == "relative":
            radius = _check.integer("radius", self.radius, 0, _FARTHEST)
            self.relative_bias = nn.Parameter(torch.zeros(2 * radius + 1, self.num_heads, **place))
        elif position is not None:
            _check.one_of("position", position, ("rotary", "relative"))

    def _reset_projections(self) -> None:
        """Draw them in the order of torch: the same numbers from the same seed."""
        for name in ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight"):
            if getattr(self, name) is not None:
                nn.init.xavier_uniform_(getattr(self, name))
        if self.in_proj_bias is not None:
            nn.init.zeros_(self.in_proj_bias)
            nn.init.zeros_(self.out_proj.bias)

    def reset_parameters(self) -> None:
        """Draw all parameters anew."""
        self.out_proj.reset_parameters()
        self._reset_projections()
        self.score.reset_parameters()
        if self.relative_bias is not None:
            nn.init.zeros_(self.relative_bias)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Every query attends to the keys of its sequence, or to those in its window.

        The defaults are torch's. `need_weights=False` is what keeps memory linear in the length:
        weights are written out for every pair, and so is a mask.

        Args:
            query: `[L, B, E]`, `[B, L, E]` with `batch_first`, or `[L, E]`.
            key: `[S, B, kdim]`, `[B, S, kdim]` or `[S, kdim]`; S = L in a window.
            value: `[S, B, vdim]`, `[B, S, vdim]` or `[S, vdim]`.
            key_padding_mask: `[B, S]` or `[S]`: bool, true for padding; or floating, -inf for
                padding and else added to the scores. With a `radius`, padding is at the ends.
            need_weights: return the weights as well.
            attn_mask: `[L, S]` or `[B * H, L, S]`: bool, true where a query must not look; or
                floating, added to the scores.
            average_attn_weights: average the returned weights over the heads.
            is_causal: look back only, in this call. `attn_mask` is not looked at then: it should
                say the same.

        Returns:
            The output, shaped like the query; and `None`, or the weights `[B, L, S]`, which are
            `[B, H, L, S]` without the average, and have no B if the query has none.

        Raises:
            TypeError, ValueError: the arguments do not fit.
        """
        sides, single = self._batches(query, key, value), query.dim() == 2
        sizes = (len(sides[0]), sides[0].shape[1], sides[1].shape[1])
        there, bias = padding(key_padding_mask, sizes, single)
        if attn_mask is not None and not is_causal:
            mask = pair_mask(attn_mask, sizes, self.num_heads, query.dtype)
            bias = mask if bias is None else mask + bias
        packed = self._packed(sizes, there, is_causal, query.device)
        form, values = self._projected(sides, packed)
        options: dict[str, Any] = {"normalizer": self.normalizer, "hop_bias": self.relative_bias}
        options["pair_bias"] = None if bias is None else packed.pairs(bias)
        chosen: dict[str, Any] = {"dropout": self.dropout * self.training, "backend": self.backend}
        rows = attend_form(form, values, packed.span, **chosen, **options)
        out = self.out_proj(packed.padded(rows.flatten(1)))
        out = out[0] if single else out if self.batch_first else out.transpose(0, 1)
        if not need_weights:
            return out, None
        weights = form_weights(form, packed.span, **options).to(out.dtype)
        if average_attn_weights:  # before they are written out for every L and S
            weights = packed.dense(weights.mean(1, keepdim=True)).squeeze(1)
        else:
            weights = packed.dense(weights)
        return out, weights[0] if single else weights

    def _batches(self, *sides: Tensor) -> list[Tensor]:
        """Query, key and value, checked, batch first: `[B, L, E]`, `[B, S, F]` twice."""
        single = _check.floating("query", sides[0]).dim() == 2
        outer = ["L"] if single else ["B", "L"] if self.batch_first else ["L", "B"]
        widths = {"query": self.embed_dim, "key": self.kdim, "value": self.vdim}
        for side, (name, width) in zip(sides, widths.items(), strict=True):
            if _check.floating(name, side).is_nested:
                hint = "as of TransformerEncoder(..., enable_nested_tensor=False)"
                raise TypeError(f"{name}: found a nested tensor, expected a padded one, {hint}")
            _check.shape(name, side, [*outer, width])
        found = [side[None] if single else side for side in sides]
        found = found if single or self.batch_first else [side.transpose(0, 1) for side in found]
        if found[1].shape[:2] != found[2].shape[:2] or len(found[0]) != len(found[1]):
            shapes = ", ".join(str(list(side.shape)) for side in sides)
            raise ValueError(f"query, key, value: found shapes {shapes}, expected them to agree")
        return found

    def _packed(
        self, sizes: Sizes, there: Tensor | None, causal: bool, device: torch.device
    ) -> Packed:
        _, targets, sources = sizes
        causal = causal or self.causal
        ptr = pointer(sizes[0], sources, there, device)
        if not causal and self.radius is None:
            span = full(ptr=(ptr, pointer(sizes[0], targets, None, device)))
            return Packed(sizes, None, there, span)
        if targets != sources:
            raise ValueError(f"key: found {sources} positions, expected {targets} in a window")
        if self.radius is not None and there is not None and has_holes(there):
            found = "padding between positions"
            raise ValueError(f"key_padding_mask: found {found}, expected it at the ends")
        signed = self.relative_bias is not None
        span = window(None, self.radius, causal, ptr=ptr, signed=signed)
        return Packed(sizes, there, there, span)

    def _projected(self, sides: list[Tensor], packed: Packed) -> tuple[Form, Tensor]:
        """The form of queries and keys, and the values `[n, H, C]`, without the padding."""
        weights = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        weights = weights if self.in_proj_weight is None else self.in_proj_weight.chunk(3)
        biases = (None,) * 3 if self.in_proj_bias is None else self.in_proj_bias.chunk(3)
        there = (packed.query, packed.key, packed.key)
        query, key, value = (
            F.linear(rows_of(side, at), weight, bias).unflatten(1, (self.num_heads, self.head_dim))
            for side, at, weight, bias in zip(sides, there, weights, biases, strict=True)
        )
        if self.rotary is not None:
            query = self.rotary(query, rows_of(positions(sides[0]), packed.query))
            key = self.rotary(key, rows_of(positions(sides[1]), packed.key))
        return self.score(query, key), value

    def extra_repr(self) -> str:
        """The sizes, and what the window is."""
        window = "" if self.radius is None else f", radius={self.radius}"
        window += ", causal=True" if self.causal else ""
        return f"{self.embed_dim}, num_heads={self.num_heads}{window}"
