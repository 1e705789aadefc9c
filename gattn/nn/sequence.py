"""`SequenceAttention`: torch's `nn.MultiheadAttention`, over `attend`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gattn import _check
from gattn.forms import Form
from gattn.functional import attend_form, form_weights
from gattn.neighborhood import Span, full, window
from gattn.neighborhood._tensors import pointers
from gattn.nn.attention import _built, _checked_normalizer
from gattn.nn.position import Rotary
from gattn.normalizers import Normalizer
from gattn.ops.dispatch import BACKENDS
from gattn.scores import ScaledDot, Score

_FARTHEST = 127  # a signed hop is one byte

_Sizes = tuple[int, int, int]  # B sequences of L queries and S keys


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
        self.normalizer = _checked_normalizer(normalizer)
        self.backend = backend
        if backend is not None:
            _check.one_of("backend", backend, BACKENDS)
        place: dict[str, Any] = {"device": device, "dtype": dtype}
        self._build_projections(bias, place)
        self._build_position(position, place)
        self.score = _built(score, num_heads, self.head_dim)
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
            _check.integer("position.channels", position.channels, self.head_dim, self.head_dim)
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
        single, sides = query.dim() == 2, self._batches(query, key, value)
        sizes = (len(sides[0]), sides[0].shape[1], sides[1].shape[1])
        there, bias = _padding(key_padding_mask, sizes, single)
        if attn_mask is not None and not is_causal:
            mask = _pair_mask(attn_mask, sizes, self.num_heads, query.dtype)
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
        weights = packed.dense(form_weights(form, packed.span, **options))
        weights = weights.mean(1) if average_attn_weights else weights
        return out, weights[0] if single else weights

    def _batches(self, *sides: Tensor) -> list[Tensor]:
        """Query, key and value, checked, batch first: `[B, L, E]`, `[B, S, F]` twice."""
        single = sides[0].dim() == 2
        outer = ["L"] if single else ["B", "L"] if self.batch_first else ["L", "B"]
        widths = {"query": self.embed_dim, "key": self.kdim, "value": self.vdim}
        for side, (name, width) in zip(sides, widths.items(), strict=True):
            if _check.floating(name, side).is_nested:
                raise TypeError(f"{name}: found a nested tensor, expected a padded one")
            _check.shape(name, side, [*outer, width])
        found = [side[None] if single else side for side in sides]
        found = found if single or self.batch_first else [side.transpose(0, 1) for side in found]
        if found[1].shape[:2] != found[2].shape[:2] or len(found[0]) != len(found[1]):
            shapes = ", ".join(str(list(side.shape)) for side in sides)
            raise ValueError(f"query, key, value: found shapes {shapes}, expected them to agree")
        return found

    def _packed(
        self, sizes: _Sizes, there: Tensor | None, causal: bool, device: torch.device
    ) -> _Packed:
        _, targets, sources = sizes
        causal = causal or self.causal
        ptr = _pointer(sizes[0], sources, there, device)
        if not causal and self.radius is None:
            span = full(ptr=(ptr, _pointer(sizes[0], targets, None, device)))
            return _Packed(sizes, None, there, span)
        if targets != sources:
            raise ValueError(f"key: found {sources} positions, expected {targets} in a window")
        if self.radius is not None and there is not None and _has_holes(there):
            found = "padding between positions"
            raise ValueError(f"key_padding_mask: found {found}, expected it at the ends")
        signed = self.relative_bias is not None
        span = window(None, self.radius, causal, ptr=ptr, signed=signed)
        return _Packed(sizes, there, there, span)

    def _projected(self, sides: list[Tensor], packed: _Packed) -> tuple[Form, Tensor]:
        """The form of queries and keys, and the values `[n, H, C]`, without the padding."""
        weights = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        weights = weights if self.in_proj_weight is None else self.in_proj_weight.chunk(3)
        biases = (None,) * 3 if self.in_proj_bias is None else self.in_proj_bias.chunk(3)
        there = (packed.query, packed.key, packed.key)
        query, key, value = (
            F.linear(_rows(side, at), weight, bias).unflatten(1, (self.num_heads, self.head_dim))
            for side, at, weight, bias in zip(sides, there, weights, biases, strict=True)
        )
        if self.rotary is not None:
            query = self.rotary(query, _rows(_positions(sides[0]), packed.query))
            key = self.rotary(key, _rows(_positions(sides[1]), packed.key))
        return self.score(query, key), value

    def extra_repr(self) -> str:
        """The sizes, and what the window is."""
        window = "" if self.radius is None else f", radius={self.radius}"
        window += ", causal=True" if self.causal else ""
        return f"{self.embed_dim}, num_heads={self.num_heads}{window}"


@dataclass(frozen=True, eq=False)
class _Packed:
    """A padded batch as rows: those queries and keys that are there, sequence after sequence.

    Args:
        sizes: B, L, S.
        query: `[B, L]` bool, the queries that are there; `None` = all.
        key: `[B, S]` bool, the keys that are there; `None` = all.
        span: over the rows. Its pairs, row by row, are in the order of `[B, L, S]`.
    """

    sizes: _Sizes
    query: Tensor | None
    key: Tensor | None
    span: Span

    def seen(self) -> Tensor:
        """Which pairs the span has, `[B, L, S, 1]` bool."""
        seen = torch.ones(self.sizes, dtype=torch.bool, device=self.span.device)
        if self.key is not None:
            seen &= self.key[:, None, :]
        if self.query is not None:
            seen &= self.query[:, :, None]
        if self.span.is_window:
            place = torch.arange(self.sizes[1], device=seen.device)
            ahead = place - place[:, None]
            reach = self.sizes[1] if self.span.radius is None else self.span.radius
            seen &= (ahead >= -reach) & (ahead <= (0 if self.span.causal else reach))
        return seen[..., None]

    def pairs(self, bias: Tensor) -> Tensor:
        """A bias `[B | 1, H | 1, L | 1, S]` by pair, `[E, H]` or `[E]`."""
        dense = bias.permute(0, 2, 3, 1).expand(*self.sizes, -1)
        picked = dense.masked_select(self.seen())
        return picked if bias.shape[1] == 1 else picked.unflatten(0, (-1, bias.shape[1]))

    def dense(self, weights: Tensor) -> Tensor:
        """Weights `[E, H]` as `[B, H, L, S]`."""
        nothing = weights.new_zeros(*self.sizes, weights.shape[1])
        return nothing.masked_scatter(self.seen(), weights).permute(0, 3, 1, 2)

    def padded(self, rows: Tensor) -> Tensor:
        """Rows of queries as `[B, L, E]`; zeros where there is none."""
        nothing = rows.new_zeros(*self.sizes[:2], rows.shape[1])
        if self.query is None:
            return rows.view_as(nothing)
        return nothing.masked_scatter(self.query[..., None], rows)


def _rows(padded: Tensor, there: Tensor | None) -> Tensor:
    """What is there of `[B, L, ...]`, sequence after sequence."""
    return padded.flatten(0, 1) if there is None else padded[there]


def _positions(side: Tensor) -> Tensor:
    """Positions `[B, L]` in the sequences of `[B, L, E]`."""
    return torch.arange(side.shape[1], device=side.device).expand(side.shape[:2])


def _pointer(batch: int, length: int, there: Tensor | None, device: torch.device) -> Tensor:
    full_length = torch.full((batch,), length, device=device)
    return pointers(full_length if there is None else there.sum(1))


def _has_holes(there: Tensor) -> bool:
    """Some sequence begins more than once."""
    begins = there.clone()
    begins[:, 1:] &= ~there[:, :-1]
    return bool((begins.sum(1) > 1).any())


def _padding(
    mask: Tensor | None, sizes: _Sizes, single: bool
) -> tuple[Tensor | None, Tensor | None]:
    """Which keys are there, `[B, S]` bool, and their bias `[B, 1, 1, S]`; `None` = all, zero."""
    if mask is None:
        return None, None
    _check.shape("key_padding_mask", mask, [sizes[2]] if single else [sizes[0], sizes[2]])
    mask = _checked_mask("key_padding_mask", mask)
    mask = mask[None] if single else mask
    there = ~mask if mask.dtype == torch.bool else mask != float("-inf")
    bias = None
    if mask.is_floating_point():
        bias = mask.masked_fill(~there, 0.0)[:, None, None, :]
        bias = bias if bias.requires_grad or bool(bias.any()) else None
    return None if bool(there.all()) else there, bias


def _pair_mask(mask: Tensor, sizes: _Sizes, heads: int, dtype: torch.dtype) -> Tensor:
    """An `attn_mask` as biases, `[B, H, L, S]` or `[1, 1, L, S]`."""
    batch, *pairs = sizes
    alone = _checked_mask("attn_mask", mask).dim() == 2
    _check.shape("attn_mask", mask, pairs if alone else [batch * heads, *pairs])
    if mask.dtype == torch.bool:
        mask = torch.zeros_like(mask, dtype=dtype).masked_fill(mask, float("-inf"))
    return mask[None, None] if alone else mask.unflatten(0, (batch, heads))


def _checked_mask(name: str, mask: Tensor) -> Tensor:
    if _check.tensor(name, mask).dtype != torch.bool and not mask.is_floating_point():
        raise TypeError(f"{name}: found dtype {mask.dtype}, expected bool or a floating dtype")
    return mask
