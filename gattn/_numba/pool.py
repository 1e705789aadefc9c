"""Threads for kernels that release the GIL: as many as torch uses, and safe to fork.

Who computes a task never decides what is computed: tasks and the order in which their results are
put together come from the data, so that results have the same bits for any number of threads.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count
from typing import Any

import torch

# A call of a kernel takes about 10 us; each thread takes its share in so many calls, so that one
# that is held up does not hold up the others.
_CALLS_PER_THREAD = 8

_state = threading.local()


class _Threads:
    """The executor of this process, made when it is first needed."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Start anew: after a fork neither the threads nor a held lock are of any use."""
        self.lock = threading.Lock()
        self.size = 0
        self.executor: ThreadPoolExecutor | None = None

    def submit(self, share: Callable[[], None], count: int) -> list[Future[None]]:
        """Have `count` threads call `share`; fewer where there can be no more threads.

        Under the lock, so that nobody replaces the executor between two of them.
        """
        futures: list[Future[None]] = []
        with self.lock:
            executor = self._of_size(count)
            try:
                for _ in range(count):
                    futures.append(executor.submit(share))
            except RuntimeError:  # the interpreter is shutting down: no new threads
                pass
        return futures

    def _of_size(self, size: int) -> ThreadPoolExecutor:
        """An executor of at least `size` threads."""
        if self.executor is None or self.size < size:
            if self.executor is not None:
                self.executor.shutdown(wait=False)  # what was submitted still runs
            self.executor = ThreadPoolExecutor(size, "gattn", initializer=_mark)
            self.size = size
        return self.executor


_threads = _Threads()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_threads.forget)


def run(kernel: Callable[..., Any], tasks: range, parallel: bool, *args: Any) -> None:
    """Call `kernel(first, last, *args)` on ranges that make up `tasks`.

    Args:
        kernel: computes the tasks `first .. last - 1`; must release the GIL to gain anything.
        tasks: numbers of tasks, without gaps.
        parallel: whether the work is worth more than one thread.
        args: further arguments of the kernel.

    Raises:
        Exception: whatever the kernel raised, in any thread.
    """
    threads = min(num_threads(), len(tasks)) if parallel else 1
    if threads <= 1:
        if tasks:
            kernel(tasks.start, tasks.stop, *args)
        return
    size = max(1, len(tasks) // (threads * _CALLS_PER_THREAD))
    starts = count(tasks.start, size)

    def share() -> None:
        # The next() of a count is atomic under the GIL.
        while (first := next(starts)) < tasks.stop:
            kernel(first, min(first + size, tasks.stop), *args)

    _together(share, threads)


def num_threads() -> int:
    """Threads that `run` would use: torch's number, and one inside the pool itself."""
    return 1 if getattr(_state, "in_pool", False) else torch.get_num_threads()


def _together(share: Callable[[], None], threads: int) -> None:
    futures = _threads.submit(share, threads - 1)
    try:
        share()
    finally:
        started = [future for future in futures if not future.cancel()]
        errors = [future.exception() for future in started]
    for error in errors:
        if error is not None:
            raise error


def _mark() -> None:
    _state.in_pool = True
