"""What a file of one's own says, before it becomes a task."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from gattn.data.files import DatasetError

Masks = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True, eq=False)
class OwnGraph:
    """One graph as its file has it.

    Args:
        where: the file, for messages.
        edge_index: `[2, E]` int64, rows (source, target), as the file has them.
        labels: a value per node; None, an empty text, NaN or -1 where there is none.
        label: what the file calls them.
        x: `[N, F]` float32, or None.
        masks: (train, val, test), each `[N, S]` bool, or None.
        undirected: whether the file holds each edge once and means both directions.
        notes: what was left out or decided, a sentence each.
    """

    where: str
    edge_index: Tensor
    labels: Sequence[Any]
    label: str
    x: Tensor | None
    masks: Masks | None
    undirected: bool
    notes: tuple[str, ...] = ()

    @property
    def num_nodes(self) -> int:
        """The number of nodes N."""
        return len(self.labels)


# What readers of damaged files raise, all of them: torch, numpy, zipfile, expat and networkx.
_DAMAGE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    MemoryError,
    NotImplementedError,
    OSError,
    RecursionError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
)


@contextmanager
def reading(where: str, expected: str, *more: type[Exception]) -> Iterator[None]:
    """Turns whatever a damaged file raises into one line that names the file.

    Args:
        where: the file.
        expected: what was expected of it.
        *more: errors that the reader has of its own.
    """
    try:
        yield
    except DatasetError:
        raise
    except (*_DAMAGE, *more) as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise refused(where, f"a file that does not load ({said})", expected) from None


def refused(where: str, found: str, expected: str) -> DatasetError:
    """The error of a file: one line that says what was found and what was expected."""
    return DatasetError(f"{where}: found {found}, expected {expected}")


def listed(names: Sequence[object], most: int = 12) -> str:
    """The names, separated by commas; of many the first ones."""
    shown = ", ".join(map(str, names[:most]))
    return f"{shown}, ... ({len(names)})" if len(names) > most else shown or "none"


def existing(path: Path, option: str = "dataset") -> Path:
    """The path, if there is something.

    Raises:
        DatasetError: if there is nothing.
    """
    if not path.exists():
        raise DatasetError(f"{option}: found nothing at {path}, expected a file or a folder")
    return path
