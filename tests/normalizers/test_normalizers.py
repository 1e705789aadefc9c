"""Normalisers: their contract, and each against another way to compute it."""

import pytest
import torch

from gattn import normalizers
from gattn.normalizers import Rows
from gattn.testing import check_normalizer, check_statistic

ALL = [
    normalizers.Softmax(),
    normalizers.Sparsemax(),
    normalizers.Entmax15(),
    normalizers.Sigmoid(),
    normalizers.TopK(2),
    normalizers.Hard(),
    normalizers.Tanh(),
]


@pytest.mark.parametrize("normalizer", ALL, ids=str)
def test_contract(normalizer):
    check_normalizer(normalizer)


@pytest.mark.parametrize(
    "normalizer", [n for n in ALL if n.has_statistic and not n.straight_through], ids=str
)
def test_gradient_of_the_statistic(normalizer):
    check_statistic(normalizer)


def one_row(score):
    count = len(score)
    return Rows(torch.zeros(count, dtype=torch.int64), torch.tensor([0, count]))


def bisected(score, power):
    """The threshold t with sum max(x - t, 0)^power = 1, by bisection."""
    low, high = score.max(0).values - 1, score.max(0).values
    for _ in range(200):
        middle = (low + high) / 2
        above = ((score - middle).clamp(min=0) ** power).sum(0) > 1
        low, high = torch.where(above, middle, low), torch.where(above, high, middle)
    return low


@pytest.mark.parametrize("count", [1, 2, 7, 1000])
@pytest.mark.parametrize("spread", [0.0, 0.01, 1.0, 50.0])
def test_thresholds_against_bisection(count, spread):
    score = torch.randn(count, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    score = score * spread
    weights, threshold = normalizers.Sparsemax().normalize(score, one_row(score))
    expected = bisected(score, 1)
    torch.testing.assert_close(threshold[0], expected, atol=1e-12, rtol=1e-12)
    torch.testing.assert_close(weights, (score - expected).clamp(min=0), atol=1e-12, rtol=1e-9)
    weights, threshold = normalizers.Entmax15().normalize(score, one_row(score))
    expected = bisected(score / 2, 2)
    torch.testing.assert_close(threshold[0], expected, atol=1e-12, rtol=1e-12)
    torch.testing.assert_close(weights.sum(0), torch.ones(3, dtype=torch.float64))


@pytest.mark.parametrize("normalizer", ALL[:3], ids=str)
def test_weights_of_a_hub_sum_to_one_in_float32(normalizer):
    score = torch.randn(100_000, 1, generator=torch.Generator().manual_seed(5))
    weights, _ = normalizer.normalize(score, one_row(score))
    torch.testing.assert_close(weights.sum(0), torch.ones(1), atol=2e-4, rtol=0)


def test_softmax_is_torchs():
    score = torch.randn(6, 2, dtype=torch.float64, requires_grad=True)
    weights, lse = normalizers.Softmax().normalize(score, one_row(score))
    torch.testing.assert_close(weights, score.softmax(0))
    torch.testing.assert_close(lse[0], score.logsumexp(0))


def test_topk_takes_the_earlier_of_equals_and_at_most_k():
    score = torch.tensor([[1.0], [3.0], [3.0], [3.0], [float("-inf")]])
    weights, lse = normalizers.TopK(2).normalize(score, one_row(score))
    assert weights[:, 0].tolist() == [0, 0.5, 0.5, 0, 0]
    assert lse.item() == pytest.approx(3 + torch.log(torch.tensor(2.0)).item())
    weights, _ = normalizers.TopK(9).normalize(score, one_row(score))
    torch.testing.assert_close(weights, score.softmax(0))
    with pytest.raises(ValueError, match="k: found 0"):
        normalizers.TopK(0)


def test_hard_is_one_hot_forward_and_softmax_backward():
    score = torch.tensor([[1.0], [2.0], [2.0], [0.5]], dtype=torch.float64, requires_grad=True)
    weights, lse = normalizers.Hard().normalize(score, one_row(score))
    assert weights[:, 0].tolist() == [0, 1, 0, 0]
    torch.testing.assert_close(lse[0], score.logsumexp(0))
    upstream = torch.tensor([[1.0], [-2.0], [0.3], [4.0]], dtype=torch.float64)
    (grad,) = torch.autograd.grad(weights, score, upstream)
    soft = score.detach().softmax(0)
    torch.testing.assert_close(grad, soft * (upstream - (soft * upstream).sum(0)))
