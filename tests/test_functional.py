"""attend against a dense oracle, its options, its gradients, and its errors."""

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

import gattn
from gattn import forms, normalizers
from gattn.ops import reference
from gattn.ops.problem import Problem
from gattn.testing import graphs

GRAPHS = graphs()
NORMALIZERS = {
    "softmax": normalizers.Softmax(),
    "sparsemax": normalizers.Sparsemax(),
    "entmax15": normalizers.Entmax15(),
    "sigmoid": normalizers.Sigmoid(),
    "topk": normalizers.TopK(2),
}
EDGES = torch.tensor([[0, 1, 2, 3, 3, 1, 1], [1, 1, 0, 2, 2, 3, 3]])  # two duplicates, one loop


def draw(*size, seed=0, **options):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(size, generator=generator, dtype=torch.float64, **options)


def dense(query, key, value, edges, hops, hop_bias, pair_bias, features, pair_weight, pair_value):
    """Softmax attention, written as one loop over targets and heads: nothing shared with ours."""
    out = torch.zeros(query.shape[0], query.shape[1], value.shape[2], dtype=torch.float64)
    for i in range(query.shape[0]):
        for h in range(query.shape[1]):
            scores, values = [], []
            for e, (source, target) in enumerate(edges.t().tolist()):
                if target != i:
                    continue
                moved = key[source, h] + features[e] @ pair_weight[:, h]
                bias = hop_bias[min(int(hops[e]), len(hop_bias) - 1), h] + pair_bias[e, h]
                scores.append(query[i, h] @ moved / query.shape[2] ** 0.5 + bias)
                values.append(value[source, h] + features[e] @ pair_value[:, h])
            if scores:
                out[i, h] = torch.stack(scores).softmax(0) @ torch.stack(values)
    return out


@pytest.mark.parametrize("name", ["no pairs", "directed", "duplicates", "two hops", "window"])
def test_every_option_against_the_dense_oracle(name):
    graph = GRAPHS[name]
    stored = graph.expand() if isinstance(graph, gattn.Span) else graph
    hops = stored.hop if stored.perm is None else stored.hop[stored.perm.argsort()]
    pairs, nodes = graph.num_pairs, graph.num_targets
    options = {
        "hop_bias": draw(2, 3, seed=4),
        "pair_bias": draw(pairs, 3, seed=5),
        "pair_features": draw(pairs, 2, seed=6),
        "pair_weight": draw(2, 3, 5, seed=7),
        "pair_value": draw(2, 3, 4, seed=8),
    }
    query, key, value = draw(nodes, 3, 5), draw(nodes, 3, 5, seed=1), draw(nodes, 3, 4, seed=2)
    found = gattn.attend(query, key, value, graph, **options)
    expected = dense(query, key, value, stored.edge_index(), hops, *options.values())
    torch.testing.assert_close(found, expected, atol=1e-13, rtol=1e-12)


@pytest.mark.parametrize("normalizer", NORMALIZERS.values(), ids=NORMALIZERS)
@pytest.mark.parametrize("kind", ["product", "additive", "given"])
def test_gradients_of_every_leaf_and_output(kind, normalizer):
    graph = gattn.from_edge_index(EDGES, 5)
    leaves = {
        "left": draw(5, 2, 3, seed=1),
        "right": draw(5, 2, 3, seed=2),
        "value": draw(5, 2, 2, seed=3),
        "weight": draw(2, 3, seed=4),
        "hop_bias": draw(2, 2, seed=5),
        "pair_bias": draw(7, 2, seed=6),
        "pair_features": draw(7, 2, seed=7),
        "pair_weight": draw(2, 2, 3, seed=8),
        "pair_value": draw(2, 2, 2, seed=9),
    }

    def form(given):
        if kind == "product":
            return forms.Multiplicative(given["left"], given["right"], 0.7, given["right"].sum(-1))
        if kind == "additive":
            return forms.Additive(given["left"], given["right"], given["weight"], "tanh")
        return forms.Given(given["left"], given["right"], lambda q, k, hop: (q * k.sin()).sum(-1))

    def run(*values):
        given = dict(zip(leaves, values, strict=True))
        options = {name: given[name] for name in list(leaves)[4:]}
        call = gattn.attend_form
        if normalizer.has_statistic:
            call = gattn.attend_form_with_statistic
        found = call(form(given), given["value"], graph, normalizer=normalizer, **options)
        if isinstance(found, tuple):  # the last row is empty: its statistic is -inf
            return found[0], found[1][:4]
        return found

    values = [leaf.requires_grad_() for leaf in leaves.values()]
    assert gradcheck(run, values)
    assert gradgradcheck(run, values)


