"""What an attention map says about its rows, by hand."""

import math

import pytest
import torch

from gattn.inspection import AttentionMap

# Row 0: 1/2, 1/4, 1/4 to nodes 0, 1, 2; row 1: all to node 0; row 2 has no pairs.
EDGES = torch.tensor([[0, 1, 2, 0], [0, 0, 0, 1]])
HOPS = torch.tensor([0, 1, 2, 1])
WEIGHTS = torch.tensor([[0.5, 1.0], [0.25, 0.0], [0.25, 0.0], [1.0, 1.0]], dtype=torch.float64)


def made(weights=WEIGHTS, edges=EDGES, hop=HOPS, targets=3, sources=3):
    return AttentionMap(weights, edges, hop, targets, sources)


def close(found, expected):
    wanted = torch.tensor(expected, dtype=found.dtype)
    torch.testing.assert_close(found, wanted, atol=1e-12, rtol=0)


def test_entropy_in_nats():
    spread = 0.5 * math.log(2) + 0.5 * math.log(4)
    close(made().entropy(), [[spread, 0.0], [0.0, 0.0], [0.0, 0.0]])


def test_effective_neighbors_of_equal_weights_are_their_number():
    even = made(torch.full((4, 1), 1 / 3, dtype=torch.float64))
    close(even.effective_neighbors(), [[3.0], [1.0], [1.0]])


def test_mass_by_hop_of_nodes():
    close(made().node_mass_by_hop()[0], [[0.5, 1.0], [0.25, 0.0], [0.25, 0.0]])
    assert made().node_mass_by_hop()[2].sum() == 0


def test_means_leave_empty_rows_out():
    close(made().mass_by_hop(), [[0.25, 0.5], [0.625, 0.5], [0.125, 0.0]])
    close(made().mass_by_hop().sum(0), [1.0, 1.0])
    spread = 0.5 * math.log(2) + 0.5 * math.log(4)
    close(made().mean_entropy(), [spread / 2, 0.0])
    close(made().mean_effective_neighbors(), [(math.exp(spread) + 1) / 2, 1.0])


def test_rows_that_do_not_sum_to_one_are_told_by_shares_of_absolute_weights():
    signed = made(torch.tensor([[0.6], [-0.2], [0.0], [-3.0]], dtype=torch.float64))
    close(signed.shares(), [[0.75], [0.25], [0.0], [1.0]])
    close(signed.dense()[0], [[0.6], [-0.2], [0.0]])  # the weights are kept as they are


def test_a_row_of_zeros_is_empty():
    nothing = made(torch.tensor([[0.0], [0.0], [0.0], [1.0]]))
    assert nothing.filled()[:, 0].tolist() == [False, True, False]
    close(nothing.entropy(), [[0.0], [0.0], [0.0]])
    close(nothing.mass_by_hop(), [[0.0], [1.0], [0.0]])


def test_means_over_nothing_are_zero():
    empty = made(torch.zeros(0, 2), EDGES[:, :0], HOPS[:0])
    assert empty.mean_entropy().tolist() == [0.0, 0.0]
    assert empty.mass_by_hop().tolist() == [[0.0, 0.0]]


def test_top():
    assert made().top(0, 2) == [(0, 0.75, 0), (1, 0.125, 1)]
    assert made().top(0, 5, head=1) == [(0, 1.0, 0)]  # what has no share is not named
    assert made().top(2) == []
    assert made(hop=None).top(1) == [(0, 1.0, None)]
    shuffled = torch.tensor([2, 3, 1, 0])
    assert made(WEIGHTS[shuffled], EDGES[:, shuffled], HOPS[shuffled]).top(0) == made().top(0)


def test_dense_and_adjacency():
    dense = made().dense()
    assert dense.shape == (3, 3, 2)
    close(dense[0, :, 0], [0.5, 0.25, 0.25])
    close(made().adjacency().to_dense(), [[0.75, 0.125, 0.125], [1.0, 0, 0], [0, 0, 0]])
    twice = made(WEIGHTS[[0, 0]], EDGES[:, [0, 0]], HOPS[[0, 0]])
    assert twice.dense()[0, 0, 0] == 1.0


def test_mean_heads():
    close(made().mean_heads().weights, [[0.75], [0.125], [0.125], [1.0]])


def test_sides_may_differ():
    other = made(targets=2, sources=9)
    assert other.dense().shape == (2, 9, 2)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"weights": WEIGHTS[:, 0]}, r"weights: found shape \[4\], expected \[E, H\]"),
        ({"weights": EDGES.T}, "weights: found dtype torch.int64"),
        ({"weights": WEIGHTS / 0}, "weights: found some that are not finite"),
        ({"edges": EDGES[:, :3]}, r"edge_index: found shape \[2, 3\], expected \[2, 4\]"),
        ({"targets": 1}, r"edge_index\[1\]: found the index 1"),
        ({"sources": 2}, r"edge_index\[0\]: found the index 2"),
        ({"hop": HOPS[:2]}, r"hop: found shape \[2\], expected \[4\]"),
        ({"hop": HOPS.double()}, "hop: found dtype"),
    ],
)
def test_wrong_parts_are_refused(wrong, message):
    with pytest.raises((ValueError, TypeError, IndexError), match=message):
        made(**wrong)


def test_wrong_questions_are_refused():
    with pytest.raises(ValueError, match="hop: found none, expected the distances"):
        made(hop=None).mass_by_hop()
    with pytest.raises(ValueError, match="node: found 3"):
        made().top(3)
    with pytest.raises(ValueError, match="head: found 2"):
        made().top(0, head=2)
