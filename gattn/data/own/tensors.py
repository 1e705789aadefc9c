"""Graphs that are stored as tensors by key: PyG's `.pt` files and numpy's `.npz`."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from gattn.data.own.graph import OwnGraph, listed, refused
from gattn.data.own.splits import stored_masks

EDGES = ("edge_index", "edges")
FEATURES = ("x", "features", "node_features", "feat")
LABELS = ("y", "labels", "node_labels", "label")
_UNUSED = ("edge_attr", "edge_weight", "edge_features", "pos")


def from_tensors(
    where: str,
    stored: Mapping[str, Tensor],
    label: str | None,
    *,
    splits: bool = True,
    undirected: bool | None = None,
) -> OwnGraph:
    """The graph that is stored by the usual keys.

    Args:
        where: the file, for messages.
        stored: `edge_index` `[2, E]` (or `edges` `[E, 2]`, each once), `x` `[N, F]`, `y` `[N]`,
            `train_mask` and so on, or what is usual in their place.
        label: the key of the labels, None for a usual one.
        splits: whether the masks are wanted.
        undirected: what the file means; None: `edges` are both directions, `edge_index` is not.

    Raises:
        DatasetError: if a key is missing, or a tensor does not fit the others.
    """
    usual = LABELS if label is None else (label,)
    y_key = _key(where, stored, usual, "labels")
    edge_key = _key(where, stored, EDGES, "edges")
    y = _labels(f"{where}: {y_key}", stored[y_key])
    x_key = next((key for key in FEATURES if key in stored and key != y_key), None)
    x = None if x_key is None else _features(f"{where}: {x_key}", stored[x_key], len(y), y_key)
    edge_index = _edges(f"{where}: {edge_key}", stored[edge_key], edge_key == "edges", len(y))
    unused = [key for key in _UNUSED if key in stored]
    return OwnGraph(
        where=where,
        edge_index=edge_index,
        labels=y.tolist(),
        label=y_key,
        x=x,
        masks=stored_masks(where, stored, len(y)) if splits else None,
        undirected=edge_key == "edges" if undirected is None else undirected,
        notes=(f"not used: {listed(unused)}",) if unused else (),
    )


def _key(where: str, stored: Mapping[str, Tensor], usual: tuple[str, ...], what: str) -> str:
    found = next((key for key in usual if key in stored), None)
    if found is None:
        expected = f"{what} under {' or '.join(usual)}"
        raise refused(where, f"the keys {listed(list(stored), 40)}", expected)
    return found


def _labels(where: str, y: Tensor) -> Tensor:
    if y.dim() == 2 and y.size(1) == 1:
        y = y[:, 0]
    if y.dim() != 1:
        expected = "[nodes], one class for each node"
        raise refused(where, f"the shape {list(y.shape)}", expected)
    if y.is_floating_point() or y.is_complex():
        raise refused(where, f"the dtype {y.dtype}", "integers: a class for each node")
    if not len(y):
        raise refused(where, "no nodes", "at least one")
    return y.long()


def _features(where: str, x: Tensor, num_nodes: int, y_key: str) -> Tensor:
    x = x.to_dense() if x.layout != torch.strided else x
    x = x[:, None] if x.dim() == 1 else x
    if x.dim() != 2 or x.size(0) != num_nodes or not x.size(1):
        expected = f"[{num_nodes}, features], as many rows as {y_key} has"
        raise refused(where, f"the shape {list(x.shape)}", expected)
    if x.is_complex():
        raise refused(where, f"the dtype {x.dtype}", "real numbers")
    x = x.float()
    bad = torch.nonzero(~x.isfinite())
    if len(bad):
        row, column = bad[0].tolist()
        found = f"{x[row, column].item()} in row {row}, column {column}"
        raise refused(where, found, "finite numbers (float32)")
    return x


def _edges(where: str, edges: Tensor, in_rows: bool, num_nodes: int) -> Tensor:
    if edges.layout != torch.strided or edges.is_floating_point() or edges.dtype == torch.bool:
        kind = edges.dtype if edges.layout == torch.strided else edges.layout
        raise refused(where, f"a tensor of {kind}", "node numbers")
    if edges.dim() == 2 and in_rows and edges.size(1) == 2:
        edges = edges.t()
    if edges.dim() != 2 or edges.size(0) != 2:
        raise refused(where, f"the shape {list(edges.shape)}", "[2, edges]")
    edges = edges.long().contiguous()
    if edges.numel() and not 0 <= int(edges.min()) <= int(edges.max()) < num_nodes:
        bad = int(edges.min()) if int(edges.min()) < 0 else int(edges.max())
        raise refused(where, f"the node {bad}", f"0 <= node < {num_nodes}, the number of labels")
    return edges
