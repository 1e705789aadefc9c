"""The model "diffusion": layers of `DiffusionAttention` behind a projection of sparse features."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.weak import WeakTensorKeyDictionary

import gattn
from gattn.nn import DiffusionAttention

# Features do not change while a study runs, and looking for their zeros takes as long as a layer.
_entries: Any = WeakTensorKeyDictionary()


class SparseLinear(nn.Module):
    r"""A linear layer of features that are mostly zeros, such as words, after their dropout.

    $$ y = \operatorname{dropout}(x)\, W $$

    A node attends to its words: the sum is over entries, `gattn.aggregate` with the features as
    weights, and what the dropout drops are entries too.

    Args:
        in_channels: features of a node.
        out_channels: of the result.
        dropout: probability to drop an entry in training.
    """

    def __init__(self, in_channels: int, out_channels: int, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout
        self.weight = nn.Parameter(torch.empty(in_channels, 1, out_channels))
        nn.init.xavier_uniform_(self.weight[:, 0])

    def forward(self, x: Tensor) -> Tensor:
        """Return `[N, out_channels]` of features `x` `[N, in_channels]`, which get no gradient."""
        words, counts = _entries_of(x)
        dropout = self.dropout if self.training else 0.0
        return gattn.aggregate(counts, self.weight, words, dropout=dropout)[:, 0]


def _entries_of(x: Tensor) -> tuple[gattn.Sparse, Tensor]:
    """Who has which feature, and how much of it, `[E, 1]`."""
    kept = _entries.get(x)
    if kept is None or kept[0] != x._version:
        node, feature = x.nonzero().T
        pairs = gattn.from_edge_index(torch.stack([feature, node]), (x.shape[1], x.shape[0]))
        _entries[x] = kept = x._version, pairs, x.detach()[node, feature, None]
    return kept[1], kept[2]


class Diffusing(nn.Module):
    """The GAT recipe over `DiffusionAttention`: dropout, layer, ELU, again; one head at last.

    Args:
        in_channels: features of a node.
        hidden_channels: channels of one head of a hidden layer.
        out_channels: classes.
        num_layers: layers, the last one included.
        heads: heads of a hidden layer, concatenated.
        dropout: of the features before every layer.
        attention_dropout: of the attention weights.
        diffusion: further arguments of `DiffusionAttention`.
    """

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int,
        out_channels: int,
        num_layers: int,
        heads: int,
        dropout: float,
        attention_dropout: float,
        **diffusion: Any,
    ) -> None:
        super().__init__()
        self.dropout, width = dropout, hidden_channels * heads
        self.lin_in = SparseLinear(in_channels, width, dropout)
        options = {"dropout": attention_dropout, **diffusion}
        hidden = [
            DiffusionAttention(width, hidden_channels, heads, **options)
            for _ in range(num_layers - 1)
        ]
        last = DiffusionAttention(width, out_channels, concat=False, **options)
        self.layers = nn.ModuleList([*hidden, last])

    def forward(self, x: Tensor, neighborhood: gattn.Neighborhood | Tensor) -> Tensor:
        """Return logits `[N, out_channels]` of features `x` `[N, in_channels]`."""
        x = self.lin_in(x)
        for number, layer in enumerate(self.layers):
            x = F.elu(x) if number else x
            x = layer(F.dropout(x, self.dropout, self.training), neighborhood)
        return x
