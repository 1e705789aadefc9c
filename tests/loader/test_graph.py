"""The edges of a graph by target."""

import pytest
import torch
from torch_geometric import EdgeIndex
from torch_geometric.data import Data, HeteroData

from gattn.loader.graph import graph_of
from tests.loader.peers import graph


def test_edges_in_order_of_their_target_need_no_permutation():
    data = graph()
    data.edge_index = data.edge_index[:, data.edge_index[1].argsort(stable=True)]
    edges = graph_of(data).edges[None]
    assert edges.perm is None and torch.equal(edges.col.long(), data.edge_index[0])
    assert torch.equal(edges.rowptr.diff(), data.edge_index[1].bincount(minlength=60))


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
def test_other_kinds_of_edges(dtype):
    data = graph()
    expected = graph_of(data).edges[None]
    strided = torch.stack([data.edge_index.to(dtype)] * 2, dim=2)[:, :, 0]
    for edges in (EdgeIndex(data.edge_index.to(dtype), sparse_size=(60, 60)), strided):
        found = graph_of(Data(edge_index=edges, num_nodes=60)).edges[None]
        for part in ("rowptr", "col", "perm"):
            assert torch.equal(getattr(found, part), getattr(expected, part))


@pytest.mark.parametrize(
    ("ends", "said"),
    [
        ([[0], [4]], r"^edge_index\[1\]: found the index 4, expected 0 <= index < num_nodes = 4$"),
        (
            [[-1], [0]],
            r"^edge_index\[0\]: found the index -1, expected 0 <= index < num_nodes = 4$",
        ),
    ],
)
def test_edges_out_of_range(ends, said):
    with pytest.raises(IndexError, match=said):
        graph_of(Data(edge_index=torch.tensor(ends), num_nodes=4))


@pytest.mark.parametrize(
    ("rowptr", "col", "said"),
    [
        ([0, 2, 1, 2], [0, 1], r"^rowptr: found 0 ... 2, expected 0 <= ... <= 2, the number"),
        ([1, 2], [0, 0], r"^rowptr: found 1 ... 2, expected 0 <="),
        ([0, 3], [0, 0], r"^rowptr: found 0 ... 3, expected 0 <="),
        ([], [], r"^num_nodes: found -1, expected an int in"),
        ([0, 2], [0, 1], r"^col: found the index 1, expected 0 <= index < num_nodes = 1$"),
        ([0, 2], [0, -1], r"^col: found the index -1, expected"),
        ([[0, 2]], [0, 0], r"^rowptr: found shape \[1, 2\], expected \[N \+ 1\]$"),
    ],
)
def test_compressed_rows_that_are_none(rowptr, col, said):
    with pytest.raises((ValueError, IndexError), match=said):
        graph_of((torch.tensor(rowptr, dtype=torch.int64), torch.tensor(col, dtype=torch.int64)))
    with pytest.raises(TypeError, match=r"^col: found dtype torch.float32"):
        graph_of((torch.tensor([0]), torch.zeros(0)))


@pytest.mark.filterwarnings("ignore:Unable to accurately infer")
def test_data_that_has_not_what_is_needed():
    with pytest.raises(TypeError, match=r"^data: found a sparse adjacency, expected an edge_index"):
        graph_of(Data(num_nodes=2, adj_t=torch.eye(2).to_sparse_csr()))
    with pytest.raises(ValueError, match=r"^data: found no number of nodes, expected features or"):
        graph_of(Data())
    data = HeteroData()
    data["a"].num_nodes = 2
    data["a", "to", "b"].edge_index = torch.zeros(2, 1, dtype=torch.int64)
    with pytest.raises(ValueError, match=r"'b'"):
        graph_of(data)
    data["b"].num_nodes = 2**31
    with pytest.raises(ValueError, match=r"^num_nodes of b: found 2147483648, expected an int in"):
        graph_of(data)
