"""Rows of one length against rows of any."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck

from gattn import normalizers
from gattn.normalizers import Rows
from gattn.normalizers.even import EvenRows

NORMALIZERS = [
    normalizers.Softmax(),
    normalizers.Sparsemax(),
    normalizers.Entmax15(),
    normalizers.Sigmoid(),
    normalizers.Tanh(),
    normalizers.TopK(2),
    normalizers.Hard(),
]
sizes = st.tuples(st.integers(0, 5), st.integers(1, 5), st.integers(1, 3))


def both(count, width):
    index = torch.arange(count).repeat_interleave(width)
    plain = Rows(index, torch.arange(count + 1) * width)
    return plain, EvenRows(count, width, torch.device("cpu"))


def scores(count, width, heads, seed=0):
    """With ties, and with masked pairs."""
    generator = torch.Generator().manual_seed(seed)
    score = torch.randn(count * width, heads, generator=generator, dtype=torch.float64)
    score = (2 * score).round() / 2
    return score.masked_fill(torch.rand(score.shape, generator=generator) < 0.3, float("-inf"))


@settings(max_examples=60, deadline=None)
@given(sizes, st.integers(0, 99))
def test_the_operations_are_those_of_rows(size, seed):
    plain, even = both(*size[:2])
    assert torch.equal(even.index, plain.index) and torch.equal(even.rowptr, plain.rowptr)
    assert even.count == plain.count == size[0]
    score = scores(*size, seed)
    values = torch.nan_to_num(score, neginf=-9.0)
    torch.testing.assert_close(even.sum(values), plain.sum(values))
    wide = values[:, :, None].expand(-1, -1, 2)
    torch.testing.assert_close(even.sum(wide), plain.sum(wide))
    assert torch.equal(even.spread(even.sum(values)), plain.spread(even.sum(values)))
    assert torch.equal(even.peak(score), plain.peak(score))
    assert torch.equal(even.rank(score), plain.rank(score))


@pytest.mark.parametrize("normalizer", NORMALIZERS, ids=str)
@settings(max_examples=30, deadline=None)
@given(size=sizes, seed=st.integers(0, 99))
def test_every_normalizer_is_the_same_on_both(normalizer, size, seed):
    plain, even = both(*size[:2])
    score = scores(*size, seed)
    weights, statistic = normalizer.normalize(score, even)
    expected, wanted = normalizer.normalize(score, plain)
    torch.testing.assert_close(weights, expected, atol=1e-12, rtol=1e-12)
    assert (statistic is None) == (wanted is None)
    if statistic is not None:
        torch.testing.assert_close(statistic, wanted, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("normalizer", NORMALIZERS[:-1], ids=str)
def test_gradients(normalizer):
    _, even = both(3, 4)
    score = torch.randn(12, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    mask = torch.zeros_like(score)
    mask[[0, 4, 5, 6, 7]] = float("-inf")

    def run(score):
        weights, statistic = normalizer.normalize(score + mask, even)
        return weights if statistic is None else (weights, statistic[[0, 2]])

    assert gradcheck(run, (score.requires_grad_(),))


def test_it_cannot_be_changed():
    _, even = both(2, 3)
    with pytest.raises(AttributeError):
        even.width = 4
