"""Features that were hidden, and what is charged for them."""

import pytest
import torch
from torch import nn

from gattn.nn import FillingIn

X = nn.functional.one_hot(torch.arange(400) % 3, 3).double()


class Told(nn.Module):
    """Returns two zeros and a guess that is right, whatever it is given."""

    def __init__(self, guess):
        super().__init__()
        self.guess = nn.Parameter(guess)

    def forward(self, x, structure):
        self.given = x
        zeros = x.new_zeros(*self.guess.shape[:-1], 2)
        return torch.cat([zeros, self.guess], -1)


def test_evaluation_hides_nothing_and_charges_nothing():
    model = FillingIn(Told(X), 3, 0.5).eval()
    assert model(X, None).shape == (400, 2)
    assert torch.equal(model.model.given, X) and model.penalty() == 0.0


def test_training_hides_rows_a_share_anew_in_each_call():
    torch.manual_seed(0)
    model, shares = FillingIn(Told(X), 3, 0.6), []
    for _ in range(200):
        model(X, None)
        hidden = (model.model.given == 0).all(1)
        assert torch.equal(model.model.given[~hidden], X[~hidden])
        shares.append(hidden.double().mean().item())
    assert max(shares) < 0.7 and abs(sum(shares) / 200 - 0.3) < 0.03


@pytest.mark.parametrize("readouts", [(), (5,)])
@pytest.mark.parametrize(
    ("kind", "each"), [("category", torch.tensor(3.0).log()), ("values", 1 / 3)]
)
def test_the_penalty_is_that_of_the_formula(kind, each, readouts):
    torch.manual_seed(0)
    model = FillingIn(Told(torch.zeros(*readouts, 400, 3).double()), 3, 0.5, 0.7, kind)
    assert model(X, None).shape == (*readouts, 400, 2)
    hidden = (model.model.given == 0).all(1).sum()
    assert hidden > 0
    expected = 0.7 * 2 / (0.5 * 400) * hidden * each
    torch.testing.assert_close(model.penalty(), expected.double(), rtol=1e-6, atol=0)
    model.penalty().backward()
    assert model.model.guess.grad.abs().sum() > 0


def test_a_right_guess_costs_little():
    model = FillingIn(Told(50 * X), 3, 0.5)
    model(X, None)
    assert 0 <= model.penalty() < 1e-9


def test_no_share_is_no_hiding():
    model = FillingIn(Told(X), 3, 0.0)
    model(X, None)
    assert torch.equal(model.model.given, X) and model.penalty() == 0.0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"num_features": 0}, "num_features: found 0"),
        ({"share": 1.5}, "share: found 1.5"),
        ({"weight": 0}, "weight: found 0"),
        ({"kind": "words"}, "kind: found 'words'"),
    ],
)
def test_what_is_refused(options, said):
    with pytest.raises(ValueError, match=said):
        FillingIn(Told(X), **{"num_features": 3, "share": 0.5, **options})
