"""PyG's own tests pass with the drop-ins, where a checkout of PyG is at hand."""

import os
from pathlib import Path

CHECKOUT = os.environ.get("PYG_TESTS")

if CHECKOUT:  # there is nothing to run without one: see pyg_suite.py

    def test_pygs_own_tests_pass_with_the_drop_ins():
        from tests.nn import pyg_suite

        assert pyg_suite.run(Path(CHECKOUT), []) == 0
