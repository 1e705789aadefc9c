"""What is left of a neighbourhood among some of its nodes."""

import pytest
import torch

import gattn

EDGES = torch.randint(0, 12, (2, 40), generator=torch.Generator().manual_seed(1))
BALL = gattn.k_hop(EDGES, 2, 12)
NODES = torch.tensor([7, 2, 9, 0, 4])


def hops(neighborhood):
    """{(source, target): hop}."""
    listed = map(tuple, neighborhood.edge_index().t().tolist())
    return dict(zip(listed, neighborhood.hop.tolist(), strict=True))


@pytest.mark.parametrize("nodes", [NODES, NODES.sort().values, torch.arange(12), NODES[:0]])
def test_pairs_among_the_nodes_keep_their_distance(nodes):
    found = gattn.induced(BALL, nodes)
    place = {node: number for number, node in enumerate(nodes.tolist())}
    expected = {
        (place[source], place[target]): hop
        for (source, target), hop in hops(BALL).items()
        if source in place and target in place
    }
    assert hops(found) == expected
    assert found.num_targets == found.num_sources == len(nodes) and found.num_hops == 2


def test_all_nodes_are_the_whole():
    found = gattn.induced(BALL, torch.arange(12))
    for name in ("rowptr", "col", "hop"):
        assert torch.equal(getattr(found, name), getattr(BALL, name))


def test_attention_is_that_of_a_mask():
    x = torch.randn(12, 2, 3, dtype=torch.float64)
    inside = torch.isin(BALL.edge_index(), NODES).all(0)
    masked = torch.zeros(BALL.num_pairs, dtype=torch.float64).masked_fill(~inside, float("-inf"))
    found = gattn.attend(x[NODES], x[NODES], x[NODES], gattn.induced(BALL, NODES))
    whole = gattn.attend(x, x, x, BALL, pair_bias=masked)
    torch.testing.assert_close(found, whole[NODES], atol=1e-12, rtol=1e-12)


def test_rings_are_made_of_it():
    assert gattn.induced(BALL, NODES).rings().num_rows == 3 * len(NODES)


@pytest.mark.parametrize(
    ("neighborhood", "nodes", "error", "said"),
    [
        (gattn.full(12), NODES, TypeError, "neighborhood: found Span"),
        (BALL.rings(), NODES, ValueError, "groups = 3, expected 1"),
        (gattn.from_edge_index(EDGES, (12, 13)), NODES, ValueError, "13 targets and 12 sources"),
        (BALL, NODES.float(), TypeError, "nodes: found dtype torch.float32"),
        (BALL, NODES[None], ValueError, "nodes: found shape"),
        (BALL, NODES + 5, IndexError, "nodes: found the index 14"),
        (BALL, torch.tensor([3, 3]), ValueError, "nodes: found a node twice"),
    ],
)
def test_what_is_refused(neighborhood, nodes, error, said):
    with pytest.raises(error, match=said):
        gattn.induced(neighborhood, nodes)
