"""What the drop-ins accept and return: formats, weights, dtypes, lazy sizes, copies, errors."""

import copy
import io
import pickle

import pytest
import torch
import torch_geometric.nn as pyg
from torch_geometric import EdgeIndex
from torch_geometric.utils import to_torch_coo_tensor, to_torch_csc_tensor, to_torch_csr_tensor

import gattn.nn
from tests.nn.peers import GATS, NAMES, close, features, graph, own_forward_runs, pair, same_call

IN, OUT, EDGE = 5, 3, 4
LAYOUTS = {"coo": to_torch_coo_tensor, "csr": to_torch_csr_tensor, "csc": to_torch_csc_tensor}

pytestmark = [
    # torch says of its sparse tensors that they are in beta, and that it does not check them.
    pytest.mark.filterwarnings("ignore:Sparse"),
]


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def simple_graph(num_sources: int = 7, num_targets: int = 7) -> torch.Tensor:
    """Edges without duplicates, which a sparse adjacency would merge, sorted by target."""
    dense = torch.rand(num_targets, num_sources) < 0.4
    dense[-1] = False
    target, source = dense.nonzero().t()
    return torch.stack([source, target])


def adjacency(edges: torch.Tensor, layout: str, size: tuple[int, int], attr=None) -> torch.Tensor:
    """The transposed adjacency: rows are targets."""
    return LAYOUTS[layout](edges.flip(0), attr, size=size[::-1])


# PyG's layers take these two; that a CSC adjacency is taken as well where it can be is ours alone.
PEERS = ("coo", "csr")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("layout", PEERS)
@pytest.mark.parametrize("bipartite", [False, True])
def test_torch_sparse(name, layout, bipartite):
    size = (7, 6) if bipartite else (7, 7)
    peer, ours = pair(name, (IN, IN + 1) if bipartite else IN, OUT, heads=2)
    x = (features(7, IN), features(6, IN + 1)) if bipartite else features(7, IN)
    edges = simple_graph(*size)
    adj = adjacency(edges, layout, size)
    same_call(peer, own_forward_runs(ours), x, adj, inputs=x if bipartite else (x,))
    close(ours(x, adj), ours(x, edges))


@pytest.mark.parametrize("name", GATS)
def test_csc_is_refused_with_self_loops(name):
    peer, ours = pair(name, IN, OUT, heads=2)
    adj = adjacency(simple_graph(), "csc", (7, 7))
    for layer in (peer, ours):
        with pytest.raises(ValueError, match="Unexpected sparse tensor layout"):
            layer(features(7, IN), adj)


@pytest.mark.parametrize("name", NAMES)
def test_csc_is_taken_without_self_loops(name):
    _, ours = pair(name, IN, OUT, heads=2, **({"add_self_loops": False} if name in GATS else {}))
    x, edges = features(7, IN), simple_graph()
    close(own_forward_runs(ours)(x, adjacency(edges, "csc", (7, 7))), ours(x, edges))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("layout", PEERS)
@pytest.mark.parametrize("loops", [True, False])
def test_values_of_a_sparse_adjacency_as_features(name, layout, loops):
    options = {"edge_dim": EDGE} | ({"add_self_loops": loops} if name in GATS else {})
    peer, ours = pair(name, IN, OUT, heads=2, **options)
    x, edges = features(7, IN), simple_graph()
    attr = torch.randn(edges.shape[1], EDGE).double()
    adj = adjacency(edges, layout, (7, 7), attr)
    same_call(peer, own_forward_runs(ours), x, adj, inputs=(x,))
    close(ours(x, adj), ours(x, edges, attr))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_edge_attr_beside_a_sparse_adjacency(name, layout):
    options = {"edge_dim": EDGE} | ({"add_self_loops": False} if name in GATS else {})
    peer, ours = pair(name, IN, OUT, heads=2, **options)
    x, edges = features(7, IN), simple_graph()
    order = (
        torch.argsort(edges[0], stable=True) if layout == "csc" else torch.arange(edges.shape[1])
    )
    attr = features(edges.shape[1], EDGE)
    adj = adjacency(edges, layout, (7, 7))
    close(own_forward_runs(ours)(x, adj, attr[order]), ours(x, edges, attr))
    if layout in PEERS:
        same_call(peer, ours, x, adj, attr, inputs=(x, attr))


