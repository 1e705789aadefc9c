"""The score by distance: what its expansion rounds off, and how it meets masks and backends."""

import pytest
import torch

import gattn
from gattn.scores import Distance

GRAPH = gattn.k_hop(torch.randint(0, 20, (2, 60), generator=torch.Generator().manual_seed(0)), 2)


def drawn(*size, dtype=torch.float32):
    return torch.randn(size, generator=torch.Generator().manual_seed(1), dtype=dtype)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("size", [1.0, 100.0])
def test_the_error_is_that_of_the_norms_in_float32(dtype, size):
    query, key = (drawn(2, 30, 2, 8) * size).to(dtype).unbind(0)
    query[0] = key[0]
    found = gattn.pair_scores(Distance(2.0)(query, key), gattn.full(30)).view(30, 30, 2)
    exact = -(query.double()[:, None] - key.double()).square().sum(-1) / 2
    norms = query.double().square().sum(-1)[:, None] + key.double().square().sum(-1)
    assert (found.dtype, found[0, 0].shape) == (torch.float32, (2,))
    assert ((found - exact).abs() <= 5e-7 * norms).all()


def test_a_common_shift_takes_the_cancellation_away():
    query, key = (drawn(2, 30, 1, 8) + 1000).unbind(0)
    exact = -(query.double()[:, None] - key.double()).square().sum(-1).view(-1, 1)
    score, around = Distance(), gattn.full(30)
    near = gattn.pair_scores(score(query - 1000, key - 1000), around)
    torch.testing.assert_close(near.double(), exact, rtol=1e-5, atol=1e-5)
    far = gattn.pair_scores(score(query, key), around)
    assert (far - exact).abs().max() > 0.1  # why the docstring says so


def test_a_node_far_away_takes_nothing_from_the_others():
    query, key = drawn(2, 20, 1, 4).unbind(0)
    key[3] = float("nan")
    out = gattn.attend(query, key, key.nan_to_num(), gattn.full(20), score=Distance())
    assert out.isnan().all()
    mine = gattn.from_edge_index(torch.tensor([[0, 3, 1], [0, 1, 2]]), 20)
    scores = gattn.pair_scores(Distance()(query, key), mine)
    assert scores[:, 0].isnan().tolist() == [False, True, False]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_compiled_and_plain_agree(dtype):
    leaves = [side.requires_grad_() for side in drawn(3, 20, 2, 5, dtype=dtype).unbind(0)]
    found = {}
    for backend in ("cpu", "reference"):
        out = gattn.attend(*leaves, GRAPH, score=Distance(3.0), backend=backend)
        found[backend] = (out, *torch.autograd.grad(out.square().sum(), leaves))
    for fast, plain in zip(*found.values(), strict=True):
        torch.testing.assert_close(fast, plain)


@pytest.mark.parametrize("temperature", [0, -1.0, float("nan")])
def test_the_temperature_is_positive(temperature):
    with pytest.raises(
        ValueError, match=f"temperature: found {temperature}, expected a number > 0"
    ):
        Distance(temperature)
