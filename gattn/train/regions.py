"""`Regions`: balls of a graph, each trained on as if it were the whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gattn.neighborhood import Sparse, from_edge_index, induced

if TYPE_CHECKING:
    from gattn.data.task import Task


@dataclass(frozen=True, eq=False)
class Region:
    """A ball of the graph.

    Args:
        nodes: `[n]`, in ascending order.
        structure: the pairs among them.
        learnt: positions in `nodes` of those that are learnt from.
    """

    nodes: Tensor
    structure: Sparse
    learnt: Tensor


class _Sources:
    """Edges by target: who sends to some nodes is found without a look at all the others."""

    def __init__(self, edge_index: Tensor, count: int) -> None:
        order = edge_index[1].argsort(stable=True)
        self.source = edge_index[0][order]
        self.degree = edge_index[1].bincount(minlength=count)
        self.start = self.degree.cumsum(0) - self.degree

    def sources_of(self, nodes: Tensor) -> Tensor:
        """The sources of the edges to some nodes, one for each edge."""
        degree = self.degree[nodes]
        within = torch.arange(int(degree.sum()), device=nodes.device)
        within = within - (degree.cumsum(0) - degree).repeat_interleave(degree)
        return self.source[self.start[nodes].repeat_interleave(degree) + within]


class Regions:
    """Balls around random training nodes.

    What a node near the border of a ball would see is cut off there; so training nodes within
    `halo` hops of it are seen, and not learnt from.

    Args:
        task: of the graph.
        structure: a `Sparse`, or an edge_index: what the model is called with.
        train: `[n]`, the training nodes.
        radius: of a ball, in hops of the graph.
        halo: at most the radius.

    Raises:
        TypeError: a structure of another kind.
    """

    def __init__(
        self, task: Task, structure: object, train: Tensor, radius: int, halo: int
    ) -> None:
        if isinstance(structure, Tensor):
            structure = from_edge_index(structure, task.num_nodes)
        if not isinstance(structure, Sparse):
            found = type(structure).__name__
            raise TypeError(f"region: found {found}, expected a Sparse neighbourhood or edges")
        self.structure, self.train = structure, train
        self.radius, self.halo = radius, halo
        self.graph = _Sources(task.edge_index, task.num_nodes)
        self.is_train = torch.zeros(task.num_nodes, dtype=torch.bool, device=train.device)
        self.is_train[train] = True

    def draw(self) -> Region:
        """Return a ball around a training node, drawn by torch's generator."""
        pick = int(torch.randint(self.train.numel(), ()))
        distance = self._distances(int(self.train[pick]))
        nodes = (distance <= self.radius).nonzero()[:, 0]
        inner = self.is_train[nodes] & (distance[nodes] <= self.radius - self.halo)
        return Region(nodes, induced(self.structure, nodes), inner.nonzero()[:, 0])

    def _distances(self, root: int) -> Tensor:
        """Hops to the root along the edges, `[N]`; more than the radius where it is not reached."""
        found = torch.full_like(self.is_train, self.radius + 1, dtype=torch.int64)
        found[root] = 0
        last = self.train.new_tensor([root])
        for hop in range(1, self.radius + 1):
            near = self.graph.sources_of(last)
            found[near] = found[near].clamp(max=hop)
            last = (found == hop).nonzero()[:, 0]
        return found
