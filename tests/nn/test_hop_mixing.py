"""Rings that are put together by gates and by signed coefficients."""

import copy
import pickle

import pytest
import torch
from torch.autograd import gradcheck

import gattn
from gattn import normalizers
from gattn.nn import AttentionGNN, GraphAttention, HopLevel

EXACT = {"atol": 1e-12, "rtol": 1e-12}
MIXINGS = ["gate", "signed"]
LEVELS = [("hop",), ("node", "hop"), ("feature", "node", "hop", "cluster")]
NORMALIZERS = [
    normalizers.Softmax(),
    normalizers.Sparsemax(),
    normalizers.Entmax15(),
    normalizers.Sigmoid(),
    normalizers.Tanh(),
    normalizers.TopK(2),
    normalizers.Hard(),
]
# Nodes 7 and 8 have no edge, not even from themselves; node 9 is a target alone.
EDGES = torch.randint(0, 7, (2, 20), generator=torch.Generator().manual_seed(0))
EDGES = torch.cat([EDGES, torch.tensor([[0], [9]])], dim=1)
BALL = gattn.k_hop(EDGES, 2, 10, shells=[1, 2])
CLUSTERS = gattn.clusters(torch.arange(10) % 3)


def features(*size, seed=0, dtype=torch.float64):
    return torch.randn(size, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def layer(mixing, levels=("node", "hop"), *sizes, stir=1.0, **options):
    torch.manual_seed(0)
    options = {"hop_bias": 2, "feature_tokens": 2, "hop_mixing": mixing} | options
    made = GraphAttention(*(sizes or (4, 3, 2)), levels=levels, **options).double()
    for parameter in made.parameters():
        parameter.data += stir * 0.3 * torch.randn_like(parameter)
    return made


def given(made):
    return {"clusters": CLUSTERS} if "cluster" in made.levels else {}


def written_out(made, x, around):
    """The output, ring by ring, and the coefficients `[N, K + 1, H]`."""
    size = made.heads, made.out_channels
    query, key, value = (
        lin(x).view(-1, *size) for lin in (made.lin_query, made.lin_key, made.lin_value)
    )
    source, target = around.edge_index()
    level, count = made.hop_level, around.num_hops + 1
    out, found = torch.zeros(len(x), *size).double(), torch.zeros(len(x), count, size[0]).double()
    for i in range(len(x)):
        for d in range(count):
            seen = source[(target == i) & (around.hop == d)]
            if not len(seen):
                continue
            last = min(d, len(level.ring_bias) - 1)
            score = torch.einsum("hc,nhc->nh", query[i], key[seen]) / size[1] ** 0.5
            inside = torch.einsum("nh,nhc->hc", score.softmax(0), value[seen])
            asked = query[i] if level.mixing == "signed" else inside
            fit = (asked * level.ring_key[last]).sum(-1) / size[1] ** 0.5
            bias = level.ring_bias[last]
            found[i, d] = bias + fit.tanh()
            if level.mixing == "gate":
                found[i, d] = (bias + fit).sigmoid() * 2 / len(level.ring_bias)
            out[i] += found[i, d][:, None] * inside
    return out.flatten(1) + made.bias, found


@pytest.mark.parametrize("num_hops", [1, 2, 3])
@pytest.mark.parametrize("mixing", MIXINGS)
def test_a_layer_is_its_formula(mixing, num_hops):
    made, x = layer(mixing, hop_bias=num_hops), features(10, 4)
    out, coefficient = written_out(made, x, BALL)
    torch.testing.assert_close(made(x, BALL), out, **EXACT)
    torch.testing.assert_close(made.inspect(x, BALL)["hop"], coefficient, **EXACT)
    if mixing == "signed" and num_hops > 1:
        assert (coefficient < 0).any() and (coefficient > 0).any()


@pytest.mark.parametrize("mixing", MIXINGS)
def test_it_starts_as_the_mean_of_the_rings(mixing):
    made, x = layer(mixing, stir=0.0, bias=False).float(), features(10, 4, dtype=torch.float32)
    query, key, value = (
        lin(x).view(10, 2, 3) for lin in (made.lin_query, made.lin_key, made.lin_value)
    )
    inside = gattn.attend(query, key, value, BALL.rings()).unflatten(0, (10, 3))
    torch.testing.assert_close(made(x, BALL), inside.mean(1).flatten(1))
    before = made(x, BALL)
    for parameter in made.hop_level.parameters():
        parameter.data += 1.0
    assert not torch.allclose(made(x, BALL), before)
    made.hop_level.reset_parameters()
    assert torch.equal(made(x, BALL), before)


@pytest.mark.parametrize("levels", LEVELS)
@pytest.mark.parametrize("mixing", MIXINGS)
def test_gradients(mixing, levels):
    made, x = layer(mixing, levels, 3, 2, 2), features(10, 3).requires_grad_()
    mask = torch.zeros(BALL.num_pairs, dtype=torch.float64)
    mask[[0, 5]] = float("-inf")

    def run(x, *_):
        return made(x, BALL, pair_bias=mask, **given(made))

    assert gradcheck(run, (x, *made.parameters()), fast_mode=True)
    run(x).sum().backward()
    for name, parameter in made.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name


@pytest.mark.parametrize("edge_dim", [None, 2])
@pytest.mark.parametrize("normalizer", NORMALIZERS, ids=str)
@pytest.mark.parametrize("mixing", MIXINGS)
def test_the_weights_are_those_of_the_output(mixing, normalizer, edge_dim):
    made = layer(mixing, normalizer=normalizer, edge_dim=edge_dim, bias=False)
    x, edges = (
        features(10, 4),
        {} if edge_dim is None else {"edge_attr": features(BALL.num_pairs, 2)},
    )
    weights = made.attention_weights(x, BALL, **edges)
    source, target = BALL.edge_index()
    value = made.lin_value(x).view(10, 2, 3)[source]
    if edge_dim is not None:
        value = value + torch.einsum("ef,fhc->ehc", edges["edge_attr"], made.edge_value)
    expected = torch.zeros(10, 2, 3).double().index_add(0, target, weights[..., None] * value)
    torch.testing.assert_close(made(x, BALL, **edges), expected.flatten(1), **EXACT)


@pytest.mark.parametrize("levels", LEVELS)
@pytest.mark.parametrize("mixing", MIXINGS)
def test_a_batch_axis_is_a_loop(mixing, levels):
    made, x = layer(mixing, levels), features(2, 10, 4)
    expected = torch.stack([made(one, BALL, **given(made)) for one in x])
    torch.testing.assert_close(made(x, BALL, **given(made)), expected, **EXACT)
    found = made.inspect(x, BALL, **given(made))
    assert found["hop"].shape == (2, 10, 3, 2)
    assert found["pair_ring"].shape == (2, BALL.num_pairs, 2)
    for name, value in made.inspect(x[0], BALL, **given(made)).items():
        torch.testing.assert_close(found[name][0], value, **EXACT)


@pytest.mark.parametrize("levels", LEVELS)
@pytest.mark.parametrize("mixing", MIXINGS)
def test_rows_without_pairs_are_zero(mixing, levels):
    made, x = layer(mixing, levels, bias=False), features(10, 4).requires_grad_()
    out = made(x, BALL, **given(made))
    if "cluster" not in levels:
        assert (out[[7, 8]] == 0).all()
        assert (made.inspect(x, BALL)["hop"][[7, 8]] == 0).all()
    out.square().sum().backward()
    assert x.grad.isfinite().all()
    nobody = layer(mixing, levels)
    assert nobody(x[:0], gattn.k_hop(EDGES[:, :0], 2, 0), **none(nobody)).shape == (0, 6)


def none(made):
    empty = torch.zeros(0, dtype=torch.int64)
    return {"clusters": gattn.clusters(empty)} if "cluster" in made.levels else {}


@pytest.mark.parametrize("mixing", MIXINGS)
def test_two_node_sets_windows_and_half_types(mixing):
    made = layer(mixing, ("node", "hop"), (4, 6), 3, 2)
    edges = torch.tensor([[0, 1, 2, 8, 4], [0, 1, 2, 3, 4]])
    assert made((features(5, 4), features(9, 6)), edges).shape == (5, 6)
    made, x, band = layer(mixing), features(10, 4), gattn.window(10, 2)
    torch.testing.assert_close(made(x, band), made(x, band.expand()), **EXACT)
    exact = made(x, BALL)
    with torch.autocast("cpu", torch.bfloat16):
        low = made.float()(x.float(), BALL)
    torch.testing.assert_close(low.double(), exact, atol=5e-2, rtol=5e-2)
    assert made.to(torch.bfloat16)(x.bfloat16(), BALL).dtype == torch.bfloat16


@pytest.mark.parametrize("mixing", MIXINGS)
def test_shared_values_copies_and_state(mixing):
    shared, apart = layer(mixing, share_key_value=True), layer(mixing)
    apart.load_state_dict(shared.state_dict() | {"lin_value.weight": shared.lin_key.weight})
    x = features(10, 4)
    torch.testing.assert_close(shared(x, BALL), apart(x, BALL), **EXACT)
    for copied in (copy.deepcopy(apart), pickle.loads(pickle.dumps(apart))):
        assert torch.equal(copied(x, BALL), apart(x, BALL))
    model = AttentionGNN(4, 8, 2, heads=2, hop_bias=2, levels=("node", "hop"), hop_mixing=mixing)
    assert model(x.float(), BALL).shape == (10, 8)
    assert not any(name.endswith("hop_bias") for name, _ in model.named_parameters())


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor", "ignore:.*be instantiated")
@pytest.mark.parametrize("mixing", MIXINGS)
def test_compiled_layers(mixing):
    made, x = layer(mixing), features(10, 4)
    torch._dynamo.reset()
    found = torch.compile(made, backend="eager")(x, BALL)
    torch.testing.assert_close(found, made(x, BALL), **EXACT)
    torch._dynamo.reset()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layer("sign"), "hop_mixing: found 'sign', expected one of softmax, gate, signed"),
        (
            lambda: layer("gate", ("node",)),
            "hop_mixing: found 'gate', expected the level 'hop' with it",
        ),
        (
            lambda: layer("gate", per_channel=True),
            "hop_mixing: found 'gate', expected 'softmax' with per_channel",
        ),
        (
            lambda: layer("signed", span="learned"),
            "span: found 'learned' with 'signed' rings, expected 'softmax'",
        ),
        (lambda: HopLevel(2, 3, 2, True, "gate"), "hop_mixing: found 'gate', expected 'softmax'"),
    ],
)
def test_errors_name_what_is_wrong(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_one_head_of_signed_rings_takes_a_difference():
    """The mean of ring 1 less the mean of ring 2: no mixture of the two, whatever its weights."""
    torch.manual_seed(0)
    circle = torch.stack([torch.arange(60), (torch.arange(60) + 1) % 60])
    around = gattn.k_hop(torch.cat([circle, circle.flip(0)], 1), 2, 60)
    x = torch.randn(60, 1)
    means = [sum(x.roll(step, 0) for step in (-d, d)) / 2 for d in (1, 2)]
    losses = {}
    for mixing in ("softmax", "signed"):
        torch.manual_seed(0)
        made = GraphAttention(1, 1, hop_bias=2, levels=("hop",), hop_mixing=mixing)
        optimizer = torch.optim.Adam(made.parameters(), lr=0.02)
        loss = torch.ones(())
        for _ in range(300):
            optimizer.zero_grad()
            loss = torch.nn.functional.mse_loss(made(x, around), means[0] - means[1])
            loss.backward()
            optimizer.step()
        losses[mixing] = loss.item()
    assert losses["signed"] < 0.01 < 0.2 < losses["softmax"]
