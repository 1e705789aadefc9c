"""Seconds of a piece of work, whoever else works on the machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import torch

T = TypeVar("T")


def now() -> float:
    """Return a time whose differences are the seconds of work.

    With one thread it is the time that the processor spent on this process, so that other programs
    do not count; with several, of which some may wait for others, it is the time of day.
    """
    return time.process_time() if torch.get_num_threads() == 1 else time.perf_counter()


def again(work: Callable[[], T]) -> tuple[float, T]:
    """Return the seconds of some work the second time, and its result: the first may compile.

    Args:
        work: what is done twice.
    """
    work()
    begin = now()
    done = work()
    return now() - begin, done
