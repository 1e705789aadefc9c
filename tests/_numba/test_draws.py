"""Draws against exact probabilities; the seeds are fixed, so the statistics are, too."""

from itertools import combinations
from math import comb

import numpy as np
import pytest
from scipy import stats

from gattn._numba import draws
from gattn._numba.compile import kernel
from gattn._numba.draws import FEW, below, distinct, folded

MASK = 2**64 - 1


@kernel
def many_below(key, bound, out):
    for i in range(out.size):
        out[i] = below(key, i, bound)


@kernel
def many_distinct(key, bound, count, out, seen):
    for i in range(out.size // count):
        distinct(key, i * count, bound, count, out, i * count, seen)


def numbers(bound, count, key=1):
    out = np.empty(count, np.int64)
    many_below(np.uint64(key), bound, out)
    return out


def sets(bound, count, repeats, key=1):
    out = np.empty(repeats * count, np.int64)
    seen = np.full(4 << int(count).bit_length(), -1, np.int64)
    many_distinct(np.uint64(key), bound, count, out, seen)
    assert (seen == -1).all()
    return out.reshape(repeats, count)


def splitmix(state):
    """The published generator, in Python: one step of its state, and what it gives."""
    state = (state + 0x9E3779B97F4A7C15) & MASK
    bits = ((state ^ state >> 30) * 0xBF58476D1CE4E5B9) & MASK
    bits = ((bits ^ bits >> 27) * 0x94D049BB133111EB) & MASK
    return state, bits ^ bits >> 31


@pytest.mark.parametrize("bound", [1, 2, 7, 1000, 2**31 - 1, 2**32 - 1])
def test_a_draw_is_the_upper_part_of_a_product_with_splitmix(bound):
    state, expected = 12345, []
    for _ in range(50):
        state, bits = splitmix(state)
        expected.append(bits * bound >> 64)
    assert numbers(bound, 50, 12345).tolist() == expected


def test_known_numbers_of_splitmix():
    # The first numbers that the authors' code gives for the state 1234567.
    state, first = splitmix(1234567)
    _, second = splitmix(state)
    assert (first, second) == (6457827717110365317, 3203168211198807973)


@pytest.mark.parametrize("bound", [2, 3, 10, 97, 1000])
@pytest.mark.parametrize("key", [0, 1, MASK])
def test_draws_are_uniform(bound, key):
    found = np.bincount(numbers(bound, 200 * bound, key), minlength=bound)
    assert stats.chisquare(found).pvalue > 1e-3


def test_consecutive_draws_do_not_depend_on_one_another():
    found = numbers(8, 64_000).reshape(-1, 2) @ [8, 1]
    assert stats.chisquare(np.bincount(found, minlength=64)).pvalue > 1e-3


def test_large_bounds_reach_their_ends():
    found = numbers(2**32 - 1, 20_000)
    assert stats.kstest(found / 2**32, "uniform").pvalue > 1e-3


@pytest.mark.parametrize(("bound", "count"), [(2, 1), (5, 2), (6, 3), (7, 6), (5, 5)])
def test_every_set_is_as_likely_as_any_other(bound, count):
    found = np.sort(sets(bound, count, 300 * comb(bound, count)), axis=1)
    ids = found @ (bound ** np.arange(count))
    expected = [
        sum(n * bound**i for i, n in enumerate(c)) for c in combinations(range(bound), count)
    ]
    assert set(ids.tolist()) == set(expected)
    if len(expected) > 1:
        assert stats.chisquare(np.unique(ids, return_counts=True)[1]).pvalue > 1e-3


@pytest.mark.parametrize("count", [FEW - 1, FEW, FEW + 1, 100, 1000])
def test_large_sets_hold_no_number_twice_and_every_number_equally_often(count):
    bound, repeats = count + count // 2, 400
    found = sets(bound, count, repeats)
    assert found.min() >= 0 and found.max() < bound
    assert (np.diff(np.sort(found, axis=1), axis=1) > 0).all()
    # How often a number is in is binomial, not Poisson: the statistic is scaled by that.
    often = np.bincount(found.ravel(), minlength=bound)
    share = count / bound
    statistic = ((often - repeats * share) ** 2).sum() / (repeats * share * (1 - share))
    statistic *= (bound - 1) / bound
    assert 1e-3 < stats.chi2.cdf(statistic, bound - 1) < 1 - 1e-3


def test_both_ways_of_comparing_give_the_same_sets(monkeypatch):
    """A scan and a set differ in time only."""

    def expected(key, bound, count):
        chosen = []
        for t in range(count):
            last = bound - count + t
            state = (key + t * 0x9E3779B97F4A7C15) & MASK
            number = splitmix(state)[1] * (last + 1) >> 64
            chosen.append(last if number in chosen else number)
        return chosen

    for count in (5, FEW, FEW + 1, 90):
        assert sets(120, count, 1, key=7)[0].tolist() == expected(7, 120, count)


def test_a_folded_key_depends_on_all_numbers_and_their_order():
    keys = [
        folded(0, np.array(some, np.int64))
        for some in ([], [0], [0, 0], [1], [1, 2], [2, 1], [-1], [2**62])
    ]
    keys += [folded(1, np.array([], np.int64)), folded(MASK, np.array([1, 2]))]
    assert len(set(keys)) == len(keys)
    assert all(0 <= key <= MASK for key in keys)
    assert folded(MASK + 1, np.array([3])) == folded(0, np.array([3]))
    assert draws.FEW == FEW
