"""Text tables: an edge list, and a table of nodes with a header: names, labels, features."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import torch
from torch import Tensor

from gattn.data.own.columns import features, label_of, without
from gattn.data.own.graph import OwnGraph, existing, listed, reading, refused
from gattn.data.own.splits import column_masks

ENDINGS = (".csv", ".tsv", ".txt", ".edges", ".edgelist")
"""How an edge list or a table of nodes may end."""

_NODES = ("id", "node", "node_id", "name")
_SOURCES = ("source", "src", "from", "u", "id_1", "id1", "node1", "node_1")
_TARGETS = ("target", "dst", "to", "v", "id_2", "id2", "node2", "node_2")

Rows = Iterator[tuple[int, list[str]]]


@dataclass(frozen=True, eq=False)
class _Table:
    where: str
    columns: dict[str, list[str]]
    lines: list[int]


def table_files(path: Path, nodes: str | None = None) -> tuple[Path, Path]:
    """The edge list and the table of nodes that a path means.

    Args:
        path: a folder with `edges.csv` and `nodes.csv` (or another of `ENDINGS`), or an edge list.
        nodes: the table of nodes, looked for beside the edge list.

    Raises:
        DatasetError: if one of them is missing.
    """
    if path.is_dir():
        return _inside(path, "edges"), path / nodes if nodes else _inside(path, "nodes")
    if nodes is None:
        expected = "nodes=FILE, a table with a column of labels (or a folder with both)"
        raise refused(str(path), "edges alone", expected)
    return path, existing(path.parent / Path(nodes).expanduser(), "nodes")


def _inside(folder: Path, stem: str) -> Path:
    found = [folder / f"{stem}{end}" for end in ENDINGS if (folder / f"{stem}{end}").is_file()]
    if len(found) != 1:
        names = listed(sorted(path.name for path in folder.iterdir()))
        raise refused(str(folder), names, f"one {stem}.csv (or {', '.join(ENDINGS[1:])})")
    return found[0]


def read_tables(
    path: Path,
    label: str | None = None,
    nodes: str | None = None,
    split: str | None = None,
    drop: str | None = None,
) -> OwnGraph:
    """Reads an edge list and its table of nodes.

    Args:
        path: of the folder or the edge list, see `table_files`.
        label: the column of the classes, None for a usual name.
        nodes: the table of nodes, relative to the edge list.
        split: the column of train, val or test; None for `split`, if there is one.
        drop: columns that are no features, separated by commas.

    Raises:
        DatasetError: if a file is damaged, or a line does not fit.
    """
    edge_file, node_file = table_files(path, nodes)
    with reading(str(node_file), "a table with a header", csv.Error):
        table = _node_table(node_file)
    number = _numbered(table)
    with reading(str(edge_file), "two names of nodes in each line", csv.Error):
        edge_index, more = _edges(edge_file, number)
    return _from_table(table, edge_index, more, label, split, drop)


def _from_table(
    table: _Table,
    edge_index: Tensor,
    more: list[str],
    label: str | None,
    split: str | None,
    drop: str | None,
) -> OwnGraph:
    where, columns = table.where, dict(table.columns)
    columns.pop(_name_column(columns))
    chosen = label_of(where, list(columns), label)
    labels = columns.pop(chosen)
    places = [f"line {line}" for line in table.lines]
    masks = column_masks(where, columns, split, places)
    x, notes = features(where, without(where, columns, drop), places)
    return OwnGraph(
        where=where,
        edge_index=edge_index,
        labels=labels,
        label=chosen,
        x=x,
        masks=masks,
        undirected=True,
        notes=(*notes, *more),
    )


def _rows(path: Path) -> Rows:
    """The lines that are no comments, cut at the delimiter of the first, with their numbers."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = ((n, line) for n, line in enumerate(file, 1) if _is_data(line))
        first = next(lines, None)
        if first is None:
            return
        delimiter = _delimiter(first[1])
        if delimiter is None:
            yield from ((n, line.split()) for n, line in chain([first], lines))
            return
        for n, line in chain([first], lines):
            for cells in csv.reader([line.rstrip("\r\n")], delimiter=delimiter, strict=True):
                yield n, [cell.strip() for cell in cells]


