"""The models of a study: what each is built of and what graph it is given."""

import pytest
import torch
from torch_geometric import nn as pyg

import gattn
from gattn.compare import MODELS, NORMALIZERS, SCORES, Trial
from gattn.compare.models import num_pairs
from gattn.compare.trial import build_structure
from gattn.data import load

KARATE = load("karate")
CLASSIC = [name for name in MODELS if name != "attention"]


def built(trial, seed=0):
    torch.manual_seed(seed)
    return MODELS[trial.model].build(trial, KARATE.x.size(1), KARATE.num_classes).eval()


def logits(trial):
    return built(trial)(KARATE.x, build_structure(trial, KARATE))


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("breadth", [0, 1, 2])
def test_every_model_runs_at_every_breadth(model, breadth):
    out = logits(Trial.of("karate", model, breadth=breadth))
    assert out.shape == (34, 4)
    assert out.isfinite().all()


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("depth", [1, 2])
def test_every_score_runs(score, depth):
    out = logits(Trial.of("karate", breadth=2, depth=depth, score=score))
    assert out.isfinite().all()


@pytest.mark.parametrize("normalizer", NORMALIZERS)
def test_every_normalizer_runs(normalizer):
    assert logits(Trial.of("karate", breadth=2, normalizer=normalizer)).isfinite().all()


def test_the_dicts_name_what_the_library_has():
    assert set(SCORES.values()) == {getattr(gattn.scores, n) for n in gattn.scores.__all__} - {
        gattn.scores.Score
    }
    kinds = {type(make()) for make in NORMALIZERS.values()}
    assert kinds == {getattr(gattn.normalizers, n) for n in gattn.normalizers.__all__} - {
        gattn.normalizers.Normalizer,
        gattn.normalizers.Rows,
    }


def test_breadth_and_depth_shape_the_attention_model():
    narrow, wide = (built(Trial.of("karate", breadth=b, heads=2)) for b in (1, 3))
    sizes = [sum(p.numel() for p in model.parameters()) for model in (narrow, wide)]
    layers = MODELS["attention"].recipe["layers"]
    assert sizes[1] - sizes[0] == layers * 2 * 2  # two more hops, two heads
    deep = built(Trial.of("karate", breadth=3, depth=2, heads=2))
    assert sum(p.numel() for p in deep.parameters()) > sizes[1]


def test_depth_two_starts_as_depth_one():
    shallow, deep = (built(Trial.of("karate", breadth=2, depth=d)) for d in (1, 2))
    missing = deep.load_state_dict(shallow.state_dict(), strict=False)
    assert missing.missing_keys
    assert not missing.unexpected_keys
    structure = gattn.k_hop(KARATE.edge_index, 2, 34)
    torch.testing.assert_close(deep(KARATE.x, structure), shallow(KARATE.x, structure))


@pytest.mark.parametrize("breadth", [0, 1, 2])
def test_the_attention_model_sees_the_ball(breadth):
    ball = build_structure(Trial.of("karate", breadth=breadth), KARATE)
    assert num_pairs(ball) == gattn.k_hop(KARATE.edge_index, breadth, 34).num_pairs


def test_the_classic_models_see_edges():
    first = build_structure(Trial.of("karate", "gat", breadth=1), KARATE)
    assert first is KARATE.edge_index
    second = build_structure(Trial.of("karate", "gat", breadth=2), KARATE)
    adjacency = torch.zeros(34, 34)
    adjacency[tuple(KARATE.edge_index)] = 1
    within = (adjacency + adjacency @ adjacency > 0).fill_diagonal_(False)
    found = torch.zeros(34, 34, dtype=torch.bool)
    found[tuple(second)] = True
    assert torch.equal(found, within)
    assert num_pairs(second) == int(within.sum())
    assert num_pairs(build_structure(Trial.of("karate", "gat", breadth=0), KARATE)) == 0


@pytest.mark.parametrize("model", CLASSIC)
def test_the_recipe_is_that_of_the_gat_paper(model):
    trial = Trial.of("karate", model)
    assert (trial.epochs, trial.lr, trial.weight_decay, trial.optimizer) == (
        200,
        0.005,
        5e-4,
        "adam",
    )
    first, last = built(trial).get_submodule("layers").children()
    assert (first.heads, first.out_channels, first.concat, first.dropout) == (8, 8, True, 0.6)
    assert (last.in_channels, last.heads, last.concat, last.dropout) == (64, 1, False, 0.6)


@pytest.mark.parametrize("model", ["gat", "gatv2", "transformer"])
def test_the_drop_ins_are_pygs_layers_to_rounding(model):
    ours, theirs = (built(Trial.of("karate", name)) for name in (model, f"pyg-{model}"))
    for layer, peer in zip(ours.layers, theirs.layers, strict=True):
        assert isinstance(layer, type(peer))
        assert type(layer) is not type(peer)
    theirs.load_state_dict(ours.state_dict())
    expected = theirs(KARATE.x, KARATE.edge_index)
    torch.testing.assert_close(ours(KARATE.x, KARATE.edge_index), expected)


def test_pygs_own_layers_are_pygs_own():
    assert type(built(Trial.of("karate", "pyg-gat")).layers[0]) is pyg.GATConv
