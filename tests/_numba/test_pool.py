"""Threads: every task once, exceptions, nesting, several callers, forks."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

import gattn
from gattn._numba import pool, sort
from gattn.ops.cpu import arguments

WAIT = 20.0  # seconds until a test says that threads are stuck


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("count", [1, 2, 4])
@pytest.mark.parametrize("tasks", [range(0), range(1), range(3), range(5, 1000), range(7, 8)])
def test_every_task_runs_once(count, tasks, threads):
    threads(count)
    done = []

    def kernel(first, last, more):
        assert first < last
        done.extend(range(first, last))
        assert more == "more"

    pool.run(kernel, tasks, True, "more")
    assert sorted(done) == list(tasks)


def test_work_is_shared_between_as_many_threads_as_torch_has(threads):
    threads(3)
    barrier, seen = threading.Barrier(3, timeout=WAIT), set()

    def kernel(first, last):
        if first < 3:
            barrier.wait()  # nobody goes on before three threads are here
        seen.add(threading.get_ident())

    pool.run(kernel, range(24), True)
    assert len(seen) == 3 and torch.get_num_threads() == 3


def test_work_that_is_not_worth_it_stays_in_the_calling_thread(threads):
    threads(4)
    seen = []
    pool.run(lambda first, last: seen.append((first, last, threading.get_ident())), range(9), False)
    assert seen == [(0, 9, threading.get_ident())]


@pytest.mark.parametrize("in_caller", [True, False])
def test_an_exception_of_any_thread_reaches_the_caller(in_caller, threads):
    threads(2)
    caller, barrier = threading.get_ident(), threading.Barrier(2, timeout=WAIT)

    def kernel(first, last):
        if first < 2:
            barrier.wait()  # one task in each thread
            if (threading.get_ident() == caller) == in_caller:
                raise ZeroDivisionError("task")

    with pytest.raises(ZeroDivisionError, match="task"):
        pool.run(kernel, range(16), True)
    done = []
    pool.run(lambda first, last: done.extend(range(first, last)), range(16), True)
    assert sorted(done) == list(range(16))


def test_inside_the_pool_everything_is_serial(threads):
    threads(2)
    caller, barrier = threading.get_ident(), threading.Barrier(2, timeout=WAIT)
    inner = []

    def nested(first, last, owner):
        inner.append((first, last, owner, threading.get_ident()))

    def kernel(first, last):
        if first < 2:
            barrier.wait()
        if threading.get_ident() != caller:
            assert pool.num_threads() == 1
            pool.run(nested, range(100), True, threading.get_ident())

    pool.run(kernel, range(16), True)
    assert inner and all(
        (first, last) == (0, 100) and owner == ran for first, last, owner, ran in inner
    )
    assert pool.num_threads() == 2


def test_a_nested_call_of_the_caller_does_not_wait_for_itself(threads):
    threads(2)
    done = []

    def kernel(first, last):
        pool.run(lambda a, b: done.extend(range(a, b)), range(10), True)

    runner = threading.Thread(target=pool.run, args=(kernel, range(16), True), daemon=True)
    runner.start()
    runner.join(WAIT)
    assert not runner.is_alive()
    assert sorted(done) == sorted(list(range(10)) * 16)


def test_several_callers_with_several_numbers_of_threads(threads, monkeypatch):
    monkeypatch.setattr(arguments, "_SERIAL", 0)
    monkeypatch.setattr(sort, "_SERIAL", 0)
    edges = torch.randint(0, 50, (2, 2000), generator=torch.Generator().manual_seed(0))
    threads(1)
    expected = attended(edges)
    barrier = threading.Barrier(4, timeout=WAIT)

    def caller(count):
        barrier.wait()
        found = []
        for _ in range(10):
            torch.set_num_threads(count)
            found.append(attended(edges))
        return found

    with ThreadPoolExecutor(4) as callers:
        futures = [callers.submit(caller, count) for count in (2, 3, 4, 5)]
        for future in futures:
            for found in future.result(timeout=3 * WAIT):
                assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def attended(edges):
    """Output and gradient of an attention, from the edges on."""
    graph = gattn.from_edge_index(edges, 50)
    leaf = torch.linspace(-1, 1, 50 * 2 * 4, dtype=torch.float64).view(50, 2, 4).requires_grad_()
    out = gattn.attend(leaf, leaf, leaf, graph, backend="cpu")
    return out.detach(), torch.autograd.grad(out.square().sum(), leaf)[0]


class Graphs(Dataset):
    """Items computed in a worker: with its one thread, then with two, which it has to start."""

    def __init__(self, edges):
        self.edges = edges

    def __len__(self):
        return 4

    def __getitem__(self, index):
        torch.set_num_threads(1)
        edges = (self.edges + index) % 50
        ball = gattn.k_hop(edges[:, :60], 2, 50)
        pairs = ball.edge_index()  # torch's own threads do not survive a fork
        alone = attended(edges)
        torch.set_num_threads(2)
        together = attended(edges)
        assert pool._threads.executor is not None
        return *alone, *together, pairs


# Python 3.12 warns of a fork beside threads; that it works is what is tested.
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_forked_workers_finish_with_the_right_results(threads, monkeypatch):
    monkeypatch.setattr(arguments, "_SERIAL", 0)
    monkeypatch.setattr(sort, "_SERIAL", 0)
    edges = torch.randint(0, 50, (2, 2000), generator=torch.Generator().manual_seed(0))
    items = Graphs(edges)
    expected = [items[index] for index in range(len(items))]
    assert pool._threads.executor is not None  # the parent has threads, the children have not
    loader = DataLoader(
        items, batch_size=None, num_workers=2, multiprocessing_context="fork", timeout=3 * WAIT
    )
    for found, wanted in zip(loader, expected, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))
    for found, wanted in zip(attended(edges), expected[0][:2], strict=True):
        assert torch.equal(found, wanted)
