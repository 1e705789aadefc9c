"""The nested levels: each against its formula, all subsets, and what none of them may do."""

import copy
import itertools
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck, gradgradcheck

import gattn
from gattn import normalizers, scores
from gattn.nn import DEPTHS, LEVELS, GraphAttention, LayerAttention
from gattn.nn.levels import checked_levels

EXACT = {"atol": 1e-12, "rtol": 1e-12}
SUBSETS = [levels for size in range(1, 5) for levels in itertools.combinations(LEVELS, size)]
# A layer is a subset and whether its rings are weighed for each channel.
LAYERS = [(levels, False) for levels in SUBSETS]
LAYERS += [(levels, True) for levels in SUBSETS if "hop" in levels]
PAIRWISE = [kind for kind in LAYERS if {"node", "hop"} & set(kind[0])]
NORMALIZERS = [
    normalizers.Softmax(),
    normalizers.Sparsemax(),
    normalizers.Entmax15(),
    normalizers.Sigmoid(),
    normalizers.Tanh(),
    normalizers.TopK(2),
    normalizers.Hard(),
]
SCORES = [getattr(scores, name) for name in scores.__all__ if name != "Score"]

# Nodes 7 and 8 have no edge, not even from themselves; node 9 is a target alone.
EDGES = torch.randint(0, 7, (2, 20), generator=torch.Generator().manual_seed(0))
EDGES = torch.cat([EDGES, torch.tensor([[0], [9]])], dim=1)
BALL = gattn.k_hop(EDGES, 2, 10, shells=[1, 2])
CLUSTER = torch.tensor([0, 0, 0, 1, 1, 2, 2, 1, 3, 3])
POOLED = gattn.clusters(CLUSTER)


