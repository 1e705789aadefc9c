"""`OneHop`: the edges as a neighbourhood, built once and kept in the data."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.transforms import BaseTransform

from gattn.neighborhood import from_edge_index


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
        data[self.attr] = from_edge_index(*edges_of(data))
        return data


def edges_of(data: Any) -> tuple[Tensor, int | None]:
    """`edge_index` and number of nodes.

    Raises:
        TypeError: it is no `Data`, or has no `edge_index`.
    """
    if not isinstance(data, Data):
        raise TypeError(f"data: found {type(data).__name__}, expected a Data")
    if data.edge_index is None:
        raise TypeError(f"data: found {data} without an edge_index, expected one")
    return data.edge_index, data.num_nodes
