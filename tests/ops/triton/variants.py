"""`python -m tests.ops.triton.variants DTYPE`: compile what the contract asks for, without a GPU.

The interpreter runs what the compiler refuses: a name that is given another shape in a loop, say.
Prints how many kernels were compiled, and what the others failed with. Triton must not interpret.
"""

from __future__ import annotations

import json
import sys
from unittest import mock

import torch
from triton.compiler.errors import CompilationError

from gattn import testing
from gattn.benchmark.gpu_kernels import recorded
from gattn.ops import triton as backend

NORMALIZERS = ("Softmax()", "Sigmoid()", "TopK(k=2)", "Hard()", "Sparsemax()")


def wanted(form: str, normalizer: str, graph: str) -> bool:
    """Everything with hops, and with the order of the edges; groups of rows with a softmax."""
    rings = graph == "rings" and normalizer == "Softmax()"
    return normalizer in NORMALIZERS and (graph in ("two hops", "duplicates") or rings)


def softmax(form: str, normalizer: str, graph: str) -> bool:
    """Fewer: a softmax, with hops."""
    return normalizer == "Softmax()" and graph == "two hops"


def compiled(dtype: torch.dtype, only: testing.Only) -> tuple[int, dict[str, str]]:
    """How many kernels there are, and by the name of a case why one is none."""
    failed: dict[str, str] = {}
    with mock.patch.object(backend, "reasons", lambda problem: []), recorded() as found:
        for case in testing.cases(only=only):
            try:
                case.run(backend, dtype)
            except CompilationError as error:
                failed[case.name] = str(error)[-600:]
    return len(found), failed


if __name__ == "__main__":
    chosen = wanted if sys.argv[1] == "float32" else softmax
    print(json.dumps(compiled(getattr(torch, sys.argv[1]), chosen)))
