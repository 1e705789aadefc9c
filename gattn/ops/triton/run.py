"""Starting a kernel."""

from __future__ import annotations

from contextlib import AbstractContextManager
from threading import Lock
from typing import Any

import torch
from torch import Tensor


def launch(kernel: Any, programs: int, blocks: int, on: Tensor, **arguments: Any) -> None:
    """Run programs of a kernel on the device of a tensor, in torch's current stream there.

    Args:
        kernel: compiled by triton.
        programs: along the rows; none is fine.
        blocks: along the heads.
        on: any tensor of the device.
        arguments: of the kernel, by name; `num_warps` besides.
    """
    if programs and blocks:
        with _device(on.device):
            kernel[(programs, blocks)](**arguments)


_INTERPRETER = Lock()


def _device(device: torch.device) -> AbstractContextManager[Any]:
    """Triton launches where torch is, which need not be where the tensors are.

    Its interpreter changes the language itself while it runs: one thread at a time.
    """
    return torch.cuda.device(device) if device.type == "cuda" else _INTERPRETER
