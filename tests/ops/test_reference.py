"""What plain PyTorch promises of its precision: the oracle of everything, and dense blocks."""

import pytest
import torch

import gattn
from gattn import forms, normalizers
from gattn.ops import blocks, reference
from gattn.ops.problem import Problem


@pytest.mark.parametrize("backend", [reference, blocks])
def test_dropout_is_made_up_for_in_float64(backend):
    around = gattn.window(4, 0)
    nothing, ones = torch.zeros(4, 8, 1).double(), torch.ones(4, 8, 1).double()
    form, seed = forms.Multiplicative(nothing, nothing), torch.tensor(0)
    asked = Problem(form, ones, around, normalizers.Softmax(), dropout=0.3, seed=seed)
    out = backend.forward(asked)[0]
    kept = out[out != 0]
    assert 0 < kept.numel() < out.numel()
    assert torch.equal(kept, torch.full_like(kept, 1 / (1 - 0.3)))
