"""Output and gradients of the drop-ins are those of PyG's layers, to rounding."""

import pytest
import torch
from torch import Tensor

from tests.nn.peers import GATS, NAMES, close, features, graph, own_forward_runs, pair, same_call

IN, OUT, EDGE = 5, 3, 4


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def _inputs(bipartite: bool, edge_dim: int | None) -> tuple:
    if bipartite:
        x = (features(7, IN), features(6, IN + 1))
        edges = graph(7, 6)
    else:
        x = features(7, IN)
        edges = graph()
    attr = None if edge_dim is None else features(edges.shape[1], edge_dim)
    inputs = [*(x if isinstance(x, tuple) else [x]), *([] if attr is None else [attr])]
    return x, edges, attr, tuple(inputs)


def _channels(bipartite: bool) -> int | tuple[int, int]:
    return (IN, IN + 1) if bipartite else IN


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("heads", [1, 2, 3])
@pytest.mark.parametrize("edge_dim", [None, EDGE])
@pytest.mark.parametrize("concat", [True, False])
@pytest.mark.parametrize("bipartite", [False, True])
@pytest.mark.parametrize("bias", [True, False])
def test_output_and_gradients(name, bias, bipartite, concat, edge_dim, heads, training):
    peer, ours = pair(
        name, _channels(bipartite), OUT, heads=heads, concat=concat, bias=bias, edge_dim=edge_dim
    )
    peer.train(training)
    own_forward_runs(ours).train(training)
    x, edges, attr, inputs = _inputs(bipartite, edge_dim)
    same_call(peer, ours, x, edges, attr, inputs=inputs)


@pytest.mark.parametrize("name", GATS)
@pytest.mark.parametrize("fill_value", [0.5, "mean", "add", "min", "max", "mul", torch.arange(4.0)])
@pytest.mark.parametrize("loops", [True, False])
def test_self_loops_and_their_features(name, loops, fill_value):
    if isinstance(fill_value, Tensor):
        fill_value = fill_value.double()
    options = {"edge_dim": EDGE, "fill_value": fill_value, "add_self_loops": loops}
    peer, ours = pair(name, IN, OUT, heads=2, **options)
    x, edges, attr, inputs = _inputs(False, EDGE)
    same_call(peer, own_forward_runs(ours), x, edges, attr, inputs=inputs)


@pytest.mark.parametrize("name", GATS)
@pytest.mark.parametrize("bipartite", [False, True])
@pytest.mark.parametrize(
    "options", [{"residual": True}, {"negative_slope": 0.7}, {"residual": True, "concat": False}]
)
def test_residual_and_slope(name, options, bipartite):
    peer, ours = pair(name, _channels(bipartite), OUT, heads=2, **options)
    x, edges, _, inputs = _inputs(bipartite, None)
    same_call(peer, own_forward_runs(ours), x, edges, inputs=inputs)


@pytest.mark.parametrize("bipartite", [False, True])
def test_gatv2_shares_its_weights(bipartite):
    peer, ours = pair("GATv2Conv", IN, OUT, heads=2, share_weights=True)
    assert ours.lin_l is ours.lin_r
    x = (features(7, IN), features(6, IN)) if bipartite else features(7, IN)
    inputs = x if bipartite else (x,)
    same_call(peer, own_forward_runs(ours), x, graph(7, 6 if bipartite else 7), inputs=inputs)


@pytest.mark.parametrize("concat", [True, False])
@pytest.mark.parametrize("edge_dim", [None, EDGE])
@pytest.mark.parametrize(
    "options", [{"beta": True}, {"root_weight": False}, {"beta": True, "root_weight": False}]
)
def test_transformer_gate_and_root(options, edge_dim, concat):
    peer, ours = pair(
        "TransformerConv", IN, OUT, heads=2, concat=concat, edge_dim=edge_dim, **options
    )
    x, edges, attr, inputs = _inputs(False, edge_dim)
    same_call(peer, own_forward_runs(ours), x, edges, attr, inputs=inputs)
    assert ours._alpha is None


@pytest.mark.parametrize("name", NAMES)
def test_a_pair_for_a_layer_with_one_width(name):
    peer, ours = pair(name, IN, OUT, heads=2)
    x = features(7, IN), features(6, IN)
    same_call(peer, own_forward_runs(ours), x, graph(7, 6), inputs=x)


def test_gat_one_tensor_for_a_layer_with_two_widths():
    peer, ours = pair("GATConv", (IN, IN), OUT, heads=2)
    x = features(7, IN)
    same_call(peer, own_forward_runs(ours), x, graph(), inputs=(x,))


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("size", [None, (7, 6), (7, 9)])
def test_gat_without_features_of_the_targets(size, residual):
    peer, ours = pair("GATConv", (IN, IN + 1), OUT, heads=2, residual=residual)
    x = features(7, IN)
    edges = graph(7, 6)
    same_call(peer, own_forward_runs(ours), (x, None), edges, size=size, inputs=(x,))


def test_gat_size_equals_no_size():
    _, ours = pair("GATConv", IN, OUT, heads=2)
    x, edges = features(7, IN), graph()
    close(own_forward_runs(ours)(x, edges, size=(7, 7)), ours(x, edges))


@pytest.mark.parametrize("name", GATS)
def test_edge_weights_of_one_dimension(name):
    peer, ours = pair(name, IN, OUT, heads=2, edge_dim=1)
    x, edges = features(7, IN), graph()
    weight = features(edges.shape[1])
    same_call(peer, own_forward_runs(ours), x, edges, weight, inputs=(x, weight))


