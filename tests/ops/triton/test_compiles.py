"""Triton's compiler takes the kernels, which the interpreter that runs them here does not show."""

import json
import os
import subprocess
import sys

import pytest

from tests.ops.triton.variants import AXES, cover, every_pair, pairs_of, possible

KERNELS = {
    "attend",
    "merge",
    "write_scores",
    "write_ranks",
    "backward_rows",
    "backward_sources",
    "_merge",
    "_sum_by_hop",
    "_feature_gradient",
    "_additive_gradients",
    "_reach",
}


@pytest.fixture(scope="module")
def found():
    """What `accepted.py` says, in a process where triton compiles."""
    env = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    command = [sys.executable, "-W", "ignore", "-m", "tests.ops.triton.accepted"]
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_any_two_choices_of_a_call_occur_together():
    variants = list(cover())
    assert all(possible(variant) and set(variant) == set(AXES) for variant in variants)
    assert set().union(*map(pairs_of, variants)) >= every_pair()
    assert len(variants) < 60


@pytest.mark.slow
def test_the_compiler_takes_every_kernel(found):
    assert found["errors"] == []
    assert set(found["kernels"]) == KERNELS
    assert sum(found["kernels"].values()) > 200


@pytest.mark.slow
def test_a_kernel_that_it_does_not_take_would_be_seen(found):
    assert "Loop-carried variable sums" in found["known"]
