"""What PyG's `Batch` knows of its graphs: where they begin, and which attributes have edges."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Batch


def starts_of(data: Any, nodes: Any, num_nodes: int | None, needed: bool) -> Tensor | None:
    """Where the nodes of each graph begin `[G + 1]`, `None` where that is not known.

    Args:
        data: with the edges.
        nodes: the store of their nodes.
        num_nodes: of them.
        needed: it must be known, as it must where PyG can cut the batch into graphs.

    Raises:
        ValueError: a batch says too little of its graphs.
    """
    if not isinstance(data, Batch):
        return None
    if "ptr" not in nodes:
        if needed or _known(data, "_slice_dict"):
            raise ValueError("ptr: found none in the batch, expected where its graphs begin")
        return None
    if int(nodes["ptr"][-1]) != num_nodes:
        raise ValueError(f"ptr: found {int(nodes['ptr'][-1])} nodes in the batch of {num_nodes}")
    return nodes["ptr"]


def slices_of(data: Any, kind: Any) -> dict[str, Any]:
    """Where each attribute of a store is cut into graphs; nothing where that is not known."""
    return _part(_known(data, "_slice_dict"), kind)


def is_of_edges(store: Any, name: str, slices: dict[str, Any], starts: Tensor | None) -> bool:
    """Whether an attribute has a row for each edge.

    PyG guesses it by the length, which may agree by chance; that of every graph hardly does.
    """
    if starts is not None and _counts_graphs(store, name):
        return False
    own, edges, value = slices.get(name), slices.get("edge_index"), store[name]
    if not isinstance(own, Tensor) or not isinstance(edges, Tensor):
        return store.is_edge_attr(name)
    if isinstance(value, list):
        lengths = [len(one) if isinstance(one, (list, tuple)) else -1 for one in value]
        return lengths == edges.diff().tolist()
    if own.shape != edges.shape or not torch.equal(own, edges):
        return False
    of_nodes = starts is not None and torch.equal(own, starts.to(own.device))
    return store.is_edge_attr(name) or (not of_nodes and len(value) == store.num_edges)


def cut_again(data: Any, kind: Any, store: Any, names: list[str], starts: Tensor) -> None:
    """Say of edges that are sorted by target where those of each graph lie.

    Args:
        data: the batch.
        kind: of the edges, `None` where there is one.
        store: of the edges.
        names: of its attributes of edges.
        starts: of the nodes of each graph `[G + 1]`.
    """
    cut = torch.searchsorted(store.edge_index[1].contiguous(), starts)
    sizes = cut.diff()
    for name in names:
        if f"{name}_ptr" in store:
            graph = torch.arange(len(sizes), device=cut.device)
            store[f"{name}_batch"] = graph.repeat_interleave(sizes)
            store[f"{name}_ptr"] = cut
    if _known(data, "_slice_dict"):
        slices, steps = slices_of(data, kind), _part(_known(data, "_inc_dict"), kind)
        slices = {**slices, **dict.fromkeys(names, cut.cpu())}
        steps = {**dict.fromkeys(names, torch.zeros(len(sizes), dtype=torch.long)), **steps}
        # New ones: the data that the batch was copied from keeps its own.
        data._slice_dict = _with(data._slice_dict, kind, _present(slices, store))
        data._inc_dict = _with(data._inc_dict, kind, _present(steps, store))


def _counts_graphs(store: Any, name: str) -> bool:
    """Whether it is `batch` or `ptr`, or what `follow_batch` made of another attribute."""
    base, _, last = name.rpartition("_")
    return last in ("batch", "ptr") and (not base or base in store)


def _known(data: Any, name: str) -> dict[Any, Any]:
    """What PyG wrote down when it joined the graphs; asked for by `data.` it may raise."""
    return vars(data.stores[0]).get(name, {})


def _part(whole: dict[Any, Any], kind: Any) -> dict[str, Any]:
    return whole if kind is None else whole.get(kind, {})


def _with(whole: dict[Any, Any], kind: Any, part: dict[str, Any]) -> dict[Any, Any]:
    return part if kind is None else {**whole, kind: part}


def _present(part: dict[str, Any], store: Any) -> dict[str, Any]:
    return {name: value for name, value in part.items() if name in store}
