"""What a model is called with in a step: the whole graph, or a batch of seeds and what is around.

A batch holds everything that its seeds hear of, so the logits of the seeds are those of the whole
graph, to rounding; with `num_neighbors` they are those of a sample.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gattn.train.distributed import World
from gattn.train.settings import Settings

if TYPE_CHECKING:
    from gattn.data.task import Task

Forward = Callable[[Tensor, Any], Tensor]


@dataclass(frozen=True)
class BatchStructure:
    """How the structure of a part of the graph is made, for training in mini-batches.

    Example:
        >>> import gattn
        >>> def within_two(edge_index, num_nodes):
        ...     return gattn.k_hop(edge_index, 2, num_nodes)
        >>> around = BatchStructure(within_two, reach=4)  # for two layers

    Args:
        build: called as `build(edge_index, num_nodes)` on the CPU for every batch, returns what
            the model is called with.
        reach: hops that the model looks in all: its layers times the hops of each.
        whole: the structure of the whole graph, for the evaluation; None evaluates in batches.
    """

    build: Callable[[Tensor, int], Any]
    reach: int
    whole: Any = None


@dataclass(frozen=True)
class Part:
    """What one step is about.

    Args:
        x: features of the nodes that take part.
        structure: what the model is called with besides.
        rows: of the logits, those of the nodes that are learnt from.
        y: their classes.
        weight: of their mean loss: their share in the step, times the number of processes.
        count: nodes of the step, in all processes.
    """

    x: Tensor
    structure: Any
    rows: Tensor | slice
    y: Tensor
    weight: float
    count: int


class Whole:
    """Every step is an epoch: the whole graph, and this process's share of the training nodes."""

    def __init__(self, task: Task, structure: Any, seeds: Tensor, world: World) -> None:
        self.task, self.structure = task, structure
        self.rows = world.share(seeds)
        self.count = len(seeds)
        self.weight = world.weight(len(self.rows), self.count)

    def parts(self, epoch: int) -> Iterator[Part]:
        """The one step of an epoch."""
        y = self.task.y[self.rows]
        yield Part(self.task.x, self.structure, self.rows, y, self.weight, self.count)

    def logits(self, forward: Forward, nodes: Tensor) -> Tensor:
        """Logits `[N, K]`, right at least for some nodes."""
        return forward(self.task.x, self.structure)


class Batched:
    """Steps over batches of training nodes, in an order that follows from seed and epoch."""

    def __init__(
        self, task: Task, around: BatchStructure, settings: Settings, seeds: Tensor, seed: int
    ) -> None:
        assert settings.batch_size is not None
        self.task, self.around, self.size = task, around, settings.batch_size
        self.world, self.seeds, self.seed = World.here(), seeds.cpu(), seed
        every = [-1] * around.reach
        self.exact = _sampler(task, every)
        picked = settings.num_neighbors
        self.sampler = self.exact if picked is None else _sampler(task, list(picked))
        self.too_large = around.whole is None

    def parts(self, epoch: int) -> Iterator[Part]:
        """The steps of an epoch; every process has its share of each batch."""
        draw = torch.Generator().manual_seed(number_of(self.seed, epoch))
        # Each process, and each epoch, drops other channels: a run that goes on needs no more.
        torch.manual_seed(number_of(self.seed, epoch, self.world.rank))
        order = self.seeds[torch.randperm(len(self.seeds), generator=draw)]
        for place, batch in enumerate(order.split(self.size)):
            share = self.world.share(batch)
            x, structure = self._around(self.sampler, share, number_of(self.seed, epoch, place))
            y = self.task.y[share.to(x.device)]
            weight = self.world.weight(len(share), len(batch))
            yield Part(x, structure, slice(len(share)), y, weight, len(batch))

    def logits(self, forward: Forward, nodes: Tensor) -> Tensor:
        """Logits `[N, K]`, right at least for some nodes: of the whole graph where it fits."""
        if not self.too_large:
            try:
                return forward(self.task.x, self.around.whole)
            except torch.OutOfMemoryError:
                self.too_large = True
        return self._in_batches(forward, nodes)

    def _in_batches(self, forward: Forward, nodes: Tensor) -> Tensor:
        found: Tensor | None = None
        for batch in nodes.split(self.size):
            logits = forward(*self._around(self.exact, batch.cpu(), 0))[: len(batch)]
            if found is None:
                found = logits.new_zeros(self.task.x.size(0), logits.size(1))
            found[batch] = logits
        assert found is not None  # there are nodes
        return found

    def _around(self, sampler: Any, seeds: Tensor, key: int) -> tuple[Tensor, Any]:
        node, edge_index = sampler.part(seeds, key)
        structure = self.around.build(edge_index, len(node))
        device = self.task.x.device
        return self.task.x[node.to(device)], structure.to(device)


def number_of(*parts: int) -> int:
    """Return 63 bits that follow from some numbers."""
    return random.Random(repr(parts)).getrandbits(63)


def source_of(
    task: Task, structure: Any, settings: Settings, seeds: Tensor, seed: int
) -> Whole | Batched:
    """Return what the steps of a training are about.

    Args:
        task: the graph.
        structure: of the whole graph; or a `BatchStructure`; or a function as its `build`.
        settings: with `batch_size` and `num_neighbors`.
        seeds: the training nodes.
        seed: of the order and the picks.
    """
    world = World.here()
    if len(seeds) < world.size:
        expected = f"one at least for each of {world.size} processes"
        raise ValueError(f"train_mask: found {len(seeds)} nodes, expected {expected}")
    if settings.batch_size is None:
        return Whole(task, _whole(task, structure), seeds, world)
    return Batched(task, _around(structure, settings), settings, seeds, seed)


def _whole(task: Task, structure: Any) -> Any:
    if isinstance(structure, BatchStructure):
        structure = structure.build if structure.whole is None else structure.whole
    if callable(structure):
        made: Any = structure(task.edge_index.cpu(), task.x.size(0))
        return made.to(task.x.device)
    return structure


def _around(structure: Any, settings: Settings) -> BatchStructure:
    picked = settings.num_neighbors
    if callable(structure) and picked is not None:
        return BatchStructure(structure, len(picked))
    if not isinstance(structure, BatchStructure):
        found = "a function" if callable(structure) else type(structure).__name__
        expected = "a BatchStructure with a batch_size (or a function with num_neighbors)"
        raise ValueError(f"structure: found {found}, expected {expected}")
    if picked is not None and len(picked) != structure.reach:
        expected = f"{structure.reach}, one for each hop that the model looks"
        raise ValueError(f"num_neighbors: found {len(picked)} numbers, expected {expected}")
    return structure


def _sampler(task: Task, num_neighbors: list[int]) -> Any:
    """A sampler of the task's graph. The loader imports PyG, which only batches need."""
    from gattn.loader import KHopSampler

    source, target = task.edge_index.cpu()
    order = target.argsort(stable=True)
    rowptr = torch.zeros(task.x.size(0) + 1, dtype=torch.int64)
    rowptr[1:] = target.bincount(minlength=task.x.size(0)).cumsum(0)
    return KHopSampler((rowptr, source[order].int()), num_neighbors)
