"""Networks of published results: the GAT of its authors, decoupled rounds, the tuned classic.

`RECIPES` has their usual settings, fields of a `Trial`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import gattn
from gattn import scores
from gattn.compare.diffusing import Entries, Product, SparseLinear, entries_at
from gattn.nn import DiffusionAttention, RoundGate
from gattn.normalizers import Normalizer

_PAPER: Mapping[str, Any] = {
    "layers": 2,
    "hidden": 8,
    "heads": 8,
    "dropout": 0.6,
    "epochs": 200,
    "lr": 0.005,
    "weight_decay": 5e-4,
    "optimizer": "adam",
    "monitor": "both",
}
_DECOUPLED: Mapping[str, Any] = {
    "layers": 2,
    "hidden": 64,
    "heads": 1,
    "dropout": 0.5,
    "attention_dropout": 0.0,
    "restart": 0.0,
    "readout": "gate",
    "epochs": 300,
    "lr": 0.01,
    "weight_decay": 5e-3,
    "optimizer": "adam",
    "patience": 100,
}
_STACK: Mapping[str, Any] = {
    "layers": 3,
    "hidden": 64,
    "heads": 1,
    "dropout": 0.5,
    "norm": "layer",
    "residual": True,
    "pre_linear": None,
    "epochs": 1000,
    "lr": 0.001,
    "weight_decay": 5e-5,
    "optimizer": "adam",
}
_NORM: Mapping[str, Callable[[int], nn.Module]] = {
    "layer": nn.LayerNorm,
    "batch": nn.BatchNorm1d,
    "none": nn.Identity,
}
NORMS = tuple(_NORM)
RECIPES: Mapping[str, Mapping[str, Any]] = {
    "paper-gat": _PAPER,
    "decoupled": _DECOUPLED | {"score": "gat", "normalizer": "softmax"},
    "decoupled-degree": _DECOUPLED,
    "stack-gat": _STACK,
    "stack": _STACK | {"score": "gat", "normalizer": "softmax"},
}


class PaperGAT(nn.Module):
    """The network of the GAT paper as its authors run it: values are dropped as well.

    `Classic` drops features before a layer, and weights; the authors' code also drops what is
    summed, after the projection. The first projection is of sparse features.

    (Veličković et al., "Graph Attention Networks", 2018.)

    Args:
        in_channels: features of a node.
        hidden_channels: channels of one head of a hidden layer.
        out_channels: classes.
        num_layers: layers, the last one included.
        heads: heads of a hidden layer, concatenated.
        dropout: of the features before every layer, of the weights, and of the values.
    """

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int,
        out_channels: int,
        num_layers: int,
        heads: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.dropout = dropout
        sizes = [(heads, hidden_channels)] * (num_layers - 1) + [(1, out_channels)]
        width = in_channels
        self.projections, self.layers = nn.ModuleList(), nn.ModuleList()
        for number, size in enumerate(sizes):
            self.projections.append(_projection(width, size[0] * size[1], dropout, number == 0))
            self.layers.append(_Heads(*size, dropout))
            width = size[0] * size[1]

    def forward(self, x: Tensor, neighborhood: gattn.Neighborhood | Tensor) -> Tensor:
        """Return logits `[N, out_channels]` of features `x` `[N, in_channels]`."""
        for number, (lin, layer) in enumerate(zip(self.projections, self.layers, strict=True)):
            x = layer(lin(F.elu(x) if number else x), neighborhood)
        return x


def _projection(in_channels: int, out_channels: int, dropout: float, sparse: bool) -> nn.Module:
    if sparse:
        return SparseLinear(in_channels, out_channels, dropout)
    lin = nn.Linear(in_channels, out_channels, bias=False)
    nn.init.xavier_uniform_(lin.weight)
    return nn.Sequential(nn.Dropout(dropout), lin)


class _Heads(nn.Module):
    """Attention with GAT's score among values that are there already."""

    def __init__(self, heads: int, channels: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, nn.Dropout(dropout)
        self.score = scores.GAT.for_heads(heads, channels)
        self.bias = nn.Parameter(self.score.att_src.new_zeros(heads * channels))

    def forward(self, x: Tensor, neighborhood: Any) -> Tensor:
        value = x.unflatten(-1, (self.heads, -1))
        dropout = self.dropout.p if self.training else 0.0
        form = self.score(value, value)
        found = gattn.attend_form(form, self.dropout(value), neighborhood, dropout=dropout)
        return found.flatten(-2) + self.bias


class Decoupled(nn.Module):
    r"""A network of each node by itself, and then rounds of what it says of the classes.

    $$ z^{(0)} = W_2 \operatorname{relu}(W_1 x + b_1), \qquad
       y = \operatorname{readout}(z^{(0)}, \dots, z^{(K)}) + b_2 $$

    The rounds are those of `gattn.diffuse`, along the weights of `DiffusionAttention`, or, without
    a score, along `gattn.degree_weights`. Depth of the network and breadth of the view have nothing
    to do with one another here.

    (Gasteiger, Bojchevski & Günnemann, "Predict then Propagate", 2019, with a restart; Liu, Gao &
    Ji, "Towards Deeper Graph Neural Networks", 2020, with gates.)

    Args:
        in_channels: features of a node, mostly zeros.
        hidden_channels: width of the network.
        out_channels: classes.
        dropout: of the features, and of the hidden layer.
        attention_dropout: of the weights, drawn anew in every round.
        rounds: K.
        restart: of `gattn.diffuse`.
        readout: "last" or "gate".
        score: of the weights; None for those of the degrees.
        normalizer: of the weights that have a score; None for a softmax.
    """

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int,
        out_channels: int,
        dropout: float,
        attention_dropout: float,
        *,
        rounds: int,
        restart: float,
        readout: str,
        score: type[scores.Score] | None = None,
        normalizer: Normalizer | None = None,
    ) -> None:
        super().__init__()
        self.lin_in = SparseLinear(in_channels, hidden_channels, dropout)
        self.bias = nn.Parameter(self.lin_in.weight.new_zeros(hidden_channels))
        self.dropout = nn.Dropout(dropout)
        shared = {"rounds": rounds, "restart": restart, "readout": readout}
        shared |= {"dropout": attention_dropout}
        sizes = (hidden_channels, out_channels)
        if score is None:
            self.rounds: nn.Module = _ByDegree(*sizes, **shared)
        else:
            options = {"score": score, "normalizer": normalizer, "share_key_value": True}
            self.rounds = DiffusionAttention(*sizes, **options, **shared)

    def forward(self, x: Tensor, neighborhood: gattn.Sparse) -> Tensor:
        """Return logits `[N, out_channels]` of features `x` `[N, in_channels]`."""
        return self.rounds(self.dropout((self.lin_in(x) + self.bias).relu()), neighborhood)


