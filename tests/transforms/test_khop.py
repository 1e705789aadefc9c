"""KHop: the pairs within k hops as plain edges, which all of PyG can take."""

import pickle

import pytest
import torch
import torch_geometric.transforms as T
from torch_geometric import EdgeIndex
from torch_geometric.data import Batch, Data, HeteroData
from torch_geometric.loader import DataLoader, RandomNodeLoader
from torch_geometric.nn import GATConv, HeteroConv

import gattn
from gattn import nn as gattn_nn
from gattn.loader import EgoLoader, KHopLoader
from gattn.transforms import HopTokens, KHop

# 0 <-> 1 <-> 2 <-> 3, with an edge twice and a loop at 3.
EDGES = torch.tensor([[0, 1, 1, 2, 2, 3, 0, 3], [1, 0, 2, 1, 3, 2, 1, 3]])


def path(**more):
    return Data(x=torch.eye(4), edge_index=EDGES, **more)


def graph(num_nodes, num_edges, seed=0, features=2):
    generator = torch.Generator().manual_seed(seed)
    edges = torch.randint(0, max(num_nodes, 1), (2, num_edges), generator=generator)
    edges = edges.unique(dim=1)
    return Data(
        x=torch.randn(num_nodes, 3, generator=generator),
        edge_index=edges,
        edge_attr=torch.randn(edges.shape[1], features, generator=generator),
    )


def as_pairs(data):
    """`{(source, target): (hop, features)}`."""
    features = data.edge_attr.tolist() if "edge_attr" in data else [None] * data.num_edges
    found = zip(*data.edge_index.tolist(), data.edge_hop.tolist(), features, strict=True)
    return {(source, target): (hop, given) for source, target, hop, given in found}


@pytest.mark.parametrize("options", [{}, {"shells": [2]}, {"complete": True}, {"shells": [1, 2]}])
def test_edges_are_the_pairs_of_k_hop(options):
    for data in (path(), graph(12, 25), graph(5, 0), Data(edge_index=EDGES, num_nodes=9)):
        found = KHop(2, **options)(data)
        expected = gattn.k_hop(data.edge_index, 2, data.num_nodes, **options)
        assert torch.equal(found.edge_index, expected.edge_index())
        assert torch.equal(found.edge_hop, expected.hop.long())
        assert found.num_nodes == data.num_nodes
        assert "edge_hop" not in data


def test_attributes_stay_with_their_edges():
    weight = torch.arange(8.0) + 1
    data = path(edge_attr=weight[:, None], edge_weight=weight, edge_kind=torch.arange(8))
    found = KHop(2, fill_value=-1)(data)
    pairs = as_pairs(found)
    assert pairs[0, 1] == (1, [1.0])  # the first of the parallel edges
    assert pairs[2, 3] == (1, [5.0])
    assert pairs[3, 3] == (0, [8.0])  # a loop was an edge
    assert pairs[0, 0] == (0, [-1.0])
    assert pairs[3, 1] == (2, [-1.0])
    assert (0, 3) not in pairs
    assert torch.equal(found.edge_weight, found.edge_attr[:, 0])
    assert found.edge_kind.dtype == torch.long
    assert torch.equal(found.edge_kind >= 0, found.edge_weight > 0)


def test_one_hot_hops_join_the_features():
    alone = KHop(2, edge_attr="one_hot")(path())
    assert torch.equal(alone.edge_attr.argmax(dim=1), alone.edge_hop)
    assert alone.edge_attr.shape == (alone.num_edges, 3)
    joined = KHop(1, edge_attr="one_hot", complete=True)(path(edge_attr=torch.ones(8)))
    assert joined.edge_attr.shape == (16, 1 + 3)
    assert torch.equal(joined.edge_attr[:, 1:].argmax(dim=1), joined.edge_hop)
    assert int(joined.edge_attr[:, 0].sum()) == 7  # the parallel edge is one pair