def features(*size, seed=0, dtype=torch.float64):
    return torch.randn(size, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def layer(levels, per_channel=False, *sizes, seed=0, stir=1.0, **options):
    """A layer whose parameters are all away from where they start."""
    torch.manual_seed(seed)
    options = {"hop_bias": 2, "feature_tokens": 2} | options
    made = GraphAttention(*(sizes or (4, 3, 2)), levels=levels, per_channel=per_channel, **options)
    for parameter in made.double().parameters():
        parameter.data += stir * 0.3 * torch.randn_like(parameter)
    return made


def called(made, x, around=BALL, pooled=POOLED, **options):
    return made(x, around, **_given(made, pooled), **options)


def inspected(made, x, around=BALL, pooled=POOLED, **options):
    return made.inspect(x, around, **_given(made, pooled), **options)


def _given(made, pooled):
    return {"clusters": pooled} if "cluster" in made.levels else {}


def grads(made):
    return {name: p.grad for name, p in made.named_parameters() if p.grad is not None}


def check_finite(made, out):
    assert torch.isfinite(out).all()
    out.square().sum().backward()
    for name, grad in grads(made).items():
        assert torch.isfinite(grad).all(), name


# What a layer computes, one target and head at a time.


def written_out(made, x, around, cluster, graph):
    heads, channels = made.heads, made.out_channels
    query, key, value = (
        lin(x).view(len(x), heads, channels)
        for lin in (made.lin_query, made.lin_key, made.lin_value)
    )
    if made.feature_level is not None:
        inner = tokens_of(made.feature_level, x)
        key = key + made.feature_level.lin_key(inner).view_as(key)
        value = value + made.feature_level.lin_value(inner).view_as(value)
    out = torch.zeros(len(x), heads, channels, dtype=x.dtype)
    for i, h in itertools.product(range(len(x)), range(heads)):
        sides = query[i, h], key[:, h], value[:, h]
        parts = [
            pairs_of(made, i, h, around, *sides),
            tokens_seen(made, i, h, cluster, graph, *sides),
        ]
        if made.cluster_level is None:
            out[i, h] = value[i, h] if parts[0] is None else parts[0][0]
        else:
            out[i, h] = joined(parts, query[i, h], made.cluster_level.part_key[:, h])
    return out.flatten(1) + made.bias


def tokens_of(level, x):
    parts = level.lin_token(x).view(len(x), level.tokens, 3, level.channels)
    query, key, value = parts.unbind(2)
    weights = (query @ key.mT / level.channels**0.5).softmax(-1)
    return (weights @ value).flatten(1)


def pairs_of(made, i, h, around, query, key, value):
    """Output and statistic of the pairs of a target; `None` if it attends to none at all."""
    if not {"node", "hop"} & set(made.levels):
        return None
    source, target = around.edge_index()
    score = key[source] @ query / len(query) ** 0.5 if "node" in made.levels else 0 * key[source, 0]
    score = score + made.hop_bias[around.hop.long(), h]
    chosen = target == i
    if made.hop_level is None:
        return softmax_of(score[chosen], value[source[chosen]])
    rings = []
    for d in range(around.num_hops + 1):
        ring = chosen & (around.hop == d)
        inside, lse = softmax_of(score[ring], value[source[ring]])
        fit = query * made.hop_level.ring_key[d, h]
        fit = fit if made.hop_level.per_channel else fit.sum() / len(query) ** 0.5
        rings.append((inside, (lse + fit).expand(len(query))))
    outs, totals = (torch.stack(side) for side in zip(*rings, strict=True))
    return weighed(totals, outs), totals.logsumexp(0).mean()


def tokens_seen(made, i, h, cluster, graph, query, key, value):
    if made.cluster_level is None:
        return None
    tokens = []
    for number in cluster[graph == graph[i]].unique():
        members = (cluster == number) & (graph == graph[i])
        score = key[members] @ made.cluster_level.pool_query[h] / len(query) ** 0.5
        tokens.append((score.softmax(0) @ key[members], score.softmax(0) @ value[members]))
    of_key, of_value = (torch.stack(side) for side in zip(*tokens, strict=True))
    return softmax_of(of_key @ query / len(query) ** 0.5, of_value)


def joined(parts, query, part_key):
    if parts[0] is None:
        return parts[1][0]
    totals = [t + query @ k / len(query) ** 0.5 for (_, t), k in zip(parts, part_key, strict=True)]
    totals = torch.stack(totals)[:, None].expand(2, len(query))
    return weighed(totals, torch.stack([out for out, _ in parts]))


def softmax_of(score, value):
    if not len(score):
        return value.new_zeros(value.shape[1]), score.new_tensor(float("-inf"))
    return score.softmax(0) @ value, score.logsumexp(0)


def weighed(totals, outs):
    """Outputs `[P, C]` by the softmax of their totals `[P, C]`, 0 if there is none."""
    if (totals == float("-inf")).all():
        return torch.zeros_like(outs[0])
    return (totals.softmax(0) * outs).sum(0)


@pytest.mark.parametrize(("levels", "per_channel"), LAYERS)
def test_a_layer_is_its_formula(levels, per_channel):
    made, x = layer(levels, per_channel), features(10, 4)
    graph = torch.tensor([0] * 6 + [1] * 4)
    pooled = gattn.clusters(CLUSTER, graph)
    expected = written_out(made, x, BALL, CLUSTER, graph)
    torch.testing.assert_close(called(made, x, pooled=pooled), expected, **EXACT)


# Every combination runs.


@pytest.mark.parametrize(("levels", "per_channel"), LAYERS)
def test_every_normalizer_with_every_subset(levels, per_channel):
    for normalizer in NORMALIZERS:
        made = layer(levels, per_channel, normalizer=normalizer)
        x = features(10, 4).requires_grad_()
        out = called(made, x)
        assert out.shape == (10, 6)
        check_finite(made, out)
        assert x.grad.abs().sum() > 0
        for name, found in inspected(made, x).items():
            assert torch.isfinite(found).all(), name


@pytest.mark.parametrize("share", [False, True])
@pytest.mark.parametrize("score", SCORES)
def test_every_score_with_every_subset(score, share):
    for levels, per_channel in LAYERS:
        made = layer(levels, per_channel, score=score, share_key_value=share)
        out = called(made, features(10, 4))
        assert out.shape == (10, 6)
        check_finite(made, out)
        if {"node", "cluster"} & set(levels):
            assert grads(made).keys() == dict(made.named_parameters()).keys() - unused(levels)


def unused(levels):
    """What belongs to pairs, where nobody attends to pairs."""
    return set() if {"node", "hop"} & set(levels) else {"hop_bias", "cluster_level.part_key"}


@pytest.mark.parametrize("score", SCORES)
def test_a_shared_value_is_the_key_whatever_a_score_makes_of_it(score):
    shared = layer(("node", "hop", "cluster"), score=score, share_key_value=True)
    apart = layer(("node", "hop", "cluster"), score=score)
    apart.load_state_dict(shared.state_dict() | {"lin_value.weight": shared.lin_key.weight})
    x = features(10, 4)
    torch.testing.assert_close(called(shared, x), called(apart, x), **EXACT)


def test_edge_features_reach_a_shared_value_of_any_score():
    for score in SCORES:
        made = layer(("node", "hop"), score=score, share_key_value=True, edge_dim=2)
        out = made(features(10, 4), EDGES, edge_attr=features(21, 2))
        assert out.shape == (10, 6)


@pytest.mark.parametrize(("levels", "per_channel"), LAYERS)
def test_gradients(levels, per_channel):
    made, x = layer(levels, per_channel, 3, 2, 2), features(10, 3).requires_grad_()
    used = [p for p in made.parameters() if p.requires_grad]
    mask = torch.zeros(BALL.num_pairs, dtype=torch.float64)
    mask[[0, 5]] = float("-inf")
    options = {"pair_bias": mask} if {"node", "hop"} & set(levels) else {}
    fast = levels != ("node", "hop", "cluster")  # every entry of the Jacobian, or a projection
    assert gradcheck(lambda x, *_: called(made, x, **options), (x, *used), fast_mode=fast)


def test_second_derivatives():
    made = layer(DEPTHS[4], backend="reference")  # torch's own attention has none on a CPU
    x = features(10, 4).requires_grad_()
    inputs = (x, *made.parameters())
    assert gradgradcheck(lambda x, *_: called(made, x), inputs, fast_mode=True)


@pytest.mark.parametrize("normalizer", NORMALIZERS[:6], ids=str)
def test_gradients_of_other_normalizers(normalizer):
    made = layer(("node", "hop", "cluster"), normalizer=normalizer)
    x = features(10, 4).requires_grad_()
    assert gradcheck(lambda x, *_: called(made, x), (x, *made.parameters()), fast_mode=True)


# Levels that are added change nothing at first.


def begun(levels, per_channel=False, **options):
    made = layer(levels, per_channel, stir=0.0, **options)
    made.hop_bias.data = features(3, 2, seed=3)
    return made


def taken_from(levels, finer, per_channel=False, **options):
    """A layer with the parameters of another one, and its own levels as they start."""
    made = begun(levels, per_channel, **options)
    left = made.load_state_dict(finer.state_dict(), strict=False)
    assert not left.unexpected_keys
    assert all("_level." in name for name in left.missing_keys)
    return made


@pytest.mark.parametrize(("score", "share"), [(scores.GATv2, True), (scores.MLP, False)])
@pytest.mark.parametrize(("levels", "per_channel"), [k for k in LAYERS if "feature" not in k[0]])
def test_the_level_feature_starts_as_if_absent(levels, per_channel, score, share):
    options = {"share_key_value": share, "score": score}
    without = layer(levels, per_channel, **options)
    having = taken_from(("feature", *levels), without, per_channel, **options)
    x = features(10, 4)
    assert torch.equal(called(having, x), called(without, x))
    for name, found in inspected(without, x).items():
        assert torch.equal(found, inspected(having, x)[name]), name


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("outer", [(), ("cluster",)])
@pytest.mark.parametrize("score", [scores.ScaledDot, scores.GAT, scores.SuperGATMX])
def test_the_level_hop_starts_as_if_absent(per_channel, outer, score):
    flat = layer(("node", *outer), score=score)
    deep = taken_from(("node", "hop", *outer), flat, per_channel, score=score)
    x, mask = features(10, 4), features(BALL.num_pairs, 2)
    mask[::5] = float("-inf")
    found, expected = (called(made, x, pair_bias=mask) for made in (deep, flat))
    torch.testing.assert_close(found, expected, **EXACT)


def test_hop_alone_starts_as_the_mean_over_the_ball():
    made, x = layer(("hop",), stir=0.0), features(10, 4)
    source, target = BALL.edge_index()
    value = made.lin_value(x)
    total = torch.zeros_like(value).index_add(0, target, value[source])
    count = torch.bincount(target, minlength=10).clamp(min=1)
    torch.testing.assert_close(called(made, x), total / count[:, None], **EXACT)


@pytest.mark.parametrize("inner", [("node",), ("node", "hop")])
def test_cluster_starts_as_one_softmax_over_pairs_and_means(inner):
    made, x = begun((*inner, "cluster")), features(10, 4)
    query, key, value = (
        lin(x).view(10, 2, 3) for lin in (made.lin_query, made.lin_key, made.lin_value)
    )
    belongs = torch.nn.functional.one_hot(CLUSTER).double()
    means = [torch.einsum("nk,nhc->khc", belongs / belongs.sum(0), t) for t in (key, value)]
    keys, values = torch.cat([key, means[0]]), torch.cat([value, means[1]])
    bias = torch.full((10, 14, 2), float("-inf"), dtype=torch.float64)
    source, target = BALL.edge_index()
    bias[target, source] = made.hop_bias[BALL.hop.long()]
    bias[:, 10:] = 0.0
    weights = (torch.einsum("nhc,mhc->nmh", query, keys) / 3**0.5 + bias).softmax(1)
    expected = torch.einsum("nmh,mhc->nhc", weights, values).flatten(1)
    torch.testing.assert_close(called(made, x), expected, **EXACT)


@pytest.mark.parametrize("score", [scores.ScaledDot, scores.GATv2, scores.MLP])
def test_clusters_of_one_node_are_full_attention(score):
    made, x = layer(("cluster",), score=score), features(10, 4)
    flat = layer(("node",), score=score, hop_bias=None)
    flat.load_state_dict(made.state_dict(), strict=False)
    found = called(made, x, pooled=gattn.clusters(torch.randperm(10) * 7 - 20))
    torch.testing.assert_close(found, flat(x, gattn.full(10)), **EXACT)


def test_one_cluster_is_a_mean_over_the_graph():
    made, x = layer(("cluster",), stir=0.0), features(10, 4)
    graph = torch.tensor([0, 1] * 5)
    found = called(made, x, pooled=gattn.clusters(torch.zeros_like(graph), graph))
    mean = torch.stack([made.lin_value(x[graph == g]).mean(0) for g in (0, 1)])
    torch.testing.assert_close(found, mean[graph], **EXACT)


def test_feature_alone_is_a_node_by_itself():
    made, x = layer(("feature",)), features(10, 4)
    torch.testing.assert_close(called(made, x)[3:4], called(made, x[3:4], gattn.full(1)), **EXACT)
    with pytest.raises(ValueError, match=r"levels: found \('feature',\), which attend to no pairs"):
        made.attention_weights(x, BALL)
    with pytest.raises(ValueError, match="x: found a pair, expected one tensor"):
        made((x, x.clone()), BALL)


def test_features_of_a_source_count_by_one_another():
    """Without the level a message is linear in its source; with it, not."""
    x, alone = features(2, 4), gattn.from_edge_index(torch.tensor([[0], [1]]), 2)
    for levels, linear in ((("node",), True), (("feature", "node"), False)):
        made = layer(levels)
        once, twice = (made(x * factor, alone)[1] - made.bias for factor in (1.0, 2.0))
        assert torch.allclose(2 * once, twice) == linear


# Relabelling, and graphs beside one another.


@st.composite
def graphs(draw, most=7):
    """Nodes, edges with loops and duplicates, and a cluster for each node."""
    count = draw(st.integers(1, most))
    node = st.integers(0, count - 1)
    edges = draw(st.lists(st.tuples(node, node), max_size=20))
    cluster = draw(st.lists(st.integers(-3, 3), min_size=count, max_size=count))
    edges = torch.tensor(edges, dtype=torch.int64).reshape(-1, 2).t()
    return count, edges, torch.tensor(cluster)


kinds = st.sampled_from(LAYERS)
smooth = st.sampled_from([normalizers.Softmax(), normalizers.Entmax15(), normalizers.Sigmoid()])
hops = st.integers(1, 3)


@settings(max_examples=80, deadline=None)
@given(graphs(), kinds, smooth, hops, st.randoms(use_true_random=False))
def test_names_of_nodes_edges_and_clusters_mean_nothing(graph, kind, normalizer, num_hops, random):
    count, edges, cluster = graph
    made, x = layer(*kind, normalizer=normalizer), features(count, 4)
    expected = called(made, x, gattn.k_hop(edges, num_hops, count), gattn.clusters(cluster))
    order = torch.tensor(random.sample(range(count), count))
    shuffled = random.sample(range(edges.shape[1]), edges.shape[1])
    moved = torch.argsort(order)[edges][:, shuffled]
    renamed = torch.tensor(random.sample(range(-50, 50), 7))[cluster + 3][order]
    again = gattn.k_hop(moved, num_hops, count)
    found = called(made, x[order], again, gattn.clusters(renamed))
    torch.testing.assert_close(found, expected[order], **EXACT)


@pytest.mark.parametrize("spoilt", [False, True])
@settings(max_examples=60, deadline=None)
@given(st.lists(graphs(5), min_size=2, max_size=3), kinds, smooth, hops, st.booleans())
def test_a_graph_gets_what_it_gets_alone(spoilt, several, kind, normalizer, num_hops, dense):
    made = layer(*kind, normalizer=normalizer)
    dense = dense and "hop" not in kind[0]
    if dense:
        made.hop_bias = None
    sizes = [count for count, _, _ in several]
    around = [gattn.full(n) if dense else gattn.k_hop(e, num_hops, n) for n, e, _ in several]
    parts = [features(count, 4, seed=at) for at, count in enumerate(sizes)]
    if spoilt:
        parts[0][-1] = float("nan")
    graph = torch.repeat_interleave(torch.arange(len(sizes)) * 3 - 1, torch.tensor(sizes))
    pooled = gattn.clusters(torch.cat([cluster for *_, cluster in several]), graph)
    found = called(made, torch.cat(parts), gattn.batch(around), pooled).split(sizes)
    for at in range(int(spoilt), len(sizes)):
        alone = called(made, parts[at], around[at], gattn.clusters(several[at][2]))
        torch.testing.assert_close(found[at], alone, **EXACT)


@pytest.mark.parametrize("normalizer", NORMALIZERS, ids=str)
def test_nan_in_one_graph_leaves_no_trace_in_the_gradients_of_another(normalizer):
    x = torch.cat([features(10, 4), torch.full((10, 4), float("nan")).double()]).requires_grad_()
    graph = torch.arange(20) // 10
    for kind in LAYERS:
        made = layer(*kind, normalizer=normalizer)
        pooled = gattn.clusters(CLUSTER.repeat(2), graph)
        out = called(made, x, gattn.batch([BALL, BALL]), pooled)
        (found,) = torch.autograd.grad(out[:10].sum(), x)
        assert torch.isfinite(out[:10]).all() and torch.isfinite(found[:10]).all(), kind


@pytest.mark.parametrize(("levels", "per_channel"), LAYERS)
@pytest.mark.parametrize(("score", "share"), [(scores.ScaledDot, False), (scores.MLP, True)])
def test_a_batch_axis_is_a_loop(levels, per_channel, score, share):
    made, x = layer(levels, per_channel, score=score, share_key_value=share), features(3, 10, 4)
    expected = torch.stack([called(made, part) for part in x])
    torch.testing.assert_close(called(made, x), expected, **EXACT)
    alone = [inspected(made, part) for part in x]
    for name, found in inspected(made, x).items():
        torch.testing.assert_close(found, torch.stack([each[name] for each in alone]), **EXACT)
    if {"node", "hop"} & set(levels):
        given = _given(made, POOLED)
        several = [made.attention_weights(part, BALL, **given) for part in x]
        found = made.attention_weights(x, BALL, **given)
        torch.testing.assert_close(found, torch.stack(several), **EXACT)


# Rows that see nothing, graphs of nothing, and large numbers.


@pytest.mark.parametrize(("levels", "per_channel"), PAIRWISE)
def test_rows_without_pairs_stay_finite(levels, per_channel):
    nothing = torch.full((BALL.num_pairs,), float("-inf"), dtype=torch.float64)
    first = torch.where(BALL.edge_index()[1] == 0, nothing, 0.0)
    for normalizer, mask in itertools.product(NORMALIZERS, (nothing, first)):
        made = layer(levels, per_channel, normalizer=normalizer)
        x = features(10, 4).requires_grad_()
        out = called(made, x, pair_bias=mask)
        check_finite(made, out)
        assert torch.isfinite(x.grad).all()
        if "cluster" not in levels:
            assert torch.equal(out[0], made.bias)
        for name, found in inspected(made, x, pair_bias=mask).items():
            assert torch.isfinite(found).all(), name


@pytest.mark.parametrize("count", [0, 1])
@pytest.mark.parametrize(("levels", "per_channel"), LAYERS)
def test_graphs_of_one_node_and_of_none(levels, per_channel, count):
    none = torch.empty(2, 0, dtype=torch.int64)
    around = gattn.k_hop(none, 2, count)
    pooled = gattn.clusters(torch.zeros(count, dtype=torch.int64))
    made, x = layer(levels, per_channel), features(count, 4)
    check_finite(made, called(made, x, around, pooled))
    shapes = {name: list(found.shape) for name, found in inspected(made, x, around, pooled).items()}
    wide = [3] if per_channel else []
    expected = {
        "feature": [count, 2, 2],
        "node": [count, 2],
        "hop": [count, 3, 2, *wide],
        "pair_ring": [count, 2, *wide],
        "pool": [count, 2],
        "cluster": [count, 2],
        "share": [count, 2, 2],
    }
    assert shapes == {name: expected[name] for name in shapes}


@pytest.mark.parametrize(("levels", "per_channel"), [k for k in PAIRWISE if "cluster" in k[0]])
def test_without_clusters_to_see_a_target_has_its_pairs(levels, per_channel):
    nowhere = torch.zeros(10, dtype=torch.int64)
    none = torch.empty(2, 0, dtype=torch.int64)
    pooled = gattn.Clusters(
        gattn.from_edge_index(none, (10, 0)), gattn.Span(nowhere, nowhere, 0, "packed")
    )
    made, x = layer(levels, per_channel), features(10, 4)
    without = layer(levels[:-1], per_channel)
    without.load_state_dict(made.state_dict(), strict=False)
    out = called(made, x, pooled=pooled)
    torch.testing.assert_close(out, without(x, BALL), **EXACT)
    check_finite(made, out)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_types_are_near(dtype):
    x = features(10, 4)
    for kind, normalizer in itertools.product(LAYERS, NORMALIZERS[:2]):
        made = layer(*kind, normalizer=normalizer)
        exact = called(made, x)
        with torch.autocast("cpu", dtype):
            low = called(copy.deepcopy(made).float(), x.float())
        torch.testing.assert_close(low.double(), exact, atol=0.1, rtol=0.1)
        half = called(made.to(dtype), x.to(dtype))
        assert half.dtype == dtype
        check_finite(made, half)
        torch.testing.assert_close(half.double(), exact, atol=0.1, rtol=0.1)


@pytest.mark.parametrize(("dtype", "size"), [(torch.float16, 3e3), (torch.float32, 1e5)])
def test_huge_scores_stay_finite(dtype, size):
    for kind, normalizer in itertools.product(LAYERS, NORMALIZERS):
        made = layer(*kind, normalizer=normalizer).to(dtype)
        with torch.no_grad():
            for part in (made.hop_level, made.cluster_level):
                for parameter in part.parameters() if part else ():
                    parameter *= size
        x = (features(10, 4) * size / 10).to(dtype)
        out = called(made, x)
        assert torch.isfinite(out).all(), (kind, normalizer)
        found = torch.autograd.grad(out.float().mean(), list(made.parameters()), allow_unused=True)
        assert dtype == torch.float16 or all(
            torch.isfinite(g).all() for g in found if g is not None
        )


# What can be seen of the weights.


def summed(weights, row, count):
    return weights.new_zeros(count, *weights.shape[1:]).index_add(0, row, weights)


def check_ones(found, where=None):
    one = torch.ones_like(found) if where is None else where.to(found.dtype).expand_as(found)
    torch.testing.assert_close(found, one, **EXACT)


@pytest.mark.parametrize("graph", [None, torch.tensor([0, 1] * 5)])
@pytest.mark.parametrize(("levels", "per_channel"), LAYERS)
def test_weights_sum_to_one(levels, per_channel, graph):
    made, x = layer(levels, per_channel), features(10, 4)
    pooled = gattn.clusters(CLUSTER, graph)
    found = inspected(made, x, pooled=pooled)
    target = BALL.edge_index()[1]
    busy = torch.bincount(target, minlength=10) > 0
    if "feature" in levels:
        check_ones(found["feature"].sum(-1))
    if "hop" in levels:
        assert BALL.hop is not None
        ring = target * 3 + BALL.hop
        full = torch.bincount(ring, minlength=30) > 0
        check_ones(summed(found["node"], ring, 30), full[:, None])
        check_ones(found["hop"].sum(1), busy.view(-1, *[1] * (found["hop"].dim() - 2)))
        assert torch.equal(found["pair_ring"], found["hop"].flatten(0, 1)[ring])
    elif "node" in levels:
        check_ones(summed(found["node"], target, 10), busy[:, None])
    looking = pooled.look.expand().edge_index()[1]
    if "cluster" in levels:
        check_ones(summed(found["cluster"], looking, 10))
        member, of = pooled.pool.edge_index()
        assert torch.equal(member, torch.arange(10))
        check_ones(summed(found["pool"], of, pooled.num_clusters))
    if "share" in found:
        check_ones(found["share"].sum(1))
        pairs = made.attention_weights(x, BALL, clusters=pooled)
        tokens = found["cluster"] * found["share"][looking, 1]
        tokens = summed(tokens, looking, 10)
        check_ones(summed(pairs, target, 10) + (tokens[..., None] if per_channel else tokens))


@pytest.mark.parametrize("normalizer", NORMALIZERS, ids=str)
@pytest.mark.parametrize(("levels", "per_channel"), [k for k in PAIRWISE if "feature" not in k[0]])
def test_the_weights_are_those_of_the_output(levels, per_channel, normalizer):
    made, x = layer(levels, per_channel, normalizer=normalizer), features(10, 4)
    value = made.lin_value(x).view(10, 2, 3)
    mask = features(BALL.num_pairs, 2, seed=4)
    mask[::4] = float("-inf")
    weights = made.attention_weights(x, BALL, pair_bias=mask, **_given(made, POOLED))
    source, target = BALL.edge_index()
    weights = weights if per_channel else weights[..., None]
    out = summed(weights * value[source], target, 10)
    if "cluster" in levels:
        found = inspected(made, x, pair_bias=mask)
        pooled = summed(found["pool"][..., None] * value, CLUSTER, 4)
        cluster, looking = POOLED.look.expand().edge_index()
        tokens = found["cluster"] * found["share"][looking, 1]
        out = out + summed(tokens[..., None] * pooled[cluster], looking, 10)
    expected = called(made, x, pair_bias=mask)
    torch.testing.assert_close(out.flatten(1) + made.bias, expected, **EXACT)


def test_weights_are_in_the_order_of_the_edges():
    made, x = layer(("node", "hop", "cluster")), features(10, 4)
    order = torch.randperm(21, generator=torch.Generator().manual_seed(1))
    found = made.attention_weights(x, EDGES[:, order], clusters=POOLED)
    expected = made.attention_weights(x, EDGES, clusters=POOLED)[order]
    torch.testing.assert_close(found, expected, **EXACT)


@pytest.mark.parametrize("per_channel", [False, True])
def test_rings_of_a_window_are_those_of_its_pairs(per_channel):
    made, x = layer(("node", "hop", "cluster"), per_channel), features(10, 4)
    span = gattn.window(10, 3)
    stored = span.expand()
    torch.testing.assert_close(called(made, x, span), called(made, x, stored), **EXACT)
    found, expected = (made.attention_weights(x, w, clusters=POOLED) for w in (span, stored))
    torch.testing.assert_close(found, expected, **EXACT)


def test_inspect_is_before_the_dropout():
    made, x = layer(("feature", "node", "hop", "cluster"), dropout=0.5), features(10, 4)
    once, again = inspected(made, x), inspected(made, x)
    assert all(torch.equal(once[name], again[name]) for name in once)
    assert not torch.equal(called(made, x), called(made, x))
    made.eval()
    assert torch.equal(called(made, x), called(made, x))


def test_clusters_alone_ask_for_no_statistic():
    made, x = layer(("cluster",), backend="sdpa"), features(10, 4)
    free = layer(("cluster",))
    torch.testing.assert_close(called(made, x), called(free, x), **EXACT)


# Two node sets, lazy layers, copies.


@pytest.mark.parametrize("share", [False, True])
@pytest.mark.parametrize(("levels", "per_channel"), [k for k in LAYERS if k[0] != ("feature",)])
def test_targets_and_sources_of_two_kinds(levels, per_channel, share):
    target, source = features(5, 4), features(7, 6, seed=1)
    edges = torch.tensor([[0, 6, 3, 3, 2], [0, 0, 1, 4, 4]])
    pool = gattn.from_edge_index(torch.tensor([[0, 1, 5, 6], [0, 0, 1, 1]]), (7, 2))
    look = gattn.from_edge_index(torch.tensor([[0, 1, 1], [0, 0, 3]]), (2, 5))
    made = layer(levels, per_channel, (4, 6), 3, 2, share_key_value=share)
    pooled = gattn.Clusters(pool, look)
    out = called(made, (target, source), edges, pooled)
    assert out.shape == (5, 6)
    check_finite(made, out)
    inspected(made, (target, source), edges, pooled)
    assert torch.equal(called(made, (target, source), edges, pooled)[2], made.bias)


@pytest.mark.parametrize(("levels", "per_channel"), LAYERS)
def test_lazy_layers_their_copies_and_their_state(levels, per_channel):
    torch.manual_seed(0)
    made = GraphAttention(-1, 3, 2, levels=levels, hop_bias=2, per_channel=per_channel).double()
    x = features(10, 5)
    expected = called(made, x)
    fresh = GraphAttention(-1, 3, 2, levels=levels, hop_bias=2, per_channel=per_channel).double()
    fresh.load_state_dict(made.state_dict())
    for copied in (copy.deepcopy(made), pickle.loads(pickle.dumps(made)), fresh):
        assert torch.equal(called(copied, x), expected)
    assert repr(made) == "GraphAttention(-1, 3, heads=2)"


@pytest.mark.parametrize(("levels", "per_channel"), LAYERS)
def test_reset_leaves_nothing_behind(levels, per_channel):
    made = layer(levels, per_channel, score=scores.MLP, edge_dim=2 if "node" in levels else None)
    for parameter in made.parameters():
        parameter.data.fill_(7.0)
    made.reset_parameters()
    for name, parameter in made.named_parameters():
        assert not (parameter == 7.0).any(), name
    new = GraphAttention(4, 3, 2, levels=levels, hop_bias=2, per_channel=per_channel)
    zero = {name for name, p in new.named_parameters() if not p.any() and "_level" in name}
    assert zero == {n for n, p in made.named_parameters() if not p.any() and "_level" in n}


# dynamo looks at the gradients of intermediate results where it resumes after a break, and makes
# an object of an autograd function.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor", "ignore:.*be instantiated")
def test_compiled_layers():
    made, x = layer(DEPTHS[4], per_channel=True), features(10, 4)
    torch._dynamo.reset()
    found = torch.compile(made, backend="eager")(x, BALL, **_given(made, POOLED))
    torch.testing.assert_close(found, called(made, x), **EXACT)
    torch._dynamo.reset()


# Attention across layers.


@pytest.mark.parametrize("batch", [(), (3,)])
@pytest.mark.parametrize("layers", [1, 4])
def test_attention_across_layers_starts_as_their_mean(batch, layers):
    made = LayerAttention(6, layers, 2).double()
    outputs = [features(*batch, 9, 6, seed=at) for at in range(layers)]
    torch.testing.assert_close(made(outputs), torch.stack(outputs).mean(0), **EXACT)
    weights = made.weights(outputs)
    assert weights.shape == (*batch, 9, layers, 2)
    torch.testing.assert_close(weights, torch.full_like(weights, 1 / layers), **EXACT)


def stirred(made):
    for parameter in made.double().parameters():
        parameter.data += 0.5 * torch.randn_like(parameter)
    return made


def test_attention_across_layers_is_its_formula():
    torch.manual_seed(0)
    made = stirred(LayerAttention(6, 3, 2))
    outputs = [features(5, 6, seed=at) for at in range(3)]
    stack = torch.stack(outputs, 1)
    query = made.lin_query(outputs[-1]).view(5, 1, 2, 3)
    key = (made.lin_key(stack) + made.layer_key).view(5, 3, 2, 3)
    weights = ((query * key).sum(-1) / 3**0.5).softmax(1)
    expected = (weights[..., None] * stack.view(5, 3, 2, 3)).sum(1).flatten(1)
    torch.testing.assert_close(made(outputs), expected, **EXACT)
    torch.testing.assert_close(made.weights(outputs), weights, **EXACT)


def test_gradients_across_layers():
    torch.manual_seed(0)
    made = stirred(LayerAttention(4, 2, 2))
    outputs = [features(3, 4, seed=at).requires_grad_() for at in range(2)]
    inputs = (*outputs, *made.parameters())
    assert gradcheck(lambda one, two, *_: made([one, two]), inputs)


def test_across_layers_of_nothing_in_half_and_under_autocast():
    made = LayerAttention(4, 2, 2)
    assert made([torch.empty(0, 4)] * 2).shape == (0, 4)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.isfinite(made([torch.ones(3, 4)] * 2)).all()
    half = made.half()([torch.ones(3, 4).half()] * 2)
    torch.testing.assert_close(half, torch.ones(3, 4).half())


def test_across_layers_forgets_on_reset():
    made = stirred(LayerAttention(4, 2, 2))
    made.reset_parameters()
    outputs = [features(3, 4, seed=at) for at in range(2)]
    torch.testing.assert_close(made(outputs), torch.stack(outputs).mean(0), **EXACT)


# What is refused.


def test_levels_are_a_subset_in_order():
    assert [checked_levels(levels) for levels in SUBSETS] == SUBSETS
    assert checked_levels("hop") == ("hop",) and checked_levels(["node", "hop"]) == DEPTHS[2]
    assert all(checked_levels(levels) == levels for levels in DEPTHS.values())


X = features(10, 4)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: layer(3), TypeError, "levels: found 3, expected some of"),
        (lambda: layer(None), TypeError, "levels: found None, expected some of"),
        (
            lambda: layer(("node", "node")),
            ValueError,
            r"levels: found \('node', 'node'\), expected",
        ),
        (lambda: layer(("node",), True), ValueError, "per_channel: found True, expected the level"),
        (lambda: layer(("hop",), edge_dim=2), ValueError, "edge_dim: found 2, expected the level"),
        (
            lambda: layer(("feature",), feature_tokens=0),
            ValueError,
            "feature_tokens: found 0, expected an int >= 1",
        ),
        (
            lambda: layer(("hop",), hop_bias=None),
            ValueError,
            "hop_bias: found None, expected a num",
        ),
        (
            lambda: layer(("cluster",))(X, BALL),
            ValueError,
            r"clusters: found none, expected some \(gattn.clusters\): levels decides",
        ),
        (
            lambda: layer(("node",))(X, BALL, clusters=POOLED),
            ValueError,
            "clusters: found some, expected none: levels decides",
        ),
        (
            lambda: layer(("cluster",))(X, BALL, clusters=CLUSTER),
            TypeError,
            "clusters: found Tensor, expected Clusters",
        ),
        (
            lambda: layer(("cluster",))(X, BALL, clusters=gattn.clusters(CLUSTER[:9])),
            ValueError,
            "clusters: found 9 targets and 9 sources, expected 10 and 10, those of x",
        ),
        (lambda: LayerAttention(4, 2, 3), ValueError, "channels: found 4, expected a multiple of"),
        (lambda: LayerAttention(4, 0), ValueError, "num_layers: found 0, expected an int >= 1"),
        (lambda: LayerAttention(4, 2, "1"), TypeError, "heads: found '1', expected an int >= 1"),
        (
            lambda: LayerAttention(4, 2)([torch.ones(3, 4)]),
            ValueError,
            "outputs: found 1, expected one of each of 2 layers",
        ),
        (
            lambda: LayerAttention(4, 2)([torch.ones(3, 4), torch.ones(2, 4)]),
            ValueError,
            r"outputs: found shapes \[2, 4\], \[3, 4\], expected all \[..., N, 4\]",
        ),
        (
            lambda: LayerAttention(4, 1)([torch.ones(3, 5)]),
            ValueError,
            r"outputs: found shapes \[3, 5\], expected all \[..., N, 4\]",
        ),
    ],
)
def test_errors_name_what_is_wrong(make, error, message):
    with pytest.raises(error, match=message) as raised:
        make()
    assert "\n" not in str(raised.value)
