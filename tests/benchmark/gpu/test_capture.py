"""A captured pass gives what the pass gives."""

import pytest
import torch

import gattn
from gattn.benchmark.gpu import operators
from gattn.benchmark.gpu.capture import captured
from gattn.benchmark.gpu.graphs import molecules
from gattn.benchmark.passes import PASSES
from gattn.benchmark.problems import Layer


def model_on(device):
    graph = molecules(4, 0, device)
    around = gattn.from_edge_index(graph.edge_index, graph.num_nodes)
    inputs = operators.make_inputs(Layer("dot", 2, 32), around, 0)
    backend = None if device == "cpu" else "triton"
    return operators.ours("it", backend).build(inputs)


@pytest.mark.parametrize("passed", PASSES)
def test_without_cuda_it_is_the_pass_itself(passed):
    model = model_on("cpu")
    assert torch.equal(captured(model, passed, torch.device("cpu"))(), PASSES[passed](model))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_a_replay_sees_new_numbers():
    model = model_on("cuda")
    replay = captured(model, "forward+backward", torch.device("cuda"))
    with torch.no_grad():
        model.leaves["value"].mul_(2)
    replay()
    replayed = model.leaves["value"].grad.clone()
    PASSES["forward+backward"](model)
    assert torch.allclose(replayed, model.leaves["value"].grad, rtol=1e-5, atol=1e-6)
