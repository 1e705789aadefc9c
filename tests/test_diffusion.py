"""Weights that are there already: summed once, and over many rounds."""

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

import gattn

EDGES = torch.randint(0, 9, (2, 30), generator=torch.Generator().manual_seed(0))
HOP = gattn.from_edge_index(EDGES, 9)
BALL = gattn.k_hop(EDGES, 1, 9)
BACKENDS = ["cpu", "reference"]


def random(*size, seed=0, dtype=torch.float64):
    return torch.randn(size, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def normalized(around, heads=2, seed=1, dtype=torch.float64):
    sides = (random(around.num_targets, heads, 3, seed=seed, dtype=dtype) for _ in range(2))
    return gattn.attention_weights(*sides, around)


def dense(weights, around):
    """The weights as matrices `[..., H, N, M]`; duplicates add up."""
    source, target = around.edge_index()
    size = (*weights.shape[:-2], weights.shape[-1], around.num_targets, around.num_sources)
    matrix = weights.new_zeros(size)
    for pair, (j, i) in enumerate(zip(source.tolist(), target.tolist(), strict=True)):
        matrix[..., i, j] += weights[..., pair, :]
    return matrix


def product(matrix, value):
    return torch.einsum("...hij,...jhd->...ihd", matrix, value)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("batch", [(), (3,)])
def test_aggregate_is_a_product(backend, batch):
    around = gattn.from_edge_index(torch.stack([EDGES[0], EDGES[1] % 5]), (9, 5))
    weights, value = random(*batch, 30, 2), random(*batch, 9, 2, 4, seed=1)
    found = gattn.aggregate(weights, value, around, backend=backend)
    torch.testing.assert_close(found, product(dense(weights, around), value))


@pytest.mark.parametrize("dropout", [0.0, 0.4])
@pytest.mark.parametrize("around", [HOP, BALL, gattn.window(9, 2)], ids=str)
def test_aggregate_is_the_other_half_of_attend(dropout, around):
    query, key, value = (random(9, 5, 3, seed=seed) for seed in range(3))
    torch.manual_seed(5)
    expected = gattn.attend(query, key, value, around, dropout=dropout, backend="cpu")
    weights = gattn.attention_weights(query, key, around)
    torch.manual_seed(5)
    found = gattn.aggregate(weights, value, around, dropout=dropout)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("around", [HOP, BALL], ids=["edges", "ball"])
@pytest.mark.parametrize(("rounds", "restart"), [(1, 0.0), (3, 0.0), (6, 0.1), (4, 0.7), (3, 1.0)])
def test_diffusion_is_the_truncated_series(backend, around, rounds, restart):
    weights, value = normalized(around), random(9, 2, 4)
    step = dense(weights, around)
    powers = [torch.matrix_power(step, k) for k in range(rounds + 1)]
    series = sum(restart * (1 - restart) ** k * powers[k] for k in range(rounds))
    series = series + (1 - restart) ** rounds * powers[rounds]
    options = {"rounds": rounds, "restart": restart, "backend": backend}
    found = gattn.diffuse(weights, value, around, **options)
    torch.testing.assert_close(found, product(series, value), rtol=1e-12, atol=1e-12)


def test_many_rounds_solve_the_linear_system():
    weights, value = normalized(BALL), random(9, 2, 4)
    step = 0.7 * dense(weights, BALL)
    expected = 0.3 * product(torch.linalg.inv(torch.eye(9, dtype=step.dtype) - step), value)
    found = gattn.diffuse(weights, value, BALL, rounds=100, restart=0.3)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_weights_that_sum_to_one_still_do():
    ones = torch.ones(9, 2, 1, dtype=torch.float64)
    torch.testing.assert_close(gattn.diffuse(normalized(BALL), ones, BALL), ones)


@pytest.mark.parametrize("options", [{"rounds": 0}, {"restart": 1.0}, {"rounds": 0, "restart": 0}])
def test_nothing_happens_without_rounds_or_with_a_sure_restart(options):
    value = random(9, 2, 4)
    value[0, 0, 0] = float("inf")
    assert torch.equal(gattn.diffuse(normalized(HOP), value, HOP, dropout=0.5, **options), value)


def test_a_node_without_pairs_keeps_what_restarts():
    around = gattn.from_edge_index(torch.tensor([[0, 1], [1, 0]]), 3)
    weights, value = torch.ones(2, 1), random(3, 1, 2, dtype=torch.float32)
    found = gattn.diffuse(weights, value, around, rounds=5, restart=0.25)
    torch.testing.assert_close(found[2], 0.25 * value[2])
    looped = gattn.k_hop(torch.tensor([[0, 1], [1, 0]]), 1, 3)
    kept = gattn.diffuse(torch.full((5, 1), 0.5), value, looped, rounds=5, restart=0.25)
    assert not torch.equal(kept[2], found[2])
    assert gattn.diffuse(torch.ones(0, 1), value, gattn.from_edge_index(EDGES[:, :0], 3)).allclose(
        0.1 * value
    )


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("batch", [(), (2,)])
def test_first_and_second_derivatives(backend, batch):
    weights = random(*batch, 30, 2).requires_grad_()
    value = random(*batch, 9, 2, 2, seed=1).requires_grad_()

    def call(weights, value):
        return gattn.diffuse(weights, value, HOP, rounds=3, restart=0.3, backend=backend)

    assert gradcheck(call, (weights, value))
    assert gradgradcheck(call, (weights, value))


@pytest.mark.parametrize("backend", BACKENDS)
def test_derivatives_with_dropout(backend):
    weights, value = random(30, 2).requires_grad_(), random(9, 2, 2, seed=1).requires_grad_()

    def call(weights, value):
        torch.manual_seed(3)
        drops = {"dropout": 0.4, "feature_dropout": 0.3, "backend": backend}
        return gattn.diffuse(weights, value, HOP, rounds=3, **drops)

    assert gradcheck(call, (weights, value))


@pytest.mark.parametrize("part", [0, 1])
def test_only_one_of_the_two_has_a_gradient(part):
    leaves = [normalized(HOP), random(9, 2, 2)]
    alone = [leaf.clone().requires_grad_(at == part) for at, leaf in enumerate(leaves)]
    both = [leaf.clone().requires_grad_() for leaf in leaves]
    for given in (alone, both):
        gattn.diffuse(*given, HOP).square().sum().backward()
    assert torch.equal(alone[part].grad, both[part].grad)
    assert alone[1 - part].grad is None


def test_both_backends_drop_the_same_weights_and_others_in_every_round():
    weights, value = normalized(HOP), random(9, 2, 4)
    found = []
    for backend in BACKENDS:
        torch.manual_seed(7)
        found.append(gattn.diffuse(weights, value, HOP, dropout=0.5, backend=backend))
    torch.testing.assert_close(*found)
    torch.manual_seed(7)
    state = value
    for _ in range(6):
        state = 0.9 * gattn.aggregate(weights, state, HOP, dropout=0.5) + 0.1 * value
    torch.testing.assert_close(found[0], state)


@pytest.mark.parametrize("name", ["dropout", "feature_dropout"])
def test_dropout_changes_nothing_on_average(name):
    weights, value = normalized(BALL, heads=1), random(9, 1, 2)
    many, copies = 400, 50
    torch.manual_seed(0)
    drawn = torch.stack(
        [
            gattn.diffuse(
                weights.expand(copies, -1, -1),
                value.expand(copies, 9, 1, 2),
                BALL,
                rounds=3,
                **{name: 0.3},
            )
            for _ in range(many)
        ]
    ).flatten(0, 1)
    expected = gattn.diffuse(weights, value, BALL, rounds=3)
    error = drawn.std(dim=0) / (many * copies) ** 0.5
    assert ((drawn.mean(dim=0) - expected).abs() < 5 * error + 1e-12).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_types_are_rounded_once(dtype):
    weights, value = normalized(BALL, dtype=torch.float32), random(9, 2, 4, dtype=torch.float32)
    expected = gattn.diffuse(weights, value.to(dtype).float(), BALL, rounds=9)
    found = gattn.diffuse(weights, value.to(dtype), BALL, rounds=9)
    assert found.dtype == dtype
    assert torch.equal(found, expected.to(dtype))


def test_the_same_bits_every_time():
    weights, value = random(30, 2), random(9, 2, 4)
    found = []
    for _ in range(2):
        leaves = [weights.clone().requires_grad_(), value.clone().requires_grad_()]
        torch.manual_seed(0)
        out = gattn.diffuse(*leaves, HOP, dropout=0.2, feature_dropout=0.2)
        found.append([out, *torch.autograd.grad(out.sum(), leaves)])
    assert all(torch.equal(*pair) for pair in zip(*found, strict=True))


def test_memory_holds_the_values_of_rounds_and_no_weights():
    weights, value = random(30, 2).requires_grad_(), random(9, 2, 4).requires_grad_()
    kept = []

    def keep(tensor):
        kept.append((tensor.data_ptr(), tuple(tensor.shape)))
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        gattn.diffuse(weights, value, HOP, rounds=8, dropout=0.3)
    assert len({at for at, shape in kept if shape == (30, 2)}) == 1
    assert len({at for at, shape in kept if shape == (9, 2, 4)}) == 8


BIPARTITE = gattn.from_edge_index(torch.tensor([[0, 1], [0, 0]]), (4, 2))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"weights": torch.ones(30)}, ValueError, r"weights: found shape \[30\]"),
        ({"weights": torch.ones(29, 2)}, ValueError, r"expected \[30, 2\]"),
        ({"weights": torch.ones(30, 2).long()}, TypeError, "weights: found dtype torch.int64"),
        ({"value": torch.ones(8, 2, 1)}, ValueError, "value: found shape"),
        ({"value": torch.ones(2, 9, 2, 1)}, ValueError, r"weights: .*expected \[2, 30, 2\]"),
        ({"neighborhood": EDGES}, TypeError, "neighborhood: found Tensor"),
        ({"neighborhood": BIPARTITE}, ValueError, "found 2 rows and 4 sources, expected as many"),
        ({"neighborhood": BALL.rings()}, ValueError, "18 rows and 9 sources"),
        ({"rounds": -1}, ValueError, "rounds: found -1"),
        ({"restart": 1.5}, ValueError, "restart: found 1.5"),
        ({"dropout": 2.0}, ValueError, "dropout: found 2.0"),
        ({"feature_dropout": -1.0}, ValueError, "feature_dropout: found -1.0"),
        ({"backend": "sdpa"}, ValueError, "found 'sdpa', expected one of cpu, triton, reference"),
    ],
)
def test_errors_name_what_is_wrong(changes, error, message):
    given = {"weights": torch.ones(30, 2), "value": torch.ones(9, 2, 1), "neighborhood": HOP}
    with pytest.raises(error, match=message):
        gattn.diffuse(**given | changes)


