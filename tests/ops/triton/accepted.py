"""`python -m tests.ops.triton.accepted`: does triton's compiler take the kernels? No GPU is needed.

Triton's interpreter runs Python, and takes what the compiler refuses: a name that changes its type
in a loop, or is bound in one branch only. So every kernel that the calls of `variants.py` ask for
is put through the compiler's front end, which is where such a thing is refused; the machine code is
left to `gattn.benchmark.gpu_static`, it takes ten times as long. Triton must not interpret.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from types import SimpleNamespace
from typing import Any
from unittest import mock

import torch
import triton
import triton.language as tl

from gattn.benchmark import gpu_kernels
from tests.ops.triton.variants import ask, ask_for_a_search, cover


@triton.jit
def refused(out, count):
    """A kernel that interpreted does what it says."""
    at = tl.arange(0, 4)
    sums = tl.zeros((4,), tl.int32)
    for _ in range(count):
        sums = sums + 0.5
    tl.store(out + at, sums)


def front_end(src: Any, target: Any, options: Any, **_: Any) -> Any:
    """What stands for `triton.compile`: it goes as far as an error of the language can be."""
    from triton._C.libtriton import ir
    from triton.compiler.compiler import make_backend

    backend, context = make_backend(target), ir.context()
    ir.load_dialects(context)
    backend.load_dialects(context)
    chosen = backend.parse_options(dict(options))
    made = backend.get_codegen_implementation(chosen), backend.get_module_map()
    src.make_ir(target, chosen, *made, context)
    return SimpleNamespace(src=src)


def tried(call: Any, *args: Any) -> str | None:
    """The error of the compiler, if it refuses a kernel."""
    try:
        call(*args)
    except triton.CompilationError as error:
        told = error.__cause__ or error
        return f"{args}: {told}"
    return None


def accepted() -> dict[str, Any]:
    """What was asked for, and the errors."""
    errors, variants = [], list(cover())
    with (
        mock.patch("triton.compiler.compile", front_end),
        gpu_kernels.recorded() as found,
    ):
        errors += [tried(ask, variant) for variant in variants]
        errors.append(tried(ask_for_a_search))
        known = tried(lambda: refused[(1,)](torch.zeros(4), 3))
    return {
        "variants": len(variants),
        "kernels": Counter(kernel.name for kernel in found),
        "errors": [error for error in errors if error],
        "known": known,
    }


if __name__ == "__main__":
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    print(json.dumps(accepted()))
