"""From what a file calls the classes to the numbers 0, ..., K - 1."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gattn.data.own.graph import OwnGraph, listed, refused

MOST_CLASSES = 1000
"""More distinct values than this are no classes, but names or measurements."""


def classes(graph: OwnGraph) -> tuple[Tensor, Tensor, list[Any]]:
    """Numbers the classes in their order: numbers by size, texts by the alphabet.

    Args:
        graph: with labels.

    Returns:
        `[N]` int64, 0 where a node has no label; `[N]` bool, whether it has one; the classes.

    Raises:
        DatasetError: if these are no classes: fewer than two, too many, or fractions.
    """
    where = f"{graph.where}: {graph.label}"
    values = _alike(where, graph.labels)
    names = sorted({value for value in values if value is not None})
    _check_number(where, names, sum(value is not None for value in values))
    number = {name: index for index, name in enumerate(names)}
    y = torch.tensor([number.get(value, 0) for value in values], dtype=torch.int64)
    labelled = torch.tensor([value is not None for value in values], dtype=torch.bool)
    return y, labelled, names


def _alike(where: str, labels: Sequence[Any]) -> list[Any]:
    """Integers if all labels are integers, texts otherwise; None for none."""
    values = [_value(label) for label in labels]
    there = [value for value in values if value is not None]
    if all(isinstance(value, int) for value in there):
        return [None if value == -1 else value for value in values]
    fractions = [value for value in there if isinstance(value, float)]
    if fractions and not any(isinstance(value, str) for value in there):
        expected = "classes (a number that is measured is no class)"
        raise refused(where, f"the label {fractions[0]}", expected)
    pairs = zip(labels, values, strict=True)
    return [None if value in (None, -1) else str(label).strip() for label, value in pairs]


def _value(label: Any) -> int | float | str | None:
    """A label as an integer, if it is one in any writing, else as a fraction, else as text."""
    text = str(label).strip()
    if label is None or text.lower() in ("", "nan", "none"):
        return None
    if isinstance(label, bool) or text in ("True", "False"):
        return int(text == "True")
    try:
        return int(text)
    except ValueError:
        return _fraction(text)


def _fraction(text: str) -> int | float | str:
    try:
        number = float(text)
    except ValueError:
        return text
    if not math.isfinite(number):
        return text
    return int(number) if number.is_integer() else number


def _check_number(where: str, names: Sequence[Any], labelled: int) -> None:
    if len(names) < 2:
        raise refused(where, f"{len(names)} classes ({listed(names)})", "at least 2")
    if len(names) > MOST_CLASSES:
        raise refused(where, f"{len(names):,} distinct labels", f"at most {MOST_CLASSES:,} classes")
    if len(names) == labelled and labelled > 2:
        found = f"a label of its own for each of {labelled} nodes ({listed(names, 3)})"
        raise refused(where, found, "classes that nodes share; label= names what else to take")
