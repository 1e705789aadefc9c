"""`EgoLoader`: every ball is the one that PyG cuts out."""

import dataclasses

import pytest
import torch
from torch_geometric.data import Batch, Data
from torch_geometric.utils import k_hop_subgraph, subgraph

import gattn
from gattn.loader import EgoLoader
from gattn.nn import GraphAttention
from tests.loader.peers import graph, hetero_graph
from tests.loader.test_loaders import doubled, same

# A machine with one core is warned of two workers.
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")


def parts(batch, data):
    """The nodes, hops and edges of every ball of a batch, in the numbers of the data."""
    for b in range(batch.batch_size):
        mine = batch.batch == b
        edges = mine[batch.edge_index[0]]
        yield batch.n_id[mine], batch.hop[mine], batch.e_id[edges], batch.edge_index[:, edges]


@pytest.mark.parametrize("num_hops", [0, 1, 2, 6])
def test_balls_are_those_of_k_hop_subgraph(num_hops):
    data = graph(80, 150)
    seeds = torch.tensor([5, 79, 5, 0, 33])
    (batch,) = EgoLoader(data, num_hops, seeds, batch_size=9)
    around = gattn.k_hop(data.edge_index, num_hops, 80)
    for b, (nodes, hop, edge, ends) in enumerate(parts(batch, data)):
        ball, _, _, _ = k_hop_subgraph(int(seeds[b]), num_hops, data.edge_index, num_nodes=80)
        assert nodes.sort().values.tolist() == ball.tolist()
        kept = subgraph(ball, data.edge_index, num_nodes=80, return_edge_mask=True)[2]
        assert edge.sort().values.tolist() == kept.nonzero().flatten().tolist()
        assert torch.equal(batch.n_id[ends], data.edge_index[:, edge])
        row = slice(*around.rowptr[seeds[b] : seeds[b] + 2].tolist())
        true = dict(zip(around.col[row].tolist(), around.hop[row].tolist(), strict=True))
        assert hop.tolist() == [true[node] for node in nodes.tolist()]
        assert (hop.diff() >= 0).all()


def test_it_is_batched_as_pyg_does_it():
    data = graph()
    data.name, data.scale = "a graph", torch.tensor(3.0)
    (batch,) = EgoLoader(data, 1, data.y == 2, batch_size=60)
    assert isinstance(batch, Batch) and batch.num_nodes == len(batch.n_id) == len(batch.batch)
    assert torch.equal(batch.ptr.diff(), batch.batch.bincount())
    assert torch.equal(batch.n_id[batch.root_n_id], (data.y == 2).nonzero().flatten())
    assert torch.equal(batch.input_id, batch.n_id[batch.root_n_id])
    assert torch.equal(batch.x[:, 0].long(), batch.n_id) and (batch.y == 2).all()
    assert len(batch.y) == batch.batch_size == len(batch.root_n_id)
    assert torch.equal(batch.edge_attr[:, 0].long(), batch.e_id)
    assert batch.name == "a graph" and batch.scale == 3.0
    assert torch.equal(batch.batch[batch.edge_index[0]], batch.batch[batch.edge_index[1]])


@pytest.mark.parametrize("replace", [False, True])
def test_a_cap_on_the_neighbours(replace):
    data = graph(60, 3000)
    batch = next(iter(EgoLoader(data, 2, max_neighbors=3, replace=replace, seed=0, batch_size=60)))
    assert batch.ptr.diff().max() <= 1 + 3 + 9 and batch.hop.max() == 2
    for nodes, _, edge, _ in parts(batch, data):
        kept = subgraph(nodes, data.edge_index, num_nodes=60, return_edge_mask=True)[2]
        assert edge.sort().values.tolist() == kept.nonzero().flatten().tolist()


def test_attention_in_a_ball_is_attention_on_the_graph_for_its_root():
    torch.manual_seed(0)
    data = graph(80, 150)
    layers = [GraphAttention(1, 4, heads=2), GraphAttention(8, 3)]

    def output(x, edge_index):
        around = gattn.from_edge_index(edge_index, len(x))
        return layers[1](layers[0](x, around).tanh(), around)

    (batch,) = EgoLoader(data, 2, batch_size=80)
    found = output(batch.x, batch.edge_index)[batch.root_n_id]
    torch.testing.assert_close(found, output(data.x, data.edge_index), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("filter_per_worker", [True, False])
@pytest.mark.parametrize("workers", [0, 2])
def test_seeds_workers_and_transforms(workers, filter_per_worker):
    def made(**kwargs):
        given = {"max_neighbors": 2, "seed": 3, "shuffle": True, "batch_size": 7}
        return EgoLoader(graph(), 2, **given, transform=doubled, **kwargs)

    found = made(num_workers=workers, filter_per_worker=filter_per_worker)
    expected = made()
    epochs = [list(found), list(found)]
    assert same(epochs[0], list(expected)) and same(epochs[1], list(expected))
    assert not same(*epochs)
    assert torch.equal(epochs[0][0].twice, 2 * epochs[0][0].x)


def one_farther(egos):
    return dataclasses.replace(egos, hop=egos.hop + 1)


def test_a_transform_of_what_was_found():
    for batch in EgoLoader(graph(), 2, batch_size=20, transform_sampler_output=one_farther):
        assert batch.hop[batch.root_n_id].tolist() == [1] * 20


def test_graphs_without_edges():
    for data in (graph(4, 0), Data(x=torch.ones(4, 1))):
        (batch,) = EgoLoader(data, 3, batch_size=9)
        assert batch.n_id.tolist() == batch.batch.tolist() == [0, 1, 2, 3]
        assert batch.edge_index.shape == (2, 0) and batch.hop.tolist() == [0] * 4


@pytest.mark.parametrize(
    ("data", "num_hops", "kwargs", "said"),
    [
        (hetero_graph(), 2, {}, r"^data: found HeteroData, expected a Data$"),
        (graph(), -1, {}, r"^num_hops: found -1, expected an int in \[0, 254\]$"),
        (graph(), 2, {"max_neighbors": -2}, r"^max_neighbors: found -2, expected an int in"),
        (graph(), 2, {"time_attr": "t"}, r"^time_attr: found 't', expected None: not supported$"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(data, num_hops, kwargs, said):
    with pytest.raises((TypeError, ValueError), match=said):
        EgoLoader(data, num_hops, **kwargs)
