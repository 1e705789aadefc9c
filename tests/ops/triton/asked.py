"""`python -m tests.ops.triton.asked`: which kernels graphs ask for, without a GPU.

Prints two lists: the first graphs' kernels, and what later graphs ask for besides. Nothing is
compiled and nothing runs; triton must not interpret.
"""

from __future__ import annotations

import json
from types import SimpleNamespace
from unittest import mock

from triton.runtime.jit import JITFunction

from gattn.benchmark import gpu_kernels
from gattn.ops import triton as backend
from tests.ops.triton.test_gpu_compile import SIZES, every_option
from tests.ops.triton.where import random_graph


def asked() -> tuple[list[str], list[str]]:
    """The first graphs' kernels, and those of other sizes that the first had not asked for."""
    seen: list[str] = []

    def note(function, key, *rest):
        seen.append(f"{function.fn.__name__} {key}")
        function.device_caches[0][0][key] = function  # as if it were compiled
        return function

    with (
        mock.patch.object(JITFunction, "_do_compile", note),
        mock.patch.object(gpu_kernels, "_kernel", lambda made: SimpleNamespace(compiled=made)),
        mock.patch.object(backend, "reasons", lambda problem: []),
        gpu_kernels.recorded(),
    ):
        for nodes, edges in ((1000, 5000), (1000, 50_000)):
            every_option(random_graph(nodes, edges, "cpu", hub=3000), "cpu")
        first = list(seen)
        for nodes, edges in SIZES:
            every_option(random_graph(nodes, edges, "cpu"), "cpu")
        every_option(random_graph(3001, 15_007, "cpu", hub=5001), "cpu")
    return first, seen[len(first) :]


if __name__ == "__main__":
    print(json.dumps(asked()))
