"""What is learnt: one graph, its labels, its splits and the metric that judges them."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Task:
    """Node classification on one graph.

    Args:
        name: the dataset's name, as `load` takes it.
        x: `[N, F]` float32, the node features.
        edge_index: `[2, E]` int64, rows (source, target); undirected graphs hold both directions.
        y: `[N]` int64, the class of every node.
        train_mask: `[N, S]` bool, one column per split.
        val_mask: `[N, S]` bool.
        test_mask: `[N, S]` bool.
        metric: the metric to report, a name in `gattn.metrics.METRICS`.
        num_classes: the number of classes; labels are below it.
        labelled: `[N]` bool, where some nodes have no class: these have 0 in `y` and no split. None
            where all have one.
        notes: what was decided or left out where a file was read, a sentence each.

    Raises:
        ValueError: if a tensor has another shape or dtype, or an index is out of range.
    """

    name: str
    x: Tensor
    edge_index: Tensor
    y: Tensor
    train_mask: Tensor
    val_mask: Tensor
    test_mask: Tensor
    metric: str
    num_classes: int
    labelled: Tensor | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        nodes, splits = self.x.shape[0], self.train_mask.shape[-1]
        _check("x", self.x, torch.float32, (None, None))
        _check("edge_index", self.edge_index, torch.int64, (2, None))
        _check("y", self.y, torch.int64, (nodes,))
        for part in ("train_mask", "val_mask", "test_mask"):
            _check(part, getattr(self, part), torch.bool, (nodes, splits))
        if self.labelled is not None:
            _check("labelled", self.labelled, torch.bool, (nodes,))
        _check_range("edge_index", self.edge_index, "num_nodes", nodes)
        _check_range("y", self.y, "num_classes", self.num_classes)

    @property
    def num_nodes(self) -> int:
        """The number of nodes N."""
        return self.x.shape[0]

    @property
    def num_splits(self) -> int:
        """The number of splits S."""
        return self.train_mask.shape[1]

    def split(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        """The masks `(train, val, test)` of one split, each `[N]` bool.

        Raises:
            IndexError: if there is no such split.
        """
        if not 0 <= index < self.num_splits:
            expected = f"0 <= index < num_splits = {self.num_splits}"
            raise IndexError(f"index: found {index}, expected {expected}")
        return self.train_mask[:, index], self.val_mask[:, index], self.test_mask[:, index]

    def to(self, device: torch.device | str) -> Task:
        """The same task with every tensor on `device`."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        moved = {k: v.to(device) for k, v in values.items() if isinstance(v, Tensor)}
        return replace(self, **moved)


def _check(name: str, tensor: Tensor, dtype: torch.dtype, shape: tuple[int | None, ...]) -> None:
    found = tuple(tensor.shape)
    fits = len(found) == len(shape) and all(
        want in (None, have) for want, have in zip(shape, found, strict=True)
    )
    if not fits or tensor.dtype != dtype:
        wanted = "[" + ", ".join("any" if size is None else str(size) for size in shape) + "]"
        raise ValueError(f"{name}: found {tensor.dtype} {list(found)}, expected {dtype} {wanted}")


def _check_range(name: str, tensor: Tensor, bound_name: str, bound: int) -> None:
    if tensor.numel() == 0 or tensor.is_meta:
        return
    low, high = int(tensor.min()), int(tensor.max())
    if low < 0 or high >= bound:
        bad = low if low < 0 else high
        raise ValueError(f"{name}: found {bad}, expected 0 <= value < {bound_name} = {bound}")