@pytest.mark.parametrize("name", GATS)
def test_an_edge_dim_without_edge_attr(name):
    peer, ours = pair(name, IN, OUT, heads=2, edge_dim=EDGE)
    x = features(7, IN)
    same_call(peer, own_forward_runs(ours), x, graph(), inputs=(x,))


def test_gat_ignores_edge_attr_without_an_edge_dim():
    peer, ours = pair("GATConv", IN, OUT, heads=2)
    x, edges = features(7, IN), graph()
    attr = torch.randn(edges.shape[1], EDGE).double()
    same_call(peer, own_forward_runs(ours), x, edges, attr, inputs=(x,))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("edge_dim", [None, EDGE])
def test_no_edges_and_no_nodes(name, edge_dim):
    peer, ours = pair(name, 8, 32, heads=2, edge_dim=edge_dim)
    for nodes in (0, 3):
        x = features(nodes, 8)
        edges = torch.empty(2, 0, dtype=torch.long)
        attr = None if edge_dim is None else features(0, edge_dim)
        assert own_forward_runs(ours)(x, edges, attr).shape == (nodes, 64)
        same_call(peer, ours, x, edges, attr, inputs=(x,))


@pytest.mark.parametrize("name", NAMES)
def test_isolated_nodes_get_bias_and_root_only(name):
    peer, ours = pair(name, IN, OUT, **({"add_self_loops": False} if name in GATS else {}))
    x, edges = features(7, IN), graph()
    out = own_forward_runs(ours)(x, edges)
    close(out[6], ours.bias if name in GATS else ours.lin_skip(x[6]))
    close(out, peer(x, edges))


@pytest.mark.parametrize("name", NAMES)
def test_a_duplicate_edge_counts_twice(name):
    _, ours = pair(name, IN, OUT, **({"add_self_loops": False} if name in GATS else {}))
    x = features(3, IN)
    twice = torch.tensor([[0, 0, 1], [2, 2, 2]])
    _, (_, weights) = own_forward_runs(ours)(x, twice, return_attention_weights=True)
    close(weights[0], weights[1])
    close(weights.sum(0), torch.ones(1, dtype=torch.float64))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("scale", [1e2, 1e4])
def test_huge_logits_stay_finite(name, scale):
    peer, ours = pair(name, IN, OUT, heads=2, dtype=torch.float32)
    x, edges = torch.randn(7, IN) * scale, graph()
    out = own_forward_runs(ours)(x, edges)
    assert out.isfinite().all()
    # One logit against the next differs by thousands: the largest takes all in either.
    close(out, peer(x, edges), rtol=1e-3, atol=1e-3 * scale)


@pytest.mark.parametrize("name", NAMES)
def test_a_hub(name):
    peer, ours = pair(name, IN, OUT, heads=2)
    x = features(500, IN)
    edges = torch.stack([torch.arange(500), torch.zeros(500, dtype=torch.long)])
    same_call(peer, own_forward_runs(ours), x, edges, inputs=(x,))


@pytest.mark.parametrize("name", NAMES)
def test_inputs_that_are_not_contiguous(name):
    peer, ours = pair(name, IN, OUT, heads=2, edge_dim=EDGE)
    x, edges = features(IN, 7).t(), graph().t().contiguous().t()
    attr = features(EDGE, edges.shape[1]).t()
    same_call(peer, own_forward_runs(ours), x, edges, attr, inputs=(x, attr))


@pytest.mark.parametrize("name", NAMES)
def test_float32_is_no_worse_than_pygs(name):
    peer, ours = pair(name, 64, 16, heads=4, edge_dim=EDGE)
    x, edges = torch.randn(200, 64).double(), graph(200, 200, 2000)
    attr = torch.randn(2000, EDGE).double()
    exact = peer(x, edges, attr)
    errors = [
        (layer.float()(x.float(), edges, attr.float()) - exact).abs().max()
        for layer in (peer, ours)
    ]
    assert errors[1] <= 2 * errors[0] + 1e-6


@pytest.mark.parametrize("name", NAMES)
def test_gradcheck(name):
    _, ours = pair(name, 3, 2, heads=2, edge_dim=2)
    own_forward_runs(ours)
    x, edges = features(4, 3), graph(4, 4, 6)
    attr = features(6, 2)
    assert torch.autograd.gradcheck(lambda x, attr: ours(x, edges, attr), (x, attr))
    assert torch.autograd.gradgradcheck(lambda x, attr: ours(x, edges, attr), (x, attr))


@pytest.mark.parametrize("name", NAMES)
def test_dropout_is_unbiased_and_off_in_evaluation(name):
    peer, ours = pair(name, IN, OUT, heads=2, dropout=0.5)
    own_forward_runs(ours)
    x, edges, copies = torch.randn(7, IN).double(), graph(), 1000
    exact = peer.eval()(x, edges)
    close(ours.eval()(x, edges), exact)
    # As many independent draws as there are copies of the graph in one call.
    many = (edges[:, None] + 7 * torch.arange(copies)[None, :, None]).flatten(1)
    torch.manual_seed(3)
    drawn = ours.train()(x.repeat(copies, 1), many).view(copies, 7, -1)
    assert not torch.equal(drawn[0], drawn[1])
    error = 5 * drawn.std(0) / copies**0.5 + 1e-9
    assert ((drawn.mean(0) - exact).abs() <= error).all()
    torch.manual_seed(3)
    assert torch.equal(drawn, ours(x.repeat(copies, 1), many).view(copies, 7, -1))
