"""`Streamed`: the neighbourhood itself; what `attend` makes of it is in tests/ops."""

import logging
import pickle
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import gattn
from gattn.neighborhood import Streamed, streamed

RING = torch.stack([torch.arange(30), (torch.arange(30) + 1) % 30])


def random_edges(count, edges, seed):
    return torch.randint(0, count, (2, edges), generator=torch.Generator().manual_seed(seed))


def same(one, other):
    parts = [(one.rowptr, other.rowptr), (one.col, other.col), (one.hop, other.hop)]
    parts += zip(vars(one.transpose).values(), vars(other.transpose).values(), strict=True)
    assert all(torch.equal(*part) for part in parts)
    assert (one.num_hops, one.groups) == (other.num_hops, other.groups)


@settings(max_examples=80, deadline=None)
@given(
    st.integers(1, 40),
    st.integers(0, 120),
    st.integers(0, 4),
    st.booleans(),
    st.integers(0, 999),
    st.booleans(),
)
def test_stored_pairs_are_a_valid_neighbourhood(count, edges, num_hops, complete, seed, both_ways):
    edge_index = random_edges(count, edges, seed)
    if both_ways:
        edge_index = torch.cat([edge_index, edge_index.flip(0)], dim=1)
    found = gattn.k_hop(edge_index, num_hops, count, complete=complete, streamed=False)
    checked = gattn.Sparse(
        found.rowptr, found.col, count, found.hop, None, found.num_hops, hops_sorted=True
    )
    same(found, checked)  # the constructor checks all, and sorts for its transpose


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(0, 120), st.integers(1, 40), st.booleans())
def test_blocks_make_up_the_whole(count, edges, most, refined):
    edge_index = random_edges(count, edges, 7)
    found = gattn.k_hop(edge_index, 2, count, streamed=True)
    whole = found.expand()
    if refined:
        found, whole = found.rings(), whole.rings()
    cut = found.blocks(most)
    assert [first for first, _ in cut] == [0, *(last for _, last in cut[:-1])] and cut[-1][
        1
    ] == count
    blocks = [found.block(first, last) for first, last in cut]
    assert all(
        b.num_pairs <= most or last - first == 1
        for b, (first, last) in zip(blocks, cut, strict=True)
    )
    assert torch.equal(torch.cat([b.rowptr.diff() for b in blocks]), whole.rowptr.diff())
    assert torch.equal(torch.cat([b.hop for b in blocks]), whole.hop)
    assert torch.equal(torch.cat([b.col for b in blocks]), whole.col)
    for block, (first, last) in zip(blocks, cut, strict=True):
        assert (block.num_targets, block.num_sources) == (last - first, count)


def test_without_a_compiler_the_pairs_are_the_same(monkeypatch):
    edges = random_edges(50, 150, 3)
    found = [gattn.k_hop(edges, 3, 50, shells=[1, 3])]
    rings = [gattn.k_hop(edges, 3, 50, streamed=True).rings().block(5, 9)]
    monkeypatch.setattr(streamed, "missing", lambda: "there is none")
    found.append(gattn.k_hop(edges, 3, 50, shells=[1, 3]))
    rings.append(gattn.k_hop(edges, 3, 50, streamed=True).rings().block(5, 9))
    same(*found)
    assert torch.equal(rings[0].rowptr, rings[1].rowptr)


def test_beyond_the_budget_pairs_are_streamed_with_a_warning(caplog):
    with caplog.at_level(logging.WARNING):
        found = gattn.k_hop(RING, 2, 30, max_pairs=89)
    assert isinstance(found, Streamed) and found.num_pairs == 90
    assert "90 pairs" in caplog.text and "max_pairs = 89" in caplog.text
    caplog.clear()
    assert isinstance(gattn.k_hop(RING, 2, 30, max_pairs=90), gattn.Sparse)
    assert isinstance(gattn.k_hop(RING, 2, 30, streamed=True), Streamed)
    assert not caplog.records


def test_complete_pairs_are_streamed_only_if_asked_for():
    found = gattn.k_hop(RING, 1, 30, complete=True, streamed=True, max_pairs=10)
    assert found.num_pairs == 900 and found.num_hops == 2
    with pytest.raises(ValueError, match="900 pairs"):
        gattn.k_hop(RING, 1, 30, complete=True, max_pairs=10)


def test_expanding_has_a_budget():
    found = gattn.k_hop(RING, 2, 30, streamed=True)
    same(found.expand(90), gattn.k_hop(RING, 2, 30))
    with pytest.raises(ValueError, match=r"90 pairs .* at most max_pairs = 89"):
        found.expand(89)
    assert torch.equal(found.edge_index(), gattn.k_hop(RING, 2, 30).edge_index())


def test_refined_rows_are_those_of_the_stored_ones():
    found = gattn.k_hop(random_edges(20, 50, 1), 2, 20, streamed=True)
    same(found.rings().expand(), found.expand().rings())
    assert found.rings().num_rows == 60
    with pytest.raises(ValueError, match="groups = 3, expected 1"):
        found.rings().rings()


def test_batches_are_disjoint_unions():
    graphs = [random_edges(count, 30, count) for count in (5, 9, 1)]
    graphs[2] = graphs[2] * 0
    parts = [gattn.k_hop(g, 2, n, streamed=True) for g, n in zip(graphs, (5, 9, 1), strict=True)]
    stored = gattn.batch([part.expand() for part in parts])
    same(gattn.batch(parts).expand(), stored)