def test_weights_and_scores_are_differentiable():
    graph = gattn.from_edge_index(EDGES, 5)
    leaves = [draw(5, 2, 3, seed=1, requires_grad=True), draw(5, 2, 3, seed=2, requires_grad=True)]
    assert gradcheck(lambda q, k: gattn.attention_weights(q, k, graph), leaves)
    assert gradgradcheck(lambda q, k: gattn.attention_weights(q, k, graph), leaves)
    score = gattn.scores.ScaledDot()
    assert gradcheck(lambda q, k: gattn.pair_scores(score(q, k), graph), leaves)


PAIR_FORMS = {
    "product": lambda q, k: forms.Multiplicative(q, k, 0.7, k.sum(-1), q.sum(-1)),
    "tanh": lambda q, k: forms.Additive(q, k, draw(3, 4, seed=4), "tanh"),
    "leaky": lambda q, k: forms.Additive(q, k, draw(3, 4, seed=4)),
    "given": lambda q, k: forms.Given(q, k, lambda q, k, hop: (q * k.cos()).sum(-1)),
}


@pytest.mark.parametrize("name", ["no pairs", "duplicates", "two hops", "rings", "window"])
@pytest.mark.parametrize("kind", PAIR_FORMS)
def test_weights_and_scores_of_pairs_are_those_of_the_reference(kind, name):
    graph = GRAPHS[name]
    query = draw(graph.num_targets, 3, 4, seed=1, requires_grad=True)
    key = draw(graph.num_sources, 3, 4, seed=2, requires_grad=True)
    options = {
        "hop_bias": draw(2, 3, seed=3, requires_grad=True),
        "pair_bias": draw(graph.num_pairs, 3, seed=5, requires_grad=True),
        "pair_features": draw(graph.num_pairs, 2, seed=6, requires_grad=True),
        "pair_weight": draw(2, 3, 4, seed=7, requires_grad=True),
    }
    form, upstream = PAIR_FORMS[kind](query, key), draw(graph.num_pairs, 3, seed=8)

    def check(found, expected):
        torch.testing.assert_close(found, expected, atol=1e-13, rtol=1e-12)
        leaves = (query, key, *options.values())
        grads = (torch.autograd.grad(pairs, leaves, upstream) for pairs in (found, expected))
        for grad, wanted in zip(*grads, strict=True):
            torch.testing.assert_close(grad, wanted, atol=1e-12, rtol=1e-11)

    for normalizer in (normalizers.Softmax(), normalizers.Sparsemax()):
        problem = Problem(form, None, graph, normalizer, **options)
        found = gattn.form_weights(form, graph, normalizer=normalizer, **options)
        check(found, reference.weights(problem))
    check(gattn.pair_scores(form, graph, **options), reference.scores(problem))


def test_hard_takes_the_best_and_has_the_gradient_of_softmax():
    graph = gattn.k_hop(EDGES, 2, 5)
    query, key, value = (draw(5, 2, 3, seed=s, requires_grad=True) for s in (1, 2, 3))
    out = gattn.attend(query, key, value, graph, normalizer=normalizers.Hard())
    weights = gattn.attention_weights(query, key, graph, normalizer=normalizers.Hard())
    assert set(weights.unique().tolist()) == {0.0, 1.0}
    upstream = draw(5, 2, 3, seed=4)
    grads = torch.autograd.grad(out, (query, key), upstream)
    # Straight-through: d out / d weight, then the softmax.
    soft = gattn.attention_weights(query, key, graph)
    source, target = graph.edge_index()
    outer = (upstream[target] * value[source]).sum(-1).detach()
    torch.testing.assert_close(grads, torch.autograd.grad(soft, (query, key), outer))


@pytest.mark.parametrize("per_head", [True, False])
def test_a_mask_is_a_pair_bias_of_minus_infinity(per_head):
    graph = gattn.from_edge_index(EDGES, 5)
    kept = torch.tensor([True, False, True, True, False, False, False])
    mask = torch.where(kept, 0.0, float("-inf")).double()
    query, key, value = (draw(5, 2, 3, seed=s, requires_grad=True) for s in (1, 2, 3))
    bias = mask[:, None].expand(-1, 2) if per_head else mask
    found = gattn.attend(query, key, value, graph, pair_bias=bias)
    expected = gattn.attend(query, key, value, gattn.from_edge_index(EDGES[:, kept], 5))
    torch.testing.assert_close(found, expected)
    for grad in torch.autograd.grad(found.sum(), (query, key, value)):
        assert torch.isfinite(grad).all()


