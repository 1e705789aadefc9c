"""`KHopLoader` and `KHopLinkLoader` beside PyG's, in worker processes, with transforms."""

import copy
import math
import pickle

import pytest
import torch
from torch_geometric.data import Data
from torch_geometric.loader import LinkLoader, NodeLoader
from torch_geometric.nn import SAGEConv
from torch_geometric.sampler.base import SubgraphType
from torch_geometric.utils import trim_to_layer

from gattn.loader import KHopLinkLoader, KHopLoader, KHopSampler
from gattn.nn import GraphAttention
from gattn.transforms import OneHop
from tests.loader.peers import RELATIONS, graph, hetero_graph

# A machine with one core is warned of two workers.
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")


def same(a, b):
    """Two lists of batches hold the same."""
    return len(a) == len(b) and all(
        p.keys() == q.keys() and all(equal(p[name], q[name]) for name in p.keys())  # noqa: SIM118
        for p, q in zip(a, b, strict=True)
    )


def equal(a, b):
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


def loader(data=None, **kwargs):
    given = {"batch_size": 8, "seed": 0, "shuffle": True} | kwargs
    return KHopLoader(graph() if data is None else data, [4, 3], **given)


def test_a_batch_has_what_belongs_to_its_nodes_and_edges():
    data, ids = graph(), []
    for batch in loader(data, input_nodes=data.y == 1):
        assert torch.equal(batch.x[:, 0].long(), batch.n_id)
        assert torch.equal(batch.y, data.y[batch.n_id])
        assert torch.equal(batch.edge_attr[:, 0].long(), batch.e_id)
        assert torch.equal(batch.n_id[batch.edge_index], data.edge_index[:, batch.e_id])
        assert torch.equal(batch.input_id, batch.n_id[: batch.batch_size])
        assert sum(batch.num_sampled_nodes) == batch.num_nodes
        assert sum(batch.num_sampled_edges) == batch.num_edges
        ids += batch.input_id.tolist()
    assert sorted(ids) == (data.y == 1).nonzero().flatten().tolist()


def test_it_is_a_loader_of_pyg():
    made = loader()
    assert isinstance(made, NodeLoader) and len(made) == 8 and made.batch_size == 8
    batch = made([3, 4, 5])
    assert batch.n_id[:3].tolist() == [3, 4, 5] and batch.batch_size == 3
    assert same([batch], [made(torch.tensor([3, 4, 5]))]), "a call without a key takes the seed"
    assert isinstance(KHopLinkLoader(graph(), [2]), LinkLoader)


@pytest.mark.parametrize("kwargs", [{}, {"disjoint": True}, {"subgraph_type": "induced"}])
def test_the_sampler_inside_pygs_own_loader(kwargs):
    data = graph()
    sampler = KHopSampler(data, [-1, -1], **kwargs)
    given = {"batch_size": 7, "input_nodes": torch.arange(20)}
    theirs = list(NodeLoader(data, sampler, **given))
    assert same(theirs, list(KHopLoader(data, neighbor_sampler=sampler, **given)))
    again = list(KHopLoader(data, [-1, -1], seed=5, **given, **kwargs))
    assert same(theirs, again), "nothing is left to chance with all neighbours"


def test_runs_agree_and_epochs_differ():
    one, two = loader(shuffle=False), loader(shuffle=False)
    epochs = [list(one), list(one)]
    assert same(epochs[0], list(two)) and same(epochs[1], list(two))
    assert not same(*epochs) and not same(epochs[0], list(loader(shuffle=False, seed=1)))


@pytest.mark.parametrize(
    ("workers", "persistent", "filter_per_worker"),
    [(1, False, False), (2, False, True), (1, True, True), (2, True, False)],
)
def test_forked_workers_change_nothing(workers, persistent, filter_per_worker):
    torch.ones(3).sum()  # the process has used torch before it forks
    list(loader())
    expected = loader(filter_per_worker=filter_per_worker)
    found = loader(
        num_workers=workers, persistent_workers=persistent, filter_per_worker=filter_per_worker
    )
    for _ in range(3):
        assert same(list(found), list(expected))


def test_an_epoch_that_is_broken_off_in_persistent_workers():
    found, expected = loader(num_workers=2, persistent_workers=True), loader()
    for made in (found, expected):
        next(iter(made))
    assert same(list(found), list(expected))