@pytest.mark.parametrize("batch", [(), (3,)])
@pytest.mark.parametrize("restart", [0.0, 0.3, 1.0])
def test_every_round_is_what_as_many_rounds_give(batch, restart):
    weights, value = normalized(BALL), random(*batch, 9, 2, 4)
    weights = weights.expand(*batch, *weights.shape)
    found = gattn.diffuse(weights, value, BALL, rounds=3, restart=restart, every=True)
    assert found.shape == (4, *batch, 9, 2, 4)
    for rounds, state in enumerate(found):
        expected = gattn.diffuse(weights, value, BALL, rounds=rounds, restart=restart)
        torch.testing.assert_close(state, expected)


def test_weights_of_degrees_are_those_of_a_gcn():
    from torch_geometric.nn.conv.gcn_conv import gcn_norm

    edges, weights = gcn_norm(torch.cat([EDGES, EDGES.flip(0)], 1).unique(dim=1), num_nodes=9)
    around = gattn.from_edge_index(edges, 9)
    torch.testing.assert_close(gattn.degree_weights(around), weights)


def test_weights_of_degrees_know_both_sides():
    around = gattn.from_edge_index(torch.tensor([[0, 0, 2], [1, 0, 1]]), (3, 2))
    expected = torch.tensor([0.5, 2**-0.5, 2**-0.5])
    torch.testing.assert_close(gattn.degree_weights(around), expected)
    window = gattn.window(4, 1)
    assert gattn.degree_weights(window).shape == (window.num_pairs,)
