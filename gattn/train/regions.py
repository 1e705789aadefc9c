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
        self.source, self.target = task.edge_index
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
        for hop in range(1, self.radius + 1):
            near = self.source[found[self.target] == hop - 1]
            found[near] = found[near].clamp(max=hop)
        return found
