"""From columns of text, numbers or truth values to features: numbers as they are, text one-hot."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from gattn.data.own.graph import listed, refused

MOST_CATEGORIES = 50
"""A column of text with more distinct values is not made one-hot."""

LABELS = ("y", "class", "target", "label")
"""What a column of labels may be called when no option names it; the first that is there."""

Column = Sequence[Any]


def label_of(where: str, names: Sequence[str], label: str | None) -> str:
    """The name of the column of labels.

    Args:
        where: the file, for messages.
        names: of all columns.
        label: what the caller named, or None.

    Raises:
        DatasetError: if there is no such column, or none that can be guessed.
    """
    if label is not None:
        if label not in names:
            raise refused(f"{where}: label", repr(label), f"one of {listed(names, 40)}")
        return label
    lower = {name.lower(): name for name in reversed(names)}
    guessed = next((lower[name] for name in LABELS if name in lower), None)
    if guessed is None:
        expected = f"a column {', '.join(LABELS[:-1])} or {LABELS[-1]}, or label= one of them"
        raise refused(where, f"the columns {listed(names, 40)}", expected)
    return guessed


def without(where: str, columns: Mapping[str, Column], drop: str | None) -> dict[str, Column]:
    """The columns that are not dropped.

    Args:
        where: the file, for messages.
        columns: by name.
        drop: names, separated by commas.

    Raises:
        DatasetError: if a name is unknown.
    """
    names = [name.strip() for name in (drop or "").split(",") if name.strip()]
    for name in names:
        if name not in columns:
            raise refused(f"{where}: drop", repr(name), f"one of {listed(list(columns), 40)}")
    return {name: column for name, column in columns.items() if name not in names}


def features(
    where: str, columns: Mapping[str, Column], places: Sequence[str]
) -> tuple[Tensor | None, list[str]]:
    """Joins the columns to features `[N, F]` float32; None if there are no columns.

    Args:
        where: the file, for messages.
        columns: by name, N values each.
        places: N texts that say where a value stands, such as "line 17".

    Returns:
        The features, and what there is to say about them.

    Raises:
        DatasetError: if a number is missing or not finite, or a text has too many values.
    """
    parts: list[Tensor] = []
    texts: list[str] = []
    for name, column in columns.items():
        numbers = _numbers(column)
        if numbers is None:
            parts.append(_one_hot(f"{where}: {name}", column))
            texts.append(f"{name} ({parts[-1].size(1)})")
        else:
            _check_finite(where, name, numbers, column, places)
            parts.append(numbers[:, None])
    notes = [f"columns of text as one column per value: {listed(texts)}"] if texts else []
    return (torch.cat(parts, dim=1) if parts else None), notes


def _numbers(column: Column) -> Tensor | None:
    """`[N]` float32, NaN for what is missing; None if something is text, or nothing is there."""
    try:
        values = [math.nan if _missing(value) else float(value) for value in column]
    except (TypeError, ValueError):
        return None
    if column and all(_missing(value) for value in column):
        return None
    return torch.tensor(values, dtype=torch.float64).float()


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _check_finite(
    where: str, name: str, numbers: Tensor, column: Column, places: Sequence[str]
) -> None:
    bad = torch.nonzero(~numbers.isfinite()).flatten()
    if bad.numel():
        first = int(bad[0])
        found = repr("" if column[first] is None else column[first])
        raise refused(f"{where} {places[first]}: {name}", found, "a finite number (float32)")


def _one_hot(where: str, column: Column) -> Tensor:
    """`[N, values]`; what is missing has no column and is 0 in all."""
    texts = ["" if _missing(value) else str(value).strip() for value in column]
    values = sorted(set(texts) - {""})
    if len(values) > MOST_CATEGORIES:
        odd = next(text for text in texts if text and not _is_number(text))
        found = f"{len(values):,} distinct texts (such as {odd[:40]!r})"
        expected = f"numbers, or at most {MOST_CATEGORIES} categories; drop= leaves a column out"
        raise refused(where, found, expected)
    number = {value: index for index, value in enumerate(values)}
    hot = torch.zeros(len(texts), len(values))
    for row, text in enumerate(texts):
        if text:
            hot[row, number[text]] = 1.0
    return hot


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
