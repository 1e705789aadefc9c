"""Several processes that train one model, by `torch.distributed`; one process where there is none.

Every process has the model, the graph and a share of the training nodes. What decides anything (the
loss, the validation, what a checkpoint says) is made equal in all of them, so they do the same.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

T = TypeVar("T")

_STORES: list[dist.Store] = []
"""That of the session: in it the first to fail leaves word."""


@dataclass(frozen=True)
class World:
    """The number of this process, from 0, and how many there are."""

    rank: int = 0
    size: int = 1

    @classmethod
    def here(cls) -> World:
        """The processes of `torch.distributed`, where it is initialised."""
        if not (dist.is_available() and dist.is_initialized()):
            return cls()
        return cls(dist.get_rank(), dist.get_world_size())

    def share(self, nodes: Tensor) -> Tensor:
        """Every `size`-th of some nodes; the first node where there are too few (see `weight`)."""
        mine = nodes[self.rank :: self.size]
        return mine if len(mine) else nodes[:1]

    def weight(self, share: int, total: int) -> float:
        """The weight of the mean loss of a share of a total.

        The mean over all processes of weight times loss is then the mean over all nodes.
        """
        return 0.0 if self.rank >= total else share * self.size / total

    def mean(self, value: Tensor) -> Tensor:
        """The mean of a number over all processes."""
        if self.size == 1:
            return value
        total = value.clone()
        dist.all_reduce(total)
        return total / self.size

    def of_first(self, value: float) -> float:
        """The number that the first process has."""
        return value if self.size == 1 else self.by_first(lambda: value)

    def by_first(self, make: Callable[[], T]) -> T:
        """What the first process makes, or the error that it raises, in all of them.

        Args:
            make: called in the first process only.
        """
        if self.size == 1:
            return make()
        sent: list[Any] = [None, None]
        if self.rank == 0:
            try:
                sent[0] = make()
            except (ValueError, TypeError, OSError) as error:
                sent[1] = error
        dist.broadcast_object_list(sent)
        if sent[1] is not None:
            raise sent[1]
        return sent[0]

    def send(self, order: Any) -> None:
        """Give the other processes, which wait for it, something to do."""
        if self.size > 1:
            dist.broadcast_object_list([order])

    def received(self) -> Any:
        """What the first process sends."""
        sent: list[Any] = [None]
        dist.broadcast_object_list(sent)
        return sent[0]


@contextmanager
def together() -> Iterator[None]:
    """What the others cannot do ends them all: an error of one process alone.

    Errors of arguments (`ValueError`, `TypeError`) are those of all, who go on alike. After any
    other the first to fail says so in one line, and all end.
    """
    try:
        yield
    except (RuntimeError, MemoryError, OSError) as error:
        world = World.here()
        if world.size == 1:
            raise
        if _STORES and _STORES[-1].add("failed", 1) == 1:
            text = " ".join(str(error).split())[:300] or type(error).__name__
            print(f"error: process {world.rank} of {world.size}: {text}", file=sys.stderr)
        raise SystemExit(1) from None


def parallel(model: nn.Module, world: World) -> nn.Module:
    """The model as it is called in a step: its gradients become the means over all processes.

    Args:
        model: the same in all processes but for its parameters, which become those of the first.
        world: the processes.
    """
    if world.size == 1:
        return model
    # Static: what takes no part in the loss does so in no step, and is found in the first.
    return nn.parallel.DistributedDataParallel(model, static_graph=True)


@contextmanager
def session() -> Iterator[World]:
    """The processes that `torchrun` started, connected; without it, this one alone."""
    if "WORLD_SIZE" not in os.environ:
        yield World()
        return
    store, rank, size = next(dist.rendezvous("env://"))
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    waiting = timedelta(hours=2)
    dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=waiting)
    _STORES.append(store)
    try:
        yield World.here()
    finally:
        _STORES.pop()
        dist.destroy_process_group()


def device_of(device: str) -> str:
    """The device of this process: of plain `cuda` the one of its number on this machine."""
    local = os.environ.get("LOCAL_RANK")
    return f"cuda:{local}" if device == "cuda" and local and World.here().size > 1 else device
