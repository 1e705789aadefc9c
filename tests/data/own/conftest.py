"""A graph of seven nodes in every format that is read."""

import json
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
import torch
from torch_geometric.data import Data

EDGES = [(0, 1), (1, 2), (2, 3), (3, 0), (4, 5), (5, 6), (6, 4), (0, 4)]
LABELS = [0, 1, 2, 0, 1, 2, 0]
X = [[float(n), n % 2 * 0.5] for n in range(7)]
PARTS = ["train", "val", "test", "test", "train", "val", "train"]


def masks() -> dict[str, torch.Tensor]:
    return {
        f"{part}_mask": torch.tensor([found == part for found in PARTS])
        for part in ("train", "val", "test")
    }


def data() -> Data:
    edge_index = torch.tensor(EDGES).t().contiguous()
    return Data(x=torch.tensor(X), edge_index=edge_index, y=torch.tensor(LABELS), **masks())


def networkx_graph(kind: type = nx.Graph) -> nx.Graph:
    graph = kind()
    for node, (label, (a, b), part) in enumerate(zip(LABELS, X, PARTS, strict=True)):
        graph.add_node(f"n{node}", y=label, a=a, b=b, split=part)
    graph.add_edges_from((f"n{s}", f"n{t}") for s, t in EDGES)
    return graph


def write_tables(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    lines = [
        f"n{node},{label},{a},{b},{part}"
        for node, (label, (a, b), part) in enumerate(zip(LABELS, X, PARTS, strict=True))
    ]
    (folder / "nodes.csv").write_text("\n".join(["id,y,a,b,split", *lines]) + "\n")
    edges = "\n".join(["source,target", *(f"n{s},n{t}" for s, t in EDGES)])
    (folder / "edges.csv").write_text(edges + "\n")
    return folder


def write(path: Path) -> Path:
    """Writes the graph in the format of the path's ending, a folder of tables without one."""
    if path.suffix == ".pt":
        torch.save(data(), path)
    elif path.suffix == ".npz":
        np.savez_compressed(path, **{key: value.numpy() for key, value in data().to_dict().items()})
    elif path.suffix == ".graphml":
        nx.write_graphml(networkx_graph(), path)
    elif path.suffix == ".gexf":
        nx.write_gexf(networkx_graph(), path)
    else:
        write_tables(path)
    return path


FORMATS = ("g.pt", "g.npz", "g.graphml", "g.gexf", "g")


@pytest.fixture(params=FORMATS)
def own(request, tmp_path) -> Path:
    """The graph in one format after the other."""
    return write(tmp_path / request.param)


@pytest.fixture
def tables(tmp_path) -> Path:
    """A folder of edges.csv and nodes.csv."""
    return write_tables(tmp_path / "tables")


def rewritten(path: Path, old: str, new: str) -> Path:
    """The file with one thing changed that is there."""
    text = path.read_text()
    assert old in text, json.dumps(text[:200])
    path.write_text(text.replace(old, new, 1))
    return path