def _is_data(line: str) -> bool:
    text = line.strip()
    return bool(text) and not text.startswith(("#", "%"))


def _delimiter(line: str) -> str | None:
    """The delimiter of a line, None for white space."""
    return next((mark for mark in ("\t", ";", ",") if mark in line), None)


def _node_table(path: Path) -> _Table:
    rows = _rows(path)
    _, names = next(rows, (0, []))
    if len(names) < 2:
        raise refused(str(path), f"the columns {listed(names)}", "a header: id, label, features")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice or "" in names:
        what = f"the column {twice[0]!r} twice" if twice else "a column without a name"
        raise refused(str(path), what, "a name of its own for each column")
    lines, cells = [], []
    for line, row in rows:
        if len(row) != len(names):
            raise refused(
                f"{path} line {line}", f"{len(row)} cells", f"{len(names)}, as the header"
            )
        lines.append(line)
        cells.append(row)
    if not cells:
        raise refused(str(path), "a header alone", "a line for each node")
    columns = dict(zip(names, map(list, zip(*cells, strict=True)), strict=True))
    return _Table(str(path), columns, lines)


def _name_column(columns: dict[str, list[str]]) -> str:
    lower = {name.lower(): name for name in reversed(list(columns))}
    return next((lower[name] for name in _NODES if name in lower), next(iter(columns)))


def _numbered(table: _Table) -> dict[str, int]:
    """The number of every node by its name."""
    column = _name_column(table.columns)
    number: dict[str, int] = {}
    for line, name in zip(table.lines, table.columns[column], strict=True):
        if not name or name in number:
            found = f"{name!r} again" if name else "''"
            raise refused(f"{table.where} line {line}: {column}", found, "a name of its own")
        number[name] = len(number)
    return number


def _edges(path: Path, number: dict[str, int]) -> tuple[Tensor, list[str]]:
    """`[2, E]`, and what there is to say about further columns."""
    rows = _rows(path)
    first = next(rows, None)
    if first is None:
        return torch.empty(2, 0, dtype=torch.int64), [f"{path.name} has no edges"]
    header = _is_header(first[1], number)
    ends = _ends(str(path), first[1]) if header else (0, 1)
    width = len(first[1])
    body = rows if header else chain([first], rows)
    pairs = [_pair(path, line, row, ends, width, number) for line, row in body]
    edge_index = torch.tensor(pairs, dtype=torch.int64).view(-1, 2).t().contiguous()
    return edge_index, [f"not used: {width - 2} further columns of {path.name}"] * (width > 2)


def _is_header(row: Sequence[str], number: dict[str, int]) -> bool:
    """A first line is a header if no name of a node is in it, and no number."""
    return not any(cell in number or cell.lstrip("-").isdigit() for cell in row[:2])


def _ends(where: str, header: Sequence[str]) -> tuple[int, int]:
    lower = [name.lower() for name in header]
    source = next((lower.index(name) for name in _SOURCES if name in lower), None)
    target = next((lower.index(name) for name in _TARGETS if name in lower), None)
    if source is None or target is None:
        if len(header) == 2:
            return 0, 1
        raise refused(where, f"the columns {listed(header)}", "source and target among them")
    return source, target


def _pair(
    path: Path,
    line: int,
    row: Sequence[str],
    ends: tuple[int, int],
    width: int,
    number: dict[str, int],
) -> tuple[int, int]:
    if len(row) != width or width < 2:
        expected = f"{max(width, 2)}, as the first line" if width >= 2 else "two names of nodes"
        raise refused(f"{path} line {line}", f"{len(row)} cells", expected)
    names = row[ends[0]], row[ends[1]]
    for name in names:
        if name not in number:
            raise refused(f"{path} line {line}", f"the node {name[:60]!r}", "a node of the table")
    return number[names[0]], number[names[1]]