@pytest.mark.parametrize("normalizer", NORMALIZERS.values(), ids=NORMALIZERS)
def test_empty_rows_give_zeros_and_zero_gradients(normalizer):
    graph = gattn.from_edge_index(EDGES, 6)
    query, key, value = (draw(6, 2, 3, seed=s, requires_grad=True) for s in (1, 2, 3))
    masked = torch.full((7,), float("-inf"), dtype=torch.float64)
    for bias in (None, masked):
        out = gattn.attend(query, key, value, graph, pair_bias=bias, normalizer=normalizer)
        rows = slice(4, 6) if bias is None else slice(0, 6)
        assert (out[rows] == 0).all()
        grad = torch.autograd.grad(out.sum(), query)[0]
        assert (grad[rows] == 0).all() and torch.isfinite(grad).all()


def test_value_none_is_the_right_side():
    query, key = draw(5, 2, 3), draw(5, 2, 3, seed=1)
    graph, score = gattn.from_edge_index(EDGES, 5), gattn.scores.GATv2(2, 3).double()
    found = gattn.attend(query, key, None, graph, score=score)
    assert torch.equal(found, gattn.attend(query, key, key, graph, score=score))


def test_pair_results_are_in_the_order_of_the_edges():
    query, key = draw(5, 1, 3), draw(5, 1, 3, seed=1)
    whole = gattn.attention_weights(query, key, gattn.from_edge_index(EDGES, 5))
    order = torch.tensor([4, 2, 6, 0, 1, 3, 5])
    shuffled = gattn.attention_weights(query, key, gattn.from_edge_index(EDGES[:, order], 5))
    torch.testing.assert_close(shuffled, whole[order])
    sums = torch.zeros(5, 1, dtype=torch.float64).index_add(0, EDGES[1], whole)
    torch.testing.assert_close(sums[:4], torch.ones(4, 1, dtype=torch.float64))


@pytest.mark.parametrize("kind", ["product", "additive", "given"])
def test_the_batch_axis_is_a_loop(kind):
    graph = gattn.k_hop(EDGES, 2, 5)
    query, key, value = (draw(3, 5, 2, 4, seed=s) for s in (1, 2, 3))
    weight, bias, pair_bias = draw(2, 4), draw(3, 2, seed=6), draw(graph.num_pairs, 2, seed=7)

    def form(q, k):
        if kind == "product":
            return forms.Multiplicative(q, k, 0.5, k.sum(-1), q.sum(-1))
        if kind == "additive":
            return forms.Additive(q, k, weight)
        return forms.Given(q, k, lambda q, k, hop: (q * k * weight).sum(-1) + hop[:, None])

    options = {"hop_bias": bias, "pair_bias": pair_bias}
    found, lse = gattn.attend_form_with_statistic(form(query, key), value, graph, **options)
    weights = gattn.form_weights(form(query, key), graph, **options)
    for at in range(3):
        alone = form(query[at], key[at])
        out, statistic = gattn.attend_form_with_statistic(alone, value[at], graph, **options)
        torch.testing.assert_close(found[at], out)
        torch.testing.assert_close(lse[at], statistic)
        torch.testing.assert_close(weights[at], gattn.form_weights(alone, graph, **options))


