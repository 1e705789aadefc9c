"""PyG's `EdgeIndex`: its rows are made once, and anew after a change."""

import pytest
import torch
from torch_geometric import EdgeIndex

from gattn.neighborhood import build
from gattn.nn import structure
from gattn.nn.conv import GATConv, GATv2Conv, TransformerConv

EDGES = [[0, 1, 2, 3, 3, 1, 1], [1, 1, 0, 2, 2, 3, 3]]


@pytest.fixture
def made(monkeypatch):
    """The neighbourhoods made so far."""
    found = []

    def one_hop(*args):
        found.append(original(*args))
        return found[-1]

    original = structure.one_hop
    monkeypatch.setattr(structure, "one_hop", one_hop)
    return found


def edge_index():
    return EdgeIndex(EDGES, sparse_size=(5, 5))


@pytest.mark.parametrize("layer", [GATConv, GATv2Conv, TransformerConv])
def test_the_rows_of_an_edge_index_are_made_once(layer, made):
    conv, edges, x = layer(3, 2), edge_index(), torch.randn(5, 3)
    first, second = conv(x, edges), conv(x, edges)
    assert len(made) == 1 and torch.equal(first, second)
    torch.testing.assert_close(first, conv(x, torch.tensor(EDGES)))


def test_layers_share_them_where_they_need_the_same(made):
    edges, x = edge_index(), torch.randn(5, 3)
    GATConv(3, 2)(x, edges)
    GATv2Conv(3, 2)(x, edges)
    assert len(made) == 1
    GATConv(3, 2, add_self_loops=False)(x, edges)
    assert len(made) == 2


@pytest.mark.parametrize("of", ["the edge index", "its tensor", "the tensor it was made of"])
def test_a_change_in_place_is_seen(of, made):
    source = torch.tensor(EDGES)
    conv, edges, x = GATConv(3, 2), EdgeIndex(source, sparse_size=(5, 5)), torch.randn(5, 3)
    conv(x, edges)
    changed = {"the edge index": edges, "its tensor": edges.as_tensor()}.get(of, source)
    changed[0, 0] = 4
    out = conv(x, edges)
    assert len(made) == 2
    torch.testing.assert_close(out, conv(x, edges.as_tensor().clone()))


def test_an_equal_edge_index_is_another_one(made):
    conv, x = GATConv(3, 2), torch.randn(5, 3)
    conv(x, edge_index())
    conv(x, edge_index())
    assert len(made) == 2


def test_a_plain_tensor_is_read_every_time(made):
    conv, edges, x = GATConv(3, 2), torch.tensor(EDGES), torch.randn(5, 3)
    conv(x, edges)
    conv(x, edges)
    assert len(made) == 2


def test_an_edge_index_that_is_gone_keeps_nothing(made):
    conv, edges, x = GATConv(3, 2), edge_index(), torch.randn(5, 3)
    before = len(structure._stored)
    conv(x, edges)
    assert len(structure._stored) == before + 1
    del edges
    assert len(structure._stored) == before


def test_another_number_of_nodes_is_another_neighborhood(made):
    conv, edges = GATConv(3, 2), EdgeIndex(EDGES)
    conv(torch.randn(5, 3), edges)
    assert conv(torch.randn(6, 3), edges).shape == (6, 2)
    assert len(made) == 2


def test_loops_are_those_of_the_builder(made):
    GATConv(3, 2)(torch.randn(5, 3), edge_index())
    expected = build.one_hop(torch.tensor(EDGES), (5, 5), 5)
    assert torch.equal(made[0].rowptr, expected.rowptr)
    assert torch.equal(made[0].col, expected.col)
