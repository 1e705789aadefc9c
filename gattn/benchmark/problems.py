"""What is measured: graphs, the layers run on them, and the passes of a layer.

A new problem is one entry of `PROBLEMS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

import gattn
from gattn.benchmark.graphs import Graph, power_law, ring, star

MakeGraph = Callable[[int], Graph]
"""A graph from a seed."""


@dataclass(frozen=True)
class Layer:
    """What is run on a graph.

    Args:
        kind: a layer that PyG and `gattn.nn` share, such as `GATConv`, or `attend`.
        heads: H.
        channels: C, of each head.
        in_channels: features of a node.
    """

    kind: str
    heads: int
    channels: int
    in_channels: int = 64

    @property
    def name(self) -> str:
        """The name in rows and on the command line, such as `GATConv-4x64`."""
        return f"{self.kind}-{self.heads}x{self.channels}"


@dataclass(frozen=True)
class Problem:
    """A graph, and what is run on it.

    Args:
        name: on the command line and in rows.
        about: one line on the graph.
        graph: makes it from a seed.
        quick: makes a tiny one of its kind: of `--quick`, and what a fresh process warms up on.
        layers: what is run on it.
        providers: who runs it unless others are named.
        reference: the provider that the others have to agree with, and are divided by.
        passes: names of `PASSES`.
        num_hops: of the neighbourhood that `attend` is given.
        against: name of a problem: each provider is divided by itself there, not by the reference.
        alone: so large that one provider runs at a time, in a process of its own, and agreement is
            looked at on the tiny graph.
        usual: measured where no problem is named.
    """

    name: str
    about: str
    graph: MakeGraph
    quick: MakeGraph
    layers: tuple[Layer, ...]
    providers: tuple[str, ...] = ("pyg", "pyg-compile", "dgl", "gattn")
    reference: str = "pyg"
    passes: tuple[str, ...] = ("forward", "forward+backward")
    num_hops: int = 1
    against: str | None = None
    alone: bool = False
    usual: bool = True


@dataclass(frozen=True)
class Inputs:
    """What every provider of a problem is given.

    Args:
        layer: what is run.
        structure: `edge_index` `[2, E]`; for `attend` a neighbourhood.
        num_nodes: N.
        tensors: `x` `[N, in]`; for `attend` query, key, value `[N, H, C]` and the hop bias.
        state: the `state_dict` of PyG's layer; empty for `attend`.
    """

    layer: Layer
    structure: Tensor | gattn.Sparse
    num_nodes: int
    tensors: Mapping[str, Tensor]
    state: Mapping[str, Tensor]

    @property
    def num_pairs(self) -> int:
        """Edges, or pairs of the neighbourhood."""
        edges = self.structure
        return edges.size(1) if isinstance(edges, Tensor) else edges.num_pairs

    @property
    def device(self) -> torch.device:
        """Where all of it lives."""
        return next(iter(self.tensors.values())).device


def make_inputs(
    problem: Problem, layer: Layer, graph: Graph, seed: int, device: str = "cpu"
) -> Inputs:
    """Return the inputs of a layer on a graph, the same for the same seed.

    Args:
        problem: for its `num_hops`.
        layer: what is run.
        graph: of the problem.
        seed: of features and weights.
        device: where they go.
    """
    generator = torch.Generator().manual_seed(seed)
    if layer.kind == "attend":
        ball = gattn.k_hop(graph.edge_index, problem.num_hops, graph.num_nodes).to(device)
        tensors, state = _heads(layer, graph.num_nodes, problem.num_hops, generator), {}
    else:
        ball, state = graph.edge_index.to(device), _pyg_state(layer, seed)
        tensors = {"x": torch.randn(graph.num_nodes, layer.in_channels, generator=generator)}
    tensors, state = (
        {name: tensor.to(device) for name, tensor in group.items()} for group in (tensors, state)
    )
    return Inputs(layer, ball, graph.num_nodes, tensors, state)


def _heads(
    layer: Layer, num_nodes: int, num_hops: int, generator: torch.Generator
) -> dict[str, Tensor]:
    sizes = dict.fromkeys(("query", "key", "value"), (num_nodes, layer.heads, layer.channels))
    shapes = {**sizes, "hop_bias": (num_hops + 1, layer.heads)}
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def _pyg_state(layer: Layer, seed: int) -> dict[str, Tensor]:
    from torch_geometric import nn

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = getattr(nn, layer.kind)(layer.in_channels, layer.channels, heads=layer.heads)
    return made.state_dict()


_SMALL = tuple(Layer(kind, 8, 8) for kind in ("GATConv", "GATv2Conv", "TransformerConv"))
_WIDE = tuple(Layer(kind, 4, 64) for kind in ("GATConv", "GATv2Conv", "TransformerConv"))
_GAT = Layer("GATConv", 4, 64)
_QUICK = partial(power_law, 60, 240, 0.4)
_LEAVES = 10**5

_ALL = (
    Problem(
        "cora",
        "the size of Cora: 2,708 nodes, 10,556 edges",
        partial(power_law, 2708, 10556, 0.4),
        _QUICK,
        _SMALL,
    ),
    Problem(
        "50k",
        "power law: 50,000 nodes, 14 edges each",
        partial(power_law, 50_000, 700_000, 0.5),
        _QUICK,
        (*_WIDE, *_SMALL[:2]),
    ),
    Problem(
        "regular",
        "a ring with the nodes and edges of the star",
        lambda seed: ring(_LEAVES + 1, 2 * _LEAVES),
        lambda seed: ring(41, 80),
        (_GAT,),
        providers=("gattn",),
        usual=False,
    ),
    Problem(
        "star",
        "a hub with 100,000 edges in and 100,000 out",
        lambda seed: star(_LEAVES),
        lambda seed: star(40),
        (_GAT,),
        providers=("gattn",),
        passes=("forward+backward",),
        against="regular",
    ),
    Problem(
        "ball",
        "power law: 5,000 nodes, 40,000 edges, everything within 2 hops",
        partial(power_law, 5_000, 40_000, 0.4),
        _QUICK,
        (Layer("attend", 4, 64),),
        providers=("gattn:reference", "gattn:cpu", "gattn"),
        reference="gattn:reference",
        num_hops=2,
    ),
    Problem(
        "products",
        "the size of ogbn-products: 2,449,029 nodes, 123,718,280 edges",
        partial(power_law, 2_449_029, 123_718_280, 0.4),
        _QUICK,
        (_GAT,),
        providers=("gattn",),
        passes=("forward+backward",),
        alone=True,
        usual=False,
    ),
)

PROBLEMS: dict[str, Problem] = {problem.name: problem for problem in _ALL}
