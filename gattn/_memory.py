"""Peak memory of a piece of work: torch's own count on CUDA, growth of the process on the CPU."""

import ctypes
import gc
import sys
from pathlib import Path

import torch


class PeakMemory:
    """The largest amount of memory in use since the object was made, in bytes.

    On CUDA: `torch.cuda.max_memory_allocated`, with all that was allocated before. On the CPU: the
    growth of the resident set above what it was at the start. Linux resets its high-water mark on
    request, so the growth is exact there, up to pages that the allocator had kept (they are given
    back first where the C library can). Elsewhere the mark belongs to the whole life of the process
    and the growth is a lower bound: 0 for work that stays below an earlier peak. Windows tells
    nothing: None.

    Args:
        device: where the work will run.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        gc.collect()
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            return
        _give_back_free_pages()
        self._start = _status("VmRSS") if _reset_high_water_mark() else high_water_mark()

    def read(self) -> int | None:
        """Return the peak in bytes, or None where the system does not tell."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device)
        mark = high_water_mark()
        return None if mark is None or self._start is None else max(0, mark - self._start)


def _give_back_free_pages() -> None:
    """Ask glibc to return its free pages, so that memory kept from before hides no growth."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def _reset_high_water_mark() -> bool:
    """Set Linux's high-water mark to the present resident set; False where that is not possible."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return _status("VmHWM") is not None


def _status(name: str) -> int | None:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next(
        (int(line.split()[1]) * 1024 for line in lines if line.startswith(name + ":")), None
    )


def available() -> int | None:
    """Return the bytes that the system can still give, None where it does not tell.

    On Linux only; a limit of the process's control group counts, too.
    """
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    found = [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    limits = [left] if (left := _left_in_group()) is not None else []
    return min(found + limits, default=None)


def _left_in_group(group: Path = Path("/sys/fs/cgroup")) -> int | None:
    try:
        most, used = ((group / f"memory.{name}").read_text() for name in ("max", "current"))
    except OSError:
        return None
    return max(0, int(most) - int(used)) if most.strip().isdigit() else None


def high_water_mark() -> int | None:
    """Return the largest resident set of the process since the mark was last reset, in bytes."""
    mark = _status("VmHWM")
    if mark is not None or sys.platform == "win32":
        return mark
    import resource  # not on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
