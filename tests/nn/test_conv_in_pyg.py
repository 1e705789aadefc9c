"""The drop-ins inside what PyG builds from layers: the same numbers as with PyG's own."""

import pytest
import torch
import torch_geometric.nn as pyg
from torch_geometric.data import Data
from torch_geometric.explain import AttentionExplainer, Explainer, GNNExplainer
from torch_geometric.nn.models import GAT
from torch_geometric.utils import get_num_hops, k_hop_subgraph

import gattn.nn
from tests.nn.peers import GATS, NAMES, close, features, graph, pair

SIZES = {"paper": 9, "author": 6}
RELATIONS = [("paper", "cites", "paper"), ("author", "writes", "paper"), ("paper", "by", "author")]


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def _hetero() -> tuple[dict, dict]:
    x = {name: torch.randn(size, 5 + size).double() for name, size in SIZES.items()}
    edges = {key: graph(SIZES[key[0]], SIZES[key[2]], 20) for key in RELATIONS}
    return x, edges


def _no_loops(name: str) -> dict:
    return {"add_self_loops": False} if name in GATS else {}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("aggr", ["sum", "mean", "min", "max", "cat", None])
def test_hetero_conv(name, aggr):
    x, edges = _hetero()
    attr = {RELATIONS[2]: torch.randn(20, 3).double()}

    def build(where) -> pyg.HeteroConv:
        layer = getattr(where, name)
        convs = {key: layer((-1, -1), 4, **_no_loops(name)) for key in RELATIONS[:2]}
        convs[RELATIONS[2]] = layer((-1, -1), 4, edge_dim=3, **_no_loops(name))
        return pyg.HeteroConv(convs, aggr=aggr).double()

    peer, ours = build(pyg), build(gattn.nn)
    expected = peer(x, edges, edge_attr_dict=attr)
    ours.load_state_dict(peer.state_dict())
    found = ours(x, edges, edge_attr_dict=attr)
    assert found.keys() == expected.keys()
    for key in expected:
        close(found[key], expected[key])


@pytest.mark.parametrize("name", GATS)
def test_self_loops_between_two_types_are_refused(name):
    conv = getattr(gattn.nn, name)((-1, -1), 4)
    with pytest.raises(ValueError, match="incorrect message passing"):
        pyg.HeteroConv({("author", "writes", "paper"): conv})


class Stack(torch.nn.Module):
    """All three layers, one after the other."""

    def __init__(self, where, width=(-1, -1), out=7, **options):
        super().__init__()
        self.conv1 = where.GATConv(width, 8, heads=2, **options)
        self.conv2 = where.GATv2Conv(16 if isinstance(width, int) else width, 8, heads=2, **options)
        self.conv3 = where.TransformerConv(16 if isinstance(width, int) else width, out)

    def forward(self, x, edge_index):
        x = self.conv1(x, edge_index).relu()
        x = self.conv2(x, edge_index).relu()
        return self.conv3(x, edge_index)


def test_to_hetero():
    x, edges = _hetero()
    metadata = list(x), list(edges)
    peer, ours = (
        pyg.to_hetero(Stack(where, add_self_loops=False), metadata).double()
        for where in (pyg, gattn.nn)
    )
    expected = peer(x, edges)
    ours.load_state_dict(peer.state_dict())
    found = ours(x, edges)
    for key in expected:
        close(found[key], expected[key])


class OwnGAT(GAT):
    """PyG's model, its layers replaced in the one method that is there for it."""

    def init_conv(self, in_channels, out_channels, **kwargs):
        conv = super().init_conv(in_channels, out_channels, **kwargs)
        # A drop-in has no state of its own, so a layer becomes one by its class alone.
        conv.__class__ = getattr(gattn.nn, type(conv).__name__)
        return conv


@pytest.mark.parametrize("v2", [False, True])
@pytest.mark.parametrize("jk", [None, "last", "cat", "max", "lstm"])
@pytest.mark.parametrize("heads", [1, 4])
def test_basic_gnn(heads, jk, v2):
    options = {"num_layers": 3, "heads": heads, "jk": jk, "v2": v2, "norm": "layer_norm"}
    peer, ours = (cls(5, 16, out_channels=3, **options).double() for cls in (GAT, OwnGAT))
    assert isinstance(ours.convs[0], gattn.nn.GATv2Conv if v2 else gattn.nn.GATConv)
    ours.load_state_dict(peer.state_dict())
    x, edges = features(7, 5), graph()
    close(ours(x, edges), peer(x, edges))


@pytest.mark.parametrize("v2", [False, True])
def test_basic_gnn_with_edge_attr(v2):
    peer, ours = (
        cls(5, 16, num_layers=2, heads=2, v2=v2, edge_dim=3).double() for cls in (GAT, OwnGAT)
    )
    ours.load_state_dict(peer.state_dict())
    x, edges = features(7, 5), graph()
    attr = features(edges.shape[1], 3)
    close(ours(x, edges, edge_attr=attr), peer(x, edges, edge_attr=attr))


def test_sequential():
    def build(where) -> torch.nn.Module:
        return pyg.Sequential(
            "x, edge_index",
            [
                (where.GATConv(5, 4, heads=2), "x, edge_index -> x"),
                torch.nn.ReLU(),
                (where.TransformerConv(8, 4), "x, edge_index -> x"),
                torch.nn.Linear(4, 3),
            ],
        ).double()

    peer, ours = build(pyg), build(gattn.nn)
    ours.load_state_dict(peer.state_dict())
    x, edges = features(7, 5), graph()
    close(ours(x, edges), peer(x, edges))
    assert str(ours) == str(peer)


