"""Bytes are counted by hand on a graph of two nodes and three pairs."""

import pytest

from gattn.benchmark.gpu.floor import FORMS, Sizes, bytes_moved

# Two nodes, three pairs, 2 heads of 4 channels in float32: a row is 32 bytes, a number of each
# head 8, pointers 24.
TINY = Sizes(nodes=2, pairs=3, heads=2, channels=4, width=4)
ROW, LOGIT, POINTERS, COLUMN, STATISTIC = 32, 8, 24, 4, 8

FORWARD = {
    "gat": 3 * (ROW + LOGIT + COLUMN) + 2 * (LOGIT + ROW + STATISTIC) + POINTERS,
    "gatv2": 3 * (ROW + COLUMN) + 2 * (ROW + ROW + STATISTIC) + POINTERS,
    "dot": 3 * (2 * ROW + COLUMN) + 2 * (ROW + ROW + STATISTIC) + POINTERS,
}
# Left in, its gradient out; output and its gradient in; log-sum-exp in, delta out.
TARGETS = {
    "gat": 3 * (ROW + LOGIT + COLUMN) + 2 * (2 * LOGIT + 2 * ROW + 2 * STATISTIC) + POINTERS,
    "gatv2": 3 * (ROW + COLUMN) + 2 * (4 * ROW + 2 * STATISTIC) + POINTERS,
    "dot": 3 * (2 * ROW + COLUMN) + 2 * (4 * ROW + 2 * STATISTIC) + POINTERS,
}
# The gradient of the output, the left side and two statistics of every target; the source's own.
SOURCES = {
    "gat": 3 * (ROW + LOGIT + 2 * STATISTIC + COLUMN) + 2 * 2 * (ROW + LOGIT) + POINTERS,
    "gatv2": 3 * (2 * ROW + 2 * STATISTIC + COLUMN) + 2 * 2 * ROW + POINTERS,
    "dot": 3 * (2 * ROW + 2 * STATISTIC + COLUMN) + 2 * 2 * 2 * ROW + POINTERS,
}


@pytest.mark.parametrize("form", FORMS)
def test_by_hand(form):
    assert bytes_moved(form, "forward", TINY) == FORWARD[form]
    both = FORWARD[form] + TARGETS[form] + SOURCES[form]
    assert bytes_moved(form, "forward+backward", TINY) == both


def test_features_of_pairs_are_read_in_every_pass():
    plain, more = TINY, Sizes(2, 3, 2, 4, 4, features=5)
    for passed, passes in (("forward", 1), ("forward+backward", 3)):
        found = bytes_moved("dot", passed, more) - bytes_moved("dot", passed, plain)
        assert found == passes * 3 * 5 * 4


def test_half_the_width_is_about_half_the_bytes():
    sizes = [Sizes(10, 10_000, 4, 32, width) for width in (4, 2)]
    whole, half = (bytes_moved("dot", "forward", each) for each in sizes)
    assert 0.5 < half / whole < 0.51
