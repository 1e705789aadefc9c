"""On a GPU the kernels agree with the reference: every form, normaliser and neighbourhood."""

import pytest
import torch

import gattn
from gattn import normalizers
from gattn.testing import check_backend, graphs
from tests.ops.triton.where import BACKEND, attended, both, draw, near, on_gpu, on_the_cpu, rows_of

FORMS = (
    "Multiplicative",
    "Multiplicative, all options",
    "Additive, value=None",
    "Additive, all options",
    "Given",
)
NORMALIZERS = ("Softmax()", "Sigmoid()", "TopK(k=2)", "Hard()", "Sparsemax()", "Entmax15()")
HUGE = 80.0  # scores grow with the square of the inputs: they reach 3e4


def agree(forms, normalizer, dtype, **options):
    """All neighbourhoods of these forms and this normaliser; none is refused."""

    def only(form, name, graph):
        return form in forms and name == normalizer

    found = check_backend(BACKEND, dtype=dtype, device="cuda", only=only, **options)
    assert found == len(forms) * len(graphs())


@on_gpu
@pytest.mark.parametrize("normalizer", NORMALIZERS)
@pytest.mark.parametrize("form", FORMS)
def test_single_precision(form, normalizer):
    agree([form], normalizer, torch.float32)
    # A sigmoid of -87.5 is below the normal numbers of single precision, and may be 0.
    if normalizer != "Sigmoid()":
        agree([form], normalizer, torch.float32, scale=HUGE)


@on_gpu
@pytest.mark.parametrize(
    ("form", "normalizer"),
    [
        ("Multiplicative", "Softmax()"),
        ("Multiplicative, all options", "Softmax()"),
        ("Multiplicative, all options", "TopK(k=2)"),
        ("Multiplicative, all options", "Sparsemax()"),
        ("Additive, value=None", "Hard()"),
        ("Additive, all options", "Sigmoid()"),
        ("Additive, all options", "Softmax()"),
    ],
)
def test_double_precision(form, normalizer):
    agree([form], normalizer, torch.float64)
    agree([form], normalizer, torch.float64, scale=HUGE)


@on_gpu
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize(
    ("form", "normalizer"),
    [
        ("Multiplicative", "Softmax()"),
        ("Multiplicative, all options", "Softmax()"),
        ("Multiplicative", "Entmax15()"),
        ("Multiplicative", "TopK(k=2)"),
        ("Additive, value=None", "Softmax()"),
        ("Additive, value=None", "Sigmoid()"),
    ],
)
def test_half_precision(form, normalizer, dtype):
    agree([form], normalizer, dtype)


@both
@pytest.mark.parametrize("normalizer", [normalizers.TopK(3), normalizers.Hard()], ids=str)
def test_of_equal_scores_the_earlier_pair_is_taken(device, normalizer):
    graph = rows_of([1, 3, 9, 40], 40, device)
    leaves = [draw(4, 1, 4), draw(40, 1, 4, seed=1), draw(40, 1, 8, seed=2)]
    leaves[0].zero_()
    leaves = [leaf.to(device).requires_grad_() for leaf in leaves]
    for found, expected in zip(
        attended(graph, leaves, normalizer=normalizer),
        on_the_cpu(graph, leaves, normalizer=normalizer),
        strict=True,
    ):
        near(found, expected)


@both
@pytest.mark.parametrize("step", [0.0, 2.0**-23, 2.0**-20])
def test_scores_that_are_nearly_equal_are_told_apart(device, step):
    """One channel, so that a score is one exact product; the last pair is the largest by a bit."""
    graph = rows_of([30], 30, device)
    key = torch.ones(30, 1, 1)
    key[17] += step
    value = torch.arange(30.0).view(30, 1, 1)
    leaves = [torch.ones(1, 1, 1), key, value]
    leaves = [leaf.to(device) for leaf in leaves]
    score, first = gattn.scores.Dot(), normalizers.TopK(1)
    out = gattn.attend(*leaves, graph, score=score, normalizer=first, backend=BACKEND)
    assert float(out) == (17.0 if step else 0.0)


@both
@pytest.mark.parametrize("scale", [1.0, 170.0])
def test_a_softmax_of_scores_up_to_3e4(device, scale):
    graph = rows_of([1, 2, 17, 40], 40, device)
    leaves = [draw(4, 2, 4), draw(40, 2, 4, seed=1), draw(40, 2, 4, seed=2)]
    leaves = [leaf.mul(4).round().div(4) for leaf in leaves]  # scores are exact
    leaves = [leaf * (scale if place < 2 else 1.0) for place, leaf in enumerate(leaves)]
    leaves = [leaf.to(device).requires_grad_() for leaf in leaves]
    for found, expected in zip(attended(graph, leaves), on_the_cpu(graph, leaves), strict=True):
        near(found, expected, 1e-4)