@pytest.mark.parametrize("name", NAMES)
def test_layers_that_share_a_coo_adjacency_train(name):
    """PyG's conversion marks the adjacency in place, and a later backward pass refuses it."""
    _, first = pair(name, IN, IN, **({"add_self_loops": False} if name in GATS else {}))
    _, second = pair(name, IN, IN, **({"add_self_loops": False} if name in GATS else {}))
    adj = adjacency(simple_graph(), "coo", (7, 7))
    x = features(7, IN)
    second(first(x, adj), adj).sum().backward()
    assert x.grad is not None and x.grad.isfinite().all()


def test_gat_sparse_without_features_of_the_targets():
    peer, ours = pair("GATConv", (IN, IN + 1), OUT, heads=2)
    x, edges = features(7, IN), simple_graph(7, 6)
    adj = adjacency(edges, "csr", (7, 6))
    same_call(peer, own_forward_runs(ours), (x, None), adj, inputs=(x,))
    close(ours((x, None), adj), ours((x, None), edges, size=(7, 6)))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("sort_order", [None, "row", "col"])
def test_edge_index_class(name, sort_order):
    peer, ours = pair(name, IN, OUT, heads=2)
    x, edges = features(7, IN), simple_graph()
    edge_index = EdgeIndex(edges, sparse_size=(7, 7))
    edge_index = edge_index if sort_order is None else edge_index.sort_by(sort_order).values
    same_call(peer, own_forward_runs(ours), x, edge_index, inputs=(x,))
    expected = peer(x, edge_index, return_attention_weights=True)[1]
    found = ours(x, edge_index, return_attention_weights=True)[1]
    assert type(found[0]) is type(expected[0]) and torch.equal(found[0], expected[0])
    close(found[1], expected[1])


@pytest.mark.parametrize("name", NAMES)
def test_int32_edges(name):
    _, ours = pair(name, IN, OUT, heads=2)
    x, edges = features(7, IN), graph()
    close(own_forward_runs(ours)(x, edges.int()), ours(x, edges))


# Weights ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("bipartite", [False, True])
@pytest.mark.parametrize("edge_dim", [None, EDGE])
@pytest.mark.parametrize("training", [False, True])
def test_returned_weights(name, bipartite, edge_dim, training):
    size = (7, 6) if bipartite else (7, 7)
    peer, ours = pair(name, (IN, IN) if bipartite else IN, OUT, heads=2, edge_dim=edge_dim)
    peer.train(training)
    own_forward_runs(ours).train(training)
    x = tuple(features(n, IN) for n in size) if bipartite else features(7, IN)
    edges = graph(*size)
    attr = None if edge_dim is None else features(edges.shape[1], edge_dim)
    out, (expected_edges, expected) = peer(x, edges, attr, return_attention_weights=True)
    found_out, (found_edges, found) = ours(x, edges, attr, return_attention_weights=True)
    assert torch.equal(found_edges, expected_edges)
    close(found_out, out)
    close(found, expected)
    assert torch.equal(found_out, ours(x, edges, attr))
    assert found.min() >= 0 and found.max() <= 1
    sums = torch.zeros(size[1], 2).double().index_add(0, found_edges[1], found)
    close(sums[found_edges[1]], torch.ones_like(found))
    for one, other in zip(
        *(torch.autograd.grad(w.square().sum(), x) for w in (found, expected)), strict=True
    ):
        close(one, other)


@pytest.mark.parametrize("name", GATS)
def test_gat_adds_the_loops_it_uses_to_the_edges(name):
    _, ours = pair(name, 8, 32, heads=2)
    edges = torch.tensor([[0, 1, 2, 3], [0, 0, 1, 1]])
    _, (with_loops, weights) = ours(features(4, 8), edges, return_attention_weights=True)
    loops = torch.arange(4)
    assert torch.equal(with_loops, torch.cat([edges[:, 1:], torch.stack([loops, loops])], dim=1))
    assert weights.shape == (7, 2)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("layout", PEERS)
def test_returned_weights_of_a_sparse_adjacency(name, layout):
    peer, ours = pair(name, IN, OUT, heads=2)
    x = features(7, IN)
    adj = adjacency(simple_graph(), layout, (7, 7))
    expected_out, (expected_adj, expected) = peer(x, adj, return_attention_weights=True)
    out, (found_adj, found) = own_forward_runs(ours)(x, adj, return_attention_weights=True)
    close(out, expected_out)
    close(found, expected)
    assert found_adj.layout == expected_adj.layout and found_adj.shape == expected_adj.shape
    assert found_adj.shape == ((7, 7, 2) if name in GATS else (7, 7))
    close(found_adj.to_dense().double(), expected_adj.to_dense().double())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("wanted", [None, False, True])