@pytest.mark.slow
def test_spawned_workers_change_nothing():
    found = loader(batch_size=30, num_workers=1, multiprocessing_context="spawn")
    assert same(list(found), list(loader(batch_size=30)))


def test_a_heterogeneous_graph():
    data = hetero_graph()
    fan_outs = {name: [3, 2] for name in RELATIONS}
    given = {"input_nodes": ("author", torch.arange(9)), "batch_size": 4, "seed": 0}
    for batch in KHopLoader(data, fan_outs, **given):
        for kind in batch.node_types:
            assert torch.equal(batch[kind].x[:, 0].long(), batch[kind].n_id)
        for name in RELATIONS:
            ends = batch[name].edge_index
            n_id = batch[name[0]].n_id[ends[0]], batch[name[2]].n_id[ends[1]]
            assert torch.equal(torch.stack(n_id), data[name].edge_index[:, batch[name].e_id])
            assert torch.equal(batch[name].edge_attr.long(), batch[name].e_id)
        assert torch.equal(
            batch["author"].input_id, batch["author"].n_id[: batch["author"].batch_size]
        )
    assert len(list(KHopLoader(data, [2], input_nodes="venue", batch_size=2))) == 2


def induced(data, name, batch):
    """Edges among the nodes of a batch, by comparing all with all: `[position, target]`."""
    source, target = batch[name[0]], batch[name[2]]
    there = set(codes(source))
    return sorted(
        (edge, place)
        for place, (subgraph, node) in enumerate(codes(target))
        for edge, (u, v) in enumerate(data[name].edge_index.T.tolist())
        if v == node and (subgraph, u) in there
    )


def codes(store):
    """Subgraph and node of every node of a batch."""
    ids = store.n_id.tolist()
    return list(zip(store.batch.tolist() if "batch" in store else [0] * len(ids), ids, strict=True))


@pytest.mark.parametrize("disjoint", [False, True])
@pytest.mark.parametrize("kind", ["paper", "venue"])
@pytest.mark.parametrize("silent", [[], RELATIONS[:1], RELATIONS[1:3], RELATIONS])
def test_induced_edges_where_types_are_not_reached(silent, kind, disjoint):
    data = hetero_graph()
    fan_outs = {name: [0 if name in silent else 2] for name in RELATIONS}
    given = {"subgraph_type": "induced", "disjoint": disjoint, "batch_size": 3, "seed": 0}
    for batch in KHopLoader(data, fan_outs, (kind, torch.tensor([1, 0, 2, 3])), **given):
        for name in RELATIONS:
            found = batch[name].e_id.tolist(), batch[name].edge_index[1].tolist()
            assert sorted(zip(*found, strict=True)) == induced(data, name, batch)
            n_id = [batch[name[2 * i]].n_id[batch[name].edge_index[i]] for i in range(2)]
            assert torch.equal(torch.stack(n_id), data[name].edge_index[:, batch[name].e_id])


class Trimmed(torch.nn.Module):
    """Two layers, the second on what it needs only."""

    def __init__(self):
        super().__init__()
        self.layers = torch.nn.ModuleList([SAGEConv(1, 8), SAGEConv(8, 4)])

    def forward(self, x, edge_index, nodes=None, edges=None):
        for i, layer in enumerate(self.layers):
            if nodes is not None:
                x, edge_index, _ = trim_to_layer(i, nodes, edges, x, edge_index)
            x = layer(x, edge_index).tanh()
        return x


def test_trimmed_layers_say_the_same_of_the_seeds():
    torch.manual_seed(0)
    model = Trimmed()
    for batch in loader():
        whole = model(batch.x, batch.edge_index)[: batch.batch_size]
        trimmed = model(
            batch.x, batch.edge_index, batch.num_sampled_nodes, batch.num_sampled_edges
        )[: batch.batch_size]
        torch.testing.assert_close(trimmed, whole)


def test_trimmed_parts_of_a_heterogeneous_graph():
    for batch in KHopLoader(hetero_graph(), [3, 2], input_nodes="paper", batch_size=10, seed=0):
        nodes = {k: batch[k].num_sampled_nodes for k in batch.node_types}
        edges = {k: batch[k].num_sampled_edges for k in batch.edge_types}
        x, ends, _ = trim_to_layer(1, nodes, edges, batch.x_dict, batch.edge_index_dict)
        for name in RELATIONS:
            assert len(x[name[0]]) == sum(nodes[name[0]][:2])
            assert torch.equal(ends[name], batch[name].edge_index[:, : edges[name][0]])
            assert ends[name][0].numel() == 0 or ends[name][0].max() < len(x[name[0]])


