"""`Regions`: balls of a graph, each trained on as if it were the whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gattn.neighborhood import Sparse, from_edge_index, induced
from gattn.train.batches import Forward, Part
from gattn.train.distributed import World
from gattn.train.settings import Settings

if TYPE_CHECKING:
    from gattn.data.task import Task


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
    """Every step is about a ball around a training node.

    What a node near the border of a ball would see is cut off there; so training nodes within
    `halo` hops of it are seen, and not learnt from.

    Args:
        task: of the graph.
        structure: a `Sparse`, or an edge_index: what the model is called with.
        seeds: `[n]`, the training nodes.
        settings: with `region`, `halo` and `steps`.

    Raises:
        TypeError: a structure of another kind.
        ValueError: several processes, which would all see the same balls.
    """

    def __init__(self, task: Task, structure: Any, seeds: Tensor, settings: Settings) -> None:
        assert settings.region is not None
        if World.here().size > 1:
            raise ValueError(f"region: found {World.here().size} processes, expected one")
        self.task, self.whole, self.seeds = task, structure, seeds
        self.radius, self.halo, self.steps = settings.region, settings.halo, settings.steps
        count = task.x.size(0)
        if isinstance(structure, Tensor):
            structure = from_edge_index(structure, count)
        if not isinstance(structure, Sparse):
            found = type(structure).__name__
            raise TypeError(f"region: found {found}, expected a Sparse neighbourhood or edges")
        self.structure = structure
        self.graph = _Sources(task.edge_index, count)
        self.is_seed = torch.zeros(count, dtype=torch.bool, device=seeds.device)
        self.is_seed[seeds] = True

    def parts(self, epoch: int) -> Iterator[Part]:
        """The steps of an epoch, drawn by torch's generator."""
        for _ in range(self.steps):
            nodes, rows = self.draw()
            x, y = self.task.x[nodes], self.task.y[nodes[rows]]
            yield Part(x, induced(self.structure, nodes), rows, y, 1.0, len(rows))

    def draw(self) -> tuple[Tensor, Tensor]:
        """Return the nodes of a ball, in ascending order, and the places of those learnt from."""
        pick = int(torch.randint(self.seeds.numel(), ()))
        distance = self._distances(int(self.seeds[pick]))
        nodes = (distance <= self.radius).nonzero()[:, 0]
        inner = self.is_seed[nodes] & (distance[nodes] <= self.radius - self.halo)
        return nodes, inner.nonzero()[:, 0]

    def logits(self, forward: Forward, nodes: Tensor) -> Tensor:
        """Logits `[N, K]` of the whole graph."""
        return forward(self.task.x, self.whole)

    def _distances(self, root: int) -> Tensor:
        """Hops to the root along the edges, `[N]`; more than the radius where it is not reached."""
        found = torch.full_like(self.is_seed, self.radius + 1, dtype=torch.int64)
        found[root] = 0
        last = self.seeds.new_tensor([root])
        for hop in range(1, self.radius + 1):
            near = self.graph.sources_of(last)
            found[near] = found[near].clamp(max=hop)
            last = (found == hop).nonzero()[:, 0]
        return found