def test_which_values_ask_for_weights(name, wanted):
    peer, ours = pair(name, IN, OUT)
    x, edges = features(7, IN), graph()
    expected, found = (
        layer(x, edges, return_attention_weights=wanted) for layer in (peer, own_forward_runs(ours))
    )
    asked = isinstance(wanted, bool) if name == "TransformerConv" else bool(wanted)
    assert isinstance(found, tuple) == isinstance(expected, tuple) == asked


def test_transformer_returns_weights_from_before_the_dropout():
    peer, ours = pair("TransformerConv", IN, OUT, heads=2, dropout=0.5)
    x, edges = features(7, IN), graph()
    _, (_, expected) = peer(x, edges, return_attention_weights=True)
    _, (_, found) = own_forward_runs(ours)(x, edges, return_attention_weights=True)
    close(found, expected)


@pytest.mark.parametrize("name", GATS)
def test_gat_returns_the_very_weights_that_the_dropout_left(name):
    peer, ours = pair(name, IN, OUT, heads=2, dropout=0.5)
    x, edges = features(7, IN), graph()
    torch.manual_seed(5)
    expected, (_, weights) = peer(x, edges, return_attention_weights=True)
    torch.manual_seed(5)
    found, (_, same_weights) = ours(x, edges, return_attention_weights=True)
    assert torch.equal(found, expected) and torch.equal(same_weights, weights)
    assert (weights == 0).any()


# Dtypes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("edge_dim", [None, EDGE])
def test_half_modules(name, dtype, edge_dim):
    peer, ours = pair(name, IN, OUT, heads=2, edge_dim=edge_dim, dtype=dtype)
    x, edges = torch.randn(7, IN, dtype=dtype), graph()
    attr = None if edge_dim is None else torch.randn(edges.shape[1], edge_dim, dtype=dtype)
    expected, (_, weights) = peer(x, edges, attr, return_attention_weights=True)
    found, (_, own_weights) = own_forward_runs(ours)(x, edges, attr, return_attention_weights=True)
    close(found, expected, rtol=0.05, atol=0.05)
    close(own_weights, weights, rtol=0.05, atol=0.05)
    exact = peer.double()(x.double(), edges, None if attr is None else attr.double())
    assert (found - exact).abs().max() <= 1.1 * (expected - exact).abs().max() + 2e-2


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("edge_dim", [None, EDGE])
def test_autocast(name, dtype, edge_dim):
    peer, ours = pair(name, IN, OUT, heads=2, edge_dim=edge_dim, dtype=torch.float32)
    own_forward_runs(ours)
    edges = graph()
    attr = None if edge_dim is None else torch.randn(edges.shape[1], edge_dim)
    for x in (torch.randn(7, IN), torch.randn(7, IN, dtype=dtype)):
        with torch.autocast("cpu", dtype=dtype):
            expected, (_, weights) = peer(x, edges, attr, return_attention_weights=True)
            found, (_, own_weights) = ours(x, edges, attr, return_attention_weights=True)
        close(found, expected, rtol=0.05, atol=0.05)
        close(own_weights, weights, rtol=0.05, atol=0.05)
        found.float().sum().backward()
        assert all(p.grad.dtype == torch.float32 for p in ours.parameters() if p.grad is not None)


# Lazy sizes, copies, files --------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("bipartite", [False, True])
@pytest.mark.parametrize("options", [{}, {"residual": True}, {"edge_dim": -1}])
def test_lazy_sizes_are_drawn_as_pyg_draws_them(name, bipartite, options):
    if name == "TransformerConv":
        options = {key: value for key, value in options.items() if key != "residual"}
    lazy = (-1, -1) if bipartite else -1
    layers = []
    for where in (pyg, gattn.nn):
        torch.manual_seed(0)
        layers.append(getattr(where, name)(lazy, OUT, heads=2, **options))
    x = (torch.randn(7, IN), torch.randn(6, IN + 1)) if bipartite else torch.randn(7, IN)
    edges = graph(7, 6 if bipartite else 7)
    attr = torch.randn(edges.shape[1], EDGE) if options.get("edge_dim") else None
    own_forward_runs(layers[1])
    outs = []
    for layer in layers:
        torch.manual_seed(1)
        outs.append(layer(x, edges, attr))
    close(outs[1], outs[0], rtol=1e-5, atol=1e-6)
    states = [layer.state_dict() for layer in layers]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert not any(torch.nn.parameter.is_lazy(p) for p in layers[1].parameters())


