"""The models of a study: what each is built of and what graph it is given."""

import pytest
import torch
from torch.nn import functional as F
from torch_geometric import nn as pyg

import gattn
from gattn.compare import MODELS, NORMALIZERS, SCORES, Trial
from gattn.compare.surroundings import Surroundings, num_pairs
from gattn.compare.trial import build_structure
from gattn.data import load
from gattn.nn import DEPTHS, GraphAttention

KARATE = load("karate")
OURS = ("attention", "recurrent", "layer", "layer-blind")
CLASSIC = [name for name in MODELS if name.removeprefix("pyg-") in ("gat", "gatv2", "transformer")]


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


@pytest.mark.parametrize("model", ["attention", "layer"])
@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_every_depth_has_its_levels(model, depth):
    trial = Trial.of("karate", model, breadth=2, depth=depth)
    layers = [m for m in built(trial).modules() if isinstance(m, GraphAttention)]
    assert [layer.levels for layer in layers] == [DEPTHS[depth]] * trial.layers
    out = logits(trial)
    assert out.shape == (34, 4)
    assert out.isfinite().all()


def test_depth_four_comes_with_clusters():
    around = build_structure(Trial.of("karate", breadth=2, depth=4), KARATE)
    assert isinstance(around, Surroundings)
    ball = gattn.k_hop(KARATE.edge_index, 2, 34)
    assert torch.equal(around.neighborhood.edge_index(), ball.edge_index())
    found = around.clusters.num_clusters
    assert found == len(gattn.communities(KARATE.edge_index, 34).unique()) > 1
    assert num_pairs(around) == ball.num_pairs + 34 + 34 * found
    moved = around.to("meta")
    assert (moved.neighborhood.device.type, moved.clusters.device.type) == ("meta", "meta")


def test_clusters_stay_within_their_component():
    two = load("cluster-lookup", num_graphs=4, num_clusters=3, cluster_size=4)
    around = build_structure(Trial.of("cluster-lookup", "layer", depth=4), two)
    assert around.clusters.look.num_pairs == two.num_nodes * 3
    assert around.clusters.num_clusters == 4 * 3


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


def test_one_layer_is_written_out():
    model = built(Trial.of("karate", "layer", breadth=2, hidden=12, heads=3))
    structure = gattn.k_hop(KARATE.edge_index, 2, 34)
    hidden = torch.relu(F.linear(KARATE.x, model.lin_in.weight, model.lin_in.bias))
    layer = model.attention
    query, key, value = (
        lin(hidden).view(34, 3, 4) for lin in (layer.lin_query, layer.lin_key, layer.lin_value)
    )
    with torch.no_grad():
        layer.hop_bias.normal_()
        found = gattn.attend(query, key, value, structure, hop_bias=layer.hop_bias).flatten(1)
        found = torch.add(found, layer.bias)
        expected = F.linear(found, model.lin_out.weight, model.lin_out.bias)
        torch.testing.assert_close(model(KARATE.x, structure), expected)


def test_the_blind_layer_lacks_nothing_but_the_hop_bias():
    seeing, blind = (built(Trial.of("karate", m, breadth=2)) for m in ("layer", "layer-blind"))
    more = set(seeing.state_dict()) - set(blind.state_dict())
    assert more == {"attention.hop_bias"}
    assert set(blind.state_dict()) < set(seeing.state_dict())


def test_heads_have_to_divide_the_width_of_one_layer():
    with pytest.raises(ValueError, match="hidden: found 10, expected a multiple of 4"):
        built(Trial.of("karate", "layer", hidden=10, heads=4))


def test_attention_dropout_and_dropout_of_features_are_one_layers_too():
    model = built(Trial.of("karate", "layer", dropout=0.5))
    assert (model.dropout, model.attention.dropout) == (0.5, 0.5)
    structure = gattn.k_hop(KARATE.edge_index, 1, 34)
    still = model(KARATE.x, structure)
    assert not torch.equal(model.train()(KARATE.x, structure), still)


@pytest.mark.parametrize("model", OURS)
@pytest.mark.parametrize("breadth", [0, 1, 2])
def test_our_own_models_see_the_ball(model, breadth):
    ball = build_structure(Trial.of("karate", model, breadth=breadth), KARATE)
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
