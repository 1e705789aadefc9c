"""Tensors as the arrays and numbers that kernels take, in the tuples of `scores.py`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gattn.ops.cpu.scores import HARD, SIGMOID, SOFTMAX, TOP_K
from gattn.ops.inputs import Inputs
from gattn.ops.philox import threshold

_CODES = {"softmax": SOFTMAX, "sigmoid": SIGMOID, "top_k": TOP_K, "hard": HARD}

# Multiplications below which a second thread costs more than it brings.
_SERIAL = 1 << 21


@dataclass(frozen=True, eq=False)
class Arguments:
    """What every kernel of a call is given.

    Args:
        dtype: of all arithmetic, float32 or float64.
        graph: `rowptr, col, hop, perm, rank, selected`.
        transpose: `rowptr, col, query, perm`.
        nodes: `left, right, value, source_bias, target_bias`.
        weight: `[H * C]` or `None`.
        pairs: `hop_bias, pair_bias, features, pair_weight, pair_value`.
        sizes: `H, C, D, F, groups`.
        options: `normalizer, slope, scale, dropout`.
        parallel: whether the work is worth more than one thread.
    """

    dtype: torch.dtype
    graph: tuple[Any, ...]
    transpose: tuple[Any, ...]
    nodes: tuple[Any, ...]
    weight: Any
    pairs: tuple[Any, ...]
    sizes: tuple[Any, ...]
    options: tuple[Any, ...]
    parallel: bool

    @property
    def common(self) -> tuple[Any, ...]:
        """Nodes, weight, pairs, sizes and options: how they stand in every kernel."""
        return self.nodes, self.weight, self.pairs, self.sizes, self.options

    def without_score(self) -> Arguments:
        """The same for a half that has the weights: compiled once for all forms."""
        # Whatever made the weights is done: none is selected again.
        options = SOFTMAX, self.nodes[0].dtype.type(0), None, self.options[3]
        return replace(self, weight=None, options=options)

    @classmethod
    def of(
        cls, inputs: Inputs, selected: Tensor | None = None, rank: Tensor | None = None
    ) -> Arguments:
        """The arguments for some inputs."""
        dtype = inputs.compute_dtype
        _, heads, channels = inputs.left.shape
        width = inputs.values.shape[2]
        count = 0 if inputs.pair_features is None else inputs.pair_features.shape[1]
        right = flat(inputs.right, dtype)
        query = inputs.t_col if inputs.groups == 1 else inputs.t_col // inputs.groups
        graph = (inputs.rowptr, inputs.col, inputs.hop, inputs.perm, rank, selected)
        return cls(
            dtype=dtype,
            graph=tuple(map(flat_or_empty, graph, _OF_GRAPH)),
            transpose=tuple(map(flat, (inputs.t_rowptr, inputs.t_col, query, inputs.t_perm))),
            nodes=(
                flat(inputs.left, dtype),
                right,
                right if inputs.value is None else flat(inputs.value, dtype),
                flat_or_empty(inputs.source_bias, dtype),
                flat_or_empty(inputs.target_bias, dtype),
            ),
            weight=flat(inputs.weight, dtype),
            pairs=_pairs(inputs, dtype),
            sizes=tuple(map(np.uint64, (heads, channels, width, count, inputs.groups))),
            options=_options(inputs, right.dtype.type),
            parallel=inputs.col.numel() * heads * (channels + width) >= _SERIAL,
        )


def flat(tensor: Tensor | None, dtype: torch.dtype | None = None) -> Any:
    """All numbers of a tensor in a row, in `dtype`; `None` for an absent one."""
    if tensor is None:
        return None
    tensor = tensor.detach() if dtype is None else tensor.detach().to(dtype)
    return tensor.contiguous().view(-1).numpy()


_OF_GRAPH = (torch.int64, torch.int32, torch.uint8, torch.int64, torch.int32, torch.uint8)


def flat_or_empty(tensor: Tensor | None, dtype: torch.dtype) -> np.ndarray:
    """All numbers of a tensor in a row; none of an absent one."""
    return flat(torch.empty(0, dtype=dtype) if tensor is None else tensor, dtype)


def _pairs(inputs: Inputs, dtype: torch.dtype) -> tuple[Any, ...]:
    """The arguments of the pairs; all there or all not, so that few kernels are compiled."""
    biases = (flat_or_empty(bias, dtype) for bias in (inputs.hop_bias, inputs.pair_bias))
    if inputs.pair_features is None:
        return *biases, None, None, None
    pair_weight = inputs.pair_weight
    if pair_weight is None:  # rare: features of the value alone
        size = inputs.pair_features.shape[1], *inputs.left.shape[1:]
        pair_weight = inputs.left.new_zeros(size)
    features = flat(inputs.pair_features, dtype)
    return *biases, features, flat(pair_weight, dtype), flat_or_empty(inputs.pair_value, dtype)


def _options(inputs: Inputs, real: Any) -> tuple[Any, ...]:
    keep = 0.0 if inputs.dropout == 1.0 else 1.0 / (1.0 - inputs.dropout)
    key = 0 if inputs.seed is None else int(inputs.seed) & (1 << 64) - 1
    counter = np.uint64(key), np.uint64(inputs.first_row)
    dropout = np.uint64(threshold(inputs.dropout)), real(keep), *counter
    slope = None if inputs.is_tanh else real(inputs.slope)
    scale = real(inputs.scale) if inputs.weight is None else None
    return _CODES[inputs.normalizer], slope, scale, dropout