@pytest.mark.parametrize("seed", range(5))
def test_as_many_pairs_as_nodes_are_still_edges(seed):
    # PyG tells attributes of nodes and of edges apart by their length, and if they are as many by
    # the name: a key without "edge" in it would be one of nodes.
    data = graph(7, 12, seed=seed)
    found = KHop(0)(data)
    assert found.num_edges == found.num_nodes == 7
    assert all(found.is_edge_attr(name) for name in ("edge_index", "edge_hop", "edge_attr"))
    assert found.is_node_attr("x") and not found.is_node_attr("edge_hop")
    kept = found.subgraph(torch.tensor([1, 4, 6]))
    assert kept.x.shape[0] == 3 and kept.edge_hop.shape == (kept.num_edges,) == (3,)
    again = found.edge_subgraph(torch.tensor([0, 2]))
    assert again.edge_hop.shape == (2,) and again.x.shape[0] == 7


def test_nodes_and_edges_as_many_before():
    ring = torch.stack([torch.arange(5), (torch.arange(5) + 1) % 5])
    data = Data(
        x=torch.randn(5, 2), y=torch.arange(5), edge_index=ring, edge_attr=torch.arange(5.0)
    )
    found = KHop(2)(data)
    assert found.num_edges == 15 and torch.equal(found.y, data.y) and torch.equal(found.x, data.x)
    ahead = found.edge_hop == 1
    assert torch.equal(found.edge_attr[ahead], found.edge_index[0, ahead].float())
    assert not found.edge_attr[~ahead].any()


def test_links_to_predict_are_no_edges():
    labels = {"edge_label": torch.ones(8), "edge_label_index": EDGES.flip(0)}
    found = KHop(2)(path(**labels))
    assert all(torch.equal(found[name], value) for name, value in labels.items())


def test_a_subgraph_keeps_what_belongs_together():
    found = KHop(2)(graph(9, 20)).subgraph(torch.tensor([0, 2, 5, 7]))
    assert found.edge_hop.shape[0] == found.edge_attr.shape[0] == found.num_edges
    assert bool((found.edge_hop[found.edge_index[0] == found.edge_index[1]] == 0).all())


@pytest.mark.parametrize("kind", ["data", "hetero"])
def test_a_batch_of_results_is_the_result_of_the_batch(kind):
    many = [graph(*size, seed=size[0]) for size in ((6, 9), (4, 0), (5, 7))]
    if kind == "hetero":
        many = [hetero(data) for data in many]
    done = [KHop(2)(data) for data in many]
    first, second = Batch.from_data_list(done), KHop(2)(Batch.from_data_list(many))
    for batch in (first, second):
        for k, data in enumerate(done):
            assert str(batch[k]) == str(data)
            mine, theirs = (sorted(as_pairs(plain(one)).items()) for one in (batch[k], data))
            assert mine == theirs
    assert torch.equal(plain(first).edge_index, plain(second).edge_index)


def joined(**options):
    return Batch.from_data_list(
        [graph(*size, seed=size[0]) for size in ((6, 9), (4, 0), (5, 7))], **options
    )


def without_ptr():
    batch = joined()
    del batch.ptr
    return batch


def test_what_was_set_after_joining_stays():
    batch = joined(follow_batch=["x", "edge_attr"])
    batch.late, batch.x = torch.arange(batch.num_edges) + 1, 2 * batch.x
    found = T.Compose([HopTokens(2), KHop(2)])(batch)
    assert set(found.keys()) == set(batch.keys()) | {"edge_hop", "hop_tokens"}
    assert torch.equal(found.x, batch.x) and torch.equal(found.x_batch, batch.batch)
    assert torch.equal(found.hop_tokens, HopTokens(2)(batch).hop_tokens)
    was_edge = found.late > 0
    assert torch.equal(found.late[was_edge].sort().values, batch.late)
    assert torch.equal(found.edge_attr_batch, batch.batch[found.edge_index[0]])
    assert found.edge_attr_ptr.tolist() == [0, *found.edge_attr_batch.bincount().cumsum(0)]
    for k, one in enumerate(found.to_data_list()):
        mine = found.edge_attr_batch == k
        assert torch.equal(one.late, found.late[mine])
        assert torch.equal(one.edge_index, KHop(2)(batch[k]).edge_index)
    assert str(batch[0]) == str(joined()[0])  # the batch it was made from is as it was


