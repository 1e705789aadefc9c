"""What a training loop does around the kernels: autocast, checkpoints, copies, odd inputs."""

import copy
import pickle

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.utils.checkpoint import checkpoint

import gattn
from gattn import normalizers, scores
from gattn.nn import GraphAttention
from tests.nn.peers import NAMES, pair
from tests.ops.triton.where import (
    BACKEND,
    at,
    attended,
    both,
    draw,
    gradients,
    near,
    on_gpu,
    on_the_cpu,
    random_graph,
    sides,
)

HALVES = [torch.bfloat16, torch.float16]


def small(device):
    return random_graph(at(device, 8, 400), at(device, 30, 4000), device)


def autocast(device, dtype):
    return torch.autocast(device, dtype=dtype)


@both
@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_a_drop_in_under_autocast(device, name, dtype):
    torch.manual_seed(0)
    peer, ours = pair(name, 6, 8, heads=2, dtype=torch.float32)
    peer, ours = peer.to(device), ours.to(device)
    ours.backend = BACKEND
    x = draw(at(device, 8, 400), 6, device=device).requires_grad_()
    edges = torch.randint(len(x), (2, at(device, 20, 4000))).to(device)
    exact = peer(x, edges)
    with autocast(device, dtype):
        found = ours(x, edges)
    near(found, exact, 0.05)
    assert torch.isfinite(found).all()
    leaves = [x, *ours.parameters()]
    expected = gradients(exact, [x, *peer.parameters()])
    largest = max(float(grad.abs().max()) for grad in expected)
    for grad, wanted in zip(gradients(found, leaves), expected, strict=True):
        assert grad.dtype == torch.float32
        near(grad, wanted, 0.1, largest / 10)


@both
@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_a_graph_attention_under_autocast(device, dtype):
    torch.manual_seed(0)
    graph, layer = small(device), GraphAttention(6, 8, 2, backend=BACKEND).to(device)
    x = draw(graph.num_targets, 6, device=device).requires_grad_()
    exact = layer(x, graph)
    with autocast(device, dtype):
        found = layer(x, graph)
    near(found, exact, 0.05)
    assert torch.isfinite(gradients(found, [x])[0]).all()


@both
@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_half_types_are_summed_in_single_precision(device, dtype):
    """A row of many equal weights: a sum in a half type would stop growing."""
    count = at(device, 400, 20_000)
    pairs = torch.stack([torch.arange(count), torch.zeros(count, dtype=torch.int64)])
    graph = gattn.from_edge_index(pairs, (count, 1)).to(device)
    query, key = (torch.zeros(n, 1, 2, device=device, dtype=dtype) for n in (1, count))
    value = torch.ones(count, 1, 2, device=device, dtype=dtype)
    out = gattn.attend(query, key, value, graph, backend=BACKEND)
    assert out.dtype == dtype and torch.equal(out, torch.ones_like(out))
    options = {"normalizer": normalizers.Sigmoid(), "backend": BACKEND}
    total = gattn.attend(query, key, value, graph, **options)
    assert torch.equal(total, torch.full_like(total, count / 2))


@on_gpu
def test_a_scaled_step_in_half_precision():
    torch.manual_seed(0)
    graph = small("cuda")
    layer = GraphAttention(16, 8, 4, backend=BACKEND).cuda()
    optimizer, scaler = torch.optim.Adam(layer.parameters(), lr=0.01), torch.amp.GradScaler()
    x, wanted = draw(400, 16, device="cuda"), draw(400, 32, device="cuda", seed=1)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        with torch.autocast("cuda", dtype=torch.float16):
            loss = (layer(x, graph).float() - wanted).square().mean()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] and all(map(torch.isfinite, map(torch.tensor, losses)))
    assert scaler.get_scale() > 0


@both
@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_a_checkpoint_computes_again_what_it_did(device, dropout):
    graph = small(device)
    leaves = sides(graph, 2, 4)

    def run(*given):
        return gattn.attend(*given, graph, dropout=dropout, backend=BACKEND)

    results = []
    for call in (run, lambda *given: checkpoint(run, *given, use_reentrant=False)):
        torch.manual_seed(1)
        out = call(*leaves)
        results.append([out, *gradients(out, leaves)])
    assert all(torch.equal(*pair) for pair in zip(*results, strict=True))


@both
@pytest.mark.parametrize("score", ["dot", "gatv2"])
@pytest.mark.parametrize("normalizer", [normalizers.Softmax(), normalizers.Sigmoid()], ids=str)
def test_first_and_second_derivatives(device, normalizer, score):
    graph = gattn.from_edge_index(torch.tensor([[0, 1, 2, 1, 1], [1, 1, 0, 2, 2]]), 3).to(device)
    made = scores.Dot() if score == "dot" else scores.GATv2(1, 2)
    made = made.to(device, torch.float64)
    leaves = [
        draw(3, 1, 2, device=device, seed=seed, dtype=torch.float64).requires_grad_()
        for seed in range(3)
    ]

    def run(*given):
        return gattn.attend(*given, graph, score=made, normalizer=normalizer, backend=BACKEND)

    fast = device == "cpu"  # in one random direction
    assert gradcheck(run, leaves, fast_mode=fast)
    assert gradgradcheck(run, leaves, fast_mode=fast)


@both
def test_copies_of_a_model_compute_the_same(device):
    graph, layer = small(device), GraphAttention(6, 4, 2, backend=BACKEND).to(device)
    x = draw(graph.num_targets, 6, device=device)
    expected = layer(x, graph)
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert torch.equal(other(x, copy.deepcopy(graph)), expected)
        assert torch.equal(other(x, pickle.loads(pickle.dumps(graph))), expected)


