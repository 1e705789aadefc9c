"""Backends: who computes what, who refuses and why, and that they agree."""

import dataclasses

import pytest
import torch

import gattn
from gattn.ops import cpu, dispatch, reference, triton
from gattn.testing import check_backend

Q, K, V = torch.randn(3, 6, 2, 4, generator=torch.Generator().manual_seed(0)).unbind(0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_sdpa_agrees_with_the_reference(dtype):
    assert check_backend("sdpa", dtype=dtype) == 4


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_blocks_agree_with_the_reference(dtype):
    assert check_backend("blocks", dtype=dtype) > 40


def test_reference_is_finite_in_half_types_wherever_it_is_in_double():
    assert check_backend("reference", dtype=torch.float16, factor=1.0) > 300


def test_the_first_without_a_reason_computes(monkeypatch):
    monkeypatch.setattr(triton, "INTERPRETED", False)
    far = ["the device is cpu, not cuda"]
    expected = {"sdpa": [], "cpu": [], "triton": far, "blocks": [], "reference": []}
    assert gattn.backend_reasons(Q, K, V, gattn.full(6)) == expected
    causal = gattn.window(6, None, causal=True)
    assert gattn.backend_reasons(Q, K, V, causal)["sdpa"] == []


@pytest.mark.parametrize(
    ("graph", "options", "reason"),
    [
        (gattn.window(6, 2), {"hop_bias": torch.zeros(3, 2)}, "hop_bias is given"),
        (gattn.full(6).expand(), {}, "is Sparse, not Span"),
        (gattn.full(6), {"normalizer": gattn.normalizers.Sigmoid()}, "normalizer is Sigmoid()"),
        (gattn.full(6), {"score": gattn.scores.GATv2(2, 4)}, "form is Additive"),
    ],
)
def test_a_named_backend_that_cannot_says_why(graph, options, reason):
    assert any(reason in said for said in gattn.backend_reasons(Q, K, V, graph, **options)["sdpa"])
    with pytest.raises(ValueError, match=r"backend: found 'sdpa', which cannot: .*reference: can"):
        gattn.attend(Q, K, V, graph, backend="sdpa", **options)


def test_an_unknown_backend_lists_the_known():
    with pytest.raises(
        ValueError,
        match="backend: found 'cuda', expected one of sdpa, cpu, triton, blocks, reference",
    ):
        gattn.attend(Q, K, V, gattn.full(6), backend="cuda")


def test_statistic_of_a_span_comes_from_the_reference():
    out, lse = gattn.attend_with_statistic(Q, K, V, gattn.full(6))
    torch.testing.assert_close(out, gattn.attend(Q, K, V, gattn.full(6)))
    expected = torch.einsum("nhc,mhc->nmh", Q, K).div(2).logsumexp(1)
    torch.testing.assert_close(lse, expected)
    with pytest.raises(ValueError, match=r"normalizer: found Sigmoid\(\), which has no row stat"):
        gattn.attend_with_statistic(Q, K, V, gattn.full(6), normalizer=gattn.normalizers.Sigmoid())


@dataclasses.dataclass(frozen=True)
class Sharper(gattn.normalizers.Softmax):
    def normalize(self, score, rows):
        return super().normalize(10 * score, rows)


def test_sdpa_leaves_alone_what_it_does_not_know():
    assert gattn.backend_reasons(Q, K, V, gattn.full(6), normalizer=Sharper())["sdpa"]
    form = gattn.forms.Multiplicative(Q, K, 1.0, None, torch.full((6, 2), float("-inf")))
    assert (gattn.attend_form(form, V, gattn.full(6)) == 0).all()


@pytest.mark.parametrize("pairs", [gattn.form_weights, gattn.pair_scores])
def test_weights_and_scores_come_from_the_first_that_has_them(pairs, monkeypatch):
    around, asked = gattn.window(6, 2), []

    def spied(name, weights):
        return lambda problem: asked.append(name) or weights(problem)

    for name, backend in (("cpu", cpu), ("reference", reference)):
        monkeypatch.setattr(backend, "weights", spied(name, backend.weights))
    pairs(gattn.forms.Multiplicative(Q, K), around)
    pairs(gattn.forms.Given(Q, K, lambda q, k, hop: (q * k).sum(-1)), around)
    pairs(gattn.forms.Multiplicative(Q[:, :0], K[:, :0]), around)  # no heads: nothing for kernels
    assert asked == ["cpu", "cpu", "reference"]


def test_a_backend_that_is_only_a_name_is_not_replaced(monkeypatch):
    monkeypatch.setattr(dispatch, "BACKENDS", ("new", "reference"))
    with pytest.raises(ModuleNotFoundError, match=r"gattn\.ops\.new"):
        dispatch.load("new")


def test_weights_and_sums_come_from_the_backend_that_is_named():
    around = gattn.full(6).expand()
    expected = gattn.attention_weights(Q, K, around, backend="reference")
    torch.testing.assert_close(gattn.attention_weights(Q, K, around, backend="cpu"), expected)
    torch.testing.assert_close(
        gattn.aggregate(expected, V, around, backend="reference"),
        gattn.attend(Q, K, V, around, backend="reference"),
    )
    for call in (
        lambda: gattn.attention_weights(Q, K, around, backend="sdpa"),
        lambda: gattn.aggregate(expected, V, around, backend="blocks"),
    ):
        with pytest.raises(ValueError, match="expected one of cpu, triton, reference"):
            call()


def test_an_interpreted_backend_computes_for_nobody_who_does_not_name_it():
    if not triton.INTERPRETED:
        pytest.skip("a GPU is there, and kernels are compiled for it")
    form = gattn.forms.Multiplicative(Q, K)
    assert gattn.backend_reasons(Q, K, V, gattn.full(6).expand())["triton"] == []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cpu, "_MISSING", "numba is not there")
        problem = dispatch.Problem(form, V, gattn.full(6).expand(), gattn.normalizers.Softmax())
        assert dispatch.choose(problem) is reference
        assert dispatch.choose(problem, "triton") is triton
