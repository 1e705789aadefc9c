"""The loop over blocks of streamed pairs, whoever finds them and attends to them."""

import pytest
import torch

import gattn
from gattn import forms
from gattn.normalizers import Softmax
from gattn.ops import block_loop
from gattn.ops.block_loop import Found, Sums, in_compute_dtype
from gattn.ops.inputs import DIFFERENTIABLE, Inputs
from gattn.ops.problem import Problem


def inputs_of(around, dtype=torch.float16):
    left, right = torch.randn(2, around.num_targets, 1, 2, dtype=dtype)
    bias = torch.randn(around.num_targets, 1, dtype=dtype)
    form = forms.Multiplicative(left, right, 1.0, bias, bias)
    hop_bias = torch.randn(3, 1, dtype=dtype)
    return Inputs.of(Problem(form, None, around, Softmax(), hop_bias), around)


@pytest.fixture
def around():
    edges = torch.randint(0, 20, (2, 40), generator=torch.Generator().manual_seed(0))
    return gattn.k_hop(edges, 2, 20, streamed=True)


def search(around):
    find = around.finder()
    for first, last in around.blocks(40):
        yield Found.of(first, last, find(first, last), None)


@pytest.mark.parametrize("refined", [False, True])
def test_every_block_sees_its_rows_and_writes_them(around, refined):
    around = around.rings() if refined else around
    inputs, out = inputs_of(around), torch.full((around.num_rows,), -1.0)
    seen = []

    def attend(block):
        assert block.first_row == sum(seen) * around.groups
        assert torch.equal(block.left, inputs.left[sum(seen) :][: len(block.left)])
        assert len(block.target_bias) == len(block.left) == block.num_rows // around.groups
        assert len(block.hop) == len(block.col) and block.t_col.numel() == 0
        seen.append(len(block.left))
        return [block.rowptr.diff().float()]

    block_loop.forward(inputs, search(around), attend, [out])
    whole = around.expand()
    assert len(seen) > 2 and torch.equal(out, whole.rowptr.diff().float())


def test_gradients_are_summed_in_the_compute_dtype(around):
    """2048 + 1 + 1 + ... is more than 2048 in float16, if it is rounded once."""
    inputs, steps, nothing = inputs_of(around), [], torch.empty(0)
    needs = [n in ("left", "right", "hop_bias") for n in DIFFERENTIABLE]

    def gradients(block, rows, earlier):
        number = len(steps)
        steps.append(rows)
        sources = earlier or {"right": torch.zeros(inputs.right.shape)}
        sources["right"] += 2048.0 if number == 0 else 1.0
        found = dict.fromkeys(DIFFERENTIABLE, nothing)
        found["left"] = torch.full_like(block.left, number)
        found["hop_bias"] = torch.full((3, 1), 2048.0 if number == 0 else 1.0)
        return list(found.values()), sources

    sums = Sums(inputs, needs, torch.empty, torch.zeros)
    grads = block_loop.backward(inputs, search(around), gradients, sums)
    found = dict(zip(DIFFERENTIABLE, grads, strict=True))
    expected = torch.tensor(2048.0 + len(steps) - 1).half()
    assert len(steps) > 2 and expected > 2048
    assert found["right"].dtype == found["left"].dtype == torch.float16
    assert (found["right"] == expected).all() and (found["hop_bias"] == expected).all()
    for number, rows in enumerate(steps):
        assert (found["left"][rows] == number).all()
    assert found["value"].numel() == found["source_bias"].numel() == 0


def test_without_blocks_gradients_are_zero(around):
    inputs, needs = inputs_of(around), [n in ("right", "hop_bias") for n in DIFFERENTIABLE]
    sums = Sums(inputs, needs, torch.empty, torch.zeros)
    found = dict(zip(DIFFERENTIABLE, sums.finished({}), strict=True))
    for name in ("right", "hop_bias"):
        assert found[name].shape == getattr(inputs, name).shape and (found[name] == 0).all()


def test_some_inputs_are_cast(around):
    cast = in_compute_dtype(inputs_of(around), ("hop_bias", "weight"))
    assert cast.hop_bias.dtype == torch.float32 and cast.weight is None
    assert cast.left.dtype == torch.float16