def test_all_neighbours_give_the_output_of_the_whole_graph():
    """Attention on a batch is that on the graph where no neighbour is missing."""
    torch.manual_seed(0)
    data = OneHop()(graph())
    layers = [GraphAttention(1, 4, heads=2), GraphAttention(8, 4)]

    def output(part):
        return layers[1](layers[0](part.x, part.neighborhood).tanh(), part.neighborhood)

    expected = output(data)
    for batch in KHopLoader(graph(), [-1, -1], batch_size=9, transform=OneHop()):
        found = output(batch)[: batch.batch_size]
        torch.testing.assert_close(found, expected[batch.input_id], atol=1e-5, rtol=1e-4)


def doubled(batch):
    batch.twice = 2 * batch.x
    return batch


def named(out):
    out.metadata = (*out.metadata, "seen")
    out.node = out.node.clone()
    return out


def test_transforms():
    for batch in loader(transform=doubled, transform_sampler_output=named, num_workers=1):
        assert torch.equal(batch.twice, 2 * batch.x)


def test_compressed_edges_and_features_from_elsewhere():
    data = graph()
    edges = data.edge_index[:, data.edge_index[1].argsort(stable=True)]
    rowptr = torch.cat([torch.zeros(1).long(), edges[1].bincount(minlength=60).cumsum(0)])
    sampler = KHopSampler((rowptr, edges[0].int()), [4, 3], seed=0)
    bare = Data(x=data.x, y=data.y)
    found = list(KHopLoader(bare, neighbor_sampler=sampler, batch_size=8, num_workers=1))
    expected = loader(data, shuffle=False)
    for batch, other in zip(found, expected, strict=True):
        assert torch.equal(batch.edge_index, other.edge_index) and torch.equal(batch.x, other.x)
        assert torch.equal(batch.n_id[batch.edge_index], edges[:, batch.e_id])
    assert "edge_index" not in bare


def test_edges_of_many_types_from_elsewhere():
    data, bare = hetero_graph(), hetero_graph()
    for name in RELATIONS:
        del bare[name]
    sampler = KHopSampler(data, [3, 2], seed=0)
    given = {"neighbor_sampler": sampler, "input_nodes": "paper", "batch_size": 8}
    found, expected = KHopLoader(bare, **given), KHopLoader(data, **given)
    for batch, other in zip(found, expected, strict=True):
        assert batch.edge_types == RELATIONS
        for name in RELATIONS:
            assert torch.equal(batch[name].edge_index, other[name].edge_index)
            assert torch.equal(batch[name].e_id, other[name].e_id)
    pairs = (RELATIONS[0], data[RELATIONS[0]].edge_index[:, :5])
    (batch,) = KHopLinkLoader(bare, None, pairs, neighbor_sampler=sampler, batch_size=5)
    assert batch[RELATIONS[0]].num_edges > 0
    assert bare.edge_types == [], "that of the user is left alone"


@pytest.mark.parametrize("amount", [0.1, 0.5, 1.0, 1.5, 2.0])
@pytest.mark.parametrize("name", [None, *RELATIONS[:2]])
def test_both_ends_of_a_pair_are_in_one_subgraph(name, amount):
    data = graph() if name is None else hetero_graph()
    given = {"disjoint": True, "batch_size": 16, "seed": 0, "neg_sampling_ratio": amount}
    for batch in KHopLinkLoader(data, [2], name, **given):
        stores = [batch] * 2 if name is None else [batch[kind] for kind in name[::2]]
        store = batch if name is None else batch[name]
        ends = store.edge_label_index
        found = [part.batch[at] for part, at in zip(stores, ends, strict=True)]
        size = len(store.input_id)
        expected = torch.arange(ends.shape[1]) % size
        assert ends.shape[1] == size + math.ceil(size * amount)
        assert torch.equal(found[0], expected) and torch.equal(found[1], expected)