@pytest.mark.parametrize("name", NAMES)
def test_lazy_layers_can_be_copied_and_loaded(name):
    lazy = getattr(gattn.nn, name)((-1, -1), OUT, heads=2, edge_dim=-1)
    peer, _ = pair(name, (IN, IN), OUT, heads=2, edge_dim=EDGE, dtype=torch.float32)
    copied = copy.deepcopy(lazy)
    copied.load_state_dict(peer.state_dict())
    x, edges = torch.randn(7, IN), graph()
    attr = torch.randn(edges.shape[1], EDGE)
    close(
        own_forward_runs(copied)((x, x), edges, attr),
        peer((x, x), edges, attr),
        rtol=1e-5,
        atol=1e-6,
    )


@pytest.mark.parametrize("name", NAMES)
def test_constructor_parameters_and_repr_are_pygs(name):
    for channels in (8, (8, 16)):
        peer, ours = pair(name, channels, 32, heads=2)
        assert repr(ours) == repr(peer) == f"{name}({channels}, 32, heads=2)"
        assert list(ours.state_dict()) == list(peer.state_dict())
        assert isinstance(ours, type(peer)) and isinstance(ours, pyg.MessagePassing)
    torch.manual_seed(2)
    expected = getattr(pyg, name)(8, 4).state_dict()
    torch.manual_seed(2)
    found = getattr(gattn.nn, name)(8, 4).state_dict()
    assert all(torch.equal(found[key], expected[key]) for key in expected)


def _through_pickle(layer):
    return pickle.loads(pickle.dumps(layer))


def _through_a_file(layer):
    file = io.BytesIO()
    torch.save(layer, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, _through_pickle, _through_a_file])
def test_copies_compute_the_same(name, copied):
    _, ours = pair(name, IN, OUT, heads=2, edge_dim=EDGE)
    x, edges = features(7, IN), graph()
    attr = features(edges.shape[1], EDGE)
    expected = own_forward_runs(ours)(x, edges, attr)
    other = copied(ours)
    assert other.backend == "reference" and type(other) is type(ours)
    assert torch.equal(other(x, edges, attr), expected)
    other.backend = None
    other.register_message_forward_hook(lambda *_: None)
    close(other(x, edges, attr), expected)


def test_a_shared_projection():
    """`DenseGATConv`'s own test hands the parameters of a sparse layer to a dense one."""
    _, ours = pair("GATConv", 4, 3, heads=2, dtype=torch.float32)
    dense = pyg.DenseGATConv(4, 3, heads=2)
    for shared in ("lin", "att_src", "att_dst", "bias"):
        setattr(dense, shared, getattr(ours, shared))
    x, edges = torch.randn(3, 4), torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
    path = torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    close(ours(x, edges), dense(x, path)[0], rtol=1e-5, atol=1e-6)


class Doubling(torch.nn.Linear):
    """A projection that is more than its weight."""

    def forward(self, input):
        return 2 * super().forward(input)


@pytest.mark.parametrize("where", ["lin", "lin_src", "lin_dst"])
def test_gat_with_a_projection_that_was_replaced_or_hooked(where):
    channels = IN if where == "lin" else (IN, IN)
    peer, ours = pair("GATConv", channels, OUT, heads=2)
    x, edges = features(7, IN), graph()
    for layer in (peer, own_forward_runs(ours)):
        replaced = Doubling(IN, 2 * OUT).double()
        replaced.load_state_dict(
            {"weight": getattr(layer, where).weight, "bias": torch.ones(2 * OUT)}
        )
        setattr(layer, where, replaced)
    same_call(peer, ours, x, edges, inputs=(x,))
    peer, ours = pair("GATConv", channels, OUT, heads=2)
    for layer in (peer, own_forward_runs(ours)):
        getattr(layer, where).register_forward_hook(lambda module, args, out: out.tanh())
    same_call(peer, ours, x, edges, inputs=(x,))
    peer, ours = pair("GATConv", channels, OUT, heads=2)
    for layer in (peer, own_forward_runs(ours)):
        torch.nn.utils.parametrizations.weight_norm(getattr(layer, where))
    same_call(peer, ours, x, edges, inputs=(x,))


# Errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_bad_input_is_named(name):
    _, ours = pair(name, IN, OUT, **({"add_self_loops": False} if name in GATS else {}))
    x, edges = torch.randn(3, IN).double(), torch.tensor([[0, 1, 2], [1, 2, 0]])
    with pytest.raises(
        IndexError,
        match=r"edge_index\[0\]: found the index 3, expected 0 <= index < num_sources = 3",
    ):
        ours(x, edges + torch.tensor([[1], [0]]))
    with pytest.raises(IndexError, match=r"edge_index\[1\]: found the index -1"):
        ours(x, edges - torch.tensor([[0], [1]]))
    with pytest.raises(TypeError, match=r"edge_index: found dtype torch\.float32"):
        ours(x, edges.float())
    with pytest.raises(ValueError, match="edge_index: found shape"):
        ours(x, edges.t()[:, [0, 1, 1]])
    with pytest.raises(ValueError, match=r"x: found shape \[2, 3, 5\], expected \[N, F\]"):
        ours(torch.stack([x, x]), edges)
    with pytest.raises(ValueError, match="backend: found 'magic', expected one of"):
        ours.backend = "magic"
        ours(x, edges)


