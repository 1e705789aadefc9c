"""GraphAttention: its levels, its inputs, its weights, and its place among PyG's conventions."""

import copy
import pickle

import pytest
import torch
import torch_geometric.nn as pyg
from torch.autograd import gradcheck
from torch_geometric import EdgeIndex

import gattn
from gattn import normalizers, scores
from gattn.nn import GraphAttention

EDGES = torch.randint(0, 9, (2, 30), generator=torch.Generator().manual_seed(0))
BALL = gattn.k_hop(EDGES, 2, 9)
NORMALIZERS = [
    normalizers.Softmax(),
    normalizers.Sparsemax(),
    normalizers.Entmax15(),
    normalizers.Sigmoid(),
    normalizers.TopK(2),
    normalizers.Hard(),
]
SCORES = [getattr(scores, name) for name in scores.__all__ if name != "Score"]


def features(*size, seed=0, dtype=torch.float64):
    return torch.randn(size, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def layer(*arguments, seed=0, **options):
    torch.manual_seed(seed)
    return GraphAttention(*arguments, **options).double()


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("levels", [("node",), ("node", "hop")])
def test_every_score_at_both_depths(score, levels):
    made = layer(4, 3, heads=2, score=score, hop_bias=2, levels=levels)
    out = made(features(9, 4), BALL)
    assert out.shape == (9, 6)
    out.sum().backward()
    for name, parameter in made.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name


@pytest.mark.parametrize("score", [scores.ScaledDot, scores.GATv2])
@pytest.mark.parametrize("batch", [(), (2,)])
def test_depth_two_starts_as_depth_one(score, batch):
    flat = layer(4, 3, heads=2, score=score, hop_bias=2)
    deep = layer(4, 3, heads=2, score=score, hop_bias=2, levels=("node", "hop"))
    flat.hop_bias.data = features(3, 2, seed=3)
    deep.load_state_dict(flat.state_dict() | {"hop_level.ring_key": deep.hop_level.ring_key})
    x = features(*batch, 9, 4)
    torch.testing.assert_close(deep(x, BALL), flat(x, BALL), atol=1e-12, rtol=1e-12)
    if not batch:
        found = deep.attention_weights(x, BALL)
        torch.testing.assert_close(found, flat.attention_weights(x, BALL), atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("normalizer", NORMALIZERS, ids=str)
@pytest.mark.parametrize("levels", [("node",), ("node", "hop")])
def test_the_weights_are_those_of_the_output(normalizer, levels):
    made = layer(4, 3, heads=2, normalizer=normalizer, hop_bias=1, levels=levels, bias=False)
    if levels[1:]:
        made.hop_level.ring_key.data = features(2, 2, 3, seed=5)
    x = features(9, 4)
    weights = made.attention_weights(x, BALL)
    source, target = BALL.edge_index()
    value = made.lin_value(x).view(9, 2, 3)
    expected = torch.zeros(9, 2, 3, dtype=torch.float64)
    expected.index_add_(0, target, weights[:, :, None] * value[source])
    torch.testing.assert_close(made(x, BALL), expected.flatten(1))


def test_gradcheck_through_both_levels():
    made = layer(3, 2, heads=2, hop_bias=2, levels=("node", "hop"))
    made.hop_level.ring_key.data = features(3, 2, 2, seed=5)
    x = features(9, 3).requires_grad_()
    assert gradcheck(lambda x, *_: made(x, BALL), (x, *made.parameters()))


@pytest.mark.filterwarnings("ignore:Sparse CS. tensor support is in beta")
def test_every_kind_of_graph_of_pyg_is_one_hop():
    made, x = layer(4, 3, heads=2, hop_bias=1), features(9, 4)
    edges = EDGES.unique(dim=1).contiguous()
    expected = made(x, gattn.from_edge_index(edges, 9))
    adjacency = torch.sparse_coo_tensor(
        edges.flip(0), torch.ones(edges.shape[1]), (9, 9), check_invariants=True
    )
    for graph in (
        edges,
        edges.int(),
        EdgeIndex(edges, sparse_size=(9, 9)),
        adjacency,
        adjacency.to_sparse_csr(),
        adjacency.to_sparse_csc(),
    ):
        torch.testing.assert_close(made(x, graph), expected)


def test_two_node_sets_and_edge_features():
    made = layer((4, 6), 3, heads=2, edge_dim=2)
    target, source = features(5, 4), features(9, 6)
    edges = torch.stack([EDGES[0], EDGES[1] % 5])
    out = made((target, source), edges, edge_attr=features(30, 2))
    assert out.shape == (5, 6)
    assert made.attention_weights((target, source), edges, edge_attr=features(30, 2)).shape == (
        30,
        2,
    )
    narrow = layer(4, 3, edge_dim=1)
    flat = narrow(features(9, 4), EDGES, edge_attr=features(30))
    torch.testing.assert_close(flat, narrow(features(9, 4), EDGES, edge_attr=features(30)[:, None]))


def test_share_key_value_is_gatv2():
    made = layer(4, 3, heads=2, score=scores.GATv2, share_key_value=True)
    theirs = pyg.GATv2Conv(4, 3, heads=2, add_self_loops=False).double()
    theirs.lin_l.weight, theirs.lin_r.weight = made.lin_key.weight, made.lin_query.weight
    torch.nn.init.zeros_(theirs.lin_l.bias)
    torch.nn.init.zeros_(theirs.lin_r.bias)
    theirs.att.data = made.score.att.data[None]
    x = features(9, 4)
    torch.testing.assert_close(made(x, EDGES), theirs(x, EDGES), atol=1e-12, rtol=1e-12)


def test_spans_are_sequences():
    made, x = layer(4, 3, heads=2, concat=False), features(9, 4)
    assert made(x, gattn.full(9)).shape == (9, 3)
    causal = made(x, gattn.window(9, None, causal=True))
    changed = torch.cat([x[:5], x[5:] + 1])
    torch.testing.assert_close(made(changed, gattn.window(9, None, causal=True))[:5], causal[:5])
    banded = layer(4, 3, hop_bias=2, levels=("node", "hop"))
    assert banded(x, gattn.window(9, 2)).shape == (9, 3)


def test_dropout_only_in_training():
    made, x = layer(4, 3, dropout=0.5), features(9, 4)
    assert not torch.equal(made(x, BALL), made(x, BALL))
    made.eval()
    assert torch.equal(made(x, BALL), made(x, BALL))


def test_a_mask_leaves_a_pair_out():
    made, x = layer(4, 3), features(9, 4)
    mask = torch.zeros(30, dtype=torch.float64)
    mask[7] = float("-inf")
    expected = made(x, EDGES[:, torch.arange(30) != 7])
    torch.testing.assert_close(made(x, EDGES, pair_bias=mask), expected)


def test_lazy_copies_and_state():
    made = GraphAttention(-1, 3, heads=2, hop_bias=1)
    made(torch.randn(9, 5), BALL)
    assert made.lin_query.weight.shape == (6, 5)
    for copied in (copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        torch.testing.assert_close(copied(torch.ones(9, 5), BALL), made(torch.ones(9, 5), BALL))
    before = made.lin_key.weight.clone()
    made.reset_parameters()
    assert not torch.equal(before, made.lin_key.weight)
    assert repr(made) == "GraphAttention(-1, 3, heads=2)"


def test_inside_pygs_sequential_and_hetero():
    model = pyg.Sequential(
        "x, graph",
        [(GraphAttention(4, 8), "x, graph -> x"), torch.nn.ReLU(), torch.nn.Linear(8, 2)],
    )
    assert model(torch.randn(9, 4), BALL).shape == (9, 2)


def test_autocast_and_half():
    made, x = GraphAttention(4, 3, hop_bias=2, levels=("node", "hop")), torch.randn(9, 4)
    exact = made(x, BALL)
    with torch.autocast("cpu", torch.bfloat16):
        low = made(x, BALL)
    torch.testing.assert_close(low.float(), exact, atol=5e-2, rtol=5e-2)
    assert made.to(torch.bfloat16)(x.bfloat16(), BALL).dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: GraphAttention(4, 0), ValueError, "out_channels: found 0"),
        (lambda: GraphAttention(4, 3, heads=0), ValueError, "heads: found 0"),
        (lambda: GraphAttention(4, 3, dropout=2.0), ValueError, "dropout: found 2.0"),
        (lambda: GraphAttention(4, 3, levels=()), ValueError, r"levels: found \(\), expected some"),
        (lambda: GraphAttention(4, 3, levels=("hop", "node")), ValueError, "levels: found"),
        (lambda: GraphAttention(4, 3, levels=("node", "hop")), ValueError, "hop_bias: found None"),
        (lambda: layer(4, 3)(features(8, 4), BALL), ValueError, "x: found 8 targets and 8 sources"),
        (lambda: layer(4, 3)(features(9, 4), "cora"), TypeError, "neighborhood: found str"),
        (lambda: layer(4, 3)(features(9, 4).long(), BALL), TypeError, "x: found dtype torch.int64"),
        (lambda: layer(4, 3)(features(4), BALL), ValueError, r"x: found shape \[4\]"),
        (
            lambda: layer(4, 3)(features(9, 4), EDGES, edge_attr=features(30)),
            ValueError,
            "edge_attr: found one, expected none: edge_dim decides",
        ),
        (
            lambda: layer(4, 3, edge_dim=1)(features(9, 4), EDGES),
            ValueError,
            "edge_attr: found no edge_attr, expected one",
        ),
        (
            lambda: layer(4, 3, hop_bias=1)(features(9, 4), gattn.full(9)),
            ValueError,
            "hop_bias: found one, but .*full.* has no hops",
        ),
    ],
)
def test_errors_name_what_is_wrong(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_score_given_as_an_instance_is_left_as_it_is():
    score = scores.GATv2(2, 3)
    before = score.att.clone()
    assert GraphAttention(4, 3, 2, score=score).score is score
    assert torch.equal(score.att, before)


@pytest.mark.parametrize("score", SCORES)
def test_edge_features_with_every_score(score):
    made = layer(4, 3, heads=2, score=score, edge_dim=2, hop_bias=1, levels=("node", "hop"))
    made(features(9, 4), EDGES, edge_attr=features(30, 2)).sum().backward()
    assert made.edge_key.grad.abs().sum() > 0 and made.edge_value.grad.abs().sum() > 0


def test_a_masked_ring_has_no_weight_with_any_normalizer():
    mask = torch.where(BALL.hop == 2, float("-inf"), 0.0).double()
    near = gattn.k_hop(EDGES, 2, 9, shells=[0, 1])
    for normalizer in NORMALIZERS:
        made = layer(4, 3, heads=2, normalizer=normalizer, hop_bias=2, levels=("node", "hop"))
        x = features(9, 4)
        torch.testing.assert_close(made(x, BALL, pair_bias=mask), made(x, near))


def test_ring_scores_are_not_computed_in_half_precision():
    made = GraphAttention(8, 4, 2, hop_bias=2, levels=("node", "hop")).half()
    for weight, value in ((made.lin_query.weight, 20.0), (made.lin_key.weight, 0.01)):
        torch.nn.init.constant_(weight, value)
    torch.nn.init.constant_(made.hop_level.ring_key, 100.0)
    assert torch.isfinite(made(torch.full((9, 8), 2.0).half(), BALL)).all()


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: GraphAttention(4, 3, score="gat"), TypeError, "score: found 'gat'"),
        (lambda: GraphAttention(4, 3, normalizer="hard"), TypeError, "normalizer: found 'hard'"),
        (lambda: GraphAttention(4, 3, backend="cuda"), ValueError, "backend: found 'cuda'"),
        (lambda: GraphAttention("4", 3), TypeError, "in_channels: found '4'"),
        (lambda: GraphAttention(-2, 3), ValueError, "in_channels: found -2"),
        (lambda: GraphAttention(4, 3, edge_dim=-1), ValueError, "edge_dim: found -1"),
        (lambda: GraphAttention(4, 3, levels="ring"), ValueError, r"levels: found \('ring',\)"),
        (lambda: layer(4, 3)(features(9, 5), BALL), ValueError, "x: found 5 features, expected 4"),
        (lambda: layer(4, 3)((features(9, 4),) * 3, BALL), ValueError, "x: found 3 tensors"),
        (
            lambda: layer(4, 3, edge_dim=2)(features(9, 4), EDGES, edge_attr=features(30)),
            ValueError,
            r"edge_attr: found shape \[30, 1\], expected \[E, 2\]",
        ),
    ],
)
def test_other_bad_input_is_named(make, error, message):
    with pytest.raises(error, match=message) as raised:
        make()
    assert "\n" not in str(raised.value)


def test_a_pair_in_the_wrong_order_is_told_the_right_one():
    made = GraphAttention((4, 4), 3)
    with pytest.raises(
        ValueError, match=r"those of .*; a pair of features is \(x_target, x_source"
    ):
        made((torch.randn(5, 4), torch.randn(3, 4)), gattn.full((5, 3)))


def test_heads_can_start_at_rings_of_their_own():
    made = layer(4, 3, heads=5, hop_bias=2, hop_start="rings")
    near = torch.tensor([1, 2, 1, 2, 1])
    expected = torch.full((3, 5), -3.0, dtype=made.hop_bias.dtype)
    expected[near, torch.arange(5)] = 0.0
    assert torch.equal(made.hop_bias, expected)
    made.hop_bias.data.zero_()
    made.reset_parameters()
    assert torch.equal(made.hop_bias, expected)
    for options in ({}, {"hop_bias": 0}):
        with pytest.raises(ValueError, match="hop_start: found 'rings', expected a hop_bias"):
            layer(4, 3, hop_start="rings", **options)
    with pytest.raises(ValueError, match="hop_start: found 'near'"):
        layer(4, 3, hop_start="near")
