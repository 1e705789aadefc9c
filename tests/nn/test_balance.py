"""Two branches and a gate."""

import copy
import pickle

import pytest
import torch
from torch.autograd import gradcheck

import gattn
from gattn.nn import DepthBreadth

EXACT = {"atol": 1e-12, "rtol": 1e-12}
EDGES = torch.randint(0, 8, (2, 20), generator=torch.Generator().manual_seed(0))
NEAR, FAR = gattn.k_hop(EDGES, 1, 9), gattn.k_hop(EDGES, 3, 9)  # node 8 has only itself
POOLED = gattn.clusters(torch.tensor([0, 0, 1, 1, 1, 2, 2, 2, 0]))
CLUSTERED = {"fine": {"levels": ("node", "cluster")}, "broad": {"levels": ("node", "hop")}}
CLUSTERED["broad"]["hop_bias"] = 3


def features(*size, seed=0):
    return torch.randn(
        size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    ).requires_grad_()


def balance(*sizes, stir=0.0, **options):
    torch.manual_seed(0)
    made = DepthBreadth(*(sizes or (4, 3, 2)), **options).double()
    for parameter in made.parameters():
        if not isinstance(parameter, torch.nn.UninitializedParameter):
            parameter.data += stir * torch.randn_like(parameter)
    return made


def branches(made, x, **clusters):
    return made.fine(x, NEAR, **clusters), made.broad(x, FAR)


def test_it_starts_half_and_half():
    made, x = balance(), features(9, 4)
    fine, broad = branches(made, x)
    torch.testing.assert_close(made(x, NEAR, FAR), (fine + broad) / 2, **EXACT)
    gate = made.inspect(x, NEAR, FAR)["gate"]
    assert torch.equal(gate, torch.full((9, 2), 0.5, dtype=torch.float64))
    assert made.fine.levels == ("feature", "node") and made.broad.levels == ("node",)


@pytest.mark.parametrize("batch", [(), (3,)])
@pytest.mark.parametrize("concat", [True, False])
def test_it_is_its_formula(concat, batch):
    made, x = balance(stir=0.5, concat=concat, **CLUSTERED), features(*batch, 9, 4)
    fine, broad = (out.unflatten(-1, (2, 3)) for out in branches(made, x, clusters=POOLED))
    parts = torch.cat([fine, broad, fine - broad], -1).flatten(-2)
    gate = torch.sigmoid(parts @ made.lin_gate.weight.T + made.lin_gate.bias)[..., None]
    mixed = gate * fine + (1 - gate) * broad
    expected = (mixed.flatten(-2) if concat else mixed.mean(-2)) + made.bias
    torch.testing.assert_close(made(x, NEAR, FAR, clusters=POOLED), expected, **EXACT)
    found = made.inspect(x, NEAR, FAR, clusters=POOLED)
    torch.testing.assert_close(found["gate"], gate[..., 0], **EXACT)
    assert found["fine"].keys() == {"node", "pool", "cluster", "share"}
    assert found["broad"].keys() == {"node", "hop", "pair_ring"}


@pytest.mark.parametrize("stir", [0.0, 0.5])
def test_gradients(stir):
    made, x = balance(stir=stir, **CLUSTERED), features(9, 4)

    def run(x, *_):
        return made(x, NEAR, FAR, clusters=POOLED)

    assert gradcheck(run, (x, *made.parameters()), fast_mode=True)
    run(x).sum().backward()
    assert all(parameter.grad is not None for parameter in made.parameters())


def test_an_open_gate_is_one_branch():
    made, x = balance(bias=False), features(9, 4)
    for push, chosen in ((1e3, 0), (-1e3, 1)):
        made.lin_gate.bias.data.fill_(push)
        torch.testing.assert_close(made(x, NEAR, FAR), branches(made, x)[chosen], **EXACT)
    assert made.bias is None


def test_lazy_pairs_of_node_sets_copies_and_state():
    made = balance((-1, -1), 3, 2)
    x = features(9, 5), features(7, 6)
    around = gattn.full((7, 9))
    edges = torch.tensor([[0, 6, 3], [8, 8, 0]])
    out = made(x, edges, around)
    assert out.shape == (9, 6)
    fresh = balance((-1, -1), 3, 2)
    fresh.load_state_dict(made.state_dict())
    for copied in (copy.deepcopy(made), pickle.loads(pickle.dumps(made)), fresh):
        assert torch.equal(copied(x, edges, around), out)
    assert repr(made) == "DepthBreadth((-1, -1), 3, heads=2)"


def test_reset_leaves_nothing_behind():
    made = balance(**CLUSTERED)
    for parameter in made.parameters():
        parameter.data.fill_(7.0)
    made.reset_parameters()
    assert not any((parameter == 7.0).any() for parameter in made.parameters())
    x = features(9, 4)
    fine, broad = branches(made, x, clusters=POOLED)
    out = made(x, NEAR, FAR, clusters=POOLED)
    torch.testing.assert_close(out, (fine + broad) / 2, **EXACT)


def test_what_is_shared_reaches_both_branches_and_yields_to_their_own():
    made = balance(dropout=0.5, broad={"dropout": 0.25})
    assert (made.fine.dropout, made.broad.dropout) == (0.5, 0.25)
    x = features(9, 4)
    assert not torch.equal(made(x, NEAR, FAR), made(x, NEAR, FAR))
    made.eval()
    assert torch.equal(made(x, NEAR, FAR), made(x, NEAR, FAR))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_types(dtype):
    made, x = balance(stir=0.3), features(9, 4)
    exact = made(x, NEAR, FAR)
    low = made.to(dtype)(x.to(dtype), NEAR, FAR)
    assert low.dtype == dtype
    torch.testing.assert_close(low.double(), exact, atol=0.1, rtol=0.1)


def test_nodes_and_graphs_of_nothing():
    made, none = balance(stir=0.5), gattn.full(0)
    assert made(features(0, 4), none, none).shape == (0, 6)
    assert made.inspect(features(0, 4), none, none)["gate"].shape == (0, 2)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: balance(fine={"concat": False}), ValueError, "fine: found 'concat', expected it"),
        (lambda: balance(broad={"concat": 1}), ValueError, "broad: found 'concat', expected it"),
        (lambda: balance(edge_dim=2), ValueError, "edge_dim: found one, expected none"),
        (lambda: balance(4, 0), ValueError, "out_channels: found 0"),
        (lambda: balance(levels=("hop",)), ValueError, "hop_bias: found None"),
        (
            lambda: balance()(features(9, 4), NEAR, FAR, clusters=POOLED),
            ValueError,
            "clusters: found some, expected none: no branch has the level 'cluster'",
        ),
        (
            lambda: balance(**CLUSTERED)(features(9, 4), NEAR, FAR),
            ValueError,
            "clusters: found none, expected some",
        ),
    ],
)
def test_errors_name_what_is_wrong(make, error, message):
    with pytest.raises(error, match=message) as raised:
        make()
    assert "\n" not in str(raised.value)
