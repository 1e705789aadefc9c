"""What is measured on a GPU: graphs of known sizes, and the cases in the order of their worth.

The sizes are those of the datasets, with both directions of every edge; the largest degrees are
the ones that are commonly given for them (Cora's was counted), and the law between them and the
mean is a power law.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from gattn.benchmark.gpu import graphs
from gattn.benchmark.gpu.operators import KINDS
from gattn.benchmark.graphs import Graph
from gattn.benchmark.problems import Layer

Make = Callable[[int, str], Graph]
"""A graph from a seed, on a device."""

LAYERS = ("GATConv", "GATv2Conv", "TransformerConv")
SIZES = ((4, 32), (8, 64))


@dataclass(frozen=True)
class Problem:
    """A graph.

    Args:
        name: in rows.
        make: the graph.
        quick: a tiny one of its kind.
        alone: so large that providers are built, timed and dropped one after the other.
        like: a graph of as many pairs for each node that is not large; `None` = `make` is one.
    """

    name: str
    make: Make
    quick: Make
    alone: bool = False
    like: Make | None = None


@dataclass(frozen=True)
class Case:
    """What is measured together: a layer or an operator on a graph, by all who can.

    Args:
        problem: name of a problem.
        layer: of `KINDS`, the operator on a neighbourhood that is there; or a layer of PyG's, on
            the edges.
        compiled: whether PyG's layer is compiled as well.
        against: name of a problem that ours is divided by itself on.
        captured: measure ours as one replay of a CUDA graph, and nothing else.
        needs: seconds that must be left for it to start.
    """

    problem: str
    layer: Layer
    compiled: bool = False
    against: str | None = None
    captured: bool = False
    needs: float = 10.0

    @property
    def is_operator(self) -> bool:
        """The operator alone, without projections and sorting."""
        return self.layer.kind in KINDS

    @property
    def name(self) -> str:
        """What is told while it runs."""
        return f"{self.problem} {self.layer.name}{' captured' if self.captured else ''}"


_Law = tuple[int, int, int]
"""Nodes, pairs, and the largest degree."""


def _law(law: _Law) -> Make:
    return lambda seed, device: graphs.power_law(*law, seed, device)


def _dataset(name: str, sizes: _Law, quick: _Law, like: _Law | None = None) -> Problem:
    """A power law; one that has a smaller one like it is large."""
    smaller = None if like is None else _law(like)
    return Problem(name, _law(sizes), _law(quick), like is not None, smaller)


_ALL = (
    _dataset("cora", (2_708, 10_556, 168), (60, 240, 20)),
    _dataset("arxiv", (169_343, 2_315_598, 13_161), (120, 960, 60)),
    _dataset(
        "products", (2_449_029, 123_718_280, 17_481), (150, 1_800, 40), (20_000, 1_010_000, 2_000)
    ),
    _dataset("reddit", (232_965, 114_615_892, 21_657), (50, 2_000, 80), (5_000, 2_460_000, 2_000)),
    Problem("molecules", partial(graphs.molecules, 512), partial(graphs.molecules, 4)),
    Problem("hub", partial(graphs.hub, 400_000, 2_400_000), partial(graphs.hub, 60, 360)),
    Problem("regular", partial(graphs.regular, 400_000, 6), partial(graphs.regular, 60, 6)),
)

PROBLEMS: dict[str, Problem] = {problem.name: problem for problem in _ALL}

AGREEMENT = Problem("agreement", partial(graphs.hub, 1_500, 9_000), partial(graphs.hub, 60, 360))
"""Where everyone has to agree before being timed: with a row long enough to be cut into segments,
and small enough for the reference."""


def cases() -> list[Case]:
    """Return all cases, the most telling first, in groups that share a graph."""
    narrow, wide = SIZES
    return [
        *_operators("arxiv", KINDS, narrow),
        *_layers("arxiv", narrow, compiled=LAYERS, needs=60),
        *_operators("hub", ("gat", "gatv2", "dot"), narrow, ("float32",), against="regular"),
        *_operators("molecules", KINDS[:3], narrow, ("float32",)),
        *_layers("molecules", narrow, compiled=LAYERS[:2], needs=45),
        *_operators("cora", KINDS[:3], narrow, ("float32",)),
        *_layers("cora", narrow, compiled=LAYERS[:1], needs=45),
        *_operators("products", KINDS[:3], narrow, needs=20),
        *_layers("products", narrow, ("float32", "bfloat16"), needs=30),
        *_operators("reddit", KINDS[:3], narrow, needs=20),
        *_layers("reddit", narrow, ("float32", "bfloat16"), needs=30),
        *_operators("arxiv", KINDS[:3], wide),
        *_layers("arxiv", narrow, ("bfloat16",), compiled=LAYERS[:2], needs=45),
        *_layers("arxiv", wide, ("float32", "bfloat16")),
        *_operators("products", KINDS[:3], wide, needs=25),
        *_operators("reddit", KINDS[:3], wide, needs=25),
        *_operators("molecules", KINDS[:3], narrow, ("bfloat16",)),
        *_operators("cora", KINDS[:3], wide),
        *_captured(("molecules", "cora"), narrow),
    ]


def _operators(
    problem: str,
    kinds: Iterable[str],
    size: tuple[int, int],
    precisions: tuple[str, ...] = ("float32", "bfloat16"),
    against: str | None = None,
    needs: float = 10.0,
) -> Iterator[Case]:
    for precision in precisions:
        for kind in kinds:
            layer = Layer(kind, *size, precision=precision)
            yield Case(problem, layer, against=against, needs=needs)


def _layers(
    problem: str,
    size: tuple[int, int],
    precisions: tuple[str, ...] = ("float32",),
    compiled: tuple[str, ...] = (),
    needs: float = 15.0,
) -> Iterator[Case]:
    for precision in precisions:
        for kind in LAYERS:
            layer = Layer(kind, *size, precision=precision)
            yield Case(problem, layer, compiled=kind in compiled, needs=needs)


def _captured(problems: Iterable[str], size: tuple[int, int]) -> Iterator[Case]:
    """Behind everything else: a capture that fails may leave a device that does."""
    for problem in problems:
        for case in (*_operators(problem, KINDS[:3], size, ("float32",)), *_layers(problem, size)):
            yield replace(case, captured=True)


def quick_cases() -> list[Case]:
    """Return a few small cases of every kind, that run everything once."""
    small = (2, 8)
    return [
        *_operators("arxiv", KINDS, small, ("float32",), needs=0),
        *_operators("hub", ("dot",), small, ("bfloat16",), against="regular", needs=0),
        *_layers("molecules", small, needs=0),
        *_operators("products", ("gat",), small, ("float32",), needs=0),
        *_captured(("cora",), small),
    ]
