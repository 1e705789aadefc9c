"""The contract tests find what is wrong: each of these breaks one promise."""

from dataclasses import dataclass, replace

import pytest
import torch

from gattn import forms, normalizers, scores
from gattn.ops import dispatch, reference
from gattn.testing import check_backend, check_normalizer, check_score, graphs


@dataclass(frozen=True)
class Detached(normalizers.Normalizer):
    def normalize(self, score, rows):
        weights, lse = normalizers.Softmax().normalize(score, rows)
        return weights, lse.detach()


@dataclass(frozen=True)
class Mixed(normalizers.Normalizer):
    def normalize(self, score, rows):
        weights, lse = normalizers.Softmax().normalize(score, rows)
        finite = torch.where(torch.isfinite(lse), lse, 0.0)
        return weights, lse + finite.sum()


@dataclass(frozen=True)
class Unsafe(normalizers.Normalizer):
    def normalize(self, score, rows):
        weights, _ = normalizers.Softmax().normalize(score, rows)
        peak = rows.peak(score)
        return weights, peak + torch.log(rows.sum(torch.exp(score - rows.spread(peak))))


@dataclass(frozen=True)
class Short(normalizers.Normalizer):
    def normalize(self, score, rows):
        place = torch.arange(len(score)) - rows.rowptr[:-1][rows.index]
        kept = score.masked_fill((place >= 8)[:, None], float("-inf"))
        return normalizers.Softmax().normalize(kept, rows)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (Detached(), "an output has no gradient"),
        (Mixed(), "a row depends on others"),
        (Unsafe(), "a masked row has the gradient"),
        (Short(), "a row depends on others, or on the order"),
    ],
    ids=str,
)
def test_a_wrong_normalizer_is_found(wrong, message):
    with pytest.raises(AssertionError, match=message):
        check_normalizer(wrong)


class Centred(scores.Score):
    def forward(self, query, key):
        return forms.Multiplicative(query, key - key.mean(-3, keepdim=True))


class Blocked(scores.Score):
    def forward(self, query, key):
        return forms.Given(query, key, lambda q, k, hop: (q * k).sum(-1) + float(len(q) > 40))


class Forgetful(scores.GATv2):
    def reset_parameters(self):
        pass


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (Centred(), "a pair depends on others"),
        (Blocked(), "a block matters"),
        (Forgetful(2, 3), "att is not drawn anew by a reset"),
    ],
)
def test_a_wrong_score_is_found(wrong, message):
    with pytest.raises(AssertionError, match=message):
        check_score(wrong, 2, 3)


class Wrong:
    """The reference, of a problem that is changed on the way."""

    def __init__(self, change):
        self.change = change

    def reasons(self, problem):
        return []

    def forward(self, problem):
        return reference.forward(self.change(problem))


def without_bias(problem, name):
    if getattr(problem.form, name, None) is None:
        return problem
    return replace(problem, form=replace(problem.form, **{name: None}))


def with_slope(problem):
    if isinstance(problem.form, forms.Additive):
        return replace(problem, form=replace(problem.form, negative_slope=0.2))
    return problem


def clipped(problem):
    bias = problem.pair_bias
    return problem if bias is None else replace(problem, pair_bias=bias.clamp(min=-5.0))


def short(problem):
    bias = problem.hop_bias
    return problem if bias is None else replace(problem, hop_bias=bias[:2])


@pytest.mark.parametrize(
    "change",
    [
        lambda problem: without_bias(problem, "source_bias"),
        lambda problem: replace(problem, dropout=0.0),
        with_slope,
        clipped,
        short,
    ],
    ids=["source_bias", "dropout", "negative_slope", "mask", "hop_bias"],
)
def test_a_wrong_backend_is_found(monkeypatch, change):
    monkeypatch.setattr(dispatch, "load", lambda name: Wrong(change))
    with pytest.raises(AssertionError, match=r"is off by|is missing"):
        check_backend("wrong", dtype=torch.float64)


def test_the_cases_can_be_fewer_and_their_hub_smaller():
    def chosen(form, normalizer, graph):
        return form == "Multiplicative" and normalizer in ("Softmax()", "TopK(k=2)")

    count = check_backend("reference", dtype=torch.float64, hub=20, only=chosen)
    assert count == 2 * len(graphs())
    assert graphs(hub=20)["hub"].num_pairs == 20
    with pytest.raises(AssertionError, match="reference: computed none of the cases"):
        check_backend("reference", only=lambda *case: False)


def test_a_backend_is_run_on_its_device(monkeypatch):
    seen = []

    class Recorded(Wrong):
        def forward(self, problem):
            seen.extend(part.device.type for part in problem.tensors().values())
            return super().forward(problem)

    monkeypatch.setattr(dispatch, "load", lambda name: Recorded(lambda problem: problem))
    check_backend("recorded", hub=20, only=lambda *case: case[2] == "directed", device="cpu")
    assert set(seen) == {"cpu"}
    with pytest.raises(NotImplementedError, match="meta"):  # what is on it has no numbers
        check_backend("recorded", only=lambda *case: case[2] == "directed", device="meta")
    assert "meta" in seen
