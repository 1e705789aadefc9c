"""CUDA graphs, streams and devices."""

import pytest
import torch

import gattn
from gattn import normalizers
from tests.ops.triton.where import (
    BACKEND,
    at,
    attended,
    both,
    draw,
    near,
    on_gpu,
    random_graph,
    sides,
)


def stepped(graph, leaves, upstream, **options):
    """Output and gradients, without a size that is asked of the device."""
    out = gattn.attend(*leaves, graph, backend=BACKEND, **options)
    return [out, *torch.autograd.grad(out, leaves, upstream)]


def captured(step):
    """A CUDA graph of a step, and what it writes to."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(side)
    recorded = torch.cuda.CUDAGraph()
    with torch.cuda.graph(recorded):
        results = step()
    return recorded, results


@on_gpu
@pytest.mark.parametrize(
    "normalizer",
    [normalizers.Softmax(), normalizers.Sigmoid(), normalizers.TopK(3), normalizers.Hard()],
    ids=str,
)
def test_a_captured_step_follows_its_inputs(normalizer):
    graph = random_graph(3000, 30_000, "cuda", hub=3000)
    leaves, upstream = sides(graph, 4, 16), draw(3000, 4, 16, device="cuda", seed=9)
    recorded, results = captured(lambda: stepped(graph, leaves, upstream, normalizer=normalizer))
    for seed in (11, 12):
        with torch.no_grad():
            for place, leaf in enumerate(leaves):
                leaf.copy_(draw(*leaf.shape, device="cuda", seed=seed + 10 * place))
        recorded.replay()
        expected = stepped(graph, leaves, upstream, normalizer=normalizer)
        assert all(torch.equal(*both) for both in zip(results, expected, strict=True))


@on_gpu
def test_every_replay_draws_a_dropout_of_its_own_and_its_backward_the_same():
    graph = random_graph(3000, 30_000, "cuda")
    leaves, upstream = sides(graph, 4, 16), draw(3000, 4, 16, device="cuda", seed=9)
    recorded, results = captured(lambda: stepped(graph, leaves, upstream, dropout=0.5))
    outs = []
    for _ in range(3):
        recorded.replay()
        outs.append(results[0].detach().clone())
        # The output is linear in the value, if both passes dropped the same weights.
        forward, backward = (results[0] * upstream).sum(), (leaves[2] * results[3]).sum()
        near(forward, backward, 1e-3)
    assert not torch.equal(outs[0], outs[1]) and not torch.equal(outs[1], outs[2])
    dropped = (outs[0] == 0).all(-1) & (graph.rowptr.diff() == 1)[:, None]
    share = float(dropped.sum()) / max(int((graph.rowptr.diff() == 1).sum()) * 4, 1)
    assert share == 0.0 or abs(share - 0.5) < 0.2


@both
def test_the_forward_and_backward_of_a_dropout_drop_the_same(device):
    graph = random_graph(at(device, 10, 3000), at(device, 40, 30_000), device)
    leaves = sides(graph, 2, 4)
    upstream = draw(graph.num_targets, 2, 4, device=device, seed=9)
    found = stepped(graph, leaves, upstream, dropout=0.5)
    near((found[0] * upstream).sum(), (leaves[2] * found[3]).sum(), 1e-3)


@on_gpu
def test_a_captured_training_step_of_a_layer_is_that_of_a_layer():
    torch.manual_seed(0)
    graph = random_graph(2000, 20_000, "cuda")
    twins = [gattn.nn.GraphAttention(32, 16, 4).cuda() for _ in range(2)]
    twins[1].load_state_dict(twins[0].state_dict())
    optimizers = [torch.optim.SGD(layer.parameters(), lr=0.1) for layer in twins]
    x, wanted = draw(2000, 32, device="cuda"), draw(2000, 64, device="cuda", seed=1)

    def step(place):
        optimizers[place].zero_grad(set_to_none=True)
        loss = (twins[place](x, graph) - wanted).square().mean()
        loss.backward()
        optimizers[place].step()

    recorded, _ = captured(lambda: step(0))
    for _ in range(3):  # as many as there were before the capture
        step(1)
    for seed in (3, 4, 5):
        x.copy_(draw(2000, 32, device="cuda", seed=seed))
        recorded.replay()
        step(1)
    for one, other in zip(*(layer.parameters() for layer in twins), strict=True):
        near(one, other, 1e-4)


@on_gpu
def test_work_on_a_side_stream_is_in_the_order_of_that_stream():
    graph = random_graph(20_000, 400_000, "cuda")
    leaves = sides(graph, 4, 32)
    expected = attended(graph, leaves)
    torch.cuda.synchronize()
    side = torch.cuda.Stream()
    late = [torch.zeros_like(leaf).requires_grad_() for leaf in leaves]
    torch.cuda.synchronize()
    with torch.cuda.stream(side):
        torch.cuda._sleep(200_000_000)  # a tenth of a second, before the inputs are there
        with torch.no_grad():
            for there, leaf in zip(late, leaves, strict=True):
                there.copy_(leaf)
        found = attended(graph, late)
        with torch.no_grad():
            for there in late:
                there.zero_()
    side.synchronize()
    assert all(torch.equal(*pair) for pair in zip(found, expected, strict=True))


@on_gpu
def test_two_streams_at_once_have_the_bits_of_one():
    graph = random_graph(50_000, 1_000_000, "cuda", hub=50_000)
    leaves = sides(graph, 4, 32)
    expected = attended(graph, leaves)
    torch.cuda.synchronize()
    streams, runs = [torch.cuda.Stream() for _ in range(2)], []
    for _ in range(5):
        for stream in streams:
            with torch.cuda.stream(stream):
                runs.append(attended(graph, leaves))
    torch.cuda.synchronize()
    for run in runs:
        assert all(torch.equal(*pair) for pair in zip(run, expected, strict=True))


@on_gpu
def test_tensors_that_name_their_device():
    graph = random_graph(100, 1000, "cuda:0")
    leaves = sides(graph, 2, 8)
    assert {leaf.device for leaf in leaves} == {torch.device("cuda", 0)}
    found = attended(graph, leaves)
    assert found[0].device == torch.device("cuda", 0)
    again = attended(random_graph(100, 1000, "cuda"), leaves)
    assert all(torch.equal(*pair) for pair in zip(found, again, strict=True))


@on_gpu
def test_tensors_on_a_device_that_is_not_the_current_one():
    if torch.cuda.device_count() < 2:
        pytest.skip("needs two GPUs")
    first, second = (random_graph(100, 1000, f"cuda:{place}") for place in (0, 1))
    expected = attended(first, sides(first, 2, 8))
    assert torch.cuda.current_device() == 0
    found = attended(second, sides(second, 2, 8))
    for one, other in zip(found, expected, strict=True):
        assert one.device.index == 1 and torch.equal(one.cpu(), other.cpu())


@on_gpu
def test_a_neighbourhood_elsewhere_is_refused():
    graph = random_graph(20, 50, "cpu")
    leaves = sides(random_graph(20, 50, "cuda"), 2, 8)
    with pytest.raises(ValueError, match="device"):
        gattn.attend(*leaves, graph, backend=BACKEND)
