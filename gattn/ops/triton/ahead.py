"""Work of the CPU beside that of a device: the next block is found while this one is computed.

The thread touches memory of the CPU and nothing of CUDA. There is one for each block: it keeps no
state, so that nothing has to be ended, forked or waited for when nobody searches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from functools import cache
from threading import Thread
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")
Tensors = tuple[Tensor, ...]


class _Running(Generic[T]):
    """A task in a thread of its own."""

    def __init__(self, task: Callable[[], T]) -> None:
        self.task, self.found, self.error = task, None, None
        self.done = False
        self.thread: Thread | None = Thread(target=self._run, name="gattn-ahead")
        try:
            self.thread.start()
        except RuntimeError:  # the interpreter is shutting down: no new threads
            self.thread = None

    def _run(self) -> None:
        try:
            self.found: Any = self.task()
        except BaseException as error:  # noqa: BLE001 - the caller's, whatever it is
            self.error: Any = error
        self.done = True

    def end(self) -> None:
        """Wait for the thread."""
        if self.thread is not None:
            self.thread.join()

    def result(self) -> T:
        """What the task returned.

        Raises:
            BaseException: what the task raised.
        """
        self.end()
        if not self.done:  # no thread, or one that a fork left behind
            self._run()
        try:
            if self.error is not None:
                raise self.error
            return self.found
        finally:
            self.error = None  # its traceback holds this frame


def ahead(tasks: Iterable[Callable[[], T]]) -> Iterator[T]:
    """What the tasks return, in order: one is at work while the caller uses the one before.

    The thread is waited for when the iterator is closed, or raises.

    Args:
        tasks: taken in the caller's thread, one more than has been asked for.
    """
    waiting = iter(tasks)
    running = _started(waiting)
    try:
        while running is not None:
            found = running.result()
            running = _started(waiting)
            yield found
            del found
    finally:
        if running is not None:
            running.end()


def _started(tasks: Iterator[Callable[[], T]]) -> _Running[T] | None:
    task = next(tasks, None)
    return None if task is None else _Running(task)


def copied(found: Iterator[Tensors], device: torch.device) -> Iterator[Tensors]:
    """Tensors of the CPU on a device, for the current stream of the caller.

    On CUDA they are copied beside what is computed. The one before the last has been computed when
    another is copied: so there are never more than two on the device.

    Args:
        found: is closed with this.
        device: a CUDA device; on another, the tensors are moved and no more.
    """
    with closing(found):  # type: ignore[type-var]
        if device.type == "cuda":
            yield from _beside(found, device)
        else:
            for tensors in found:
                yield tuple(tensor.to(device) for tensor in tensors)


def _beside(found: Iterator[Tensors], device: torch.device) -> Iterator[Tensors]:
    side, here = _side_stream(device), torch.cuda.current_stream(device)
    before: tuple[Any, Tensors] | None = None
    try:
        for tensors in found:
            with torch.cuda.stream(side):
                moved = tuple(tensor.to(device, non_blocking=True) for tensor in tensors)
            here.wait_stream(side)
            yield moved
            done = here.record_event()
            if before is not None:
                before[0].synchronize()
            before = done, moved  # kept until it is computed: the memory is the side stream's
    finally:
        side.wait_stream(here)


@cache
def _side_stream(device: torch.device) -> torch.cuda.Stream:
    """One for each device, since memory is kept for the stream that it was made on."""
    return torch.cuda.Stream(device)