@pytest.mark.parametrize(
    "options", [{"ratio": 0.5}, {"ratio": 2}, {"ratio": None, "min_score": 0.1}]
)
@pytest.mark.parametrize("name", NAMES)
def test_sag_pooling(name, options):
    peer, ours = (
        pyg.SAGPooling(5, GNN=getattr(where, name), **options).double() for where in (pyg, gattn.nn)
    )
    ours.load_state_dict(peer.state_dict())
    assert str(ours) == str(peer)
    x, edges = torch.randn(7, 5).double(), graph()
    expected, found = peer(x, edges), ours(x, edges)
    close(found[0], expected[0])
    assert torch.equal(found[1], expected[1])


@pytest.mark.parametrize("name", NAMES)
def test_directed_and_module_containers(name):
    peer, ours = pair(name, 5, 4, **_no_loops(name))
    x, edges = features(7, 5), graph()
    both = [pyg.DirGNNConv(layer).double() for layer in (peer, ours)]
    both[1].load_state_dict(both[0].state_dict())
    close(both[1](x, edges), both[0](x, edges))
    assert get_num_hops(torch.nn.ModuleDict({"conv": ours})) == 1


@pytest.mark.parametrize("name", NAMES)
def test_a_sampled_neighbourhood_equals_the_whole_graph(name):
    _, ours = pair(name, 5, 4, heads=2, **_no_loops(name))
    x, edges = features(30, 5), graph(30, 30, 120)
    chosen = torch.tensor([3, 11, 4])
    nodes, inside, where, kept = k_hop_subgraph(chosen, 1, edges, relabel_nodes=True)
    into = torch.isin(edges[1][kept], chosen)
    target = torch.full((len(nodes),), -1).index_copy(0, where, torch.arange(3))
    sampled = torch.stack([inside[0], target[inside[1]]])[:, into]
    close(ours((x[nodes], x[chosen]), sampled), ours(x, edges)[chosen])


@pytest.mark.parametrize("index", [None, 2, torch.arange(3)])
def test_attention_explainer(index):
    peer, ours = Stack(pyg, 3).double(), Stack(gattn.nn, 3).double()
    ours.load_state_dict(peer.state_dict())
    x = torch.randn(8, 3).double()
    path = torch.arange(7)
    edges = torch.cat([torch.stack([path, path + 1]), torch.stack([path + 1, path])], dim=1)
    masks = []
    for model in (peer, ours):
        explainer = Explainer(
            model=model,
            algorithm=AttentionExplainer(),
            explanation_type="model",
            edge_mask_type="object",
            model_config={
                "mode": "multiclass_classification",
                "task_level": "node",
                "return_type": "raw",
            },
        )
        before = model(x, edges)
        masks.append(explainer(x, edges, index=index).edge_mask)
        assert torch.equal(model(x, edges), before)
    assert masks[0].shape == (edges.shape[1],)
    close(masks[1], masks[0])


@pytest.mark.parametrize("task", ["node", "edge", "graph"])
@pytest.mark.parametrize("node_mask_type", ["object", "common_attributes", "attributes"])
def test_gnn_explainer(task, node_mask_type):
    class Model(torch.nn.Module):
        def __init__(self, where):
            super().__init__()
            self.stack = Stack(where, 3, out=4)

        def forward(self, x, edge_index):
            x = self.stack(x, edge_index)
            ends = {"node": x, "edge": x[:3] * x[3:6], "graph": x.sum(0, keepdim=True)}
            return ends[task].log_softmax(-1)

    peer, ours = Model(pyg).double(), Model(gattn.nn).double()
    ours.load_state_dict(peer.state_dict())
    data = Data(x=torch.randn(7, 3).double(), edge_index=graph())
    found = []
    for model in (peer, ours):
        explainer = Explainer(
            model=model,
            algorithm=GNNExplainer(epochs=5),
            explanation_type="model",
            node_mask_type=node_mask_type,
            edge_mask_type="object",
            model_config={
                "mode": "multiclass_classification",
                "task_level": task,
                "return_type": "log_probs",
            },
        )
        torch.manual_seed(1)
        found.append(explainer(data.x, data.edge_index))
    close(found[1].edge_mask, found[0].edge_mask, rtol=1e-6, atol=1e-6)
    close(found[1].node_mask, found[0].node_mask, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_training_is_the_same(name):
    """Ten steps of Adam from one state, PyG's layer and ours: the same losses."""
    peer, ours = pair(name, 5, 3, concat=False, heads=2)
    x, edges, labels = torch.randn(20, 5).double(), graph(20, 20, 80), torch.randint(3, (20,))
    losses = []
    for layer in (peer, ours):
        optimizer = torch.optim.Adam(layer.parameters(), lr=0.05)
        run = []
        for _ in range(10):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(layer(x, edges), labels)
            loss.backward()
            optimizer.step()
            run.append(loss.detach())
        losses.append(torch.stack(run))
    close(losses[1], losses[0], rtol=1e-9, atol=1e-9)
    assert losses[1][-1] < losses[1][0]
