"""`HopTokens`: the features of a node and of its hops, propagated once, before training."""

from __future__ import annotations

import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.nn.conv.gcn_conv import gcn_norm
from torch_geometric.transforms import BaseTransform

from gattn import _check
from gattn.diffusion import aggregate
from gattn.neighborhood import Sparse, from_edge_index
from gattn.transforms.one_hop import edges_of

_CHUNK = 1 << 26
"""Numbers that one propagation may make, for backends that write out every pair and channel."""


class HopTokens(BaseTransform):
    r"""Keep what is seen after 0 to K steps of propagation, a token for each.

    $$ t_i^{(k)} = (\hat A^k X)_i, \qquad
       \hat A = \tilde D^{-1/2} (A + I) \tilde D^{-1/2} $$

    They are `data.hop_tokens` `[N, K + 1, F]`, for `gattn.nn.HopTokenAttention`, which trains on
    rows of it and needs no graph: N (K + 1) F numbers, and E F operations for each step, once.
    `edge_weight` of the data counts.

    (Chen et al., "NAGphormer: A Tokenized Graph Transformer for Node Classification in Large
    Graphs", 2023.)

    Args:
        num_hops: K.
        attr: the name under which they are kept.

    Raises:
        TypeError, ValueError: `num_hops` is no number of hops; a call gets something else than a
            `Data` with an `edge_index` and features `x` `[N, F]`, or weights of edges that are no
            floating numbers `[E]`.
    """

    def __init__(self, num_hops: int, *, attr: str = "hop_tokens") -> None:
        self.num_hops = _check.integer("num_hops", num_hops, 0)
        self.attr = attr

    @torch.no_grad()
    def forward(self, data: Data) -> Data:
        """The data with its tokens, which keep no gradient.

        Args:
            data: a `Data`, or a `Batch` of them.
        """
        edge_index, num_nodes = edges_of(data)
        x = _check.floating("x", data.x)
        _check.shape("x", x, ["N", "F"])
        index, weight = gcn_norm(
            edge_index,
            _weight_of(data, edge_index),
            num_nodes,
            flow="source_to_target",
            dtype=x.dtype,
        )
        assert isinstance(index, Tensor) and weight is not None
        around = from_edge_index(index, num_nodes)
        tokens = x.new_empty(len(x), self.num_hops + 1, x.shape[1])
        tokens[:, 0] = x
        width = max(1, _CHUNK // max(around.num_pairs, 1))
        for first in range(0, x.shape[1], width):
            _propagate(tokens[..., first : first + width], weight, around)
        data[self.attr] = tokens
        return data

    def __repr__(self) -> str:
        """How many steps."""
        return f"HopTokens({self.num_hops})"


def _weight_of(data: Data, edge_index: Tensor) -> Tensor | None:
    """The weights of the edges, if there are any."""
    weight = data.edge_weight
    if weight is not None:
        found = _check.floating("edge_weight", weight)
        _check.shape("edge_weight", found, [edge_index.shape[1]])
    return weight


def _propagate(tokens: Tensor, weight: Tensor, around: Sparse) -> None:
    """Fill in what follows the first token, `[N, K + 1, F]`."""
    for step in range(1, tokens.shape[1]):
        before = tokens[:, step - 1, None].contiguous()
        tokens[:, step] = aggregate(weight[:, None], before, around)[:, 0]
