"""DiffusionAttention: one hop of weights, many rounds, and the interface of GraphAttention."""

import copy
import pickle

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

import gattn
from gattn import normalizers, scores
from gattn.nn import DiffusionAttention, GraphAttention, RoundGate

EDGES = torch.randint(0, 9, (2, 30), generator=torch.Generator().manual_seed(0))
BALL = gattn.k_hop(EDGES, 1, 9)


def features(*size, seed=0, dtype=torch.float64):
    return torch.randn(size, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def layer(*arguments, seed=0, **options):
    torch.manual_seed(seed)
    return DiffusionAttention(*arguments, **options).double()


@pytest.mark.parametrize("score", [getattr(scores, n) for n in scores.__all__ if n != "Score"])
def test_every_score(score):
    made = layer(4, 3, heads=2, score=score, hop_bias=1)
    made(features(9, 4), BALL).square().sum().backward()
    for name, parameter in made.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name


@pytest.mark.parametrize("share", [False, True])
@pytest.mark.parametrize("score", [scores.ScaledDot, scores.GAT, scores.GATv2])
@pytest.mark.parametrize("normalizer", [None, normalizers.Sparsemax(), normalizers.Tanh()], ids=str)
def test_it_diffuses_its_own_weights(share, score, normalizer):
    options = {"score": score, "share_key_value": share, "normalizer": normalizer, "concat": False}
    made, x = layer(4, 3, heads=2, rounds=4, restart=0.2, **options), features(9, 4)
    made.bias.data = features(3)
    weights = made.attention_weights(x, BALL)
    value = (made.lin_key if share else made.lin_value)(x).view(9, 2, 3)
    source, target = BALL.edge_index()
    state = value
    for _ in range(4):
        summed = torch.zeros_like(value).index_add(0, target, weights[:, :, None] * state[source])
        state = 0.8 * summed + 0.2 * value
    torch.testing.assert_close(made(x, BALL), state.mean(dim=1) + made.bias)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_one_round_without_restart_is_graph_attention(dropout):
    options = {"dropout": dropout, "score": scores.GATv2, "backend": "cpu"}
    made = layer(4, 3, heads=2, rounds=1, restart=0.0, **options)
    flat = GraphAttention(4, 3, heads=2, **options).double()
    flat.load_state_dict(made.state_dict())
    found = []
    for module in (made, flat):
        torch.manual_seed(9)
        found.append(module(features(9, 4), EDGES))
    torch.testing.assert_close(*found, rtol=1e-12, atol=1e-12)


def test_breadth_is_the_number_of_rounds():
    path = torch.tensor([[0, 1, 2, 3], [1, 2, 3, 4]])
    x = features(5, 4).requires_grad_()
    for rounds in range(5):
        out = layer(4, 3, rounds=rounds, score=scores.Cosine)(x, gattn.k_hop(path, 1, 5))
        (grad,) = torch.autograd.grad(out[4].sum(), x)
        assert (grad.abs().sum(dim=1) > 0).tolist() == [4 - i <= rounds for i in range(5)]


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_first_and_second_derivatives(backend):
    made = layer(3, 2, heads=2, rounds=3, hop_bias=1, edge_dim=1, backend=backend)
    x, edge_attr = features(9, 3).requires_grad_(), features(30).requires_grad_()
    leaves = (x, edge_attr, *made.parameters())

    def call(x, edge_attr, *_):
        return made(x, EDGES, edge_attr=edge_attr)

    assert gradcheck(call, leaves)
    assert gradgradcheck(call, leaves)


def test_a_batch_axis():
    made, x = layer(4, 3, heads=2), features(2, 9, 4)
    expected = torch.stack([made(each, BALL) for each in x])
    torch.testing.assert_close(made(x, BALL), expected)


def test_dropout_only_in_training():
    x = features(9, 4)
    for name in ("dropout", "feature_dropout"):
        made = layer(4, 3, **{name: 0.5})
        assert not torch.equal(made(x, BALL), made(x, BALL))
        made.eval()
        assert torch.equal(made(x, BALL), made(x, BALL))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_types(dtype):
    made, x = layer(4, 3, heads=2), features(9, 4)
    found = copy.deepcopy(made).to(dtype)(x.to(dtype), BALL)
    assert found.dtype == dtype
    torch.testing.assert_close(found.double(), made(x, BALL), atol=0.05, rtol=0.05)


def test_autocast_reaches_the_projections_only():
    made, x = layer(4, 3, heads=2).float(), features(9, 4, dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        found = made(x, BALL)
    torch.testing.assert_close(found.float(), made(x, BALL), atol=0.05, rtol=0.05)


def test_equivariant_under_a_permutation_of_the_nodes():
    made, x = layer(4, 3, heads=2), features(9, 4)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(1))
    moved = torch.empty_like(x).index_copy(0, order, x)
    torch.testing.assert_close(made(moved, order[EDGES])[order], made(x, EDGES))


def test_compiled_it_is_the_same():
    made, x = layer(4, 3, heads=2, rounds=3), features(9, 4)
    compiled = torch.compile(made, backend="aot_eager")
    torch.testing.assert_close(compiled(x, BALL), made(x, BALL))


def test_its_place_among_modules():
    made, x = layer(-1, 3, heads=2, rounds=2), features(9, 4)
    out = made(x, BALL)
    other = layer(4, 3, heads=2, rounds=2, seed=1)
    other.load_state_dict(made.state_dict())
    assert torch.equal(other(x, BALL), out)
    assert torch.equal(pickle.loads(pickle.dumps(made))(x, BALL), out)
    made.reset_parameters()
    assert not torch.equal(made(x, BALL), out)
    assert repr(other) == "DiffusionAttention(4, 3, heads=2, rounds=2, restart=0.1)"


def test_rounds_bring_no_parameters():
    sizes = [sum(p.numel() for p in layer(4, 3, rounds=k).parameters()) for k in (0, 1, 50)]
    assert len(set(sizes)) == 1
    assert [n for n, _ in layer(4, 3, edge_dim=2).named_parameters() if "edge" in n] == ["edge_key"]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"rounds": 1.5}, TypeError, "rounds: found 1.5"),
        ({"rounds": -1}, ValueError, "rounds: found -1"),
        ({"restart": 2}, ValueError, "restart: found 2"),
        ({"feature_dropout": "no"}, TypeError, "feature_dropout: found 'no'"),
        ({"in_channels": (4, 4)}, TypeError, r"in_channels: found \(4, 4\)"),
    ],
)
def test_arguments_out_of_range(options, error, message):
    with pytest.raises(error, match=message):
        layer(**{"in_channels": 4, "out_channels": 3} | options)