@pytest.mark.parametrize("disjoint", [False, True])
def test_links(disjoint):
    data = graph()
    given = {"batch_size": 5, "disjoint": disjoint, "seed": 0, "shuffle": True}
    pairs, ids = data.edge_index[:, :23], []
    made = [
        KHopLinkLoader(data, [3, 2], pairs, neg_sampling="binary", num_workers=workers, **given)
        for workers in (0, 2)
    ]
    assert same(*([*some, *some] for some in made)), "two epochs with and without workers"
    for batch in made[0]:
        size = len(batch.input_id)
        ends = batch.n_id[batch.edge_label_index]
        assert torch.equal(ends[:, :size], pairs[:, batch.input_id])
        assert batch.edge_label.tolist() == [1.0] * size + [0.0] * size
        assert torch.equal(batch.n_id[batch.edge_index], data.edge_index[:, batch.e_id])
        ids += batch.input_id.tolist()
    assert sorted(ids) == list(range(23))


def test_triplets_and_labels():
    data = graph()
    triplets = KHopLinkLoader(
        data, [2], neg_sampling={"mode": "triplet", "amount": 3}, batch_size=4, seed=0
    )
    batch = next(iter(triplets))
    assert torch.equal(batch.n_id[batch.src_index], data.edge_index[0, :4])
    assert torch.equal(batch.n_id[batch.dst_pos_index], data.edge_index[1, :4])
    assert batch.dst_neg_index.shape == (4, 3)
    labels = torch.arange(data.num_edges) % 3
    batch = next(
        iter(KHopLinkLoader(data, [2], edge_label=labels, neg_sampling_ratio=0.5, batch_size=4))
    )
    assert batch.edge_label.tolist() == [1, 2, 3, 1, 0, 0]


def test_links_between_types():
    data, name = hetero_graph(), RELATIONS[1]
    for batch in KHopLinkLoader(data, [2], (name, None), batch_size=50, seed=0):
        ends = batch[name].edge_label_index
        n_id = torch.stack([batch["author"].n_id[ends[0]], batch["paper"].n_id[ends[1]]])
        assert torch.equal(n_id, data[name].edge_index[:, batch[name].input_id])


def test_a_loader_can_be_pickled_and_copied():
    made = loader(shuffle=False)
    expected = list(loader(shuffle=False))
    assert same(list(pickle.loads(pickle.dumps(made))), expected)
    assert same(list(copy.copy(made)), expected)


def test_a_graph_without_edges_and_a_loader_without_seeds():
    batches = list(KHopLoader(graph(4, 0), [3, 3], batch_size=3))
    assert [batch.n_id.tolist() for batch in batches] == [[0, 1, 2], [3]]
    assert all(batch.edge_index.shape == (2, 0) for batch in batches)
    none = torch.zeros(60, dtype=torch.bool)
    assert list(KHopLoader(graph(), [3], input_nodes=none, batch_size=3)) == []


@pytest.mark.parametrize(
    ("kwargs", "said"),
    [
        ({"time_attr": "time"}, r"^time_attr: found 'time', expected None: not supported$"),
        ({"weight_attr": "w"}, r"^weight_attr: found 'w', expected None: not supported$"),
        ({"input_time": torch.ones(3)}, r"^input_time: found a tensor, expected None: not supp"),
        ({"temporal_strategy": "last"}, r"^temporal_strategy: found 'last', expected 'uniform'"),
        ({"directed": False}, r"^directed: found False, expected True: not supported$"),
        ({"neighbor_sampler": 3}, r"^neighbor_sampler: found int, expected a KHopSampler$"),
        ({"num_neighbors": None}, r"^num_neighbors: found None, expected one number for each hop"),
        ({"data": "graph"}, r"^data: found str, expected a Data or a HeteroData$"),
        ({"batch_size": None}, r"^batch_size: found None, expected a number of seeds$"),
    ],
)
@pytest.mark.parametrize("kind", [KHopLoader, KHopLinkLoader])
def test_what_is_not_there_is_refused_in_one_line(kind, kwargs, said):
    with pytest.raises((TypeError, ValueError), match=said):
        kind(**({"data": graph(), "num_neighbors": [2], "batch_size": 2} | kwargs))


def test_what_changes_nothing_is_taken():
    usual = {"time_attr": None, "temporal_strategy": "uniform", "is_sorted": True, "directed": True}
    assert same(list(loader(**usual)), list(loader()))