def test_dropout_repeats_by_seed_and_keeps_the_mean():
    edges = torch.stack([torch.arange(2000) % 50, torch.arange(2000) // 40])
    graph = gattn.from_edge_index(edges, 50)
    query, value = torch.zeros(50, 2, 1), torch.ones(50, 2, 1)

    def run(seed, dropout=0.25):
        torch.manual_seed(seed)
        return gattn.attend(query, query, value, graph, dropout=dropout)

    assert torch.equal(run(0), run(0)) and not torch.equal(run(0), run(1))
    assert run(0).mean().item() == pytest.approx(1.0, abs=0.05)
    assert (run(0, 1.0) == 0).all() and torch.equal(run(0, 0.0), run(1, 0.0))


def test_dropout_drops_the_same_weights_in_any_order_of_the_edges():
    query, key, value = draw(5, 3, 2), draw(5, 3, 2, seed=1), draw(5, 3, 2, seed=2)
    edges = EDGES.unique(dim=1)
    order = torch.randperm(edges.shape[1], generator=torch.Generator().manual_seed(2))

    def run(edges):
        torch.manual_seed(1)
        return gattn.attend(query, key, value, gattn.from_edge_index(edges, 5), dropout=0.5)

    torch.testing.assert_close(run(edges), run(edges[:, order]))


def test_duplicate_edges_are_dropped_one_by_one():
    edges = torch.zeros(2, 1000, dtype=torch.int64)
    torch.manual_seed(0)
    ones = torch.ones(1, 1, 1)
    out = gattn.attend(ones, ones, ones, gattn.from_edge_index(edges, 1), dropout=0.5)
    assert 0.8 < out.item() < 1.2


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_types_compute_in_float32(dtype):
    query, key, value = (draw(8, 2, 16, seed=s).to(dtype) for s in (1, 2, 3))
    graph = GRAPHS["directed"]
    found, lse = gattn.attend_with_statistic(query, key, value, graph)
    exact = gattn.attend(query.float(), key.float(), value.float(), graph)
    assert found.dtype == dtype and lse.dtype == torch.float32
    assert torch.equal(found, exact.to(dtype))


def test_autocast_does_not_reach_the_operator():
    query, key, value = (draw(8, 2, 16, seed=s).float() for s in (1, 2, 3))
    graph, features = GRAPHS["directed"], torch.randn(16, 3)
    options = {"pair_features": features, "pair_weight": torch.randn(3, 2, 16)}
    exact = gattn.attend(query, key, value, graph, **options)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(gattn.attend(query, key, value, graph, **options), exact)


@pytest.mark.parametrize("normalizer", NORMALIZERS.values(), ids=NORMALIZERS)
def test_huge_scores_stay_finite(normalizer):
    query = (draw(8, 2, 4) * 1e4).float().requires_grad_()
    out = gattn.attend(query, query, query, GRAPHS["duplicates"], normalizer=normalizer)
    (grad,) = torch.autograd.grad(out.sum(), query)
    assert torch.isfinite(out).all() and torch.isfinite(grad).all()


def test_non_contiguous_inputs():
    graph = GRAPHS["directed"]
    query, key, value = (draw(2, 4, 8, seed=s).permute(2, 0, 1) for s in (1, 2, 3))
    found = gattn.attend(query, key, value, graph)
    assert torch.equal(found, gattn.attend(*(t.contiguous() for t in (query, key, value)), graph))


GRAPH = gattn.from_edge_index(EDGES, 5)
GOOD = {"query": draw(5, 2, 3), "key": draw(5, 2, 3), "value": draw(5, 2, 4), "neighborhood": GRAPH}


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"query": draw(4, 2, 3)},
            ValueError,
            r"query: found shape \[4, 2, 3\], expected \[5, H, C\]",
        ),
        ({"key": draw(5, 2, 4)}, ValueError, r"key: found shape \[5, 2, 4\], expected \[5, 2, 3\]"),
        ({"key": draw(5, 3, 3)}, ValueError, "key: found shape"),
        (
            {"value": draw(4, 2, 4)},
            ValueError,
            r"value: found shape \[4, 2, 4\], expected \[5, 2, D\]",
        ),
        ({"value": draw(2, 5, 2, 4)}, ValueError, "leading batch axis or none"),
        ({"query": draw(5, 2, 3).long()}, TypeError, "query: found dtype torch.int64"),
        (
            {"neighborhood": EDGES},
            TypeError,
            "neighborhood: found Tensor, expected a Sparse or Span",
        ),
        (
            {"normalizer": "softmax"},
            TypeError,
            "normalizer: found 'softmax', expected a Normalizer",
        ),
        (
            {"hop_bias": draw(2, 3)},
            ValueError,
            r"hop_bias: found shape \[2, 3\], expected \[K \+ 1, 2\]",
        ),
        ({"hop_bias": draw(0, 2)}, ValueError, "hop_bias: found 0 rows"),
        ({"pair_bias": draw(6)}, ValueError, r"pair_bias: found shape \[6\], expected \[7\]"),
        (
            {"pair_bias": draw(7, 3)},
            ValueError,
            r"pair_bias: found shape \[7, 3\], expected \[7, 2\]",
        ),
        ({"pair_features": draw(7, 2)}, ValueError, "pair_features: expected together with"),
        ({"pair_weight": draw(2, 2, 3)}, ValueError, "pair_features: expected together with"),
        (
            {"pair_features": draw(7, 2), "pair_weight": draw(3, 2, 3)},
            ValueError,
            r"pair_weight: found shape \[3, 2, 3\], expected \[2, 2, 3\]",
        ),
        ({"dropout": 1.5}, ValueError, r"dropout: found 1.5, expected a number in \[0, 1\]"),
        ({"dropout": "0.5"}, TypeError, "dropout: found '0.5'"),
        ({"query": draw(5, 2, 3).to("meta")}, ValueError, "found device meta, expected cpu"),
    ],
)
def test_errors_name_argument_found_and_expected(change, error, message):
    with pytest.raises(error, match=message) as raised:
        gattn.attend(**(GOOD | change))
    assert "\n" not in str(raised.value)


