"""Operators are what the layers compute between projections, and some rows stand for all."""

import pytest
import torch

import gattn
from gattn.benchmark.agree import disagreements, results
from gattn.benchmark.gpu import operators
from gattn.benchmark.gpu.graphs import power_law
from gattn.benchmark.problems import Layer
from gattn.functional import attend_form


@pytest.fixture
def inputs():
    """Makes the inputs of a kind, on pairs that are not in the order of the rows."""
    graph = power_law(40, 400, 60, 0, "cpu")
    around = gattn.from_edge_index(graph.edge_index, 40)
    return lambda kind, precision="float32": operators.make_inputs(
        Layer(kind, 2, 8, precision=precision), around, 3
    )


@pytest.mark.parametrize("kind", operators.KINDS)
def test_the_same_seed_gives_the_same_numbers(inputs, kind):
    one, other = inputs(kind), inputs(kind)
    assert one.tensors.keys() == other.tensors.keys()
    assert all(torch.equal(one.tensors[name], other.tensors[name]) for name in one.tensors)


@pytest.mark.parametrize("kind", operators.KINDS)
def test_backends_agree(inputs, kind):
    given = inputs(kind)
    expected = results(operators.ours("believed", "reference").build(given))
    assert disagreements(results(operators.ours("mine", "cpu").build(given)), expected) == []
    assert {f"gradient of {name}" for name in given.tensors} - expected.keys() <= {
        "gradient of features"
    }


def test_features_change_scores_and_values(inputs):
    plain, more = (operators.ours("it", None).build(inputs(kind)) for kind in operators.KINDS[2:])
    assert not torch.allclose(plain.forward(), more.forward())


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("kind", operators.KINDS)
def test_sampled_rows_tell_right_from_wrong(inputs, kind, precision):
    given = inputs(kind, precision)
    out = operators.ours("it", "reference").build(given).forward().detach()
    allowed = 1e-5 if precision == "float32" else 1e-2
    assert operators.sampled_difference(given, out, 5, 0) < allowed
    wrong = out.clone()
    wrong[given.structure.rowptr.diff().argmax()] += 1
    assert operators.sampled_difference(given, wrong, 5, 0) > 10 * allowed


def test_the_last_row_is_always_looked_at(inputs):
    given = inputs("dot")
    out = operators.ours("it", "reference").build(given).forward().detach()
    out[-1] += 1
    assert operators.sampled_difference(given, out, 1, 0) > 1e-3


def test_an_unknown_backend_is_a_reason():
    provider = operators.ours("it", "abacus")
    (reason,) = provider.reasons(Layer("dot", 2, 8), torch.device("cpu"))
    assert reason.startswith("gattn has no backend 'abacus', only ")


def test_the_forms_are_those_of_the_layers(inputs):
    given = inputs("gat")
    form, value = operators.form_of(given.layer, given.tensors)
    weights = gattn.functional.form_weights(form, given.structure)
    logits = (
        form.left[given.structure.edge_index()[1]] + form.right[given.structure.edge_index()[0]]
    )
    scores = torch.nn.functional.leaky_relu(logits.squeeze(-1), 0.2)
    assert torch.allclose(gattn.functional.pair_scores(form, given.structure), scores, atol=1e-5)
    out = attend_form(form, value, given.structure)
    by_hand = torch.zeros_like(out).index_add(
        0,
        given.structure.edge_index()[1],
        weights[:, :, None] * value[given.structure.edge_index()[0]],
    )
    assert torch.allclose(out, by_hand, atol=1e-5)
