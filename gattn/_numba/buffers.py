"""Large tensors whose memory the kernel of the system may hand out in large pages."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

_HUGE = 2 << 20
_MADV_HUGEPAGE = 14
_WORTHWHILE = 4 << 20


def empty(*size: int, dtype: torch.dtype) -> Tensor:
    """An uninitialised tensor on the CPU.

    Fresh memory costs a page fault for every 4 KiB, which for an `[N, H, C]` tensor can take
    longer than what is written to it, and gathers from it miss the address cache. Where Linux has
    transparent huge pages on request, this requests them; elsewhere it does nothing.
    """
    tensor = torch.empty(size, dtype=dtype, device="cpu")
    if not torch.compiler.is_compiling() and is_worthwhile(tensor.nbytes):
        _advise(tensor.data_ptr(), tensor.nbytes)
    return tensor


def is_worthwhile(size: int) -> bool:
    """Whether large pages make a difference to so many bytes."""
    return size >= _WORTHWHILE


def zeros(*size: int, dtype: torch.dtype) -> Tensor:
    """`empty`, filled with zeros."""
    return empty(*size, dtype=dtype).zero_()


def _advise(start: int, size: int) -> None:
    first, last = -(-start // _HUGE) * _HUGE, (start + size) // _HUGE * _HUGE
    advise = _madvise()
    if advise is not None and last > first:
        advise(first, last - first, _MADV_HUGEPAGE)


@cache
def _madvise() -> Callable[[int, int, int], int] | None:
    if not sys.platform.startswith("linux"):
        return None
    function = ctypes.CDLL(None).madvise
    function.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    return function
