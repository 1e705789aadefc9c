"""`KHop`: the pairs within k hops in place of the edges, or beside them as a neighbourhood."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch_geometric.data import Batch, HeteroData
from torch_geometric.transforms import BaseTransform

from gattn import _check
from gattn.neighborhood import Sparse, k_hop
from gattn.neighborhood._tensors import DEFAULT_MAX_PAIRS
from gattn.transforms.one_hop import edges_of

EdgeType = tuple[str, str, str]


class KHop(BaseTransform):
    """Replace the edges by the pairs within k hops, as `gattn.k_hop` finds them.

    `edge_index` becomes the pairs (source, target), target by target, each with its distance in
    `edge_hop` `[E]` int64; the node itself is at hop 0. Every other attribute of edges stays with
    its edges: a pair that was an edge keeps its row (of parallel edges the first), any other pair
    gets `fill_value`. `e_id` of a sampled graph goes, since pairs are no edges of the whole one.

    For a layer that adds loops of its own, such as PyG's `GATConv`, say `add_self_loops=False` or
    leave the node out with `shells=range(1, num_hops + 1)`.

    Args:
        num_hops: K.
        shells: as in `gattn.k_hop`, and so are the next two.
        complete: keep the pairs farther apart as well, at hop K + 1.
        max_pairs: the number of pairs to store at the most.
        streamed: of a neighbourhood, as in `gattn.k_hop`; edges are always stored.
        attr: keep the edges as they are, and a neighbourhood under this name instead; with hops,
            and without a copy of the other attributes.
        edge_attr: "one_hot" appends the hop to `edge_attr`, as K + 1 features (K + 2 if
            `complete`); `None` leaves it to `edge_hop`.
        fill_value: what attributes hold for pairs that were no edges.
        edge_types: of a `HeteroData`, those to change; `None` = all, each of which must join nodes
            of one type then.

    Raises:
        TypeError, ValueError: a call, as `gattn.k_hop`; or the data has no such edges, or
            attributes of edges that are no tensors.
    """

    def __init__(
        self,
        num_hops: int,
        *,
        shells: Iterable[int] | None = None,
        complete: bool = False,
        max_pairs: int = DEFAULT_MAX_PAIRS,
        streamed: bool | None = None,
        attr: str | None = None,
        edge_attr: str | None = None,
        fill_value: float = 0.0,
        edge_types: Iterable[EdgeType] | None = None,
    ) -> None:
        self.num_hops = num_hops
        # Read for every graph, which an iterator would allow only once.
        self.shells = list(shells) if isinstance(shells, Iterable) else shells
        self.complete = complete
        self.max_pairs = max_pairs
        self.streamed = streamed
        self.attr = attr
        if edge_attr is not None:
            _check.one_of("edge_attr", edge_attr, ("one_hot",))
        self.edge_attr = edge_attr
        self.fill_value = fill_value
        self.edge_types = None if edge_types is None else list(edge_types)

    def forward(self, data: Any) -> Any:
        """The data with pairs for edges, or with its neighbourhood.

        Args:
            data: a `Data`, a `HeteroData`, or a `Batch` of either, which is made again.
        """
        if isinstance(data, Batch) and self.attr is None:
            # It knows where the edges of each graph start.
            return Batch.from_data_list([self.forward(graph) for graph in data.to_data_list()])
        if isinstance(data, HeteroData):
            for kind in self._checked_types(data):
                self._change(data[kind], data[kind].edge_index, data[kind[0]].num_nodes)
        else:
            self._change(data, *edges_of(data))
        return data

    def _checked_types(self, data: HeteroData) -> list[EdgeType]:
        kinds = data.edge_types if self.edge_types is None else self.edge_types
        for kind in kinds:
            if kind not in data.edge_types:
                raise ValueError(f"edge_types: found {kind}, expected some of {data.edge_types}")
            if kind[0] != kind[2]:
                raise ValueError(
                    f"edge_types: found {kind}, expected those with one type of nodes at both ends"
                )
        return list(kinds)

    def _change(self, store: Any, edge_index: Tensor, num_nodes: int | None) -> None:
        options: Any = {name: getattr(self, name) for name in ("shells", "complete", "max_pairs")}
        edges = edge_index, self.num_hops, num_nodes
        if self.attr is not None:
            store[self.attr] = k_hop(*edges, streamed=self.streamed, **options)
        else:
            self._replace(store, edge_index, k_hop(*edges, streamed=False, **options))

    def _replace(self, store: Any, edge_index: Tensor, around: Sparse) -> None:
        pairs = around.edge_index()
        before = {name: store[name] for name in store.edge_attrs() if _is_of_edges(name)}
        edge, was_edge = _origin(edge_index, pairs, around.num_sources)
        after = {
            name: _aligned(name, value, edge, was_edge, self.fill_value)
            for name, value in before.items()
        }
        if "e_id" in store:
            del store["e_id"]
        assert around.hop is not None
        store.edge_index, store.edge_hop = pairs, around.hop.long()
        for name, value in after.items():
            store[name] = value
        if self.edge_attr is not None:
            store.edge_attr = self._with_hop(after.get("edge_attr"), store.edge_hop)

    def _with_hop(self, edge_attr: Tensor | None, hop: Tensor) -> Tensor:
        """The features of pairs, and their hop as further ones."""
        dtype = torch.get_default_dtype() if edge_attr is None else edge_attr.dtype
        found = F.one_hot(hop, self.num_hops + 1 + self.complete).to(dtype)
        if edge_attr is None:
            return found
        return torch.cat([edge_attr[:, None] if edge_attr.dim() == 1 else edge_attr, found], dim=1)

    def __repr__(self) -> str:
        """What it makes."""
        shells = "" if self.shells is None else f", shells={self.shells}"
        return f"KHop({self.num_hops}{shells}{', complete=True' if self.complete else ''})"


def _is_of_edges(name: str) -> bool:
    """Whether an attribute of their length belongs to the edges; links to predict do not."""
    return "index" not in name and not name.startswith("edge_label") and name != "e_id"


def _origin(edge_index: Tensor, pairs: Tensor, num_nodes: int) -> tuple[Tensor, Tensor]:
    """Which edge each pair was, the first of parallel ones, and whether it was one at all."""
    plain = getattr(edge_index, "as_tensor", None)  # PyG's EdgeIndex wraps a tensor
    edges = (edge_index if plain is None else plain()).long()
    keys, order = torch.sort(edges[1] * num_nodes + edges[0], stable=True)
    wanted = pairs[1] * num_nodes + pairs[0]
    if not len(keys):
        return torch.zeros_like(wanted), torch.zeros_like(wanted, dtype=torch.bool)
    place = torch.searchsorted(keys, wanted).clamp(max=len(keys) - 1)
    return order[place], keys[place] == wanted


def _aligned(name: str, value: Any, edge: Tensor, was_edge: Tensor, fill: float) -> Tensor:
    """An attribute of edges as one of pairs."""
    found = _check.tensor(name, value)
    if not len(found):
        return found.new_full((len(edge), *found.shape[1:]), fill)
    rows = was_edge.view(-1, *[1] * (found.dim() - 1))
    return torch.where(rows, found[edge], torch.full_like(found[:1], fill))
