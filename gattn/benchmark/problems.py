"""What is measured: graphs and sequences, the layers run on them, and the passes of a layer.

A new problem is one entry of `PROBLEMS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

import gattn
from gattn.benchmark.graphs import Graph, power_law, ring, sequences, star
from gattn.neighborhood import Neighborhood

MakeGraph = Callable[[int], Graph | gattn.Span]
"""A graph from a seed; or a `Span`, where the layers are `attend` on a sequence."""


@dataclass(frozen=True)
class Layer:
    """What is run on a graph.

    Args:
        kind: a layer that PyG and `gattn.nn` share, such as `GATConv`, or `attend`.
        heads: H.
        channels: C, of each head.
        in_channels: features of a node.
        hop_bias: whether `attend` adds a learnt number for each hop to the scores.
        precision: name of a dtype of torch, that of features and weights.
    """

    kind: str
    heads: int
    channels: int
    in_channels: int = 64
    hop_bias: bool = False
    precision: str = "float32"

    @property
    def name(self) -> str:
        """The name in rows and on the command line, such as `GATConv-4x64`; with other dtypes."""
        usual = self.precision == "float32"
        return f"{self.kind}-{self.heads}x{self.channels}{'' if usual else f'-{self.precision}'}"

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of features and weights."""
        return getattr(torch, self.precision)


@dataclass(frozen=True)
class Problem:
    """A graph or a sequence, and what is run on it.

    Args:
        name: on the command line and in rows.
        about: one line on the graph.
        graph: makes it from a seed.
        quick: makes a tiny one of its kind: of `--quick`, and what a fresh process warms up on.
        layers: what is run on it.
        providers: who runs it unless others are named.
        reference: the provider that the others have to agree with, and are divided by.
        passes: names of `PASSES`.
        num_hops: of the neighbourhood that `attend` is given on a graph; a `Span` is one already.
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
        tensors: `x` `[N, in]`; for `attend` query, key, value `[N, H, C]`, and the hop bias
            `[num_hops + 1, H]` if the layer has one.
        state: the `state_dict` of PyG's layer; empty for `attend`.
    """

    layer: Layer
    structure: Tensor | Neighborhood
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
    problem: Problem, layer: Layer, graph: Graph | gattn.Span, seed: int, device: str = "cpu"
) -> Inputs:
    """Return the inputs of a layer on a graph or a sequence, the same for the same seed.

    Args:
        problem: for its `num_hops`.
        layer: what is run.
        graph: of the problem.
        seed: of features and weights.
        device: where they go.

    Raises:
        TypeError: the layer is PyG's, and the graph a `Span`.
    """
    if layer.kind == "attend":
        return _attend_inputs(layer, _around(problem, graph).to(device), seed)
    if isinstance(graph, gattn.Span):
        raise TypeError(f"graph: found {graph!r}, expected a Graph, which {layer.kind} runs on")
    return layer_inputs(layer, graph, seed, device)


def layer_inputs(layer: Layer, graph: Graph, seed: int, device: str = "cpu") -> Inputs:
    """Return the inputs of one of PyG's layers, the same for the same seed on every device.

    Args:
        layer: what is run; not `attend`.
        graph: that it is run on.
        seed: of features and weights.
        device: where they go.
    """
    x = torch.randn(graph.num_nodes, layer.in_channels, generator=_generator(seed))
    state = _pyg_state(layer, seed)
    state = {name: weight.to(device, layer.dtype) for name, weight in state.items()}
    edges = graph.edge_index.to(device)
    return Inputs(layer, edges, graph.num_nodes, {"x": x.to(device, layer.dtype)}, state)


def _around(problem: Problem, graph: Graph | gattn.Span) -> Neighborhood:
    if isinstance(graph, gattn.Span):
        return graph
    return gattn.k_hop(graph.edge_index, problem.num_hops, graph.num_nodes)


def _attend_inputs(layer: Layer, around: Neighborhood, seed: int) -> Inputs:
    """Query, key and value of every node, and what is learnt for each hop."""
    generator, num_nodes = _generator(seed), around.num_targets
    heads = (num_nodes, layer.heads, layer.channels)
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(("query", "key", "value"), heads)
    if layer.hop_bias:
        shapes["hop_bias"] = ((around.num_hops or 0) + 1, layer.heads)
    tensors = {
        name: torch.randn(shape, generator=generator).to(around.device, layer.dtype)
        for name, shape in shapes.items()
    }
    return Inputs(layer, around, num_nodes, tensors, {})


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


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


def _sequence(
    name: str, about: str, span: MakeGraph, quick: MakeGraph, usual: bool = True
) -> Problem:
    """`attend` on a `Span`, beside torch's own attention."""
    layers, providers = (Layer("attend", 8, 64),), ("sdpa", "gattn")
    return Problem(name, about, span, quick, layers, providers, reference="sdpa", usual=usual)


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
        (Layer("attend", 4, 64, hop_bias=True),),
        providers=("gattn:reference", "gattn:cpu", "gattn"),
        reference="gattn:reference",
        num_hops=2,
    ),
    _sequence(
        "full",
        "a sequence of 4,096, everyone attends to everyone",
        lambda seed: gattn.full(4096),
        lambda seed: gattn.full(40),
    ),
    _sequence(
        "causal",
        "a sequence of 4,096, everyone attends to all before",
        lambda seed: gattn.window(4096, None, causal=True),
        lambda seed: gattn.window(40, None, causal=True),
    ),
    _sequence(
        "packed",
        "64 sequences of 64 to 512, each attends to itself",
        partial(sequences, 64, 64, 512),
        partial(sequences, 5, 3, 15),
    ),
    _sequence(
        "window",
        "a sequence of 16,384, everyone attends to 128 on either side",
        lambda seed: gattn.window(16_384, 128),
        lambda seed: gattn.window(60, 4),
        usual=False,
    ),
    _sequence(
        "window4k",
        "the same with 4,096, a quarter of the pairs",
        lambda seed: gattn.window(4096, 128),
        lambda seed: gattn.window(60, 4),
        usual=False,
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
