"""Keys of batches: what a batch draws follows from the seed, the epoch and its number alone.

A loader makes the key in its own process and sends it along with the indices of the batch. So it is
the same in whichever worker the batch is made, and however many workers there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler
from torch_geometric.sampler import NegativeSampling

from gattn import _check

_MASK = 2**64 - 1


@dataclass(frozen=True)
class Batch:
    """What a worker is sent.

    Args:
        index: positions among the inputs of the loader.
        key: 64 random bits; None leaves them to the sampler.
    """

    index: Any
    key: int | None = None


def combined(key: int, number: int) -> int:
    """64 bits of a key and a number: SplitMix64, jumped to the number."""
    bits = (key + (number + 1) * 0x9E3779B97F4A7C15) & _MASK
    bits = (bits ^ bits >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    bits = (bits ^ bits >> 27) * 0x94D049BB133111EB & _MASK
    return bits ^ bits >> 31


class KeyedLoader(DataLoader):
    """A `DataLoader` whose `collate_fn` is given a `Batch`: the indices, and a key.

    The k-th epoch, counted from the making of the loader, has keys and, where `shuffle` makes it,
    an order that follow from the seed and k. Without a seed, both follow from torch's generator.

    Args:
        dataset: of as many items as there are inputs.
        seed: of the keys and the order.
        kwargs: of the `DataLoader`.

    Raises:
        TypeError, ValueError: the seed is no number; or `batch_size` is None.
    """

    def __init__(self, dataset: Sequence[int], *, seed: int | None = None, **kwargs: Any) -> None:
        if seed is not None:
            _check.integer("seed", seed, 0, 2**63 - 1)
        if kwargs.get("batch_size", 1) is None and kwargs.get("batch_sampler") is None:
            raise ValueError("batch_size: found None, expected a number of seeds")
        order = None
        if kwargs.get("shuffle") and seed is not None and kwargs.get("generator") is None:
            order = _Order(len(dataset))
            kwargs |= {"shuffle": False, "sampler": order}
        super().__init__(_Indices(dataset), **kwargs)
        self._keyed = _KeyedBatches(self.batch_sampler, seed, order)

    @property
    def _index_sampler(self) -> Any:
        # What torch asks for the indices of an epoch, and lets subclasses answer.
        return self._keyed


class _Indices(Dataset):
    """A data set that hands on what it is asked for."""

    def __init__(self, dataset: Sequence[int]) -> None:
        self._size = len(dataset)

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, index: int) -> int:
        return index

    def __getitems__(self, batch: Batch) -> Batch:
        return batch


class _Order(Sampler):
    """A permutation that follows from a key. A generator could not be sent to spawned workers."""

    def __init__(self, size: int) -> None:
        self._size = size
        self.key = 0

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.key)
        yield from torch.randperm(self._size, generator=generator).tolist()


class _KeyedBatches:
    """The batches of every epoch with their keys."""

    def __init__(self, batches: Any, seed: int | None, order: _Order | None) -> None:
        self._batches = batches
        self._seed = seed
        self._order = order
        self._epochs = 0

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[Batch]:
        key = self._epoch_key()
        if self._order is not None:
            self._order.key = key
        for number, index in enumerate(self._batches):
            yield Batch(index, combined(key, number))

    def _epoch_key(self) -> int:
        if self._seed is None:
            return int(torch.randint(2**63 - 1, ()))
        self._epochs += 1
        return combined(self._seed, self._epochs)


class KeyedNegatives(NegativeSampling):
    """Negatives that follow from a key instead of torch's generator."""

    _generator: torch.Generator

    @classmethod
    def of(cls, given: NegativeSampling | None, key: int) -> KeyedNegatives | None:
        """The same sampling of negatives, with a key."""
        if given is None:
            return None
        made = cls(given.mode, given.amount, given.src_weight, given.dst_weight)
        made._generator = torch.Generator().manual_seed(combined(key, 0))
        return made

    def sample(
        self, num_samples: int, endpoint: Literal["src", "dst"], num_nodes: int | None = None
    ) -> Tensor:
        """Nodes `[num_samples]`, by the weights of the endpoint or else uniformly.

        Raises:
            ValueError: there are not as many weights as nodes, or no nodes.
        """
        weight = self.src_weight if endpoint == "src" else self.dst_weight
        if not num_nodes and num_samples:
            raise ValueError("neg_sampling: found no nodes, expected some to draw from")
        if weight is None:
            return torch.randint(num_nodes or 1, (num_samples,), generator=self._generator)
        _check.shape(f"{endpoint}_weight", weight, [num_nodes or 0])
        return torch.multinomial(weight, num_samples, replacement=True, generator=self._generator)
