"""Every provider computes what PyG or the reference does, or says why it cannot."""

import importlib.util
from functools import partial

import pytest
import torch

import gattn
from gattn.benchmark import PROBLEMS, PROVIDERS, Layer, provider
from gattn.benchmark.agree import disagreements, results
from gattn.benchmark.graphs import sequences
from gattn.benchmark.passes import forward
from gattn.benchmark.problems import make_inputs

CPU = torch.device("cpu")
KINDS = ("GATConv", "GATv2Conv", "TransformerConv")


@pytest.fixture
def inputs():
    problem = PROBLEMS["cora"]
    return lambda kind: make_inputs(problem, Layer(kind, 2, 4), problem.quick(1), 1)


# Dynamo looks for the gradient of everything it meets where PyG's layer breaks its graph.
@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["pyg-compile", "dgl", "gattn", "gattn:reference"])
def test_providers_agree_with_pyg(monkeypatch, inputs, name, kind):
    # What this compiler makes of the layer is its own affair, and takes seconds.
    monkeypatch.setattr("torch.compile", partial(torch.compile, backend="eager"))
    chosen, given = provider(name), inputs(kind)
    if reasons := chosen.reasons(given.layer, CPU):
        assert name in ("dgl", "pyg-compile"), reasons  # not installed; gattn itself always can
        pytest.skip("; ".join(reasons))
    model = chosen.build(given)
    found, expected = results(model), results(PROVIDERS["pyg"].build(given))
    assert disagreements(found, expected, 1e-4) == []
    assert {"output", "gradient of x"} <= found.keys() & expected.keys()
    assert len(found) >= 5
    out = forward(model)
    assert not out.requires_grad
    torch.testing.assert_close(out, found["output"])


def test_models_share_the_memory_of_the_inputs_and_not_the_gradients(inputs):
    given = inputs("GATConv")
    models = [PROVIDERS[name].build(given) for name in ("pyg", "gattn")]
    assert {m.leaves["x"].data_ptr() for m in models} == {given.tensors["x"].data_ptr()}
    results(models[0])
    assert all(leaf.grad is None for model in models for leaf in model.leaves.values())
    assert not given.tensors["x"].requires_grad


def able(given):
    """gattn, and every backend that can compute `attend` on these inputs."""
    reasons = gattn.backend_reasons(**given.tensors, neighborhood=given.structure)
    return ["gattn", *(f"gattn:{name}" for name, said in reasons.items() if not said)]


def test_attend_agrees_on_every_backend():
    problem = PROBLEMS["ball"]
    given = make_inputs(problem, problem.layers[0], problem.quick(0), 0)
    expected = results(provider("gattn:reference").build(given))
    assert {"gattn:cpu", "gattn:reference"} <= set(able(given))
    for chosen in map(provider, able(given)):
        assert chosen.reasons(given.layer, CPU) == []
        found = results(chosen.build(given))
        assert set(found) == {"output", *(f"gradient of {name}" for name in given.tensors)}
        assert disagreements(found, expected, 1e-4) == []


SPANS = {
    "full": gattn.full(9),
    "packed": sequences(4, 1, 7, 0),
    "causal": gattn.window(9, None, causal=True),
    "window": gattn.window(9, 2),
    "window back": gattn.window(9, 2, causal=True),
    "windows": gattn.batch([gattn.window(5, 1), gattn.window(4, 1)]),
}


@pytest.mark.parametrize("span", SPANS.values(), ids=list(SPANS))
def test_spans_are_attended_to_as_by_the_reference(span):
    given = make_inputs(PROBLEMS["full"], Layer("attend", 2, 4), span, 0)
    expected = results(provider("gattn:reference").build(given))
    names = ("output", *(f"gradient of {leaf}" for leaf in given.tensors))
    for name in ("sdpa", *able(given)):
        found = results(provider(name).build(given))
        assert {key: tuple(tensor.shape) for key, tensor in found.items()} == dict.fromkeys(
            names, (span.num_targets, 2, 4)
        )
        assert disagreements(found, expected, 1e-5) == [], name


@pytest.mark.parametrize("span", SPANS.values(), ids=list(SPANS))
def test_torch_has_its_own_layout_and_the_same_numbers(span):
    given = make_inputs(PROBLEMS["full"], Layer("attend", 2, 4), span, 0)
    ours, torchs = (provider(name).build(given) for name in ("gattn", "sdpa"))
    assert ours.leaves.keys() == torchs.leaves.keys() == given.tensors.keys()
    for name, leaf in torchs.leaves.items():
        assert leaf.shape == (1, 2, span.num_targets, 4)
        assert leaf.is_contiguous() and ours.leaves[name].is_contiguous()
        assert torch.equal(torchs.common(leaf), ours.leaves[name])
    assert torchs.forward().shape == (1, 2, span.num_targets, 4)


def test_torch_has_no_neighbourhood_but_a_span():
    problem = PROBLEMS["ball"]
    given = make_inputs(problem, Layer("attend", 2, 4), problem.quick(0), 0)
    with pytest.raises(TypeError, match=r"structure: found Sparse\(.*\), expected a Span"):
        PROVIDERS["sdpa"].build(given)


def test_a_forced_backend_is_forced(inputs):
    model = provider("gattn:sdpa").build(inputs("GATConv"))
    with pytest.raises(ValueError, match="backend: found 'sdpa'"):
        model.forward()


def test_reasons(monkeypatch):
    gat, attend, transformer = (
        Layer(kind, 2, 4) for kind in ("GATConv", "attend", "TransformerConv")
    )
    assert PROVIDERS["pyg"].reasons(gat, CPU) == []
    assert PROVIDERS["pyg"].reasons(attend, CPU) == ["PyG has no attend"]
    assert "DGL has no equal of TransformerConv" in PROVIDERS["dgl"].reasons(transformer, CPU)
    assert PROVIDERS["sdpa"].reasons(attend, CPU) == []
    assert PROVIDERS["sdpa"].reasons(gat, CPU) == ["torch has no GATConv"]
    (ball,) = PROBLEMS["ball"].layers
    assert PROVIDERS["sdpa"].reasons(ball, CPU) == ["torch's attention has no hop bias"]
    assert "no backend 'nothing'" in provider("gattn:nothing").reasons(gat, CPU)[0]
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert "C++ compiler" in PROVIDERS["pyg-compile"].reasons(gat, CPU)[0]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert PROVIDERS["dgl"].reasons(gat, CPU) == ["dgl is not installed"]


@pytest.mark.parametrize("name", ["tensorflow", "gattn:", "pyg:cpu", ""])
def test_an_unknown_provider_is_refused(name):
    with pytest.raises(ValueError, match=rf"provider: found '{name}', expected one of pyg, "):
        provider(name)
