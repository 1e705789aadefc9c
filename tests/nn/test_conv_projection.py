"""Projections into large buffers: nothing but speed can tell."""

import pytest
import torch
from torch import nn
from torch_geometric import EdgeIndex

import gattn.nn
from gattn._numba import buffers, pool
from gattn.nn import structure
from gattn.nn.conv.projection import can_project, projected, projected_twice


@pytest.fixture(autouse=True)
def every_size_is_worthwhile(monkeypatch):
    monkeypatch.setattr(buffers, "_WORTHWHILE", 1)


def draw(*size):
    return torch.randn(size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("bias", [True, False])
def test_the_projection_and_its_gradients_are_those_of_the_layer(bias):
    lin, x = nn.Linear(3, 4, bias=bias).double(), draw(5, 3).requires_grad_()
    assert can_project(lin, x)
    leaves = [x, *lin.parameters()]
    results = [
        (out, *torch.autograd.grad(out.square().sum(), leaves))
        for out in (projected(lin, x), lin(x))
    ]
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected)


def test_both_results_have_first_and_second_derivatives():
    lin, x, other = (
        nn.Linear(3, 4).double(),
        draw(5, 3).requires_grad_(),
        draw(3, 2).requires_grad_(),
    )
    run = lambda x, other: projected_twice(lin, x, other)  # noqa: E731
    assert torch.autograd.gradcheck(run, (x, other))
    assert torch.autograd.gradgradcheck(run, (x, other))


def test_a_layer_that_somebody_touched_is_called():
    x = draw(5, 3)
    wrapped, hooked = nn.Linear(3, 4).double(), nn.Linear(3, 4).double()
    wrapped.forward = lambda x: x[:, :1]
    hooked.register_forward_hook(lambda *_: None)
    assert not can_project(wrapped, x) and not can_project(hooked, x)
    assert projected(wrapped, x).shape == (5, 1)
    everywhere = nn.modules.module.register_module_forward_hook(lambda *_: None)
    assert not can_project(nn.Linear(3, 4).double(), x)
    everywhere.remove()
    assert can_project(nn.Linear(3, 4).double(), x)


EDGES = torch.tensor([[0, 1, 2, 3, 3], [1, 1, 0, 2, 4]])


@pytest.mark.parametrize("kind", ["GATConv", "GATv2Conv", "TransformerConv"])
def test_gradients_for_many_outputs_at_once(kind):
    conv, x = getattr(gattn.nn, kind)(3, 2).double(), draw(5, 3)
    jacobian = torch.autograd.functional.jacobian
    run = lambda x: conv(x, EDGES)  # noqa: E731
    torch.testing.assert_close(jacobian(run, x, vectorize=True), jacobian(run, x))


@pytest.mark.parametrize("features", [lambda x: (x, x), lambda x: (x, None)])
@pytest.mark.parametrize("size", [7, 10**7])
def test_more_loops_than_nodes_are_refused(features, size):
    conv, x = gattn.nn.GATConv(3, 4), draw(5, 3).float()
    with pytest.raises(
        IndexError, match=f"size: found {size} nodes with a loop, expected at most 5"
    ):
        conv(features(x), EdgeIndex(EDGES), size=(size, size))


def test_an_edge_index_without_versions_is_not_kept():
    conv, x = gattn.nn.GATConv(3, 4), draw(5, 3).float()
    with torch.inference_mode():
        edges = EdgeIndex(EDGES.clone())
        torch.testing.assert_close(conv(x, edges), conv(x, EDGES))
        assert edges not in structure._stored


def test_of_a_changed_edge_index_one_version_is_kept():
    conv, x, edges = gattn.nn.GATConv(3, 4), draw(5, 3).float(), EdgeIndex(EDGES.clone())
    for source in range(4):
        edges.as_tensor()[0, 0] = source
        conv(x, edges)
    assert len(structure._stored[edges][1]) == 1


def test_shares_that_were_submitted_are_waited_for(monkeypatch):
    class Refusing:
        def __init__(self, executor):
            self.executor, self.left = executor, 1

        def submit(self, share):
            self.left -= 1
            if self.left < 0:
                raise RuntimeError("cannot schedule new futures after shutdown")
            return self.executor.submit(share)

    found, size_of = [], pool._threads._of_size
    monkeypatch.setattr(pool._threads, "_of_size", lambda size: Refusing(size_of(size)))
    monkeypatch.setattr(pool, "num_threads", lambda: 3)
    pool.run(lambda first, last: found.extend(range(first, last)), range(40), True)
    assert sorted(found) == list(range(40))