@both
@pytest.mark.parametrize("nodes", [0, 1, 5])
def test_a_graph_without_pairs(device, nodes):
    graph = gattn.from_edge_index(torch.empty(2, 0, dtype=torch.int64), nodes).to(device)
    leaves = sides(graph, 2, 4)
    out, *grads = attended(graph, leaves)
    assert out.shape == (nodes, 2, 4) and not out.any()
    assert all(
        grad.shape == leaf.shape and not grad.any()
        for grad, leaf in zip(grads, leaves, strict=True)
    )


@both
def test_inputs_that_are_not_contiguous(device):
    graph = small(device)
    wide = draw(4, 2, 3 * graph.num_targets, device=device).requires_grad_()
    leaves = [wide[..., place::3].permute(2, 1, 0) for place in range(3)]
    assert not any(leaf.is_contiguous() for leaf in leaves)
    dense = [leaf.detach().contiguous().requires_grad_() for leaf in leaves]
    found, expected = (gattn.attend(*x, graph, backend=BACKEND) for x in (leaves, dense))
    assert torch.equal(found, expected)
    grads = gradients(expected, dense)
    together = torch.stack(grads, -1).permute(2, 1, 0, 3).flatten(2)
    assert torch.equal(gradients(found, [wide])[0], together)


@both
def test_an_upstream_gradient_that_is_not_contiguous(device):
    graph = small(device)
    leaves = sides(graph, 2, 4)
    upstream = draw(4, 2, graph.num_targets, device=device).permute(2, 1, 0)
    results = []
    for given in (upstream, upstream.contiguous(), upstream[:1].expand_as(upstream)):
        out = gattn.attend(*leaves, graph, backend=BACKEND)
        results.append(torch.autograd.grad(out, leaves, given))
    assert all(torch.equal(*both) for both in zip(*results[:2], strict=True))
    assert all(torch.isfinite(grad).all() for grad in results[2])


@both
@pytest.mark.parametrize("wanted", [(0,), (1,), (2,), (0, 2), (1, 2)], ids=str)
def test_gradients_of_some_inputs_alone(device, wanted):
    graph = small(device)
    every = sides(graph, 2, 4)
    expected = gradients(gattn.attend(*every, graph, backend=BACKEND), every)
    some = [leaf.detach().requires_grad_(place in wanted) for place, leaf in enumerate(every)]
    leaves = [some[place] for place in wanted]
    found = gradients(gattn.attend(*some, graph, backend=BACKEND), leaves)
    for place, grad in zip(wanted, found, strict=True):
        near(grad, expected[place])


@both
def test_a_call_without_gradients_has_the_same_output(device):
    graph = small(device)
    leaves = sides(graph, 2, 4)
    expected = gattn.attend(*leaves, graph, backend=BACKEND)
    with torch.no_grad():
        assert torch.equal(gattn.attend(*leaves, graph, backend=BACKEND), expected)
    with torch.inference_mode():
        assert torch.equal(gattn.attend(*leaves, graph, backend=BACKEND), expected)


@both
def test_an_output_changed_in_place_is_found_by_torch(device):
    """The kernels keep their output for the backward: torch has to say so, not to go on."""
    graph = small(device)
    leaves = sides(graph, 2, 4)
    out = gattn.attend(*leaves, graph, backend=BACKEND)
    out.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out.sum().backward()


@both
def test_the_same_tensor_in_every_place(device):
    graph = small(device)
    x = sides(graph, 2, 4)[0]
    out = gattn.attend(x, x, x, graph, backend=BACKEND)
    exact = x.detach().cpu().double().requires_grad_()
    expected = gattn.attend(exact, exact, exact, graph.to("cpu"), backend="reference")
    near(out, expected)
    near(gradients(out, [x])[0], gradients(expected, [exact])[0])


@both
def test_hop_and_pair_biases_of_a_ball(device):
    torch.manual_seed(0)
    edges = torch.randint(at(device, 8, 300), (2, at(device, 12, 900)))
    graph = gattn.k_hop(edges, 2, at(device, 8, 300)).to(device)
    leaves = sides(graph, 2, 4)
    hop = draw(3, 2, device=device).requires_grad_()
    pairs = draw(graph.num_pairs, 2, device=device, seed=4).requires_grad_()
    out = gattn.attend(*leaves, graph, hop_bias=hop, pair_bias=pairs, backend=BACKEND)
    exact = [leaf.detach().cpu().double().requires_grad_() for leaf in (*leaves, hop, pairs)]
    options = {"hop_bias": exact[3], "pair_bias": exact[4], "backend": "reference"}
    expected = gattn.attend(*exact[:3], graph.to("cpu"), **options)
    near(out, expected)
    found = gradients(out, [*leaves, hop, pairs])
    for one, other in zip(found, gradients(expected, exact), strict=True):
        near(one, other, 1e-4)


@both
def test_a_graph_may_be_larger_on_one_side(device):
    torch.manual_seed(0)
    edges = torch.stack([torch.randint(9, (30,)), torch.randint(5, (30,))])
    graph = gattn.from_edge_index(edges, (9, 5)).to(device)
    leaves = sides(graph, 3, 5)
    for found, expected in zip(attended(graph, leaves), on_the_cpu(graph, leaves), strict=True):
        near(found, expected)
