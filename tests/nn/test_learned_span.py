"""The learned span: its formula, its gradients at every kink, and what it says about breadth."""

import copy
import pickle

import pytest
import torch
from torch.autograd import gradcheck

import gattn
from gattn import normalizers
from gattn.nn import AttentionGNN, GraphAttention, LearnedSpan

EXACT = {"atol": 1e-12, "rtol": 1e-12}
MASKED = float("-inf")
# A path, so that balls differ, and a node that nobody reaches.
PATH = torch.stack([torch.arange(9), torch.arange(1, 10)])
EDGES = torch.cat([PATH, PATH.flip(0)], dim=1)
BALL = gattn.k_hop(EDGES, 4, 11)
CLUSTERS = gattn.clusters(torch.arange(11) % 3)
LEVELS = [("node",), ("hop",), ("node", "hop"), ("feature", "node", "hop", "cluster")]


def features(*size, seed=0, dtype=torch.float64):
    return torch.randn(size, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def layer(radius, levels=("node",), ramp=1.0, seed=0, **options):
    """A layer of two heads with the given radii, whose hop bias is not zero either."""
    torch.manual_seed(seed)
    options = {"heads": 2, "hop_bias": 4} | options
    made = GraphAttention(4, 3, span="learned", span_ramp=ramp, levels=levels, **options).double()
    made.hop_bias.data = features(*made.hop_bias.shape, seed=3)
    made.span.share.data = torch.tensor(radius, dtype=torch.float64) / max(made.span.num_hops, 1)
    return made


def called(made, x, around=BALL, **options):
    given = {"clusters": CLUSTERS} if "cluster" in made.levels else {}
    return made(x, around, **given, **options)


def written_out(made, x, hop):
    """The layer of one level, densely; `hop` `[N, N]` is -1 where nobody attends."""
    count, size = len(x), (made.heads, made.out_channels)
    query, key, value = (
        lin(x).view(count, *size) for lin in (made.lin_query, made.lin_key, made.lin_value)
    )
    z, ramp = made.span.num_hops * made.span.share.clamp(0, 1), made.span.ramp
    out = torch.zeros(count, *size, dtype=x.dtype)
    for h in range(made.heads):
        score = query[:, h] @ key[:, h].T / made.out_channels**0.5
        share = ((ramp + z[h] - hop) / ramp).clamp(0, 1) * (hop >= 0)
        weight = score.exp() * made.hop_bias[hop.clamp(min=0), h].exp() * share
        out[:, h] = weight @ value[:, h] / weight.sum(1, keepdim=True).clamp(min=1e-300)
    return out.flatten(1) + made.bias


def dense_hops(around):
    hop = torch.full((around.num_targets, around.num_sources), -1)
    source, target = around.edge_index()
    hop[target, source] = around.hop.long()
    return hop


@pytest.mark.parametrize("ramp", [0.5, 1.0, 2.0, 3.5])
@pytest.mark.parametrize("radius", [[4.0, 4.0], [0.0, 4.0], [2.0, 3.0], [1.3, 2.8], [0.01, 3.99]])
def test_a_layer_is_its_formula(radius, ramp):
    made, x = layer(radius, ramp=ramp), features(11, 4)
    expected = written_out(made, x, dense_hops(BALL))
    torch.testing.assert_close(made(x, BALL), expected, **EXACT)
    weights = made.attention_weights(x, BALL)
    torch.testing.assert_close(
        torch.zeros(11, 2, dtype=torch.float64).index_add(0, BALL.edge_index()[1], weights),
        torch.ones(11, 2, dtype=torch.float64),
    )


@pytest.mark.parametrize("ramp", [1.0, 2.0])
@pytest.mark.parametrize("backend", ["reference", None])
def test_gradients_are_those_of_the_formula(ramp, backend):
    made, x = layer([1.3, 2.6], ramp=ramp, backend=backend), features(11, 4).requires_grad_()
    assert gradcheck(lambda x, *_: called(made, x), (x, *made.parameters()))
    found = torch.autograd.grad(made(x, BALL).square().sum(), made.span.share)[0]
    expected = torch.autograd.grad(
        written_out(made, x, dense_hops(BALL)).square().sum(), made.span.share
    )[0]
    torch.testing.assert_close(found, expected)
    assert (found != 0).all()


@pytest.mark.parametrize("levels", LEVELS)
def test_gradients_through_every_level(levels):
    made, x = layer([1.3, 2.6], levels, feature_tokens=2), features(11, 4).requires_grad_()
    assert gradcheck(lambda x, *_: called(made, x), (x, *made.parameters()), fast_mode=True)


@pytest.mark.parametrize("levels", LEVELS)
@pytest.mark.parametrize("radius", [[0.0, 4.0], [1.0, 3.0], [2.0, 2.0], [-0.3, 4.7]])
def test_nothing_is_nan_at_a_kink(levels, radius):
    for ramp in (1.0, 2.0):
        made, x = layer(radius, levels, ramp), features(11, 4).requires_grad_()
        out = called(made, x)
        (out.square().sum() + made.span_penalty()).backward()
        assert out.isfinite().all() and x.grad.isfinite().all()
        for name, parameter in made.named_parameters():
            if parameter.grad is not None:
                assert parameter.grad.isfinite().all(), name


def test_the_gradient_at_a_kink_is_that_of_one_side():
    """Short of hop 2 something is lost, beyond it nothing changes until hop 3 comes in."""
    made, x = layer([2.0, 2.0]), features(11, 4)

    def loss(shift):
        made.span.share.data = torch.full((2,), (2.0 + shift) / 4, dtype=torch.float64)
        return made(x, BALL).square().sum()

    slope = torch.autograd.grad(loss(0.0), made.span.share)[0].sum() / 4
    step = 1e-6
    left = (loss(0.0) - loss(-step)) / step
    torch.testing.assert_close(slope, left.detach(), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("ramp", "alive"), [(0.5, False), (1.0, False), (2.0, True)])
def test_only_a_ramp_beyond_one_leads_back_from_zero(ramp, alive):
    made = layer([0.0, 0.0], ramp=ramp)
    made(features(11, 4), BALL).square().sum().backward()
    assert bool(made.span.share.grad.any()) == alive


def test_weight_decay_is_a_price_unless_the_share_is_left_out():
    def radius(group):
        made = LearnedSpan(4)
        optimizer = torch.optim.SGD([{"params": [made.share], **group}], lr=0.1, weight_decay=0.5)
        (0 * made.radius().sum()).backward()
        optimizer.step()
        return made.radius().item()

    assert radius({}) < 4 and radius({"weight_decay": 0.0}) == 4


@pytest.mark.parametrize(("num_hops", "ramp"), [(3, 1e-8), (100, 1e-6), (254, 1e-2), (7, 0.3)])
def test_a_short_ramp_starts_as_if_absent_too(num_hops, ramp):
    span = LearnedSpan(num_hops, 2, ramp=ramp)
    bias = torch.randn(num_hops + 1, 2)
    assert torch.equal(span(bias), bias) and span.radii().tolist() == [num_hops] * 2


def test_a_step_too_far_is_taken_back():
    """Outside of its bounds z stays at them, and its gradient points inwards or is zero."""
    span = LearnedSpan(4, 4)
    span.share.data = torch.tensor([-0.1, -0.1, 1.1, 1.1])
    assert span.radius().tolist() == [0.0, 0.0, 4.0, 4.0]
    pull = torch.tensor([1.0, -1.0, 1.0, -1.0])
    slope = torch.autograd.grad((span.radius() * pull).sum(), span.share)[0]
    assert slope.tolist() == [0, -4, 4, 0]


@pytest.mark.parametrize("levels", LEVELS)
def test_it_starts_as_if_absent(levels):
    torch.manual_seed(0)
    plain = GraphAttention(4, 3, 2, hop_bias=4, levels=levels).double()
    torch.manual_seed(0)
    made = GraphAttention(4, 3, 2, hop_bias=4, levels=levels, span="learned").double()
    x = features(11, 4)
    assert torch.equal(called(made, x), called(plain, x))
    missing = made.load_state_dict(plain.state_dict(), strict=False)
    assert missing.missing_keys == ["span.share"] and not missing.unexpected_keys


@pytest.mark.parametrize("levels", LEVELS[:3])
def test_rings_and_pairs_agree_on_what_is_within_reach(levels):
    flat, deep = layer([1.4, 3.0]), layer([1.4, 3.0], ("node", "hop"))
    deep.load_state_dict(flat.state_dict(), strict=False)
    x = features(11, 4)
    torch.testing.assert_close(deep(x, BALL), flat(x, BALL), **EXACT)


@pytest.mark.parametrize("levels", LEVELS)
@pytest.mark.parametrize(("radius", "enough"), [([0.0, 1.0], 1), ([0.5, 1.7], 2), ([2.0, 0.1], 2)])
def test_a_smaller_neighbourhood_is_enough(levels, radius, enough):
    made, x = layer(radius, levels), features(11, 4)
    assert int(made.radii().max()) == enough
    smaller = gattn.k_hop(EDGES, enough, 11)
    assert smaller.num_pairs < BALL.num_pairs
    torch.testing.assert_close(called(made, x, smaller), called(made, x), **EXACT)


def test_radii_are_counted_by_what_is_left():
    made = layer([2.0, 2.0])
    for radius, half, any_left in (
        (0.0, 0, 0), (0.4, 0, 1), (0.6, 1, 1), (2.0, 2, 2), (2.4, 2, 3), (4.0, 4, 4),
    ):  # fmt: skip
        made.span.share.data.fill_(radius / 4)
        assert made.radii(0.5).tolist() == [half] * 2
        assert made.radii().tolist() == [any_left] * 2
    made.span.share.data = torch.tensor([0.15, 0.65], dtype=torch.float64)
    found = made.inspect(features(11, 4), BALL)
    assert found["radius"].tolist() == [1, 3]
    torch.testing.assert_close(found["span"], torch.tensor([0.6, 2.6], dtype=torch.float64))


def test_rows_out_of_reach_are_zero():
    """Without hop 0 in the neighbourhood a short radius leaves a row with nobody."""
    around = gattn.k_hop(EDGES, 4, 11, shells=[3, 4])
    for levels in LEVELS[:3]:
        made, x = layer([0.0, 1.0], levels, bias=False), features(11, 4).requires_grad_()
        out = made(x, around)
        assert (out == 0).all()
        out.sum().backward()
        assert (x.grad == 0).all() and made.span.share.grad.isfinite().all()


def test_two_node_sets_a_batch_axis_and_windows():
    torch.manual_seed(0)
    made = GraphAttention((4, 6), 3, 2, hop_bias=1, span="learned").double()
    made.span.share.data = torch.tensor([0.0, 0.4], dtype=torch.float64)
    edges = torch.tensor([[0, 1, 2, 8, 4], [0, 1, 2, 3, 4]])
    sides = features(5, 4), features(9, 6)
    out = made(sides, edges)
    assert out.shape == (5, 6)
    # Every pair between two sets is one hop long, whatever the numbers say.
    expected = torch.tensor([[0.0, 1.0]] * 5, dtype=torch.float64)
    torch.testing.assert_close(made.attention_weights(sides, edges), expected)

    made, x = layer([1.3, 2.6]), features(2, 11, 4)
    torch.testing.assert_close(made(x, BALL), torch.stack([made(one, BALL) for one in x]), **EXACT)
    band = gattn.window(11, 4)
    torch.testing.assert_close(made(x, band), made(x, band.expand()), **EXACT)
    near = layer([1.0, 1.0])
    torch.testing.assert_close(near(x, band), near(x, gattn.window(11, 1)), **EXACT)


def test_hops_beyond_the_last_count_as_the_last():
    made, x = layer([2.0, 1.5], hop_bias=2), features(11, 4)
    hop = dense_hops(BALL)
    expected = written_out(made, x, torch.where(hop > 2, 2, hop))
    torch.testing.assert_close(made(x, BALL), expected, **EXACT)


@pytest.mark.parametrize("num_hops", [0, 250])
def test_no_hops_and_many(num_hops):
    span = LearnedSpan(num_hops, 3, ramp=2.0, price=0.5).double()
    bias = torch.zeros(num_hops + 1, 3, dtype=torch.float64)
    assert torch.equal(span(bias), bias)
    assert span.radii().tolist() == [num_hops] * 3
    span.share.data.zero_()
    assert span.radii().tolist() == [min(1, num_hops)] * 3
    assert span(bias)[0].tolist() == [0.0] * 3
    assert span.penalty().item() == 0.0


def test_the_price_is_that_of_the_mean_radius():
    made = layer([1.0, 3.0], span_price=0.5)
    made.span_penalty().backward()
    assert made.span_penalty().item() == 1.0
    assert made.span.share.grad.tolist() == [1.0, 1.0]  # 0.5 * K / H


def test_a_price_makes_it_shrink_to_what_is_needed():
    """The value of the node at two hops is wanted: nothing farther is, and nothing less will do."""
    torch.manual_seed(0)
    x = features(40, 4)
    line = torch.stack([torch.arange(39), torch.arange(1, 40)])
    around, goal = gattn.k_hop(line, 5, 40), torch.cat([torch.zeros(2, 4), x[:-2]]).double()
    made = GraphAttention(4, 4, hop_bias=5, span="learned", span_price=0.01).double()
    optimizer, loss = torch.optim.Adam(made.parameters(), lr=0.02), torch.ones(())
    for _ in range(400):
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(made(x, around)[2:], goal[2:])
        (loss + made.span_penalty()).backward()
        optimizer.step()
    assert loss < 0.05
    assert made.radii().tolist() == [2]


def test_copies_state_and_reset():
    made, x = layer([1.3, 2.6]), features(11, 4)
    for copied in (copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert torch.equal(copied(x, BALL), made(x, BALL))
    other = layer([4.0, 4.0], seed=1)
    other.load_state_dict(made.state_dict())
    assert torch.equal(other(x, BALL), made(x, BALL))
    made.reset_parameters()
    assert made.span.radius().tolist() == [4.0, 4.0]
    assert repr(made.span) == "LearnedSpan(num_hops=4, heads=2, ramp=1.0, price=0.0)"
    assert made.half().span.radius().dtype == torch.float16


@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")
def test_compiled_layers():
    made, x = layer([1.3, 2.6]), features(11, 4)
    traced = torch.compile(made, fullgraph=True, backend="aot_eager")
    out = traced(x, BALL)
    torch.testing.assert_close(out, made(x, BALL))
    found, expected = (
        torch.autograd.grad(each.square().sum(), made.span.share)[0]
        for each in (out, made(x, BALL))
    )
    torch.testing.assert_close(found, expected)


def test_a_model_has_one_for_every_block():
    model = AttentionGNN(4, 8, 2, heads=2, hop_bias=4, span="learned", span_price=0.1)
    spans = [module for module in model.modules() if isinstance(module, LearnedSpan)]
    assert len(spans) == 2 and all(span.price == 0.1 for span in spans)
    assert model(torch.ones(11, 4), BALL).shape == (11, 8)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: LearnedSpan(-1), ValueError, "num_hops: found -1"),
        (lambda: LearnedSpan(2, 0), ValueError, "heads: found 0"),
        (lambda: LearnedSpan(2, ramp=0.0), ValueError, "span_ramp: found 0.0"),
        (lambda: LearnedSpan(2, price=-1.0), ValueError, "span_price: found -1.0, expected a num"),
        (lambda: LearnedSpan(2, price="1"), TypeError, "span_price: found '1', expected a number"),
        (lambda: LearnedSpan(2).radii(2.0), ValueError, "above: found 2.0"),
        (lambda: layer([4, 4], span="soft"), TypeError, "span"),
        (
            lambda: GraphAttention(4, 3, span="soft"),
            ValueError,
            "span: found 'soft', expected one of learned",
        ),
        (
            lambda: GraphAttention(4, 3, span="learned"),
            ValueError,
            "hop_bias: found None, expected a number of hops for span='learned'",
        ),
        (
            lambda: layer([4, 4], normalizer=normalizers.TopK(2)),
            ValueError,
            r"span: found 'learned' with TopK\(k=2\), expected Softmax\(\) with it",
        ),
        (
            lambda: layer([4, 4], ("cluster",)),
            ValueError,
            r"span: found 'learned' with \('cluster',\), which attend to no pairs",
        ),
        (
            lambda: GraphAttention(4, 3).radii(),
            ValueError,
            "span: found None, expected a layer with span='learned'",
        ),
        (lambda: GraphAttention(4, 3).span_penalty(), ValueError, "span: found None"),
    ],
)
def test_errors_name_what_is_wrong(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_masked_hops_are_left_out_of_the_bias():
    span = LearnedSpan(3, ramp=2.0)
    span.share.data.fill_(0.5)
    found = span(torch.ones(4, 1))[:, 0]
    expected = 1 + torch.tensor([1.0, 1.0, 0.75, 0.25]).log()
    torch.testing.assert_close(found, expected)
    span.share.data.zero_()
    assert span(torch.ones(4, 1))[2:, 0].tolist() == [MASKED, MASKED]
