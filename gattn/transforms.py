"""Transforms of PyG that build a neighbourhood once and keep it in the data.

    from torch_geometric import transforms as T
    from gattn.transforms import KHop

    data = T.Compose([T.ToUndirected(), KHop(2)])(data)
    out = layer(data.x, data.neighborhood)

A neighbourhood says how the edges were when it was built: whatever changes nodes or edges comes
before. It moves with `data.to(device)`, is pinned with `data.pin_memory()`, copied, pickled, and
saved by an `InMemoryDataset`; `data.cpu()` and `data.cuda()` leave it where it is.

A PyG `Batch` keeps a list of the neighbourhoods of its graphs, and `gattn.batch` joins them:

    for data in DataLoader(dataset, batch_size=32):
        out = layer(data.x, gattn.batch(data.neighborhood))

Loaders that cut a graph into samples (`NeighborLoader` and the like) leave the neighbourhood
whole; the transform is applied to each sample then, as the `transform` of the loader.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.transforms import BaseTransform

from gattn.neighborhood import Span, Sparse, Transpose, from_edge_index, k_hop
from gattn.neighborhood._tensors import DEFAULT_MAX_PAIRS

# So that PyG's datasets, which trust only what they know, can read back what they wrote.
torch.serialization.add_safe_globals([Sparse, Span, Transpose])


class OneHop(BaseTransform):
    """Keep the edges as a neighbourhood, as `gattn.from_edge_index` makes it.

    Args:
        attr: the name under which it is kept.

    Raises:
        TypeError: a call gets something else than a `Data` with an `edge_index`.
    """

    def __init__(self, *, attr: str = "neighborhood") -> None:
        self.attr = attr

    def forward(self, data: Data) -> Data:
        """The data with its neighbourhood.

        Args:
            data: a `Data`, or a `Batch` of them.
        """
        data[self.attr] = from_edge_index(*_edges(data))
        return data


class KHop(BaseTransform):
    """Keep the pairs within k hops as a neighbourhood, as `gattn.k_hop` makes it.

    Args:
        num_hops: K.
        shells: as in `gattn.k_hop`, and so are the next two.
        complete: keep the pairs farther apart as well.
        max_pairs: the number of pairs to allocate at the most.
        attr: the name under which it is kept.

    Raises:
        TypeError: a call gets something else than a `Data` with an `edge_index`.
        TypeError, ValueError: a call, as `gattn.k_hop`.
    """

    def __init__(
        self,
        num_hops: int,
        *,
        shells: Iterable[int] | None = None,
        complete: bool = False,
        max_pairs: int = DEFAULT_MAX_PAIRS,
        attr: str = "neighborhood",
    ) -> None:
        self.num_hops = num_hops
        # Read for every graph, which an iterator would allow only once.
        self.shells = list(shells) if isinstance(shells, Iterable) else shells
        self.complete = complete
        self.max_pairs = max_pairs
        self.attr = attr

    def forward(self, data: Data) -> Data:
        """The data with its neighbourhood.

        Args:
            data: a `Data`, or a `Batch` of them.
        """
        edge_index, num_nodes = _edges(data)
        data[self.attr] = k_hop(
            edge_index,
            self.num_hops,
            num_nodes,
            shells=self.shells,
            complete=self.complete,
            max_pairs=self.max_pairs,
        )
        return data

    def __repr__(self) -> str:
        """What it keeps."""
        shells = "" if self.shells is None else f", shells={self.shells}"
        return f"KHop({self.num_hops}{shells}{', complete=True' if self.complete else ''})"


def _edges(data: Any) -> tuple[Tensor, int | None]:
    """`edge_index` and number of nodes."""
    if not isinstance(data, Data):
        raise TypeError(f"data: found {type(data).__name__}, expected a Data")
    if data.edge_index is None:
        raise TypeError(f"data: found {data} without an edge_index, expected one")
    return data.edge_index, data.num_nodes
