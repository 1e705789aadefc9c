"""The model "diffusion": its sparse projection, its layers, and how far it sees."""

import pytest
import torch
from torch.autograd import gradcheck

import gattn
from gattn.compare import MODELS, Trial
from gattn.compare.diffusing import SparseLinear
from gattn.compare.trial import build_structure, run_trial
from gattn.data import load
from gattn.nn import DiffusionAttention

KARATE = load("karate")


def words(seed=0):
    generator = torch.Generator().manual_seed(seed)
    kept = torch.rand(7, 11, generator=generator) < 0.2
    return torch.rand(7, 11, generator=generator, dtype=torch.float64) * kept


def linear(dropout=0.0):
    torch.manual_seed(0)
    return SparseLinear(11, 3, dropout).double()


def test_it_is_a_linear_layer():
    made, x = linear(), words()
    torch.testing.assert_close(made(x), x @ made.weight[:, 0])
    assert gradcheck(
        lambda weight: torch.func.functional_call(made, {"weight": weight}, (x,)), made.weight
    )


def test_features_that_change_are_looked_at_again():
    made, x = linear(), words()
    made(x)
    x[0] = 1.0
    torch.testing.assert_close(made(x), x @ made.weight[:, 0])


def test_its_dropout_is_that_of_features():
    made, x = linear(0.5), words()
    torch.manual_seed(0)
    mean = torch.stack([made(x) for _ in range(3000)]).mean(dim=0)
    torch.testing.assert_close(mean, linear()(x), atol=0.05, rtol=0.05)
    made.eval()
    assert torch.equal(made(x), linear()(x))


def test_the_settings_reach_the_layers():
    trial = Trial.of("karate", "diffusion", breadth=5, restart=0.3, attention_dropout=0.4)
    model = MODELS["diffusion"].build(trial, 34, 4)
    layers = [part for part in model.modules() if isinstance(part, DiffusionAttention)]
    assert [(one.rounds, one.restart, one.dropout) for one in layers] == [(5, 0.3, 0.4)] * 2
    assert [(one.heads, one.concat) for one in layers] == [(8, True), (1, False)]
    assert isinstance(layers[0].score, gattn.scores.GAT)


@pytest.mark.parametrize("breadth", [0, 1, 3])
def test_breadth_is_rounds_over_one_hop(breadth):
    trial = Trial.of("karate", "diffusion", breadth=breadth, layers=1, heads=1)
    around = build_structure(trial, KARATE)
    assert around.num_pairs == gattn.k_hop(KARATE.edge_index, 1, 34).num_pairs
    torch.manual_seed(0)
    model = MODELS["diffusion"].build(trial, 34, 4).eval()
    # Of whose features the first node hears: each has one of its own in karate.
    heard = torch.stack(
        [model(KARATE.x.index_fill(0, torch.tensor([j]), 0.0), around)[0] for j in range(34)]
    )
    changed = (heard - model(KARATE.x, around)[0]).abs().sum(dim=1) > 1e-7
    ball = gattn.k_hop(KARATE.edge_index, breadth, 34)
    assert set(changed.nonzero()[:, 0].tolist()) == set(ball.col[: ball.rowptr[1]].tolist())


def test_a_trial_of_it_runs():
    trial = Trial.of("karate", "diffusion", breadth=4, epochs=20)
    row = run_trial(trial, KARATE)
    assert (row["status"], row["restart"], row["epochs_run"]) == ("ok", 0.1, 20)
    assert row["val"] > 0.4
