"""Neighbourhoods as attributes of PyG's data: built once, moved, pickled, batched."""

import copy
import pickle

import pytest
import torch
import torch_geometric.transforms as T
from torch_geometric import EdgeIndex
from torch_geometric.data import Batch, Data, HeteroData, InMemoryDataset
from torch_geometric.loader import DataLoader

import gattn
from gattn import transforms
from gattn.nn import GraphAttention
from gattn.transforms import OneHop


def khop(num_hops, attr="neighborhood", **options):
    """The transform as it keeps a neighbourhood, beside edges that stay as they are."""
    return transforms.KHop(num_hops, attr=attr, **options)


PARTS = ("rowptr", "col", "hop", "perm")


def graph(num_nodes, num_edges, seed=0):
    generator = torch.Generator().manual_seed(seed)
    edges = torch.randint(0, max(num_nodes, 1), (2, num_edges), generator=generator)
    return Data(x=torch.randn(num_nodes, 3, generator=generator), edge_index=edges)


def same(found, expected):
    values = [(getattr(found, part), getattr(expected, part)) for part in PARTS]
    sizes = found.num_sources == expected.num_sources and found.num_hops == expected.num_hops
    return sizes and all(a is b is None or torch.equal(a, b) for a, b in values)


def test_k_hop_is_kept_in_the_data():
    data = graph(6, 9)
    kept = khop(2, shells=iter([1, 2]), attr="around")
    for _ in range(2):  # an iterator of shells is read once, the graphs are many
        found = kept(data)
        assert same(found.around, gattn.k_hop(data.edge_index, 2, 6, shells=[1, 2]))
    assert "around" not in data
    assert same(
        khop(1, complete=True)(data).neighborhood, gattn.k_hop(data.edge_index, 1, 6, complete=True)
    )


def test_one_hop_is_kept_in_the_data():
    data = graph(6, 9)
    found = OneHop()(data).neighborhood
    assert same(found, gattn.from_edge_index(data.edge_index, 6))
    assert torch.equal(found.edge_index(), data.edge_index)


def test_isolated_nodes_count():
    assert (
        OneHop()(Data(edge_index=torch.tensor([[0], [1]]), num_nodes=9)).neighborhood.num_targets
        == 9
    )
    assert khop(3)(graph(4, 0)).neighborhood.num_pairs == 4


def test_an_edge_index_with_metadata():
    data = graph(6, 9)
    marked = Data(x=data.x, edge_index=EdgeIndex(data.edge_index, sparse_size=(6, 6)))
    for transform in (OneHop(), khop(2)):
        assert same(transform(marked).neighborhood, transform(data).neighborhood)


def test_in_a_composition_it_sees_the_edges_of_its_place():
    data = graph(6, 9)
    found = T.Compose([T.ToUndirected(), khop(2)])(data)
    assert same(found.neighborhood, gattn.k_hop(T.ToUndirected()(data).edge_index, 2, 6))


def test_a_layer_takes_it():
    data = OneHop()(graph(6, 9))
    layer = GraphAttention(3, 4, heads=2)
    expected = layer(data.x, gattn.from_edge_index(data.edge_index, 6))
    assert torch.equal(layer(data.x, data.neighborhood), expected)


def test_it_moves_and_copies_with_the_data():
    data = khop(2)(graph(6, 9))
    assert copy.copy(data).to("meta").neighborhood.device.type == "meta"
    assert data.neighborhood.device.type == "cpu"
    assert same(pickle.loads(pickle.dumps(data)).neighborhood, data.neighborhood)
    assert same(copy.deepcopy(data).neighborhood, data.neighborhood)
    assert same(data.clone().neighborhood, data.neighborhood)


def test_a_batch_has_a_list_which_gattn_joins():
    many = [khop(2)(graph(nodes, edges)) for nodes, edges in ((6, 9), (4, 0), (5, 7))]
    batch = Batch.from_data_list(many)
    joined = gattn.batch(batch.neighborhood)
    assert same(joined, khop(2)(batch).neighborhood)
    assert all(same(batch[k].neighborhood, many[k].neighborhood) for k in range(3))
    moved = copy.copy(batch).to("meta").neighborhood
    assert [item.device.type for item in moved] == ["meta"] * 3


@pytest.mark.parametrize("workers", [0, 1])
def test_a_loader_hands_out_lists(workers):
    many = [OneHop()(graph(nodes, 8, seed=nodes)) for nodes in (3, 4, 5)]
    sizes = []
    for batch in DataLoader(many, batch_size=2, num_workers=workers):
        joined = gattn.batch(batch.neighborhood)
        assert torch.equal(joined.edge_index(), batch.edge_index)
        sizes.append(joined.num_targets)
    assert sizes == [7, 5]


class Kept(InMemoryDataset):
    """Two graphs with their neighbourhoods, saved and read as PyG does it."""

    def __init__(self, root):
        super().__init__(root, pre_transform=khop(2), log=False)
        self.load(self.processed_paths[0])

    @property
    def processed_file_names(self):
        return ["data.pt"]

    def process(self):
        self.save(
            [self.pre_transform(graph(5, 9)), self.pre_transform(graph(4, 7))],
            self.processed_paths[0],
        )


def test_a_dataset_saves_it(tmp_path):
    # A warning that it cannot be loaded safely would be an error here.
    for dataset in (Kept(tmp_path), Kept(tmp_path)):
        expected = gattn.k_hop(dataset[1].edge_index, 2, 4)
        assert same(dataset[1].neighborhood, expected)


def test_what_stands_there():
    assert repr(khop(2)) == "KHop(2)"
    assert (
        repr(khop(3, shells=range(1, 3), complete=True)) == "KHop(3, shells=[1, 2], complete=True)"
    )
    assert repr(OneHop()) == "OneHop()"
    assert "neighborhood=Sparse(" in repr(khop(2)(graph(6, 9)))


@pytest.mark.parametrize(
    ("transform", "data", "error", "message"),
    [
        (OneHop(), HeteroData(), TypeError, "data: found HeteroData, expected a Data"),
        (khop(1), Data(x=torch.ones(2, 1)), TypeError, "without an edge_index, expected one"),
        (khop(2, max_pairs=3, streamed=False), graph(6, 9), ValueError, "at most max_pairs = 3"),
        (khop(-1), graph(6, 9), ValueError, "num_hops: found -1"),
        (khop(1, shells=1), graph(6, 9), TypeError, "shells: found 1, expected distances"),
    ],
)
def test_errors_name_what_is_wrong(transform, data, error, message):
    with pytest.raises(error, match=message):
        transform(data)
