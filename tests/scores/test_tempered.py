"""A temperature for any score: every form, fixed and learnt."""

import pytest
import torch

import gattn
from gattn import forms, scores
from gattn.scores import Tempered
from gattn.testing import check_score

INNER = {
    "product": lambda: scores.General(2, 3),
    "product with biases": lambda: scores.Distance(2.0),
    "sum": lambda: scores.GATv2(2, 3),
    "any": lambda: scores.SuperGATMX(2, 3),
    "tempered": lambda: Tempered(scores.Cosine(), 2.0, learn=True),
}
GRAPH = gattn.k_hop(torch.randint(0, 9, (2, 20), generator=torch.Generator().manual_seed(0)), 1, 9)


def drawn(*size, dtype=torch.float64):
    return torch.randn(size, generator=torch.Generator().manual_seed(1), dtype=dtype)


@pytest.mark.parametrize("learn", [False, True])
@pytest.mark.parametrize("inner", INNER.values(), ids=INNER)
def test_contract(inner, learn):
    torch.manual_seed(0)
    check_score(Tempered(inner(), 0.5, learn), 2, 3)


@pytest.mark.parametrize("learn", [False, True])
@pytest.mark.parametrize("batch", [(), (2,)])
@pytest.mark.parametrize("inner", INNER.values(), ids=INNER)
def test_scores_are_divided(inner, batch, learn):
    score = inner().double()
    query, key = drawn(2, *batch, 9, 2, 3).unbind(0)
    plain = gattn.pair_scores(score(query, key), GRAPH)
    found = gattn.pair_scores(Tempered(score, 0.25, learn).double()(query, key), GRAPH)
    torch.testing.assert_close(found, plain * 4)


def test_only_a_learnt_temperature_is_a_parameter():
    assert not list(Tempered(scores.Dot(), 0.5).parameters())
    learnt = Tempered(scores.Dot(), 0.5, learn=True)
    assert learnt.log_temperature.exp().item() == pytest.approx(0.5)
    torch.nn.init.constant_(learnt.log_temperature, 3.0)
    learnt.reset_parameters()
    assert learnt.log_temperature.exp().item() == pytest.approx(0.5)


@pytest.mark.parametrize("backend", ["cpu", "reference"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_learnt_temperature_overflows_no_half_type(dtype, backend):
    query = torch.full((9, 2, 3), 300.0, dtype=dtype, requires_grad=True)
    score = Tempered(scores.Distance(), 1e-3, learn=True).to(dtype)
    out = gattn.attend(query, query, query, GRAPH, score=score, backend=backend)
    (grad,) = torch.autograd.grad(out.float().sum(), query)
    assert out.dtype == dtype and out.isfinite().all() and grad.isfinite().all()


@pytest.mark.parametrize("learn", [False, True])
def test_compiled_and_plain_agree(learn):
    leaves = [side.requires_grad_() for side in drawn(3, 9, 2, 3).unbind(0)]
    for inner in (scores.Distance(), scores.GATv2(2, 3).double()):
        score, found = Tempered(inner, 0.3, learn).double(), {}
        for backend in ("cpu", "reference"):
            out = gattn.attend(*leaves, GRAPH, score=score, backend=backend)
            wanted = (*leaves, *score.parameters())
            found[backend] = (out, *torch.autograd.grad(out.square().sum(), wanted))
        for fast, plain in zip(*found.values(), strict=True):
            torch.testing.assert_close(fast, plain)


class Masked(scores.Score):
    """The first node is a source for no one: by a bias, or by what is given."""

    def __init__(self, given):
        super().__init__()
        self.given = given

    def forward(self, query, key):
        mask = torch.where(torch.arange(len(key)) == 0, float("-inf"), 0.0)[:, None]
        mask = mask.expand(-1, key.shape[1]).double()
        if not self.given:
            return forms.Multiplicative(query, key, source_bias=mask)
        marked = torch.cat([key, mask.isinf()[..., None].to(key)], -1)
        return forms.Given(query, marked, self._score)

    def _score(self, query, key, hop):
        return (query * key[..., :-1]).sum(-1).masked_fill(key[..., -1] > 0, float("-inf"))


@pytest.mark.parametrize("given", [False, True])
def test_a_mask_stays_one_and_the_gradient_finite(given):
    score = Tempered(Masked(given), 0.5, learn=True).double()
    query, key, value = drawn(3, 9, 2, 3).unbind(0)
    assert torch.equal(
        gattn.pair_scores(score(query, key), GRAPH).isinf()[:, 0], GRAPH.edge_index()[0] == 0
    )
    gattn.attend(query, key, value, GRAPH, score=score).square().sum().backward()
    assert score.log_temperature.grad.isfinite() and score.log_temperature.grad != 0


def test_bad_arguments_are_named():
    with pytest.raises(TypeError, match=r"score: found <class .*Dot.*, expected a Score, such as"):
        Tempered(scores.Dot)
    with pytest.raises(ValueError, match="temperature: found -2, expected a number > 0"):
        Tempered(scores.Dot(), -2)