class _ByDegree(nn.Module):
    """A linear layer, and rounds along weights that nobody learns: one sparse matrix, many times.

    It is `gattn.diffuse` along `gattn.degree_weights`, whose call for every round takes longer than
    the few numbers of a class do.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        rounds: int,
        restart: float,
        readout: str,
        dropout: float,
    ) -> None:
        super().__init__()
        self.lin = nn.Linear(in_channels, out_channels)
        self.gate = RoundGate(1, out_channels) if readout == "gate" else None
        self.rounds, self.restart, self.dropout = rounds, restart, dropout
        self.kept: tuple[gattn.Sparse, Entries] | None = None

    def forward(self, x: Tensor, neighborhood: gattn.Sparse) -> Tensor:
        entries = self._entries(neighborhood)
        start = state = self.lin(x)
        states = [state]
        for _ in range(self.rounds):
            values = F.dropout(entries.values, self.dropout, self.training)
            state = torch.lerp(Product.apply(values, state, entries), start, self.restart)
            states.append(state)
        return state if self.gate is None else self.gate(torch.stack(states)[:, :, None])[:, 0]

    def _entries(self, neighborhood: gattn.Sparse) -> Entries:
        if self.kept is None or self.kept[0] is not neighborhood:
            source, target = neighborhood.edge_index()
            order = target.argsort(stable=True)
            weights = gattn.degree_weights(neighborhood)[order]
            size = neighborhood.num_targets, neighborhood.num_sources
            found = entries_at(target[order], source[order], weights, size)
            self.kept = neighborhood, found
        return self.kept[1]


class Stack(nn.Module):
    r"""A classic network as it is tuned: layer, residual, norm, ReLU, dropout, again; then linear.

    $$ x' = \operatorname{dropout}(\operatorname{relu}(\operatorname{norm}(
       \operatorname{layer}(x) + W x))) $$

    (Luo, Shi & Wu, "Classic GNNs are Strong Baselines", 2024.)

    Args:
        layer: makes a layer of two widths.
        in_channels: features of a node.
        hidden_channels: width of all layers.
        out_channels: classes.
        num_layers: layers before the linear one.
        dropout: after every layer.
        norm: "layer", "batch" or "none", before the ReLU.
        residual: whether W is there.
        pre_linear: let a linear layer of sparse features come first, with a dropout after it.
    """

    def __init__(
        self,
        layer: Callable[[int, int], nn.Module],
        in_channels: int,
        hidden_channels: int,
        out_channels: int,
        num_layers: int,
        dropout: float,
        norm: str,
        residual: bool,
        pre_linear: bool = False,
    ) -> None:
        super().__init__()
        self.lin_in = SparseLinear(in_channels, hidden_channels, 0.0) if pre_linear else None
        first = hidden_channels if pre_linear else in_channels
        widths = [first] + [hidden_channels] * (num_layers - 1)
        self.layers = nn.ModuleList(layer(width, hidden_channels) for width in widths)
        self.residuals = nn.ModuleList(
            nn.Linear(width, hidden_channels) for width in (widths if residual else [])
        )
        self.norms = nn.ModuleList(_NORM[norm](hidden_channels) for _ in widths)
        self.dropout = nn.Dropout(dropout)
        self.lin_out = nn.Linear(hidden_channels, out_channels)

    def forward(self, x: Tensor, neighborhood: Any, clusters: Any = None) -> Tensor:
        """Return logits `[N, out_channels]` of features `x` `[N, in_channels]`."""
        more = {} if clusters is None else {"clusters": clusters}
        x = x if self.lin_in is None else self.dropout(self.lin_in(x))
        for number, (layer, norm) in enumerate(zip(self.layers, self.norms, strict=True)):
            found = layer(x, neighborhood, **more)
            found = found + self.residuals[number](x) if self.residuals else found
            x = self.dropout(norm(found).relu())
        return self.lin_out(x)