@pytest.mark.parametrize("kind", ["data", "hetero"])
def test_complete_graphs_of_a_batch_stay_apart(kind):
    batch = joined() if kind == "data" else Batch.from_data_list([hetero(g) for g in joined()[:]])
    found = KHop(1, complete=True)(batch)
    assert plain(found).num_edges == 36 + 16 + 25
    for k, one in enumerate(found.to_data_list()):
        assert as_pairs(plain(one)) == as_pairs(plain(KHop(1, complete=True)(batch[k])))


def test_a_batch_with_as_many_edges_as_nodes():
    """By its length `weight` could then be of nodes; by that of every graph it could not."""
    few = Data(x=torch.ones(3, 1), edge_index=torch.tensor([[0], [1]]), weight=torch.ones(1))
    loops = torch.arange(2).repeat(2, 2)
    many = Data(x=torch.ones(2, 1), edge_index=loops, weight=torch.ones(4))
    batch = Batch.from_data_list([few, many])
    assert batch.num_nodes == batch.num_edges == 5
    found = KHop(1)(batch)
    assert len(found.weight) == found.num_edges == 6 and found.weight.sum() == 3


def test_batches_of_balls_and_samples():
    data = graph(20, 60)
    balls = next(iter(EgoLoader(data, 2, batch_size=4, seed=0)))
    found = KHop(2)(balls)
    assert found.edge_hop.shape[0] == found.edge_attr.shape[0] == found.num_edges
    assert torch.equal(found.ptr, balls.ptr) and torch.equal(found.root_n_id, balls.root_n_id)
    assert "e_id" in balls and "e_id" not in found
    sample = next(iter(KHopLoader(data, [3, 3], batch_size=4, seed=0)))
    gone = {"e_id", "num_sampled_nodes", "num_sampled_edges"}
    assert set(sample.keys()) - set(KHop(1)(sample).keys()) == gone


def hetero(data):
    found = HeteroData()
    found["word"].x = data.x
    found["word", "near", "word"].edge_index = data.edge_index
    found["word", "near", "word"].edge_attr = data.edge_attr
    return found


def plain(data):
    """The one kind of edges of a graph."""
    return data["word", "near", "word"] if isinstance(data, HeteroData) else data


def test_loaders_take_it():
    many = [graph(n, 2 * n, seed=n) for n in (3, 4, 5)]
    for batch in DataLoader([KHop(2)(data) for data in many], batch_size=2):
        assert batch.edge_hop.shape[0] == batch.num_edges
        assert int(batch.edge_index.max()) < batch.num_nodes


def test_a_loader_of_subgraphs_cuts_it():
    data = KHop(2)(graph(20, 30))
    for batch in RandomNodeLoader(data, num_parts=3):
        assert batch.edge_hop.shape[0] == batch.edge_attr.shape[0] == batch.num_edges
        assert batch.x.shape[0] == batch.num_nodes < 20


def test_as_the_transform_of_a_loader():
    data = graph(20, 60)
    for batch in KHopLoader(data, [3, 3], batch_size=4, transform=KHop(2)):
        assert batch.edge_hop.shape[0] == batch.num_edges and "e_id" not in batch


def test_ids_of_edges_go():
    found = KHop(1)(path(e_id=torch.arange(8)))
    assert "e_id" not in found and "e_id" in path(e_id=torch.arange(8))


def test_in_a_composition_it_sees_the_edges_of_its_place():
    data = graph(6, 9)
    found = T.Compose([T.ToUndirected(), KHop(2), T.LocalDegreeProfile()])(data)
    expected = KHop(2)(T.ToUndirected()(data))
    assert as_pairs(found) == as_pairs(expected)
    assert torch.equal(found.x[:, 3], expected.edge_index[0].bincount(minlength=6).float())


def test_an_edge_index_with_metadata():
    data = graph(6, 9)
    marked = Data(
        x=data.x, edge_index=EdgeIndex(data.edge_index.contiguous()), edge_attr=data.edge_attr
    )
    assert as_pairs(KHop(2)(marked)) == as_pairs(KHop(2)(data))


