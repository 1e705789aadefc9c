"""GraphML and GEXF, read by networkx after a look for what an XML file may not bring along."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, NoReturn
from xml.parsers import expat

import torch

from gattn.data.own.columns import features, label_of, without
from gattn.data.own.graph import OwnGraph, reading, refused
from gattn.data.own.splits import column_masks


def read_graphml(
    path: Path, label: str | None = None, split: str | None = None, drop: str | None = None
) -> OwnGraph:
    """Reads a GraphML file; see `read_gexf`."""
    return _read(path, "GraphML", label, split, drop)


def read_gexf(
    path: Path, label: str | None = None, split: str | None = None, drop: str | None = None
) -> OwnGraph:
    """Reads a GEXF file.

    Args:
        path: the file.
        label: the node attribute that is the class, None for a usual one.
        split: the node attribute of train, val or test; None for `split`, if there is one.
        drop: attributes that are no features, separated by commas.

    Raises:
        DatasetError: if the file is damaged, declares entities, or has no labels.
    """
    return _read(path, "GEXF", label, split, drop)


def _read(
    path: Path, kind: str, label: str | None, split: str | None, drop: str | None
) -> OwnGraph:
    where, expected = str(path), f"a {kind} file"
    with reading(where, expected, expat.ExpatError):
        _check_declarations(path)
        import networkx

        # networkx warns of what it does not know in a file, and goes on.
        with reading(where, expected, networkx.NetworkXException), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            read = {"GraphML": networkx.read_graphml, "GEXF": networkx.read_gexf}[kind]
            graph: Any = read(path)
    return _from_networkx(where, kind, graph, label, split, drop)


def _check_declarations(path: Path) -> None:
    """Refuses a document type: entities can grow without bound, or name other files."""
    parser = expat.ParserCreate()

    def refuse(*_: object) -> NoReturn:
        line = parser.CurrentLineNumber
        raise refused(f"{path} line {line}", "a DOCTYPE", "none (entities are not expanded)")

    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    with path.open("rb") as file:
        parser.ParseFile(file)


def _from_networkx(
    where: str, kind: str, graph: Any, label: str | None, split: str | None, drop: str | None
) -> OwnGraph:
    node = {name: number for number, name in enumerate(graph.nodes)}
    if not node:
        raise refused(where, "no nodes", "at least one")
    columns = _columns(node, graph)
    chosen = label_of(where, list(columns), label)
    labels = columns.pop(chosen)
    if kind == "GEXF":
        columns.pop("label", None)  # what GEXF calls every node by, no property of it
    places = [f"node {name!r}" for name in node]
    masks = column_masks(where, columns, split, places)
    x, notes = features(where, without(where, columns, drop), places)
    if any(data for _, _, data in graph.edges(data=True)):
        notes.append("not used: attributes of edges")
    pairs = [(node[source], node[target]) for source, target in graph.edges()]
    return OwnGraph(
        where=where,
        edge_index=torch.tensor(pairs, dtype=torch.int64).view(-1, 2).t().contiguous(),
        labels=labels,
        label=chosen,
        x=x,
        masks=masks,
        undirected=not graph.is_directed(),
        notes=tuple(notes),
    )


def _columns(node: dict[Any, int], graph: Any) -> dict[str, list[Any]]:
    """The attributes of the nodes; those that are no single values, such as `viz`, left out."""
    values = [graph.nodes[name] for name in node]
    names = dict.fromkeys(name for value in values for name in value)
    columns = {name: [value.get(name) for value in values] for name in names}
    plain = (str, bool, int, float, type(None))
    return {k: v for k, v in columns.items() if all(isinstance(value, plain) for value in v)}
