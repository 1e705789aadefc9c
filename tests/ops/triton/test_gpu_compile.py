"""`torch.compile` around the kernels, and how often anything is compiled."""

import json
import os
import subprocess
import sys

import pytest
import torch
from torch._dynamo.testing import CompileCounter
from torch._dynamo.utils import counters

import gattn
from gattn import normalizers, scores
from gattn.nn import GraphAttention
from tests.nn.peers import NAMES, pair
from tests.ops.triton.where import (
    BACKEND,
    at,
    both,
    draw,
    gradients,
    near,
    on_gpu,
    random_graph,
    sides,
)

SIZES = ((16, 64), (1000, 5001), (1024, 8192), (777, 3001), (4096, 16_384), (1, 1), (17, 33))


@pytest.fixture(autouse=True)
def _fresh():
    torch._dynamo.reset()
    counters.clear()
    yield
    torch._dynamo.reset()


def traced(device, function, **options):
    """Compiled as a user would on a GPU; without one, the kernels are not what is compiled."""
    return torch.compile(
        function, fullgraph=True, backend=at(device, "aot_eager", "inductor"), **options
    )


@both
@pytest.mark.parametrize(
    "normalizer",
    [normalizers.Softmax(), normalizers.TopK(2), normalizers.Sigmoid()],
    ids=str,
)
@pytest.mark.parametrize("score", ["dot", "gatv2"])
def test_attend_is_one_graph_with_the_same_results(device, normalizer, score):
    graph = random_graph(at(device, 8, 500), at(device, 30, 5000), device)
    made = (scores.Dot() if score == "dot" else scores.GATv2(2, 4)).to(device)
    leaves = sides(graph, 2, 4)
    learned = [*leaves, *made.parameters()]

    def run(query, key, value):
        out = gattn.attend(
            query, key, value, graph, score=made, normalizer=normalizer, backend=BACKEND
        )
        return torch.tanh(out) * 2

    compiled = traced(device, run)
    expected = run(*leaves)
    wanted = [expected, *gradients(expected, learned)]
    for _ in range(2):
        out = compiled(*leaves)
        for found, one in zip([out, *gradients(out, learned)], wanted, strict=True):
            near(found, one)


@both
def test_a_compiled_dropout_differs_from_call_to_call(device):
    graph = random_graph(at(device, 8, 500), at(device, 40, 5000), device)
    leaves = sides(graph, 2, 4)
    compiled = traced(
        device, lambda *given: gattn.attend(*given, graph, dropout=0.5, backend=BACKEND)
    )
    first, second = (compiled(*leaves) for _ in range(2))
    assert not torch.equal(first, second) and bool(torch.isfinite(first).all())
    upstream = torch.ones_like(second)
    (grad,) = torch.autograd.grad(second, leaves[2], upstream)
    near((leaves[2] * grad).sum(), second.sum(), 1e-3)


@both
def test_other_sizes_are_not_compiled_again(device):
    """The neighbourhood is an argument: after two sizes there is a graph for any."""
    counted = CompileCounter()

    def run(query, key, value, graph):
        return gattn.attend(query, key, value, graph, backend=BACKEND)

    compiled = torch.compile(run, fullgraph=True, backend=counted, dynamic=True)
    sizes = at(device, ((6, 20), (9, 31), (7, 40), (11, 26)), SIZES[:5])
    frames = []
    for nodes, edges in sizes:
        graph = random_graph(nodes, edges, device)
        graph.transpose  # noqa: B018  # made once for each graph, before
        leaves = sides(graph, 2, 4)
        near(compiled(*leaves, graph), run(*leaves, graph))
        frames.append(counted.frame_count)
    assert frames[-1] == frames[1] <= 2


@both
@pytest.mark.parametrize("name", NAMES)
def test_a_compiled_drop_in(device, name):
    """While a call is recorded PyG's own forward runs, which has to stay one graph."""
    torch.manual_seed(0)
    loops = {} if name == "TransformerConv" else {"add_self_loops": False}
    peer, ours = pair(name, 6, 4, heads=2, dtype=torch.float32, **loops)
    peer, ours = peer.to(device), ours.to(device)
    x = draw(at(device, 8, 500), 6, device=device).requires_grad_()
    count = at(device, 30, 5000)
    edges = torch.randint(len(x), (2, count), generator=torch.Generator().manual_seed(0)).to(device)
    out, expected = traced(device, ours)(x, edges), peer(x, edges)
    near(out, expected)
    near(gradients(out, [x])[0], gradients(expected, [x])[0], 1e-4)


@both
def test_a_compiled_graph_attention(device):
    torch.manual_seed(0)
    graph = random_graph(at(device, 8, 500), at(device, 30, 5000), device)
    layer = GraphAttention(6, 4, 2, backend=BACKEND).to(device)
    x = draw(graph.num_targets, 6, device=device).requires_grad_()
    learned = [x, *layer.parameters()]
    out, expected = traced(device, layer)(x, graph), layer(x, graph)
    for found, wanted in zip(
        [out, *gradients(out, learned)], [expected, *gradients(expected, learned)], strict=True
    ):
        near(found, wanted, 1e-4)


@pytest.fixture
def compilations():
    """The kernels that triton compiles while a test runs, as they are reported to its hook."""
    from triton import knobs

    hook = "jit_post_compile_hook"
    seen, before = [], getattr(knobs.runtime, hook)

    def note(*args, **told):
        seen.append(told.get("repr", ""))
        return before(*args, **told) if before else None

    setattr(knobs.runtime, hook, note)
    yield seen
    setattr(knobs.runtime, hook, before)


def every_option(graph, device):
    """Calls that ask for different kernels."""
    for score in (scores.Dot(), scores.GATv2(3, 20).to(device)):
        for normalizer in (normalizers.Softmax(), normalizers.TopK(2), normalizers.Entmax15()):
            leaves = sides(graph, 3, 20)
            out = gattn.attend(
                *leaves, graph, score=score, normalizer=normalizer, dropout=0.1, backend=BACKEND
            )
            gradients(out, leaves)


@on_gpu
def test_triton_compiles_nothing_for_another_graph(compilations):
    """With about as many pairs for each row: the first graph has compiled for them all."""
    for nodes, edges in ((1000, 5000), (1000, 50_000)):
        every_option(random_graph(nodes, edges, "cuda", hub=3000), "cuda")
    assert compilations, "the hook has seen nothing: the test would prove nothing"
    del compilations[:]
    for nodes, edges in SIZES:
        every_option(random_graph(nodes, edges, "cuda"), "cuda")
    every_option(random_graph(3001, 15_007, "cuda", hub=5001), "cuda")
    assert compilations == []


def without_the_interpreter(*arguments):
    """What a module prints that compiles instead of interpreting, as JSON."""
    env = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    command = [sys.executable, "-W", "ignore", "-m", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_same_kernels_are_asked_for_by_another_graph():
    """The same without a GPU: what would be compiled is written down instead."""
    first, later = without_the_interpreter("tests.ops.triton.asked")
    assert len(first) > 20
    assert later == []
