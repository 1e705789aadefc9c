"""How work is cut: from sizes alone, all of it once, and never too large."""

import pytest
import torch

import gattn
from gattn.ops.triton import pairs, tiles
from gattn.ops.triton.tiles import Cut, power, tile


@pytest.mark.parametrize("heads", [1, 3, 4, 8, 64])
@pytest.mark.parametrize("key", [0, 1, 32, 100, 8192])
@pytest.mark.parametrize("mean", [0.0, 2.0, 500.0])
def test_tiles_hold_what_they_must_and_not_much_more(heads, key, mean):
    found = tile(heads, key, 5, 0, mean)
    wide = max(power(key), 8)
    assert found.key >= key
    assert found.value == 8
    assert found.heads * found.blocks(heads) >= heads
    assert found.pairs * found.heads * wide <= max(tiles.TILE, wide)
    assert 1 <= found.warps <= 8
    assert all(size & (size - 1) == 0 for size in found.sizes().values())


def test_short_rows_have_small_tiles():
    assert tile(1, 16, 16, 0, 7.0).pairs == 4
    assert tile(1, 16, 16, 0, 50.0).pairs == 16


@pytest.mark.parametrize("mean", [7.0, 50.0])
@pytest.mark.parametrize(
    ("heads", "channels", "size", "pairs", "warps"),
    [(4, 32, 4, 4, 1), (4, 32, 2, 4, 1), (8, 64, 4, 4, 4), (8, 64, 2, 2, 2), (16, 64, 4, 2, 4)],
)
def test_the_threads_of_a_tile_are_those_that_load_one_pair(
    heads, channels, size, pairs, warps, mean
):
    found = tile(heads, channels, channels, 0, mean, size)
    assert (found.pairs, found.warps) == (pairs, warps)
    assert found.pairs * found.heads * channels == 32 * found.warps * 16


@pytest.mark.parametrize(
    ("size", "expected"), [(0, 1), (1, 1), (2, 2), (3, 4), (64, 64), (65, 128)]
)
def test_powers_of_two(size, expected):
    assert power(size) == expected


def test_a_graph_without_long_rows_has_no_slots():
    cut = Cut.of(10, 512)
    assert (cut.chunks, cut.slots, cut.programs) == (0, 0, 10)
    assert Cut.of(0, 0).programs == 0


def test_large_graphs_have_longer_chunks_and_programs_of_several_rows():
    cut = Cut.of(2_449_029, 123_718_280)
    assert cut.length == 8192
    assert cut.run == 8
    assert cut.slots * cut.length <= 2 * (cut.pairs + cut.length)
    assert (cut.programs - cut.slots) * cut.run >= cut.rows


@pytest.mark.parametrize("lengths", [[9, 0, 8], [8, 8], [3, 5, 17, 1], [40], [4, 4, 4, 9], [1, 24]])
def test_pieces_of_long_rows_are_all_their_pairs_once(lengths, monkeypatch):
    """Each pair is another number: one that is left out or taken twice changes its sum."""
    monkeypatch.setattr(tiles, "LONG", 4)
    rowptr = torch.tensor([0, *lengths]).cumsum(0)
    cut = Cut.of(len(lengths), int(rowptr[-1]))
    values = torch.arange(1.0, cut.pairs + 1)
    source = torch.arange(cut.pairs)
    target = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    around = gattn.from_edge_index(torch.stack([source, target]), (cut.pairs, len(lengths)))
    ones = torch.ones(cut.pairs, 1)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    around, ones, values = around.to(device), ones.to(device), values.to(device)
    found = gattn.aggregate(ones, values[:, None, None], around, backend="triton")
    expected = torch.stack([part.sum() for part in values.split(lengths)])
    torch.testing.assert_close(found[:, 0, 0], expected)


def test_ranks_are_those_of_equal_pairs():
    edges = torch.tensor([[1, 1, 0, 1, 1, 2, 2], [0, 0, 0, 0, 1, 1, 1]])
    around = gattn.from_edge_index(edges, 3)
    from gattn.ops.inputs import Inputs
    from gattn.ops.problem import Problem
    from gattn.ops.triton import launch

    x = torch.zeros(3, 1, 1)
    form = gattn.forms.Multiplicative(x, x)
    options = {"dropout": 0.5, "seed": torch.tensor(1)}
    device = "cuda" if torch.cuda.is_available() else "cpu"
    asked = Problem(form, x, around, gattn.normalizers.Softmax(), **options)
    inputs = Inputs.of(asked, around)
    moved = [t.to(device) if isinstance(t, torch.Tensor) else t for t in inputs]
    ranks = launch.ranks(Inputs(*moved)).cpu()
    rank = torch.empty_like(ranks).index_copy_(0, around.perm, ranks)
    assert rank.tolist() == [0, 1, 0, 2, 0, 0, 1]


def test_bits_of_a_selection_survive_packing():
    chosen = torch.rand(7, 19, generator=torch.Generator().manual_seed(0)) < 0.5
    packed = pairs.packed(chosen)
    assert packed.shape == (7, 3)
    assert torch.equal(pairs.unpacked(packed, 19).bool(), chosen)
