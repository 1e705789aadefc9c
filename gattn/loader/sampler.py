"""`KHopSampler`: neighbours at random for PyG's `NodeLoader` and `LinkLoader`, without wheels."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data, HeteroData
from torch_geometric.sampler import (
    BaseSampler,
    EdgeSamplerInput,
    HeteroSamplerOutput,
    NegativeSampling,
    NodeSamplerInput,
    SamplerOutput,
)
from torch_geometric.sampler.base import NumNeighbors, SubgraphType
from torch_geometric.sampler.neighbor_sampler import edge_sample, node_sample

from gattn import _check
from gattn.loader.expand import Sampled, Walk, expand, induce
from gattn.loader.graph import Graph, graph_of
from gattn.loader.keys import KeyedNegatives

Output = SamplerOutput | HeteroSamplerOutput
FanOut = NumNeighbors | list[int] | dict[tuple[str, str, str], list[int]]

_KINDS = tuple(kind.value for kind in SubgraphType)


class KHopSampler(BaseSampler):
    r"""Picks neighbours hop by hop, as PyG's `NeighborSampler` does, compiled by numba.

    At hop k every node that arrived at hop k - 1 picks `num_neighbors[k]` of its incoming edges,
    uniformly: every set of so many edges is as likely as any other, or with `replace` every
    sequence. What it gives is what PyG's sampler with pyg-lib gives: seeds first, nodes in the
    order of their arrival, edges hop by hop, `num_sampled_nodes` and `num_sampled_edges` for
    `trim_to_layer`, positions of edges for `edge_permutation`.

    The picks follow from a key, the seeds of the batch and the graph; threads (torch's number) and
    processes make no difference. It can be pickled and shared with workers.

    Args:
        data: a `Data`, a `HeteroData`, or `(rowptr, col)`: the sources of the edges into node i
            are `col[rowptr[i] : rowptr[i + 1]]`. The latter costs no memory beyond itself if it is
            int64 and int32; positions of edges are those in `col`.
        num_neighbors: for each hop, edges that a node picks at the most; -1 = all. In a
            heterogeneous graph also by type of edges; or a `NumNeighbors`.
        replace: whether a node may pick an edge twice; it then always picks so many, if it has any.
        subgraph_type: "directional" keeps the edges that were picked, "bidirectional" also their
            reverses, "induced" all edges among the nodes that were found.
        disjoint: every seed has a subgraph of its own, told by `batch`.
        seed: of the picks: equal seeds of a batch then pick equal neighbours. Without, every call
            takes a number of torch's generator. Loaders of this package bring keys of their own.

    Raises:
        ImportError: numba is missing.
        TypeError, ValueError, IndexError: an argument is out of range.

    Hamilton, Ying and Leskovec, "Inductive representation learning on large graphs", 2017.
    """

    def __init__(
        self,
        data: Data | HeteroData | tuple[Tensor, Tensor],
        num_neighbors: FanOut,
        *,
        replace: bool = False,
        subgraph_type: SubgraphType | str = "directional",
        disjoint: bool = False,
        seed: int | None = None,
    ) -> None:
        kind = getattr(subgraph_type, "value", subgraph_type)
        _check.one_of("subgraph_type", kind, _KINDS)
        for name, switch in (("replace", replace), ("disjoint", disjoint)):
            if not isinstance(switch, bool):
                raise TypeError(f"{name}: found {switch!r}, expected True or False")
        _require_numba()
        self.graph = graph_of(data)
        self.walk = _walk(self.graph, num_neighbors, replace, disjoint)
        self.subgraph_type = SubgraphType(kind)
        self.seed = None if seed is None else _check.integer("seed", seed, 0, 2**63 - 1)

    @property
    def num_nodes(self) -> int | dict[str, int]:
        """N, or that of each type."""
        return self.graph.num_nodes if self.graph.hetero else self.graph.num_nodes[None]

    @property
    def disjoint(self) -> bool:
        """Whether every seed has a subgraph of its own."""
        return self.walk.disjoint

    @property
    def edge_permutation(self) -> Tensor | dict[tuple[str, str, str], Tensor | None] | None:
        """Where the edges stand in the data, `[E]` int64; None for those in the same place."""
        perms = {name: edges.perm for name, edges in self.graph.edges.items()}
        return perms if self.graph.hetero else perms[None]

    def sample_from_nodes(
        self, index: NodeSamplerInput, key: int | None = None, **kwargs: Any
    ) -> Output:
        """The neighbourhoods of nodes.

        Args:
            index: the seeds.
            key: 64 random bits, from which, with the seeds, all picks follow; otherwise `seed`.
            kwargs: ignored.

        Raises:
            ValueError: there are times.
            IndexError: a seed is out of range.
        """
        _refuse_times(index.time)
        bits = self.key(key, index.node)
        return self._finished(node_sample(index, lambda seeds, _: self._sample(seeds, bits)))

    def sample_from_edges(
        self,
        index: EdgeSamplerInput,
        neg_sampling: NegativeSampling | None = None,
        key: int | None = None,
        **kwargs: Any,
    ) -> Output:
        """The neighbourhoods of both ends of edges, and of negatives.

        Args:
            index: the edges.
            neg_sampling: of negatives; they follow from the key, too.
            key: as in `sample_from_nodes`.
            kwargs: ignored.

        Raises:
            ValueError: there are times.
            IndexError: an end is out of range.
        """
        _refuse_times(index.time)
        bits = self.key(key, index.row, index.col)
        in_pairs = neg_sampling is None or neg_sampling.is_binary()
        return self._finished(
            edge_sample(
                index,
                lambda seeds, _: self._ends(seeds, bits, in_pairs),
                self.num_nodes,
                self.disjoint,
                neg_sampling=KeyedNegatives.of(neg_sampling, bits),
            )
        )

    def part(self, seeds: Tensor, key: int) -> tuple[Tensor, Tensor]:
        """The nodes around some seeds, and the edges that were picked, for a loop of one's own.

        Args:
            seeds: different nodes, `[n]` int64, of a graph with one type.
            key: 64 bits, from which, with the seeds, all picks follow.

        Returns:
            nodes `[m]`, seeds first, and `edge_index` `[2, p]` of positions among them.

        Raises:
            IndexError: a seed is out of range.
        """
        found = self.expand({None: seeds}, self.key(key, seeds))
        row, col, _ = (torch.from_numpy(part) for part in found.edges[None])
        return found.node_ids()[None], torch.stack([row, col])

    def key(self, key: int | None, *seeds: Tensor) -> int:
        """64 bits that follow from a key, or else from `seed`, and from the seeds of a batch."""
        from gattn._numba.draws import folded

        if key is None:
            key = int(torch.randint(2**63 - 1, ())) if self.seed is None else self.seed
        for nodes in seeds:
            key = folded(key, nodes.long().contiguous().numpy())
        return key

    def _sample(self, seeds: Tensor | dict[str, Tensor], key: int) -> Output:
        found = self.expand(seeds if isinstance(seeds, dict) else {None: seeds}, key)
        is_walk = self.subgraph_type != SubgraphType.induced
        if not is_walk:
            induce(self.graph, found)
        return (
            _hetero(found, self.walk, is_walk)
            if self.graph.hetero
            else _homogeneous(found, self.walk, is_walk)
        )

    def _ends(self, seeds: Tensor | dict[str, Tensor], key: int, in_pairs: bool) -> Output:
        """The neighbourhoods of all sources, then all targets; both of a pair have its number."""
        out = self._sample(seeds, key)
        # PyG takes numbers of seeds modulo that of positives, which keeps the ends of a pair
        # together only where negatives are a multiple of them.
        half = sum(map(len, seeds.values() if isinstance(seeds, dict) else [seeds])) // 2
        if not in_pairs or out.batch is None:
            return out
        if isinstance(out, HeteroSamplerOutput):
            out.batch = {name: number % half for name, number in out.batch.items()}
        else:
            out.batch = out.batch % half
        return out

    def expand(self, seeds: dict[Any, Tensor], key: int) -> Sampled:
        """The walk from seeds of some types, which are checked; the type is None where all are one.

        Raises:
            TypeError, ValueError, IndexError: seeds are no nodes.
        """
        for name, nodes in seeds.items():
            if name not in self.graph.num_nodes:
                raise ValueError(f"seeds: found type {name!r}, expected one of the graph")
            _check.shape("seeds", _check.integers("seeds", nodes), ["num_seeds"])
            _check.within("seeds", nodes, self.graph.num_nodes[name], "num_nodes")
        return expand(self.graph, seeds, self.walk, key)

    def _finished(self, out: Output) -> Output:
        if self.subgraph_type == SubgraphType.bidirectional:
            return out.to_bidirectional()
        return out


def _require_numba() -> None:
    try:
        import numba  # noqa: F401
    except ImportError as error:
        raise ImportError(f"numba: found none ({error}), expected it for sampling") from error


def _walk(graph: Graph, num_neighbors: FanOut, replace: bool, disjoint: bool) -> Walk:
    """The fan-out of each type of edges, checked."""
    given = num_neighbors if isinstance(num_neighbors, NumNeighbors) else _numbers(num_neighbors)
    if graph.hetero:
        fan_outs = given._get_values(list(graph.edges))
    elif isinstance(given.values, dict):
        raise TypeError(f"num_neighbors: found {given.values}, expected a list of numbers")
    else:
        fan_outs = {None: given.values}
    checked = {
        name: [_check.integer("num_neighbors", number, -1, 2**31 - 1) for number in numbers]
        for name, numbers in fan_outs.items()  # type: ignore[union-attr]
    }
    num_hops = max((len(numbers) for numbers in checked.values()), default=0)
    return Walk(checked, num_hops, replace, disjoint)


def _numbers(num_neighbors: Any) -> NumNeighbors:
    if not isinstance(num_neighbors, (list, tuple, dict)):
        raise TypeError(f"num_neighbors: found {num_neighbors!r}, expected one number for each hop")
    return NumNeighbors(num_neighbors)  # type: ignore[arg-type]


def _refuse_times(time: Tensor | None) -> None:
    if time is not None:
        raise ValueError("time: found timestamps, expected None: there is no temporal sampling")


def _homogeneous(found: Sampled, walk: Walk, is_walk: bool) -> SamplerOutput:
    row, col, edge = (torch.from_numpy(part) for part in found.edges[None])
    return SamplerOutput(
        node=found.node_ids()[None],
        row=row,
        col=col,
        edge=edge,
        batch=found.subgraphs()[None] if walk.disjoint else None,
        num_sampled_nodes=found.num_nodes[None] if is_walk else None,
        num_sampled_edges=found.num_edges[None] if is_walk else None,
    )


def _hetero(found: Sampled, walk: Walk, is_walk: bool) -> HeteroSamplerOutput:
    row, col, edge = (
        {name: torch.from_numpy(parts[i]) for name, parts in found.edges.items()} for i in range(3)
    )
    return HeteroSamplerOutput(
        node=found.node_ids(),
        row=row,
        col=col,
        edge=edge,  # type: ignore[arg-type]
        batch=found.subgraphs() if walk.disjoint else None,
        num_sampled_nodes=found.num_nodes if is_walk else None,
        num_sampled_edges=found.num_edges if is_walk else None,
    )
