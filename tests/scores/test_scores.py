"""Scores: their contract, and each against its formula pair by pair."""

import math

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.nn.functional import leaky_relu

import gattn
from gattn import normalizers, scores
from gattn.testing import check_score

ALL = [
    scores.Dot,
    scores.ScaledDot,
    scores.General,
    scores.Cosine,
    scores.Additive,
    scores.GAT,
    scores.GATv2,
    scores.Distance,
    scores.SuperGATMX,
    scores.SuperGATSD,
    scores.MLP,
    scores.Tempered,
]

NORMALIZERS = [
    normalizers.Softmax(),
    normalizers.Sparsemax(),
    normalizers.Entmax15(),
    normalizers.Sigmoid(),
    normalizers.Tanh(),
    normalizers.TopK(2),
]


@pytest.mark.parametrize("kind", ALL)
def test_contract(kind):
    torch.manual_seed(0)
    check_score(kind.for_heads(3, 5), heads=3, channels=5)


def expected(score, q, k):
    """The score of one query and one key of one head, from the paper's formula."""
    head = 1
    if isinstance(score, scores.Dot):
        return q @ k
    if isinstance(score, scores.ScaledDot):
        return q @ k / math.sqrt(len(q))
    if isinstance(score, scores.General):
        return q @ score.weight[head] @ k
    if isinstance(score, scores.Cosine):
        return q @ k / (q.norm() * k.norm()) / score.temperature
    if isinstance(score, scores.Additive):
        inner = q @ score.query_weight[head] + k @ score.key_weight[head]
        return score.weight[head] @ torch.tanh(inner)
    if isinstance(score, scores.GAT):
        return leaky_relu(score.att_dst[head] @ q + score.att_src[head] @ k, 0.2)
    if isinstance(score, scores.Distance):
        return -(q - k).square().sum() / score.temperature
    if isinstance(score, scores.SuperGATMX):
        both = score.att_dst[head] @ q + score.att_src[head] @ k
        return leaky_relu(both * torch.sigmoid(q @ k), 0.2)
    if isinstance(score, scores.SuperGATSD):
        return leaky_relu(q @ k / math.sqrt(len(q)), 0.2)
    if isinstance(score, scores.MLP):
        inner = torch.cat([q, k, q * k]) @ score.hidden_weight[head] + score.hidden_bias[head]
        return score.weight[head] @ inner.relu()
    if isinstance(score, scores.Tempered):
        return expected(score.score, q, k) / score.log_temperature.exp()
    return score.att[head] @ leaky_relu(q + k, 0.2)


@pytest.mark.parametrize("kind", ALL)
def test_formula(kind):
    torch.manual_seed(1)
    tempered = kind in (scores.Cosine, scores.Distance)
    score = (kind(0.3) if tempered else kind.for_heads(2, 4)).double()
    for parameter in score.parameters():
        parameter.data.normal_()  # biases and temperatures start at nothing
    query, key = torch.randn(2, 3, 2, 4, dtype=torch.float64)
    found = gattn.pair_scores(score(query, key), gattn.full(3)).view(3, 3, 2)
    for i in range(3):
        for j in range(3):
            torch.testing.assert_close(found[i, j, 1], expected(score, query[i, 1], key[j, 1]))


def test_cosine_of_a_zero_vector_is_zero_and_differentiable():
    query = torch.zeros(1, 1, 3, requires_grad=True)
    found = gattn.pair_scores(scores.Cosine()(query, torch.ones(1, 1, 3)), gattn.full(1))
    found.sum().backward()
    assert found.item() == 0 and torch.isfinite(query.grad).all()
    with pytest.raises(ValueError, match="temperature: found 0"):
        scores.Cosine(0)


@pytest.mark.parametrize("size", [1e-30, 1e30])
def test_cosine_does_not_depend_on_the_size_of_the_vectors(size):
    query = torch.randn(3, 1, 4, generator=torch.Generator().manual_seed(0))
    found = gattn.pair_scores(scores.Cosine()(query * size, query), gattn.full(3))
    torch.testing.assert_close(
        found, gattn.pair_scores(scores.Cosine()(query, query), gattn.full(3))
    )


def test_cosine_of_a_zero_vector_in_half_precision_and_twice_differentiated():
    zeros = torch.zeros(3, 1, 4, dtype=torch.float16)
    assert (gattn.pair_scores(scores.Cosine()(zeros, zeros), gattn.full(3)) == 0).all()
    leaf = torch.zeros(3, 1, 4, requires_grad=True)
    score = gattn.pair_scores(scores.Cosine()(leaf, leaf.detach() + 1), gattn.full(3)).sum()
    (grad,) = torch.autograd.grad(score, leaf, create_graph=True)
    assert torch.isfinite(torch.autograd.grad(grad.square().sum(), leaf)[0]).all()


@pytest.mark.parametrize("normalizer", NORMALIZERS, ids=str)
@pytest.mark.parametrize("kind", ALL)
def test_gradients_with_every_normalizer(kind, normalizer):
    torch.manual_seed(2)
    score = kind.for_heads(2, 2).double()
    graph = gattn.from_edge_index(torch.tensor([[0, 1, 2, 2, 0], [0, 0, 0, 1, 1]]), 3)
    drawn = torch.randn(3, 3, 2, 2, dtype=torch.float64)
    leaves = [side.clone().requires_grad_() for side in drawn.unbind(0)]

    def run(query, key, value, *_):
        return gattn.attend(query, key, value, graph, score=score, normalizer=normalizer)

    assert gradcheck(run, (*leaves, *score.parameters()))
    assert gradgradcheck(run, (*leaves, *score.parameters()))
