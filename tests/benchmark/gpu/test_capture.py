"""A captured pass gives what the pass gives."""

import pytest
import torch

import gattn
from gattn.benchmark.gpu import operators
from gattn.benchmark.gpu.capture import captured
from gattn.benchmark.gpu.graphs import molecules
from gattn.benchmark.passes import PASSES, Model
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
@pytest.mark.filterwarnings("default")
def test_a_replay_sees_new_numbers():
    model = model_on("cuda")
    replay = captured(model, "forward+backward", torch.device("cuda"))
    with torch.no_grad():
        model.leaves["value"].mul_(2)
    replay()
    replayed = model.leaves["value"].grad.clone()
    PASSES["forward+backward"](model)
    assert torch.allclose(replayed, model.leaves["value"].grad, rtol=1e-5, atol=1e-6)


class Stream:
    """A stand-in for a stream, which waits for nobody."""

    def __init__(self, device=None):
        self.device = device

    def wait_stream(self, other):
        assert isinstance(other, Stream)

    def __enter__(self):
        return self

    def __exit__(self, *found):
        pass


class Graph:
    """A stand-in for a graph, which counts its replays."""

    replays = 0

    def replay(self):
        Graph.replays += 1


def test_what_is_captured_is_replayed(monkeypatch):
    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "current_stream", Stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: stream)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", lambda graph: Stream())
    model, calls = model_on("cpu"), []
    counted = Model(lambda: calls.append(1) or model.forward(), model.leaves)
    replay = captured(counted, "forward", torch.device("cuda"))
    assert len(calls) == 4
    replay()
    assert (len(calls), Graph.replays) == (4, 1)
