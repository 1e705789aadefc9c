"""The loss against torch's, and smoothed labels written out."""

import pytest
import torch
from torch.nn import functional as F

from gattn.train.loss import cross_entropy

Y = torch.tensor([0, 1, 1, 0, 1])


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("classes", [1, 2, 4])
def test_smoothed_labels_written_out(smoothing, classes):
    torch.manual_seed(0)
    logits = torch.randn(5, classes, dtype=torch.float64)
    wide = logits if classes > 1 else torch.cat([torch.zeros_like(logits), logits], dim=1)
    wanted = F.one_hot(Y, wide.size(1)) * (1 - smoothing) + smoothing / wide.size(1)
    expected = -(wanted * wide.log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(cross_entropy(logits, Y, smoothing), expected)


def test_half_logits_are_summed_in_float32():
    logits = torch.randn(5, 3).to(torch.bfloat16)
    assert cross_entropy(logits, Y).dtype == torch.float32
    assert cross_entropy(logits, Y) == F.cross_entropy(logits.float(), Y)


@pytest.mark.parametrize("classes", [1, 3])
def test_the_losses_of_several_readouts_are_averaged(classes):
    logits, y = torch.randn(4, 5, classes), Y
    each = torch.stack([cross_entropy(one, y, 0.1) for one in logits])
    torch.testing.assert_close(cross_entropy(logits, y, 0.1), each.mean())
