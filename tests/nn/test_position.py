"""Rotary and relative positions, alone and in a SequenceAttention; and PyG's sinusoids."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck
from torch_geometric.nn import PositionalEncoding

from gattn import scores
from gattn.nn import Rotary, SequenceAttention


def features(*size, seed=0, dtype=torch.float64):
    return torch.randn(size, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.mark.parametrize("base", [10000.0, 50.0])
def test_the_formula_written_out(base):
    x, position = features(5, 2, 6), [0, 3, 1, 700, -2]
    found = Rotary(6, base)(x, torch.tensor(position))
    for row, place in enumerate(position):
        for c in range(3):
            angle = place * base ** (-2 * c / 6)
            turn = complex(math.cos(angle), math.sin(angle))
            for head in range(2):
                pair = complex(x[row, head, c], x[row, head, c + 3]) * turn
                assert found[row, head, c].item() == pytest.approx(pair.real, abs=1e-12)
                assert found[row, head, c + 3].item() == pytest.approx(pair.imag, abs=1e-12)


def test_neighbouring_pairs_are_the_same_up_to_a_permutation():
    x, position = features(7, 2, 8), torch.arange(7)
    angle = position[:, None, None] * 10000.0 ** (-torch.arange(0, 8, 2).double() / 8)
    turned = torch.view_as_complex(x.unflatten(-1, (4, 2))) * torch.polar(angle.new_ones(()), angle)
    neighbours = torch.view_as_real(turned).flatten(-2)
    order = torch.tensor([0, 2, 4, 6, 1, 3, 5, 7])
    torch.testing.assert_close(Rotary(8)(x[..., order], position), neighbours[..., order])


@settings(deadline=None, max_examples=30)
@given(st.integers(-500, 500), st.integers(-500, 500), st.integers(-500, 500))
def test_products_depend_on_the_difference_alone(m, n, shift):
    turn, query, key = Rotary(6), features(1, 2, 6), features(1, 2, 6, seed=1)

    def product(m, n):
        turned = turn(query, torch.tensor([m])), turn(key, torch.tensor([n]))
        return (turned[0] * turned[1]).sum(-1)

    torch.testing.assert_close(product(m + shift, n + shift), product(m, n), atol=1e-10, rtol=0)


def test_lengths_stay_and_the_origin_is_left_alone():
    x = features(2, 9, 3, 4)
    turned = Rotary(4)(x, torch.arange(9))
    torch.testing.assert_close(turned.norm(dim=-1), x.norm(dim=-1))
    assert torch.equal(turned[:, 0], x[:, 0])
    assert not torch.allclose(turned[:, 1:], x[:, 1:])


def test_positions_of_each_batch_entry_and_positions_between():
    turn, x = Rotary(4), features(2, 5, 3, 4)
    position = torch.tensor([[0, 1, 2, 3, 4], [7, 0, 5, 1, 1]])
    both = turn(x, position)
    for entry, alone, places in zip(both, x, position, strict=True):
        assert torch.equal(entry, turn(alone, places))
    half = turn(turn(x, torch.full((5,), 0.5)), torch.full((5,), 0.5))
    torch.testing.assert_close(half, turn(x, torch.ones(5)))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_types_have_exact_angles(dtype):
    x, position = features(3, 2, 8).to(dtype), torch.tensor([0, 2049, 4097])
    turned = Rotary(8).to(dtype)(x, position)
    assert turned.dtype == dtype
    exact = Rotary(8)(x.double(), position)
    torch.testing.assert_close(turned, exact.to(dtype), atol=2e-2, rtol=2e-2)


def test_gradients_and_state():
    turn = Rotary(4)
    assert gradcheck(lambda x: turn(x, torch.arange(5)), features(5, 2, 4).requires_grad_())
    assert not turn.state_dict() and repr(turn) == "Rotary(4, base=10000.0)"
    assert turn(features(0, 2, 4), torch.arange(0)).shape == (0, 2, 4)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Rotary(3), ValueError, "channels: found 3, expected an even number"),
        (lambda: Rotary(0), ValueError, "channels: found 0"),
        (lambda: Rotary(4, 0.0), ValueError, "base: found 0.0"),
        (lambda: Rotary(4, "x"), TypeError, "base: found 'x', expected a number > 0"),
        (
            lambda: Rotary(4)(features(5, 2, 6), torch.arange(5)),
            ValueError,
            r"x: found shape \[5, ",
        ),
        (
            lambda: Rotary(4)(features(5, 4), torch.arange(5)),
            ValueError,
            r"expected \[..., N, H, 4",
        ),
        (
            lambda: Rotary(4)(features(3, 5, 2, 4), torch.arange(4)),
            ValueError,
            r"position: found shape \[4\], expected \[5\] or \[3, 5\]",
        ),
        (lambda: Rotary(4)(features(5, 2, 4), 5), TypeError, "position: found int"),
        (lambda: Rotary(4)(torch.ones(5, 2, 4).int(), 5), TypeError, "x: found dtype torch.int32"),
    ],
)
def test_errors_are_one_line(make, error, message):
    with pytest.raises(error, match=message) as raised:
        make()
    assert "\n" not in str(raised.value)


def test_pygs_sinusoids_are_as_the_page_says():
    found = PositionalEncoding(8)(torch.arange(5))
    angle = torch.arange(5)[:, None] * 1e-4 ** torch.tensor([0, 1 / 3, 2 / 3, 1])
    torch.testing.assert_close(found, torch.cat([angle.sin(), angle.cos()], 1))


def layer(**options):
    torch.manual_seed(0)
    made = SequenceAttention(8, 2, batch_first=True, dtype=torch.float64, **options)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return made


@pytest.mark.parametrize("position", ["rotary", Rotary(4, base=30.0)])
def test_a_layer_turns_query_and_key_where_they_stand(position):
    made, plain, x = layer(position=position), layer(), features(3, 5, 8)
    query, key, value = (
        (x @ w.T + b).unflatten(-1, (2, 4))
        for w, b in zip(made.in_proj_weight.chunk(3), made.in_proj_bias.chunk(3), strict=True)
    )
    turn = Rotary(4) if position == "rotary" else position
    query, key = (turn(side, torch.arange(5)).transpose(1, 2) for side in (query, key))
    out = torch.nn.functional.scaled_dot_product_attention(query, key, value.transpose(1, 2))
    expected = made.out_proj(out.transpose(1, 2).flatten(-2))
    torch.testing.assert_close(made(x, x, x)[0], expected)
    assert list(made.state_dict()) == list(plain.state_dict())
    assert not torch.allclose(plain(x, x, x)[0], expected)


@pytest.mark.parametrize("options", [{"position": "rotary"}, {"position": "relative", "radius": 2}])
def test_padding_on_the_left_shifts_nothing(options):
    made, x = layer(**options), features(2, 6, 8)
    padding = torch.zeros(2, 6, dtype=torch.bool)
    padding[1, :2] = True
    found, _ = made(x, x, x, padding)
    alone = x[1:, 2:]
    torch.testing.assert_close(found[1:, 2:], made(alone, alone, alone)[0])


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("score", [scores.ScaledDot, scores.GATv2])
def test_relative_biases_are_those_of_a_mask(causal, score):
    made = layer(position="relative", radius=2, causal=causal, score=score)
    plain, x = layer(radius=2, causal=causal, score=score), features(3, 5, 8)
    plain.load_state_dict({k: v for k, v in made.state_dict().items() if k != "relative_bias"})
    ahead = torch.arange(5) - torch.arange(5)[:, None]
    bias = made.relative_bias[(ahead + 2).clamp(0, 4)].permute(2, 0, 1).repeat(3, 1, 1)
    for found, expected in zip(made(x, x, x), plain(x, x, x, attn_mask=bias), strict=True):
        torch.testing.assert_close(found, expected)
    assert not torch.allclose(made(x, x, x)[0], plain(x, x, x)[0])


def test_relative_biases_start_at_zero():
    made = SequenceAttention(8, 2, position="relative", radius=127)
    assert made.relative_bias.shape == (255, 2) and not made.relative_bias.any()


@pytest.mark.parametrize("options", [{"position": "rotary"}, {"position": "relative", "radius": 1}])
def test_gradcheck_through_the_layer(options):
    made, x = layer(**options), features(2, 3, 8).requires_grad_()
    padding = torch.tensor([[False, False, False], [False, False, True]])
    assert gradcheck(lambda x, *_: made(x, x, x, padding), (x, *made.parameters()))
