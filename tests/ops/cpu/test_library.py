"""The operators as torch sees them: schemas, fakes, autograd, tracing."""

import sys
from types import ModuleType

import pytest
import torch

import gattn
from gattn import testing
from gattn.ops import cpu as cpu  # registers the operators
from gattn.ops.inputs import Inputs
from gattn.ops.problem import Problem

GRAPHS = testing.graphs()


def inputs(form, normalizer, graph, needs_grad=True):
    (case,) = [c for c in testing.cases() if c.name == f"{form}, {normalizer}, {graph}"]
    leaves = {name: leaf.clone().requires_grad_(needs_grad) for name, leaf in case.leaves.items()}
    problem: Problem = case.build(leaves)
    return Inputs.of(problem, problem.neighborhood)


CALLS = [
    ("Multiplicative", "Softmax()", "duplicates"),
    ("Multiplicative", "TopK(k=2)", "bipartite"),
    ("Multiplicative, all options", "Softmax()", "duplicates"),
    ("Additive, value=None", "Softmax()", "bipartite"),
    ("Additive, all options", "Sigmoid()", "directed"),
    ("Multiplicative", "Softmax()", "no pairs"),
    ("Multiplicative", "Softmax()", "no nodes"),
]


@pytest.mark.parametrize("needs_grad", [True, False])
@pytest.mark.parametrize(("form", "normalizer", "graph"), CALLS)
def test_attend_is_a_proper_operator(form, normalizer, graph, needs_grad):
    args = inputs(form, normalizer, graph, needs_grad)
    torch.library.opcheck(torch.ops.gattn.attend.default, tuple(args))


@pytest.mark.parametrize("needs_grad", [True, False])
@pytest.mark.parametrize(("form", "normalizer", "graph"), CALLS[2:6])
def test_the_halves_are_proper_operators(form, normalizer, graph, needs_grad):
    args = inputs(form, normalizer, graph, needs_grad)
    heads = args.left.shape[1]
    draw = torch.Generator().manual_seed(0)
    weights = torch.rand(args.col.numel(), heads, generator=draw, dtype=torch.float64)
    torch.library.opcheck(torch.ops.gattn.sddmm.default, tuple(args))
    torch.library.opcheck(torch.ops.gattn.spmm.default, (*args, weights.requires_grad_(needs_grad)))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize(("form", "normalizer", "graph"), CALLS)
def test_shapes_and_dtypes_are_known_without_computing(form, normalizer, graph, dtype):
    args = inputs(form, normalizer, graph, False)
    args = [t.to(dtype) if torch.is_tensor(t) and t.is_floating_point() else t for t in args]
    far = [t.to("meta") if torch.is_tensor(t) else t for t in args]
    for name in ("attend", "sddmm"):
        operator = getattr(torch.ops.gattn, name)
        real, fake = operator(*args), operator(*far)
        pairs = [(real, fake)] if name == "sddmm" else zip(real, fake, strict=True)
        for found, told in pairs:
            assert (found.shape, found.dtype) == (told.shape, told.dtype), name
            assert found.stride() == told.stride(), name


class Layer(torch.nn.Module):
    def __init__(self, graph, normalizer):
        super().__init__()
        self.graph, self.normalizer = graph, normalizer

    def forward(self, query, key, value):
        hidden = gattn.attend(query, key, value, self.graph, normalizer=self.normalizer)
        return torch.tanh(hidden) * 2


NORMALIZERS = {"softmax": gattn.normalizers.Softmax(), "top_k": gattn.normalizers.TopK(2)}


@pytest.mark.parametrize("normalizer", NORMALIZERS.values(), ids=NORMALIZERS)
def test_a_compiled_layer_is_one_graph_with_the_same_results(normalizer):
    torch._dynamo.reset()
    layer = Layer(GRAPHS["duplicates"], normalizer)
    leaves = torch.randn(3, 8, 2, 4, generator=torch.Generator().manual_seed(0)).double()
    traced = torch.compile(layer, fullgraph=True, backend="aot_eager")
    results = []
    for run in (layer, traced, traced):
        given = [leaf.clone().requires_grad_() for leaf in leaves.unbind(0)]
        out = run(*given)
        results.append((out.detach(), *torch.autograd.grad(out.square().sum(), given)))
    for result in results[1:]:
        torch.testing.assert_close(result, results[0])


def test_a_compiled_layer_drops_weights():
    torch._dynamo.reset()
    graph = GRAPHS["duplicates"]
    leaves = torch.randn(3, 8, 2, 4, generator=torch.Generator().manual_seed(0)).double()

    def run(query, key, value):
        return gattn.attend(query, key, value, graph, dropout=0.5)

    traced = torch.compile(run, fullgraph=True, backend="aot_eager")
    first, second = (traced(*leaves.unbind(0)) for _ in range(2))
    assert not torch.equal(first, second) and torch.isfinite(first).all()


def test_a_gradient_of_one_output_alone():
    leaves = torch.randn(3, 8, 2, 4, generator=torch.Generator().manual_seed(0)).double()
    graph = GRAPHS["two hops"]
    for of in (lambda out, lse: out.square().sum(), lambda out, lse: lse[lse.isfinite()].sum()):
        grads = []
        for backend in ("cpu", "reference"):
            leaf = leaves.clone().requires_grad_()
            found = gattn.attend_with_statistic(*leaf.unbind(0), graph, backend=backend)
            grads.append(torch.autograd.grad(of(*found), leaf)[0])
        torch.testing.assert_close(*grads)


def test_another_thread_may_be_importing_the_compiler(monkeypatch):
    around = gattn.from_edge_index(torch.tensor([[0, 1], [1, 2]]), 3)
    x = torch.randn(3, 1, 2)
    expected = gattn.attend(x, x, x, around, backend="cpu")
    # What `sys.modules` holds until the import is done: a module without its names.
    monkeypatch.setitem(sys.modules, "torch._dynamo", ModuleType("torch._dynamo"))
    assert torch.equal(gattn.attend(x, x, x, around, backend="cpu"), expected)