def test_batches_refuse_what_does_not_fit():
    two, three = (gattn.k_hop(RING, hops, 30, streamed=True) for hops in (2, 3))
    with pytest.raises(ValueError, match="neighborhoods: found different hops"):
        gattn.batch([two, three])
    complete = gattn.k_hop(RING, 2, 30, streamed=True, complete=True)
    with pytest.raises(ValueError, match="complete=True"):
        gattn.batch([complete, complete])
    assert gattn.batch([complete]).num_pairs == 900
    with pytest.raises(TypeError, match="found Sparse, Streamed"):
        gattn.batch([two, two.expand()])


def test_it_pickles_moves_and_says_its_sizes():
    found = gattn.k_hop(RING, 2, 30, streamed=True)
    again = pickle.loads(pickle.dumps(found))
    same(again.expand(), found.expand())
    assert found.to("meta").device.type == "meta" and found.device.type == "cpu"
    assert found.pin_memory() is found
    assert repr(found) == "Streamed(targets=30, sources=30, pairs=90, num_hops=2)"


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"rowptr": torch.tensor([0, 1])}, ValueError, "col: found shape"),
        ({"col": torch.tensor([0, 5], dtype=torch.int32)}, IndexError, "col: found the index 5"),
        ({"num_hops": 300}, ValueError, "num_hops: found 300"),
        ({"shells": (0, 4)}, ValueError, "shells: found 4"),
        ({"shells": 3}, TypeError, "shells: found 3, expected distances"),
        ({"shells": (h for h in range(2))}, TypeError, "shells: found <generator"),
        ({"groups": 2}, ValueError, "groups: found 2, expected 1 or num_hops"),
        ({"groups": True}, TypeError, "groups: found True"),
        ({"complete": 5}, TypeError, "complete: found 5, expected True or False"),
        ({"num_hops": 255}, ValueError, r"num_hops: found 255, expected an int in \[0, 254\]"),
        ({"num_hops": 0, "complete": True}, ValueError, r"num_hops: found 0, .* in \[1, 255\]"),
        ({"device": 7}, TypeError, "device: found 7, expected a device"),
        ({"rowptr": [0, 1, 2]}, TypeError, "rowptr: found list"),
        ({"rowptr": torch.zeros(0, dtype=torch.int64)}, ValueError, "rowptr: found 0 entries"),
    ],
)
def test_bad_fields_are_named(change, error, message):
    good = {
        "rowptr": torch.tensor([0, 1, 2]),
        "col": torch.tensor([1, 0], dtype=torch.int32),
        "num_hops": 3,
        "shells": (0, 1),
    }
    with pytest.raises(error, match=message):
        Streamed(**(good | change))


@pytest.mark.parametrize("borders", [(-1, 3), (3, 31), (5, 4), (31, 31)])
def test_targets_that_are_not_there_are_refused(borders):
    found = gattn.k_hop(RING, 2, 30, streamed=True)
    with pytest.raises(ValueError, match=r"(first|last): found -?\d+, expected an int in"):
        found.block(*borders)
    assert found.block(30, 30).num_targets == 0


def test_nothing_of_numba_is_imported_without_it():
    code = """
import sys
sys.modules["numba"] = None
import torch, gattn, warnings
warnings.simplefilter("ignore")
edges = torch.tensor([[0, 1, 2], [1, 2, 3]])
found = gattn.k_hop(edges, 2, 4)
assert found.num_pairs == 9, found
streamed = gattn.k_hop(edges, 2, 4, streamed=True)
x = torch.randn(4, 1, 2, requires_grad=True)
out = gattn.attend(x, x, x, streamed)
torch.testing.assert_close(out, gattn.attend(x, x, x, found))
out.sum().backward()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_farthest_distance_fits_a_byte():
    line = torch.stack([torch.arange(299), torch.arange(1, 300)])
    found = gattn.k_hop(line, 254, 300, streamed=True, complete=True)
    assert found.num_pairs == 300 * 300 and found.block(299, 300).hop.max() == 255


def test_shells_and_device_may_be_said_loosely():
    one = gattn.from_edge_index(RING, 30)
    found = Streamed(one.rowptr, one.col, 2, [2, 0, 2], device="cpu")
    assert found.shells == (0, 2) and found.num_pairs == 60
    x = torch.randn(30, 1, 2)
    same(found.expand(), gattn.k_hop(RING, 2, 30, shells=[0, 2]))
    torch.testing.assert_close(gattn.attend(x, x, x, found), gattn.attend(x, x, x, found.expand()))


def test_a_default_device_does_not_matter():
    x = torch.randn(30, 1, 2)
    with torch.device("meta"):
        found = gattn.k_hop(RING, 2, 30, streamed=True)
        stored = gattn.k_hop(RING, 2, 30)
        out = gattn.attend(x, x, x, found)
        both = gattn.batch([found, found])
    same(stored, found.expand())
    torch.testing.assert_close(out, gattn.attend(x, x, x, stored))
    assert both.num_pairs == 2 * found.num_pairs


def test_streamed_must_be_a_switch():
    with pytest.raises(TypeError, match="streamed: found 1, expected True or False"):
        gattn.k_hop(RING, 2, 30, streamed=1)


def test_pairs_may_be_written_where_the_caller_wants_them():
    around = gattn.k_hop(random_edges(30, 60, 1), 2, 30, streamed=True)
    count = int(around.starts[9] - around.starts[4])
    room = torch.empty(count, dtype=torch.int32), torch.empty(count, dtype=torch.uint8)
    found = around.finder()(4, 9, tuple(tensor.numpy() for tensor in room))
    assert [t.data_ptr() for t in found[1:]] == [t.data_ptr() for t in room]
    assert all(torch.equal(*both) for both in zip(found, around.pairs(4, 9), strict=True))