def test_a_hop_bias_needs_hops():
    with pytest.raises(ValueError, match=r"hop_bias: found one, but .*full.* has no hops"):
        gattn.attend(
            draw(5, 1, 2), draw(5, 1, 2), draw(5, 1, 2), gattn.full(5), hop_bias=draw(1, 1)
        )


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: gattn.attend(**GOOD, score="dot"), TypeError, "score: found 'dot'"),
        (
            lambda: gattn.attend(**GOOD, score=gattn.scores.Dot),
            TypeError,
            "score: found the class Dot, expected a Score",
        ),
        (lambda: gattn.attend(**(GOOD | {"query": [1]})), TypeError, "query: found list"),
        (lambda: gattn.attend(**(GOOD | {"value": [1]})), TypeError, "value: found list"),
        (lambda: gattn.attend_form(None, None, GRAPH), TypeError, "form: found None, expected"),
        (
            lambda: gattn.attend(**(GOOD | {"neighborhood": None}), dropout=0.5),
            TypeError,
            "neighborhood: found None",
        ),
        (
            lambda: gattn.attention_weights(GOOD["query"], GOOD["key"], GRAPH, dropout=0.5),
            TypeError,
            "dropout: found an unknown argument, expected normalizer, hop_bias",
        ),
        (
            lambda: gattn.attend_with_statistic(**GOOD, hopbias=None),
            TypeError,
            "hopbias: found an unknown argument",
        ),
        (lambda: batched(hop_bias=draw(3, 5)), ValueError, r"hop_bias: found shape \[3, 5\]"),
        (lambda: batched(pair_bias=draw(7, 5)), ValueError, r"pair_bias: found shape \[7, 5\]"),
        (lambda: batched(draw(3, 5, 1, 3)), ValueError, r"value: found shape \[3, 5, 1, 3\]"),
        (
            lambda: forms.Multiplicative(draw(5, 2, 3), draw(5, 2, 3), torch.ones(())),
            TypeError,
            "scale: found a Tensor",
        ),
        (lambda: given(lambda q, k, hop: q[:, :1, 0]), ValueError, r"fn: found shape \[7, 1\]"),
        (lambda: given(lambda q, k, hop: None), TypeError, "fn: found NoneType"),
    ],
)
def test_other_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message) as raised:
        call()
    assert "\n" not in str(raised.value)


def batched(value=None, **options):
    side = draw(3, 5, 2, 3)
    return gattn.attend(side, side, side if value is None else value, GRAPH, **options)


def given(fn):
    return gattn.attend_form(forms.Given(draw(5, 2, 3), draw(5, 2, 3), fn), GOOD["value"], GRAPH)


def test_a_double_value_is_summed_in_double():
    query, key, value = draw(5, 2, 3).float(), draw(5, 2, 3, seed=1).float(), draw(5, 2, 3) + 1e6
    exact = gattn.attend(query.double(), key.double(), value, GRAPH)
    torch.testing.assert_close(gattn.attend(query, key, value, GRAPH), exact, rtol=1e-12, atol=0)


def test_hard_inside_functorch():
    side = draw(5, 2, 3)

    def run(side):
        return gattn.attend(side, side, side, GRAPH, normalizer=normalizers.Hard()).sum()

    leaf = side.clone().requires_grad_()
    torch.testing.assert_close(torch.func.grad(run)(side), torch.autograd.grad(run(leaf), leaf)[0])