def test_a_sampler_of_other_edges_is_refused():
    data = graph()
    edges = data.edge_index[:, data.edge_index[1].argsort(stable=True)]
    rowptr = torch.cat([torch.zeros(1).long(), edges[1].bincount(minlength=60).cumsum(0)])
    compressed = KHopSampler((rowptr, edges[0]), [2])
    KHopLoader(Data(x=data.x, edge_index=edges), neighbor_sampler=compressed)
    KHopLoader(data, neighbor_sampler=KHopSampler(data, [2]))
    said = r"^data: found other edges, expected those of the sampler, in its order$"
    for other in (data, graph(60, 399), graph(60, 400, seed=1)):
        with pytest.raises(ValueError, match=said):
            KHopLoader(other, neighbor_sampler=compressed)
    mixed = hetero_graph()
    KHopLoader(mixed, neighbor_sampler=KHopSampler(mixed, [2]), input_nodes="paper")
    with pytest.raises(ValueError, match=said):
        KHopLoader(hetero_graph(1), neighbor_sampler=KHopSampler(mixed, [2]), input_nodes="paper")


def test_links_of_edges_that_are_not_there():
    sampler = KHopSampler((torch.tensor([0, 1, 2]), torch.tensor([1, 0])), [2])
    bare = Data(x=torch.eye(2))
    with pytest.raises(ValueError, match=r"^edge_label_index: found None, expected pairs"):
        KHopLinkLoader(bare, neighbor_sampler=sampler)
    pairs = torch.tensor([[0, 1], [0, 1]])
    (batch,) = KHopLinkLoader(bare, neighbor_sampler=sampler, edge_label_index=pairs, batch_size=2)
    assert torch.equal(batch.n_id[batch.edge_label_index], pairs) and batch.num_edges == 2


def test_a_sampler_of_another_graph_is_refused():
    sampler = KHopSampler(graph(30), [2])
    with pytest.raises(ValueError, match=r"^data: found 60 nodes, expected 30 of the sampler$"):
        KHopLoader(graph(), neighbor_sampler=sampler)
    with pytest.raises(ValueError, match=r"^data: found {.*} nodes, expected 30 of the sampler$"):
        KHopLoader(hetero_graph(), neighbor_sampler=sampler, input_nodes="paper")
    with pytest.raises(TypeError, match=r"^num_neighbors: found \[3\], expected None: the sampler"):
        KHopLoader(graph(30), [3], neighbor_sampler=sampler)


@pytest.mark.parametrize(
    ("kwargs", "said"),
    [
        ({"replace": True}, r"^replace: found True, expected False: the sampler has it$"),
        ({"disjoint": True}, r"^disjoint: found True, expected False: the sampler has it$"),
        ({"subgraph_type": "induced"}, r"^subgraph_type: found 'induced', expected 'directional'"),
        ({"subgraph_type": SubgraphType.bidirectional}, r"^subgraph_type: found 'bidirectional', "),
    ],
)
@pytest.mark.parametrize("kind", [KHopLoader, KHopLinkLoader])
def test_what_the_sampler_has_is_not_given_again(kind, kwargs, said):
    sampler = KHopSampler(graph(), [2])
    with pytest.raises(TypeError, match=said):
        kind(graph(), neighbor_sampler=sampler, **kwargs)
    kind(graph(), neighbor_sampler=sampler, subgraph_type=SubgraphType.directional)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (None, r"^input_nodes: found None, expected a type, or \(type, nodes\)$"),
        (torch.arange(3), r"^input_nodes: found Tensor, expected a type, or \(type, nodes\)$"),
        ("book", r"^input_nodes: found type 'book', expected one of paper, author, venue$"),
        (("book", [0]), r"^input_nodes: found type 'book', expected one of paper, author, venue$"),
    ],
)
def test_seeds_of_no_type_are_refused(given, said):
    with pytest.raises((TypeError, ValueError), match=said):
        KHopLoader(hetero_graph(), [2], given)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (None, r"^edge_label_index: found None, expected a type, or \(type, pairs\)$"),
        ("cites", r"^edge_label_index: found str, expected a type, or \(type, pairs\)$"),
        (("paper", "in", "venue"), r"^edge_label_index: found \('paper', 'in', 'venue'\), exp"),
        ((("paper", "in", "venue"), None), r"^edge_label_index: found \('paper', 'in', 'venue'"),
    ],
)
def test_pairs_of_no_type_are_refused(given, said):
    data = hetero_graph()
    with pytest.raises((TypeError, ValueError), match=said):
        KHopLinkLoader(data, [2], given)
    assert data.edge_types == RELATIONS
