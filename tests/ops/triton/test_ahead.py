"""Blocks that are found ahead: in order, one in flight, and no thread stays behind."""

import subprocess
import sys
import threading
import time
import weakref
from contextlib import nullcontext
from functools import partial

import pytest
import torch

from gattn.ops.triton import ahead as module
from gattn.ops.triton.ahead import ahead, copied
from tests.ops.triton.where import on_gpu

SECONDS = 20  # nothing here takes as long, unless it hangs


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    assert [t for t in threading.enumerate() if t.name == "gattn-ahead"] == []


def taken(count, log):
    for number in range(count):
        log.append(number)
        yield partial(int, number)


@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_results_come_in_order(count):
    assert list(ahead(partial(int, number) for number in range(count))) == list(range(count))


def test_one_is_in_flight_and_no_more():
    log = []
    for number in ahead(taken(9, log)):
        assert len(log) == min(number + 2, 9)


def test_the_next_is_found_while_one_is_used():
    """It would hang, if the second began when the first is done with."""
    begun = threading.Event()
    found = ahead([partial(int, 1), begun.set, partial(int, 3)])
    assert next(found) == 1
    assert begun.wait(SECONDS)
    assert list(found) == [None, 3]


def test_work_is_done_in_threads_that_tasks_are_not_taken_in():
    def tasks():
        for _ in range(3):
            assert threading.current_thread() is threading.main_thread()
            yield threading.current_thread

    assert threading.main_thread() not in list(ahead(tasks()))


@pytest.mark.parametrize("bad", [0, 1, 2])
def test_an_error_reaches_the_caller(bad):
    def task(number):
        if number == bad:
            raise KeyError(number)
        return number

    found, seen = ahead(partial(task, number) for number in range(4)), []
    with pytest.raises(KeyError, match=str(bad)):
        seen.extend(found)
    assert seen == list(range(bad)) and list(found) == []


def test_an_error_of_the_caller_waits_for_the_thread():
    done = threading.Event()

    def slow():
        time.sleep(0.2)
        done.set()

    def use():
        for _ in copied(ahead([tuple, slow, tuple]), torch.device("cpu")):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        use()
    assert done.is_set()


def test_results_are_not_kept():
    class Block:
        pass

    alive = []
    for block in ahead([Block] * 5):
        alive.append(weakref.ref(block))
        del block
        assert [reference() for reference in alive[:-1]] == [None] * (len(alive) - 1)


def test_without_threads_the_caller_works_itself(monkeypatch):
    def refused(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refused)
    assert list(ahead([threading.current_thread] * 3)) == [threading.main_thread()] * 3


SCRIPT = """
import atexit, os, sys, time
from functools import partial
from gattn.ops.triton.ahead import ahead

def slow(number):
    time.sleep(0.3)
    return number

found = ahead(partial(slow, number) for number in range(4))
assert next(found) == 0
"""
ENDINGS = {
    "left alone": "",
    "by leaving": "sys.exit(0)",
    "at the exit": "atexit.register(lambda: print(list(found)))",
    "in a child": """
child = os.fork()
rest = list(found)
assert rest == [1, 2, 3], rest
if child:
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
""",
}


@pytest.mark.skipif(not hasattr(subprocess.os, "fork"), reason="there is no fork here")
@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS)
def test_processes_end(ending):
    args = [sys.executable, "-W", "ignore", "-c", SCRIPT + ending]
    ran = subprocess.run(args, capture_output=True, text=True, timeout=120, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")


class Stream:
    """What torch's streams are told, written down."""

    def __init__(self, name, log):
        self.name, self.log = name, log

    def wait_stream(self, other):
        self.log.append(f"{self.name} waits for {other.name}")

    def record_event(self):
        self.log.append(f"{self.name} marks")
        return self

    def synchronize(self):
        self.log.append("the host waits")


def test_at_most_two_blocks_are_on_the_device(monkeypatch):
    """And a block is let go when it is computed, since another stream made its memory."""
    log, alive = [], []
    side, here = Stream("side", log), Stream("here", log)
    monkeypatch.setattr(module, "_side_stream", lambda device: side)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: here)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: nullcontext())
    blocks = module._beside(iter([(torch.ones(3),) for _ in range(5)]), torch.device("meta"))
    for tensors in blocks:
        log.append("used")
        alive.append(weakref.ref(tensors[0]))
        del tensors
        assert sum(reference() is not None for reference in alive) <= 2
    a_block = ["here waits for side", "used", "here marks", "the host waits"]
    assert log == [*a_block[:3], *a_block * 4, "side waits for here"]


def assert_copied(device, options):
    def blocks(number):
        return torch.arange(5), torch.empty(1 << 16, dtype=torch.int32, **options).fill_(number)

    for number, tensors in enumerate(copied(ahead(partial(blocks, n) for n in range(9)), device)):
        assert all(tensor.device.type == device.type for tensor in tensors)
        assert torch.equal(tensors[0].cpu(), torch.arange(5)) and (tensors[1] == number).all()


def test_on_the_cpu_nothing_is_copied():
    assert_copied(torch.device("cpu"), {})


@on_gpu
@pytest.mark.parametrize("pinned", [False, True])
def test_copies_are_the_same(pinned):
    assert_copied(torch.device("cuda"), {"pin_memory": pinned})


def pinned(count, size):
    for number in range(count):
        room = torch.empty(size, dtype=torch.int32, pin_memory=True)
        yield partial(lambda room, number: (room.fill_(number),), room, number)


@on_gpu
@pytest.mark.parametrize("own_stream", [False, True])
def test_blocks_are_right_however_late_they_are_read(own_stream):
    """Nothing is written over while the device is far behind."""
    device = torch.device("cuda", torch.cuda.current_device())
    stream = torch.cuda.Stream() if own_stream else torch.cuda.current_stream()
    sums = []
    with torch.cuda.stream(stream):
        for (block,) in copied(ahead(pinned(40, 1 << 20)), device):
            torch.cuda._sleep(2_000_000)
            sums.append(block.long().sum())
    torch.cuda.synchronize()
    assert [int(s) >> 20 for s in sums] == list(range(40))


@on_gpu
def test_memory_does_not_grow_with_the_number_of_blocks():
    device, peaks = torch.device("cuda", torch.cuda.current_device()), []

    def use(count):
        for (block,) in copied(ahead(pinned(count, 1 << 20)), device):
            torch.cuda._sleep(1_000_000)
            block.add_(1)

    for count in (4, 60):
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        use(count)
        peaks.append(torch.cuda.max_memory_allocated() - before)
    assert peaks[1] <= peaks[0] <= 3 * (4 << 20)


@on_gpu
def test_the_cpu_works_while_the_device_does():
    device = torch.device("cuda", torch.cuda.current_device())
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    torch.cuda._sleep(10_000_000)
    end.record()
    end.synchronize()
    cycles = int(10_000_000 * 0.05 / (begin.elapsed_time(end) / 1e3))

    def task(room):
        time.sleep(0.05)
        return (room,)

    def tasks():
        for _ in range(8):
            yield partial(task, torch.empty(1024, pin_memory=True))

    start = time.perf_counter()
    for _block in copied(ahead(tasks()), device):
        torch.cuda._sleep(cycles)
    torch.cuda.synchronize()
    taken = time.perf_counter() - start  # 0.8 one after the other, 0.45 beside one another
    assert taken < 0.65
