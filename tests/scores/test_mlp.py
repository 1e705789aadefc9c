"""The perceptron: its options, and what it can do that a sum of query and key cannot."""

import pytest
import torch

import gattn
from gattn.scores import MLP
from gattn.testing import check_score


@pytest.mark.parametrize("activation", ["relu", "gelu", "silu", "tanh"])
def test_every_activation(activation):
    torch.manual_seed(0)
    check_score(MLP(2, 3, hidden=4, activation=activation), 2, 3)


def test_a_dot_product_is_within_reach():
    """relu(x) - relu(-x) of the summed product."""
    score = MLP(1, 4, hidden=2).double()
    with torch.no_grad():
        score.hidden_weight.zero_()
        score.hidden_weight[0, 8:] = torch.tensor([1.0, -1.0])
        score.weight.copy_(torch.tensor([[1.0, -1.0]]))
    query, key = torch.randn(2, 6, 1, 4, dtype=torch.float64)
    found = gattn.pair_scores(score(query, key), gattn.full(6)).view(6, 6)
    torch.testing.assert_close(found, query[:, 0] @ key[:, 0].T)


def test_an_unknown_activation_is_named():
    with pytest.raises(ValueError, match="activation: found 'elu', expected one of relu, gelu"):
        MLP(2, 3, activation="elu")


def test_a_width_that_is_none_is_named():
    with pytest.raises(TypeError, match=r"hidden: found 2\.5, expected an int >= 1"):
        MLP(2, 3, hidden=2.5)


def test_features_may_be_wider_than_the_parameters():
    score, features = MLP(2, 3), torch.randn(5, 2, 3, dtype=torch.float64)
    found = gattn.pair_scores(score(features, features), gattn.full(5))
    wide = score.double()
    assert torch.equal(found, gattn.pair_scores(wide(features, features), gattn.full(5)))
