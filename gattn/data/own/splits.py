"""Splits: those of a file, checked, or drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gattn.data.graphs import stratified_masks
from gattn.data.own.graph import Masks, OwnGraph, listed, refused

PARTS = ("train", "val", "test")

_KEYS = {
    "train": ("train_mask", "train_masks"),
    "val": ("val_mask", "val_masks", "valid_mask"),
    "test": ("test_mask", "test_masks"),
}
_INDEX_KEYS = {
    "train": ("train_idx", "train_index"),
    "val": ("val_idx", "valid_idx", "val_index"),
    "test": ("test_idx", "test_index"),
}


def stored_masks(where: str, stored: Mapping[str, Tensor], num_nodes: int) -> Masks | None:
    """The masks of a file, by mask or by index; None if it has none.

    Args:
        where: the file, for messages.
        stored: tensors by key.
        num_nodes: N; a mask is `[N]`, `[N, S]` or `[S, N]`.

    Raises:
        DatasetError: if some are missing or have another shape.
    """
    found = {part: _first(stored, _KEYS[part]) for part in PARTS}
    indices = {part: _first(stored, _INDEX_KEYS[part]) for part in PARTS}
    if not any(found.values()) and not any(indices.values()):
        return None
    masks = [
        _mask(f"{where}: {key}", stored[key], num_nodes)
        if (key := found[part])
        else _from_index(where, part, indices[part], stored, num_nodes)
        for part in PARTS
    ]
    splits = max(mask.size(1) for mask in masks)
    # One test set for all splits is how several published graphs are stored.
    wide = [mask.expand(-1, splits) if mask.size(1) == 1 else mask for mask in masks]
    if any(mask.size(1) != splits for mask in wide):
        counts = ", ".join(f"{mask.size(1)} of {p}" for mask, p in zip(masks, PARTS, strict=True))
        raise refused(where, f"splits: {counts}", "one number of splits")
    train, val, test = (mask.contiguous() for mask in wide)
    return train, val, test


def _first(stored: Mapping[str, Tensor], keys: tuple[str, ...]) -> str | None:
    return next((key for key in keys if key in stored), None)


def _mask(where: str, mask: Tensor, num_nodes: int) -> Tensor:
    if mask.dim() == 1:
        mask = mask[:, None]
    if mask.dim() == 2 and mask.size(0) != num_nodes:
        mask = mask.t()
    if mask.dim() != 2 or mask.size(0) != num_nodes:
        expected = f"[{num_nodes}] or [{num_nodes}, splits]"
        raise refused(where, f"the shape {list(mask.shape)}", expected)
    if mask.dtype != torch.bool and not bool(((mask == 0) | (mask == 1)).all()):
        raise refused(where, f"other values than 0 and 1 ({mask.dtype})", "a mask of bool")
    return mask.bool()


def _from_index(
    where: str, part: str, key: str | None, stored: Mapping[str, Tensor], num_nodes: int
) -> Tensor:
    if key is None:
        expected = "all three (or num_splits=10, to draw others)"
        raise refused(where, f"splits without a {part}_mask", expected)
    index = stored[key].flatten()
    if index.is_floating_point() or index.dtype == torch.bool:
        raise refused(f"{where}: {key}", f"the dtype {index.dtype}", "integers")
    if index.numel() and not 0 <= int(index.min()) <= int(index.max()) < num_nodes:
        bad = int(index.min()) if int(index.min()) < 0 else int(index.max())
        raise refused(f"{where}: {key}", f"the node {bad}", f"0 <= node < {num_nodes}")
    mask = torch.zeros(num_nodes, 1, dtype=torch.bool)
    mask[index.long()] = True
    return mask


def checked(graph: OwnGraph, masks: Masks, labelled: Tensor) -> tuple[Masks, list[str]]:
    """The masks without nodes that have no label, and what there is to say about it.

    Args:
        graph: for messages.
        masks: each `[N, S]`.
        labelled: `[N]` bool.

    Raises:
        DatasetError: if a node is in two parts, or a part is empty.
    """
    _check_apart(graph.where, masks)
    left_out = int((torch.stack(masks).any(0).any(1) & ~labelled).sum())
    train, val, test = (mask & labelled[:, None] for mask in masks)
    for part, mask in zip(PARTS, (train, val, test), strict=True):
        empty = torch.nonzero(~mask.any(0)).flatten().tolist()
        if empty:
            found = f"no labelled node for {part} in split {empty[0]}"
            raise refused(graph.where, found, "at least one in every part")
    notes = [f"{left_out:,} nodes of the splits have no label and are in none"] if left_out else []
    return (train, val, test), notes


def _check_apart(where: str, masks: Masks) -> None:
    for first, second in ((0, 1), (0, 2), (1, 2)):
        both = int((masks[first] & masks[second]).any(1).sum())
        if both:
            names = f"{PARTS[first]} and {PARTS[second]}"
            raise refused(where, f"{both:,} nodes in both {names}", "every node in one part")


def drawn(
    y: Tensor, labelled: Tensor, shares: tuple[float, float], num_splits: int, seed: int
) -> Masks:
    """Random splits of the labelled nodes, every class in equal shares.

    Args:
        y: `[N]`.
        labelled: `[N]` bool.
        shares: of training and validation.
        num_splits: S.
        seed: of the draw.
    """
    node = torch.nonzero(labelled).flatten()
    parts = stratified_masks(y[node], shares, num_splits, np.random.default_rng(seed))
    whole = [torch.zeros(len(y), num_splits, dtype=torch.bool) for _ in parts]
    for mask, part in zip(whole, parts, strict=True):
        mask[node] = part
    train, val, test = whole
    return train, val, test


_WORDS = {
    "train": 0,
    "training": 0,
    "val": 1,
    "valid": 1,
    "validation": 1,
    "dev": 1,
    "test": 2,
    "testing": 2,
    "": None,
    "none": None,
}


def column_masks(
    where: str, columns: dict[str, list[Any]], split: str | None, places: Sequence[str]
) -> Masks | None:
    """Takes the column of splits out of the columns; None if there is none.

    Args:
        where: the file, for messages.
        columns: by name; loses the column of splits.
        split: its name, None for `split`, if there is one.
        places: N texts that say where a value stands.

    Raises:
        DatasetError: if there is no such column, or a value is no part of a split.
    """
    if split is not None and split not in columns:
        raise refused(f"{where}: split", repr(split), f"one of {listed(list(columns), 40)}")
    name = "split" if split is None else split
    if name not in columns:
        return None
    part = torch.full((len(places),), -1)
    for row, value in enumerate(columns.pop(name)):
        word = "" if value is None else str(value).strip().lower()
        if word not in _WORDS:
            found = repr(str(value)[:60])
            raise refused(f"{where} {places[row]}: {name}", found, "train, val, test or nothing")
        number = _WORDS[word]
        part[row] = -1 if number is None else number
    train, val, test = (part[:, None] == index for index in range(3))
    return train, val, test
