"""The drop-ins on a GPU: outputs and gradients are those of PyG's layers, in single precision."""

import pytest
import torch

from tests.nn.peers import GATS, NAMES, pair
from tests.ops.triton.where import BACKEND, at, both, draw, near

IN, EDGE = 6, 3


def layers(name, device, *args, **options):
    torch.manual_seed(0)
    peer, ours = pair(name, *args, dtype=torch.float32, **options)
    ours.backend = BACKEND
    return peer.to(device), ours.to(device)


def edges(sources, targets, count, device):
    """With a duplicate, loops, an isolated last source and last target."""
    generator = torch.Generator().manual_seed(0)
    found = torch.stack(
        [
            torch.randint(sources - 1, (count,), generator=generator),
            torch.randint(targets - 1, (count,), generator=generator),
        ]
    )
    found[:, 1], found[:, 2] = found[:, 0], 1
    return found.to(device)


def graph(device, bipartite):
    """Features of either side, and edges."""
    sources, targets = at(device, 9, 500), at(device, 7, 400)
    count = at(device, 30, 5000)
    x = draw(sources, IN, device=device).requires_grad_()
    if not bipartite:
        return x, edges(sources, sources, count, device)
    other = draw(targets, IN + 1, device=device, seed=1).requires_grad_()
    return (x, other), edges(sources, targets, count, device)


def same(peer, ours, x, edge_index, attr=None):
    """Output, and gradients of parameters and inputs."""
    inputs = [*(x if isinstance(x, tuple) else (x,)), *(() if attr is None else (attr,))]
    expected, found = peer(x, edge_index, attr), ours(x, edge_index, attr)
    near(found, expected)
    weights = draw(*expected.shape, device=str(expected.device), seed=5)
    grads = [
        torch.autograd.grad((out * weights).sum(), [*layer.parameters(), *inputs])
        for out, layer in ((found, ours), (expected, peer))
    ]
    # That of a key's bias is 0, since every score of a row grows by the same.
    largest = max(float(grad.abs().max()) for grad in grads[1])
    for one, other in zip(*grads, strict=True):
        near(one, other, 1e-4, largest / 100)


@both
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("edge_dim", [None, EDGE])
@pytest.mark.parametrize("bipartite", [False, True])
@pytest.mark.parametrize(("heads", "channels"), [(1, 5), (4, 8)])
def test_output_and_gradients(device, name, edge_dim, bipartite, heads, channels):
    widths = (IN, IN + 1) if bipartite else IN
    peer, ours = layers(name, device, widths, channels, heads=heads, edge_dim=edge_dim)
    x, edge_index = graph(device, bipartite)
    attr = None
    if edge_dim is not None:
        attr = draw(edge_index.size(1), EDGE, device=device, seed=2).requires_grad_()
    same(peer, ours, x, edge_index, attr)


@both
@pytest.mark.parametrize("name", GATS)
@pytest.mark.parametrize("loops", [True, False])
@pytest.mark.parametrize("fill_value", ["mean", 0.5])
def test_self_loops_and_their_features(device, name, loops, fill_value):
    options = {"edge_dim": EDGE, "add_self_loops": loops, "fill_value": fill_value}
    peer, ours = layers(name, device, IN, 4, heads=2, **options)
    x, edge_index = graph(device, False)
    attr = draw(edge_index.size(1), EDGE, device=device, seed=2).requires_grad_()
    same(peer, ours, x, edge_index, attr)


@both
@pytest.mark.parametrize("name", NAMES)
def test_averaged_heads_without_a_bias(device, name):
    peer, ours = layers(name, device, IN, 4, heads=3, concat=False, bias=False)
    same(peer, ours, *graph(device, False))


@both
@pytest.mark.parametrize("name", NAMES)
def test_no_edges_and_no_nodes(device, name):
    _, ours = layers(name, device, IN, 4, heads=2)
    for nodes in (0, 3):
        x = draw(nodes, IN, device=device).requires_grad_()
        none = torch.empty(2, 0, dtype=torch.int64, device=device)
        out = ours(x, none)
        assert out.shape == (nodes, 8) and torch.isfinite(out).all()
        (grad,) = torch.autograd.grad(out.sum(), x)
        assert grad.shape == x.shape and torch.isfinite(grad).all()


@both
@pytest.mark.parametrize("name", NAMES)
def test_dropout_is_unbiased_and_off_in_evaluation(device, name):
    peer, ours = layers(name, device, IN, 4, heads=2, dropout=0.5)
    x, edge_index = draw(7, IN, device=device), edges(7, 7, 20, device)
    exact = peer.eval()(x, edge_index)
    near(ours.eval()(x, edge_index), exact)
    # As many independent draws as there are copies of the graph in one call.
    copies = at(device, 12, 2000)
    offsets = 7 * torch.arange(copies, device=device)[None, :, None]
    many = (edge_index[:, None] + offsets).flatten(1)
    runs = []
    for _ in range(2):
        torch.manual_seed(3)
        runs.append(ours.train()(x.repeat(copies, 1), many).view(copies, 7, -1))
    assert torch.equal(*runs)
    drawn = runs[0].detach()
    assert not torch.equal(drawn[0], drawn[1])
    error = 5 * drawn.std(0) / copies**0.5 + 1e-5
    assert ((drawn.mean(0) - exact).abs() <= error).all()
