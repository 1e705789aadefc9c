"""`EgoLoader`: the whole k-hop ball around every seed, a small graph of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Batch as GraphBatch
from torch_geometric.data import Data

from gattn import _check
from gattn.loader.expand import induce
from gattn.loader.keys import Batch
from gattn.loader.loaders import KHopLoader
from gattn.loader.sampler import KHopSampler

if TYPE_CHECKING:
    from gattn.loader.expand import Sampled


@dataclass(frozen=True)
class Egos:
    """The balls of a batch, one behind the other.

    Args:
        node: `[n]` nodes of the graph.
        hop: `[n]` distances from the root, in hops.
        ptr: `[num_seeds + 1]`; ball b has the nodes `ptr[b] : ptr[b + 1]`, its root first.
        edge_index: `[2, m]` positions of source and target.
        edge: `[m]` positions of the edges in the data.
        input_id: `[num_seeds]` positions of the seeds among the inputs.
    """

    node: Tensor
    hop: Tensor
    ptr: Tensor
    edge_index: Tensor
    edge: Tensor
    input_id: Tensor


class EgoLoader(KHopLoader):
    """Balls around nodes, as PyG's `ShaDowKHopSampler` batches them.

    Every seed has its own copy of all nodes from which it is reached along at most `num_hops`
    edges, and all edges among them. So a layer sees every neighbour that a node has within the
    ball, and a deep model stays within it. A batch has `batch` and `ptr` (whose ball a node is in),
    `root_n_id` (where the seeds are), `n_id`, `e_id`, `input_id`; `y` of the roots only, as in PyG;
    and `hop`, the distance of every node from its root. The nodes of a ball are in the order of
    their hops, its root first. With a cap, `hop` is the hop at which a node was picked.

    Args:
        data: a `Data`.
        num_hops: the radius of a ball, in hops.
        input_nodes: the seeds, indices or a mask; None = all.
        max_neighbors: neighbours that a node brings into the ball at the most; -1 = all.
        replace: whether those are picked with replacement.
        seed: of the picks and of `shuffle`; None takes numbers of torch's generator.
        transform: is given every batch.
        transform_sampler_output: is given the `Egos` of every batch.
        filter_per_worker: gather features in the workers; None = if they are on the CPU.
        kwargs: of the `DataLoader`.

    Raises:
        TypeError, ValueError, IndexError: an argument is out of range.

    Zeng et al., "Decoupling the depth and scope of graph neural networks", 2021.
    """

    def __init__(
        self,
        data: Data,
        num_hops: int,
        input_nodes: Any = None,
        *,
        max_neighbors: int = -1,
        replace: bool = False,
        seed: int | None = None,
        transform: Callable[[Any], Any] | None = None,
        transform_sampler_output: Callable[[Any], Any] | None = None,
        filter_per_worker: bool | None = None,
        **kwargs: Any,
    ) -> None:
        if not isinstance(data, Data):
            raise TypeError(f"data: found {type(data).__name__}, expected a Data")
        _check.integer("max_neighbors", max_neighbors, -1, 2**31 - 1)
        fan_out = [max_neighbors] * _check.integer("num_hops", num_hops, 0, 254)
        super().__init__(
            data,
            fan_out,
            input_nodes,
            replace=replace,
            subgraph_type="induced",
            disjoint=True,
            seed=seed,
            transform=transform,
            transform_sampler_output=transform_sampler_output,
            filter_per_worker=filter_per_worker,
            **kwargs,
        )

    def sampled(self, batch: Batch) -> Egos:
        """The balls of a batch."""
        sampler = cast(KHopSampler, self.node_sampler)
        inputs = self.input_data[batch.index]
        found = sampler.expand({None: inputs.node}, sampler.key(batch.key, inputs.node))
        ptr, hop = _grouped(found, len(inputs.node))
        induce(sampler.graph, found)
        row, col, edge = (torch.from_numpy(part) for part in found.edges[None])
        perm = sampler.graph.edges[None].perm
        return Egos(
            found.node_ids()[None],
            hop,
            ptr,
            torch.stack([row, col]),
            edge if perm is None else perm[edge],
            cast(Tensor, inputs.input_id),
        )

    def filter_fn(self, out: Any) -> Any:
        """The balls with their features.

        Args:
            out: `Egos`.
        """
        if self.transform_sampler_output is not None:
            out = self.transform_sampler_output(out)
        made = _joined(cast(Data, self.data), out)
        return made if self.transform is None else self.transform(made)


def _grouped(found: Sampled, num_seeds: int) -> tuple[Tensor, Tensor]:
    """Put the nodes of each ball together, by hop; return where balls begin, and the hops."""
    places = found.nodes[None]
    ball = places.codes >> 32
    order = np.argsort(ball, kind="stable")
    hop = np.repeat(np.arange(len(found.num_nodes[None])), found.num_nodes[None])
    ptr = np.zeros(num_seeds + 1, np.int64)
    np.cumsum(np.bincount(ball, minlength=num_seeds), out=ptr[1:])
    places.reorder(order)
    return torch.from_numpy(ptr), torch.from_numpy(hop[order])


def _joined(data: Data, egos: Egos) -> GraphBatch:
    """The balls as PyG's batch of graphs, with the features of their nodes and edges."""
    sizes = egos.ptr.diff()
    made = GraphBatch(batch=torch.arange(len(sizes)).repeat_interleave(sizes), ptr=egos.ptr)
    made.root_n_id, made.edge_index, made.hop = egos.ptr[:-1], egos.edge_index, egos.hop
    made.n_id, made.e_id, made.input_id = egos.node, egos.edge, egos.input_id
    made.num_nodes, made.batch_size = len(egos.node), len(sizes)
    for name, value in data.to_dict().items():
        if name not in made:
            made[name] = _selected(data, name, value, egos)
    return made


def _selected(data: Data, name: str, value: Any, egos: Egos) -> Any:
    """A feature of the nodes or edges that are there; what belongs to the whole graph as it is."""
    if not isinstance(value, Tensor) or value.dim() == 0:
        return value
    if data.is_node_attr(name):
        nodes = egos.node[egos.ptr[:-1]] if name == "y" else egos.node
        return value.index_select(data.__cat_dim__(name, value), nodes.to(value.device))
    if data.is_edge_attr(name):
        return value.index_select(data.__cat_dim__(name, value), egos.edge.to(value.device))
    return value