def test_layers_of_pyg_take_it():
    data = KHop(2, edge_attr="one_hot")(graph(9, 20, features=2))
    torch.manual_seed(0)
    layer = GATConv(3, 4, heads=2, edge_dim=2 + 3, add_self_loops=False).double()
    x, features = data.x.double(), data.edge_attr.double()
    out = layer(x, data.edge_index, edge_attr=features)
    ours = gattn_nn.GATConv(3, 4, heads=2, edge_dim=5, add_self_loops=False).double()
    ours.load_state_dict(layer.state_dict())
    torch.testing.assert_close(ours(x, data.edge_index, edge_attr=features), out)
    # A hop bias over the neighbourhood is a bias by `edge_hop` over these edges.
    made = gattn_nn.GraphAttention(3, 4, hop_bias=2).double()
    made.hop_bias.data = torch.tensor([[0.0], [1.0], [-1.0]]).double()
    around = gattn.k_hop(graph(9, 20).edge_index, 2, 9)
    expected = made(x, around)
    bias = made.hop_bias[data.edge_hop]
    made.hop_bias = None
    torch.testing.assert_close(made(x, data.edge_index, pair_bias=bias), expected)


def test_hetero_data():
    data = hetero(graph(9, 20))
    data["doc"].x = torch.randn(3, 3)
    data["doc", "cites", "doc"].edge_index = torch.tensor([[0, 1], [1, 2]])
    found = KHop(2)(data)
    expected = KHop(2)(graph(9, 20))
    assert as_pairs(found["word", "near", "word"]) == as_pairs(expected)
    assert found["doc", "cites", "doc"].edge_hop.tolist() == [0, 0, 1, 0, 1, 2]
    named = KHop(2, edge_types=[("doc", "cites", "doc")])(data)
    assert named["word", "near", "word"].num_edges == data["word", "near", "word"].num_edges
    assert named["doc", "cites", "doc"].num_edges == 6
    layers = HeteroConv({kind: GATConv(3, 2, add_self_loops=False) for kind in found.edge_types})
    assert layers(found.x_dict, found.edge_index_dict)["doc"].shape == (3, 2)
    kept = KHop(1, attr="around")(data)
    assert kept["doc", "cites", "doc"].around.num_pairs == 5


def test_types_that_join_two_kinds_of_nodes_are_named_or_refused():
    data = hetero(graph(9, 20))
    data["doc"].x = torch.randn(3, 3)
    data["word", "in", "doc"].edge_index = torch.tensor([[0, 1], [1, 2]])
    with pytest.raises(ValueError, match=r"found \('word', 'in', 'doc'\), expected those with one"):
        KHop(2)(data)
    found = KHop(2, edge_types=[("word", "near", "word")])(data)
    assert torch.equal(found["word", "in", "doc"].edge_index, data["word", "in", "doc"].edge_index)
    with pytest.raises(ValueError, match=r"found .*, expected some of"):
        KHop(2, edge_types=[("doc", "cites", "doc")])(data)


def test_it_pickles_and_moves():
    data = KHop(2)(graph(6, 9))
    assert as_pairs(pickle.loads(pickle.dumps(data))) == as_pairs(data)
    assert data.clone().to("meta").edge_hop.device.type == "meta"
    assert repr(KHop(2, edge_attr="one_hot")) == "KHop(2)"


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: KHop(2, edge_attr="hop"), ValueError, "edge_attr: found 'hop'"),
        (lambda: KHop(2)(path(edge_names=list("abcdefgh"))), TypeError, "edge_names: found list"),
        (
            lambda: KHop(2)(path(bond_index=torch.arange(8))),
            ValueError,
            r"bond_index: found shape \[8\], expected \[2, E\] or no index in the name",
        ),
        (
            lambda: KHop(2, edge_attr="one_hot")(path(edge_attr=torch.ones(8, 2, 2))),
            ValueError,
            r"edge_attr: found shape \[8, 2, 2\], expected \[E, D\]",
        ),
        (lambda: KHop(2)(without_ptr()), ValueError, "ptr: found none in the batch"),
        (
            lambda: KHop(2)(Batch.from_data_list([path(edge_names=list("abcdefgh"))])),
            TypeError,
            "edge_names: found list",
        ),
        (lambda: KHop(2)(Data(x=torch.ones(2, 1))), TypeError, "without an edge_index"),
        (lambda: KHop(2)(torch.ones(2)), TypeError, "data: found Tensor, expected a Data"),
        (lambda: KHop(2, max_pairs=3)(path()), ValueError, "at most max_pairs = 3"),
    ],
)
def test_errors_name_what_is_wrong(call, error, message):
    with pytest.raises(error, match=message):
        call()
