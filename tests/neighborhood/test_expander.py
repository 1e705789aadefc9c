"""Random regular graphs, and their edges beside those of a graph."""

import pytest
import torch

import gattn
from gattn.nn import GraphAttention

PATH = torch.stack([torch.arange(29), torch.arange(1, 30)])


def matrix(around):
    dense = torch.zeros(around.num_targets, around.num_sources)
    source, target = around.edge_index()
    dense.index_put_((target, source), torch.ones(around.num_pairs), accumulate=True)
    return dense


SIZES = [(3, 2), (4, 2), (5, 2), (8, 4), (9, 4), (12, 6), (16, 8), (50, 4), (200, 10), (401, 6)]


@pytest.mark.parametrize(("nodes", "degree"), SIZES)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_regular_symmetric_simple_connected(nodes, degree, seed):
    around = gattn.expander(nodes, degree, seed)
    dense = matrix(around)
    assert around.num_pairs == nodes * degree
    assert torch.equal(dense, dense.T)
    assert dense.max() == 1 and not dense.diagonal().any()
    assert dense.sum(dim=0).eq(degree).all() and dense.sum(dim=1).eq(degree).all()
    reached = torch.zeros(nodes).index_fill(0, torch.tensor([0]), 1.0)
    for _ in range(nodes):
        reached = ((dense @ reached + reached) > 0).float()
    assert reached.all()
    assert around.hop.eq(1).all()


@pytest.mark.parametrize(("nodes", "degree"), [(300, 4), (400, 6), (400, 8), (600, 10)])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_gap_is_that_of_friedman(nodes, degree, seed):
    values = torch.linalg.eigvalsh(matrix(gattn.expander(nodes, degree, seed)).double())
    assert values[-1].isclose(torch.tensor(degree).double())
    bound = 2 * (degree - 1) ** 0.5
    assert max(values[-2], -values[0]) < bound + 0.15
    assert values[-2] > bound - 0.6  # nor can it be much smaller (Alon and Boppana)


def test_all_nodes_are_near():
    dense = matrix(gattn.expander(500, 6))
    steps, reached = 0, torch.eye(500)
    while not reached.all():
        reached, steps = ((dense @ reached + reached) > 0).float(), steps + 1
    assert steps <= 6


def test_the_seed_decides_and_nothing_else():
    torch.manual_seed(0)
    first = gattn.expander(40, 4, seed=3)
    state = torch.random.get_rng_state()
    again = gattn.expander(40, 4, seed=3)
    assert torch.equal(first.col, again.col) and torch.equal(first.rowptr, again.rowptr)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert not torch.equal(first.col, gattn.expander(40, 4, seed=4).col)


def test_cycles_do_not_depend_on_how_many_follow():
    few, many = (matrix(gattn.expander(60, degree)) for degree in (4, 8))
    assert ((many - few) >= 0).all()


def test_long_edges_are_told_apart():
    around = gattn.long_edges(PATH, 30, degree=4, seed=1)
    source, target = around.edge_index()
    listed = zip(source.tolist(), target.tolist(), around.hop.tolist(), strict=True)
    kinds = {(s, t): h for s, t, h in listed}
    assert len(kinds) == around.num_pairs and around.num_hops == 2
    edges = set(zip(*PATH.tolist(), strict=True))
    far = set(zip(*gattn.expander(30, 4, seed=1).edge_index().tolist(), strict=True))
    own = {(i, i) for i in range(30)}
    assert {pair for pair, hop in kinds.items() if hop == 0} == own
    assert {pair for pair, hop in kinds.items() if hop == 1} == edges
    assert {pair for pair, hop in kinds.items() if hop == 2} == far - edges
    row, hop = around.rows(), around.hop
    assert hop is not None
    place = (row * 3 + hop) * 30 + around.col
    assert bool((place[1:] > place[:-1]).all())


def test_loops_and_duplicates_change_nothing():
    twice = torch.cat([PATH, PATH, torch.tensor([[4], [4]])], dim=1)
    found, expected = gattn.long_edges(twice, 30), gattn.long_edges(PATH, 30)
    assert torch.equal(found.edge_index(), expected.edge_index())
    assert torch.equal(found.hop, expected.hop)


def test_a_hop_bias_turns_long_edges_off():
    torch.manual_seed(0)
    layer = GraphAttention(3, 4, heads=2, hop_bias=2)
    x = torch.randn(30, 3)
    layer.hop_bias.data[2] = float("-inf")
    torch.testing.assert_close(layer(x, gattn.long_edges(PATH, 30)), layer(x, gattn.k_hop(PATH, 1)))
    layer.hop_bias.data[2] = 0.0
    assert not torch.allclose(layer(x, gattn.long_edges(PATH, 30)), layer(x, gattn.k_hop(PATH, 1)))


def test_rings_and_batches():
    many = [gattn.long_edges(PATH, 30, seed=seed) for seed in range(2)]
    assert gattn.batch(many).num_pairs == sum(one.num_pairs for one in many)
    assert many[0].rings().num_rows == 90


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: gattn.expander(2, 2), ValueError, r"num_nodes: found 2, expected an int in \[3"),
        (lambda: gattn.expander(10, 3), ValueError, "degree: found 3, expected an even number"),
        (
            lambda: gattn.expander(10, 6),
            ValueError,
            r"degree: found 6, expected an int in \[2, 5\]",
        ),
        (lambda: gattn.expander(10, 2, seed=-1), ValueError, "seed: found -1"),
        (lambda: gattn.long_edges(PATH, 20), IndexError, r"edge_index\[0\]: found the index 28"),
        (lambda: gattn.long_edges(PATH.float()), TypeError, "edge_index: found dtype"),
        (lambda: gattn.long_edges(PATH[:, :1]), ValueError, "num_nodes: found 2"),
    ],
)
def test_errors_name_what_is_wrong(call, error, message):
    with pytest.raises(error, match=message):
        call()
