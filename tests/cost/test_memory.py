"""Formulas of memory: by hand, by the parts of a neighbourhood, by the constants of the kernels."""

import gattn
from gattn.benchmark.graphs import power_law
from gattn.cost import memory
from gattn.cost.calibration import Sizes

SIZES = Sizes(2, 8)
FEATURES = 4 * 100 * 2 * 8  # bytes of one [N, H, C]


def test_the_constants_are_those_of_the_kernels() -> None:
    from gattn.ops import block_loop
    from gattn.ops.cpu import gradients

    assert block_loop.MOST_PAIRS == memory.BLOCK
    assert gradients._MOST_HANDED == memory.MOST_HANDED
    assert gradients._LEAST_HANDED == memory.LEAST_HANDED


def test_a_stored_pair_is_seventeen_bytes() -> None:
    graph = power_law(100, 300, 0.4, seed=0)
    around = gattn.k_hop(graph.edge_index, 2, 100)
    parts = [around.col, around.hop, around.transpose.col, around.transpose.perm]
    assert sum(part.nbytes for part in parts) == 17 * around.num_pairs


def test_stored_by_hand() -> None:
    # 17 bytes and two float32 for each of two heads, and eight tensors of features.
    assert memory.stored(100, 1000, SIZES) == 1000 * (17 + 16) + 8 * FEATURES


def test_features_by_hand() -> None:
    assert memory.features(100, SIZES) == 8 * FEATURES


def test_what_is_handed_over_has_a_limit() -> None:
    many = 10**9
    assert memory.stored(100, many, SIZES) == max(18 * many, 17 * many + 4 * 2**24) + 8 * FEATURES


def test_streamed_grows_no_further_than_a_block() -> None:
    block = memory.BLOCK
    assert memory.streamed(100, 300, block, SIZES) == memory.streamed(100, 300, 10**12, SIZES)
    few = memory.streamed(100, 300, 1000, SIZES)
    assert few == 1000 * (17 + 16) + 4 * 300 + 21 * 100 + 8 * FEATURES


def test_a_round_of_diffusion_keeps_one_tensor() -> None:
    two, three = (memory.diffusion(100, 300, rounds, SIZES) for rounds in (2, 3))
    assert three - two == FEATURES
    assert two == 300 * (17 + 6 * 4 * 2) + 10 * FEATURES


def test_a_batch_has_a_layer_for_each_hop() -> None:
    one, two = (memory.sampled(100, 300, layers, SIZES) for layers in (1, 2))
    assert two - one == 8 * FEATURES
