"""The models of a study by name: how each is built, what graph it is given, its usual settings.

Names of scores and normalisers are resolved here too, for the command line; code passes objects.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from torch_geometric import nn as pyg

import gattn
from gattn import nn as gattn_nn
from gattn import normalizers, scores
from gattn.compare.breadth import KINDS, Breadth, hops_of, kind_of
from gattn.compare.classics import RECIPES, Decoupled, PaperGAT, Stack
from gattn.compare.diffusing import Diffusing
from gattn.compare.networks import Classic, OneLayer
from gattn.compare.surroundings import Surrounded, needs_clusters
from gattn.nn import DEPTHS

if TYPE_CHECKING:
    from gattn.compare.trial import Trial
    from gattn.data import Task

SCORES: dict[str, type[scores.Score]] = {
    "dot": scores.Dot,
    "scaled_dot": scores.ScaledDot,
    "general": scores.General,
    "cosine": scores.Cosine,
    "additive": scores.Additive,
    "gat": scores.GAT,
    "gatv2": scores.GATv2,
    "distance": scores.Distance,
    "supergat_mx": scores.SuperGATMX,
    "supergat_sd": scores.SuperGATSD,
    "mlp": scores.MLP,
    "tempered": scores.Tempered,
}

NORMALIZERS: dict[str, Callable[[], normalizers.Normalizer]] = {
    "softmax": normalizers.Softmax,
    "sparsemax": normalizers.Sparsemax,
    "entmax15": normalizers.Entmax15,
    "sigmoid": normalizers.Sigmoid,
    "tanh": normalizers.Tanh,
    "top4": partial(normalizers.TopK, 4),
    "top8": partial(normalizers.TopK, 8),
    "top16": partial(normalizers.TopK, 16),
    "hard": normalizers.Hard,
}

Setting = int | float | str | None


@dataclass(frozen=True)
class Edges:
    """A graph without anything else, such as that of a batch.

    Args:
        edge_index: `[2, E]`.
        num_nodes: N.
    """

    edge_index: Tensor
    num_nodes: int


@dataclass(frozen=True)
class Model:
    """One model of a study.

    Args:
        build: makes the module from a trial, the number of features and the number of classes;
            those of `GraphAttention` take further arguments of it.
        structure: makes the pairs that the module is called with from a task and a breadth.
        depths: the depths that it can have.
        recipe: its usual settings, fields of a `Trial`.
        about: one line for the command line's help.
        fixed: those of the settings that cannot be changed.
        kinds: of breadths that it takes, some of `gattn.compare.breadth.KINDS`.
    """

    build: Callable[..., nn.Module]
    structure: Callable[[Task | Edges, Breadth], Tensor | gattn.Neighborhood]
    depths: tuple[int, ...]
    recipe: Mapping[str, Setting]
    about: str
    fixed: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ("hops",)


def _attention(trial: Trial, in_channels: int, out_channels: int, **more: Any) -> nn.Module:
    model = gattn_nn.AttentionGNN(
        in_channels,
        trial.hidden,
        trial.layers,
        out_channels,
        heads=trial.heads,
        dropout=trial.dropout,
        **_looking(trial),
        **_parts(trial),
        **more,
    )
    return Surrounded(model) if needs_clusters(trial.depth) else model


def _recurrent(trial: Trial, in_channels: int, out_channels: int, **more: Any) -> nn.Module:
    rings = kind_of(trial.breadth) == "hops" and trial.breadth != 0
    model = gattn_nn.RecurrentGNN(
        in_channels,
        trial.hidden,
        trial.layers,
        out_channels,
        fewest=-(-trial.layers // 4),
        growing=trial.epochs * (trial.steps or 1) // 2,
        heads=trial.heads,
        dropout=trial.dropout,
        **({"hop_start": "rings"} if rings else {}),
        **_looking(trial),
        **_parts(trial),
        **more,
    )
    return Surrounded(model) if needs_clusters(trial.depth) else model


def _layer(
    hop_bias: bool, trial: Trial, in_channels: int, out_channels: int, **more: Any
) -> nn.Module:
    sizes = (in_channels, trial.hidden, out_channels, trial.heads, trial.dropout)
    looking = _looking(trial) if hop_bias else {}
    model = OneLayer(*sizes, **looking, **_parts(trial), **more)
    return Surrounded(model) if needs_clusters(trial.depth) else model


def _looking(trial: Trial) -> dict[str, Any]:
    """What the breadth of a trial is to a layer: a hop bias, a learned span, or rounds."""
    kind, hops = kind_of(trial.breadth), hops_of(trial.breadth)
    if kind == "diffusion":
        return {"layer": gattn_nn.DiffusionAttention, "rounds": hops, "restart": trial.restart}
    if kind == "full":
        return {"hop_bias": None if hops is None else hops + 1}  # the last is "unreached"
    return {"hop_bias": hops} | ({"span": "learned"} if kind == "learned" else {})


def _parts(trial: Trial) -> dict[str, Any]:
    """Score, normaliser and levels of a layer."""
    assert trial.score is not None and trial.normalizer is not None  # checked by Trial
    parts = {"score": SCORES[trial.score], "normalizer": NORMALIZERS[trial.normalizer]()}
    rounds = kind_of(trial.breadth) == "diffusion"  # which know one level
    return parts if rounds else parts | {"levels": DEPTHS[trial.depth]}


def _classic(
    layer: Callable[..., nn.Module], trial: Trial, in_channels: int, out_channels: int
) -> nn.Module:
    sizes = (in_channels, trial.hidden, out_channels, trial.layers)
    return Classic(layer, *sizes, trial.heads, trial.dropout)


def _diffusing(trial: Trial, in_channels: int, out_channels: int) -> nn.Module:
    assert trial.score is not None and trial.normalizer is not None  # checked by Trial
    assert trial.attention_dropout is not None
    sizes = (in_channels, trial.hidden, out_channels, trial.layers, trial.heads, trial.dropout)
    return Diffusing(
        *sizes,
        trial.attention_dropout,
        rounds=hops_of(trial.breadth),
        restart=trial.restart,
        feature_dropout=trial.feature_dropout,
        score=SCORES[trial.score],
        normalizer=NORMALIZERS[trial.normalizer](),
        share_key_value=True,
    )


def _paper_gat(trial: Trial, in_channels: int, out_channels: int) -> nn.Module:
    sizes = (in_channels, trial.hidden, out_channels, trial.layers)
    return PaperGAT(*sizes, trial.heads, trial.dropout)


def _decoupled(trial: Trial, in_channels: int, out_channels: int) -> nn.Module:
    assert trial.attention_dropout is not None and trial.readout is not None
    assert trial.restart is not None  # checked by Trial
    parts = {} if trial.score is None else _parts(trial)
    return Decoupled(
        in_channels,
        trial.hidden,
        out_channels,
        trial.dropout,
        trial.attention_dropout,
        rounds=hops_of(trial.breadth) or 0,
        restart=trial.restart,
        readout=trial.readout,
        score=parts.get("score"),
        normalizer=parts.get("normalizer"),
    )


def _stack_gat(trial: Trial, in_channels: int, out_channels: int) -> nn.Module:
    return _stacked(_each(trial, gattn_nn.GATConv), trial, in_channels, out_channels)


def _stack(trial: Trial, in_channels: int, out_channels: int) -> nn.Module:
    options = {"share_key_value": True, **_looking(trial), **_parts(trial)}
    layer = _each(trial, options.pop("layer", gattn_nn.GraphAttention), **options)
    model = _stacked(layer, trial, in_channels, out_channels)
    return Surrounded(model) if needs_clusters(trial.depth) else model


def _each(trial: Trial, layer: Callable[..., nn.Module], **options: Any) -> Callable:
    if trial.hidden % trial.heads:
        raise ValueError(f"hidden: found {trial.hidden}, expected a multiple of {trial.heads}")
    return lambda width, hidden: layer(width, hidden // trial.heads, trial.heads, **options)


def _stacked(layer: Callable, trial: Trial, in_channels: int, out_channels: int) -> nn.Module:
    sizes = (in_channels, trial.hidden, out_channels, trial.layers, trial.dropout)
    assert trial.norm is not None  # checked by Trial, as for the next two
    return Stack(layer, *sizes, trial.norm, bool(trial.residual), bool(trial.pre_linear))


_MOST_PAIRS = 30_000_000
"""Of all nodes with all: more are streamed."""


def _nearest(task: Task | Edges, breadth: Breadth) -> gattn.Neighborhood:
    """A node and its neighbours, whatever the breadth: rounds go farther."""
    return gattn.k_hop(task.edge_index, 1, task.num_nodes)


def _ball(task: Task | Edges, breadth: Breadth) -> gattn.Neighborhood:
    kind, hops = kind_of(breadth), hops_of(breadth)
    if hops is None:
        return gattn.full(task.num_nodes)
    if kind == "full":
        streamed = task.num_nodes**2 > _MOST_PAIRS
        return gattn.k_hop(task.edge_index, hops, task.num_nodes, complete=True, streamed=streamed)
    return gattn.k_hop(task.edge_index, 1 if kind == "diffusion" else hops, task.num_nodes)


def _edges(task: Task | Edges, breadth: Breadth) -> Tensor:
    """The edges as they are; for a breadth other than 1 the pairs up to that distance as edges."""
    assert isinstance(breadth, int)  # checked by Trial
    if breadth == 1:
        return task.edge_index
    shells = range(1, breadth + 1)
    return gattn.k_hop(task.edge_index, breadth, task.num_nodes, shells=shells).edge_index()


_RECIPE: dict[str, Setting] = {
    "layers": 2,
    "hidden": 8,
    "heads": 8,
    "dropout": 0.6,
    "epochs": 200,
    "lr": 0.005,
    "weight_decay": 5e-4,
    "optimizer": "adam",
}

_ATTENTION: dict[str, Setting] = {
    "score": "scaled_dot",
    "normalizer": "softmax",
    "layers": 2,
    "hidden": 32,
    "heads": 8,
    "dropout": 0.2,
    "epochs": 200,
    "lr": 0.01,
    "weight_decay": 0.0,
    "optimizer": "adamw",
}


_RECURRENT: dict[str, Setting] = {
    "score": "scaled_dot",
    "normalizer": "sigmoid",
    "layers": 12,
    "hidden": 32,
    "heads": 4,
    "dropout": 0.0,
    "epochs": 400,
    "lr": 0.005,
    "weight_decay": 0.0,
    "optimizer": "adamw",
}

_LAYER: dict[str, Setting] = {
    "score": "scaled_dot",
    "normalizer": "softmax",
    "layers": 1,
    "hidden": 64,
    "heads": 1,
    "dropout": 0.0,
    "epochs": 300,
    "lr": 0.01,
    "weight_decay": 0.0,
    "optimizer": "adam",
}


def _drop_in(layer: Callable[..., nn.Module], about: str) -> Model:
    return Model(partial(_classic, layer), _edges, (1,), _RECIPE, about)


MODELS: dict[str, Model] = {
    "attention": Model(
        _attention,
        _ball,
        (1, 2, 3, 4),
        _ATTENTION,
        "residual blocks of GraphAttention over k-hop balls",
        kinds=KINDS,
    ),
    "recurrent": Model(
        _recurrent,
        _ball,
        (1, 2, 3, 4),
        _RECURRENT,
        "one such block over and over, `layers` times",
        kinds=KINDS,
    ),
    "gat": _drop_in(gattn_nn.GATConv, "the GAT recipe over gattn.nn.GATConv"),
    "gatv2": _drop_in(gattn_nn.GATv2Conv, "the GAT recipe over gattn.nn.GATv2Conv"),
    "transformer": _drop_in(
        gattn_nn.TransformerConv, "the GAT recipe over gattn.nn.TransformerConv"
    ),
    "pyg-gat": _drop_in(pyg.GATConv, "the GAT recipe over PyG's GATConv"),
    "pyg-gatv2": _drop_in(pyg.GATv2Conv, "the GAT recipe over PyG's GATv2Conv"),
    "pyg-transformer": _drop_in(pyg.TransformerConv, "the GAT recipe over PyG's TransformerConv"),
    "diffusion": Model(
        _diffusing,
        _nearest,
        (1,),
        {
            **_RECIPE,
            "score": "gat",
            "normalizer": "softmax",
            "restart": 0.1,
            "attention_dropout": 0.2,
            "feature_dropout": 0.0,
        },
        "the GAT recipe over DiffusionAttention, one hop of attention and `breadth` rounds of it",
    ),
    "layer": Model(
        partial(_layer, True),
        _ball,
        (1, 2, 3, 4),
        _LAYER,
        "one GraphAttention between two linear layers, for studies of what a layer can do",
        fixed=("layers",),
        kinds=KINDS,
    ),
    "layer-blind": Model(
        partial(_layer, False),
        _ball,
        (1,),
        _LAYER,
        "the same without a hop bias: it does not know how far away a node is",
        fixed=("layers",),
        kinds=("hops", "full"),
    ),
    "paper-gat": Model(
        _paper_gat,
        _nearest,
        (1,),
        RECIPES["paper-gat"],
        "the network of the GAT paper, which drops values as well, and its early stopping",
    ),
    "decoupled": Model(
        _decoupled,
        _nearest,
        (1,),
        RECIPES["decoupled"],
        "two linear layers, then `breadth` rounds of attention among the scores of classes",
    ),
    "decoupled-degree": Model(
        _decoupled,
        _nearest,
        (1,),
        RECIPES["decoupled-degree"],
        "the same along weights of the degrees: APPNP with a restart, DAGNN with gates",
    ),
    "stack-gat": Model(
        _stack_gat,
        _edges,
        (1,),
        RECIPES["stack-gat"],
        "the tuned classic: GATConv, residual, norm, ReLU, dropout, then a linear layer",
    ),
    "stack": Model(
        _stack,
        _ball,
        (1, 2, 3, 4),
        RECIPES["stack"],
        "the same network of GraphAttention over k-hop balls",
        kinds=KINDS,
    ),
}