def test_what_does_not_fit_is_refused():
    made, x = layer(4, 3), features(9, 4)
    with pytest.raises(TypeError, match="x: found a tuple, expected one tensor"):
        made((x, x), BALL)
    with pytest.raises(TypeError, match="x: found a tuple"):
        made.attention_weights((x, x), BALL)
    with pytest.raises(ValueError, match="targets and 9 sources"):
        made(x, gattn.from_edge_index(EDGES % 5, (9, 5)))
    with pytest.raises(ValueError, match="clusters: found some, expected none"):
        made(x, BALL, clusters=gattn.clusters(torch.zeros(9, dtype=torch.long)))
    with pytest.raises(ValueError, match="edge_attr: found one, expected none"):
        made(x, EDGES, edge_attr=features(30))


def test_it_trains():
    model = torch.nn.ModuleList([layer(4, 8, rounds=3), layer(8, 2, rounds=3)])
    x, labels = features(9, 4), torch.arange(9) % 2
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    losses = []
    for _ in range(60):
        logits = model[1](model[0](x, BALL).relu(), BALL)
        losses.append(torch.nn.functional.cross_entropy(logits, labels))
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < 0.3 * losses[0]


def test_a_gate_looks_at_what_it_lets_through():
    made, rounds = RoundGate(2, 3).double(), features(5, 9, 2, 3)
    made.bias.data = features(2, seed=1)
    logits = torch.einsum("knhc,hc->knh", rounds, made.weight) + made.bias
    torch.testing.assert_close(made.gates(rounds), logits.sigmoid())
    torch.testing.assert_close(made(rounds), (logits.sigmoid()[..., None] * rounds).sum(0))
    assert gradcheck(made, rounds.requires_grad_())
    made.reset_parameters()
    assert not made.bias.any() and made.weight.abs().max() <= 3**-0.5


@pytest.mark.parametrize("batch", [(), (2,)])
def test_gates_sum_the_rounds_of_the_layer(batch):
    made, x = layer(4, 3, heads=2, rounds=3, restart=0.2, readout="gate"), features(*batch, 9, 4)
    last = DiffusionAttention(4, 3, heads=2, rounds=3, restart=0.2).double()
    state = made.state_dict()
    last.load_state_dict({k: v for k, v in state.items() if not k.startswith("round_gate")})
    found = []
    for rounds in range(4):
        last.rounds = rounds
        found.append((last(x, BALL) - last.bias).unflatten(-1, (2, 3)))
    expected = made.round_gate(torch.stack(found)).flatten(-2) + made.bias
    torch.testing.assert_close(made(x, BALL), expected)


def test_an_unknown_readout_is_refused():
    with pytest.raises(ValueError, match="readout: found 'mean'"):
        DiffusionAttention(4, 3, readout="mean")