@pytest.mark.parametrize("name", NAMES)
def test_sizes_that_do_not_fit_are_named(name):
    _, ours = pair(name, IN, OUT, edge_dim=EDGE)
    x, edges = torch.randn(3, IN).double(), torch.tensor([[0, 1, 2], [1, 2, 0]])
    attr = torch.randn(3, EDGE).double()
    with pytest.raises(ValueError, match="edge_attr: found 2 rows, expected 3, one for each edge"):
        ours(x, edges, attr[:2])
    if name == "GATConv":
        with pytest.raises(
            ValueError, match="x: found 3 source nodes, expected 4, the size of the graph"
        ):
            ours(x, edges, attr, size=(4, 3))
    else:
        with pytest.raises(ValueError, match=r"x: found None for the targets, expected \(x_source"):
            ours((x, None), edges, attr)
    with pytest.raises(ValueError, match="x: found 3 target nodes, expected 5"):
        ours((x, x), EdgeIndex(edges, sparse_size=(3, 5)), attr)


# torch_sparse ---------------------------------------------------------------------------------


class StandIn:
    """As much of a `torch_sparse.SparseTensor` as a drop-in asks of one, which need not be here."""

    def __init__(self, row, col, value, sizes):
        self.row, self.col, self.value, self.sizes = row, col, value, sizes

    def coo(self):
        return self.row, self.col, self.value

    def size(self, dim):
        return self.sizes[dim]

    def set_value(self, value, layout):
        assert layout == "coo"
        return StandIn(self.row, self.col, value, self.sizes)

    def set_diag(self):
        others, loops = self.row != self.col, torch.arange(min(self.sizes))
        row, col = (torch.cat([side[others], loops]) for side in (self.row, self.col))
        return StandIn(row, col, None, self.sizes)


@pytest.fixture
def stand_in(monkeypatch):
    """Drop-ins that take `StandIn` for a `SparseTensor`."""
    from gattn.nn import structure
    from gattn.nn.conv import edges

    monkeypatch.setattr(edges, "SparseTensor", StandIn)
    monkeypatch.setattr(structure, "SparseTensor", StandIn)
    monkeypatch.setattr(edges, "torch_sparse", StandIn)
    return lambda edge_index, value, size: StandIn(edge_index[1], edge_index[0], value, size[::-1])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("edge_dim", [None, EDGE])
def test_sparse_tensor(name, edge_dim, stand_in):
    loops = {"add_self_loops": edge_dim is None} if name in GATS else {}
    _, ours = pair(name, (IN, IN + 1), OUT, heads=2, edge_dim=edge_dim, **loops)
    x, edges = (features(7, IN), features(6, IN + 1)), simple_graph(7, 6)
    attr = None if edge_dim is None else features(edges.shape[1], EDGE)
    expected, (_, weights) = ours(x, edges, attr, return_attention_weights=True)
    own_forward_runs(ours)
    # A single number for each edge is no feature.
    for value in (attr,) if edge_dim else (None, torch.ones(edges.shape[1])):
        out, adj = ours(x, stand_in(edges, value, (7, 6)), return_attention_weights=True)
        close(out, expected)
        close(adj.value, weights)


@pytest.mark.parametrize("name", GATS)
def test_self_loops_of_a_sparse_tensor_have_no_features(name, stand_in):
    _, ours = pair(name, IN, OUT, edge_dim=EDGE)
    adj = stand_in(simple_graph(), None, (7, 7))
    with pytest.raises(ValueError, match="self-loops have no features in a SparseTensor"):
        own_forward_runs(ours)(features(7, IN), adj)


@pytest.mark.parametrize("layer", [gattn.nn.GATConv, gattn.nn.GATv2Conv, gattn.nn.TransformerConv])
def test_a_neighborhood_is_refused_with_the_way_out(layer):
    with pytest.raises(TypeError, match=r"edge_index: found Sparse\(.*neighborhood.edge_index\(\)"):
        layer(3, 2)(torch.zeros(4, 3), gattn.full(4).expand())
