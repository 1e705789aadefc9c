"""Data parallel training: the gradients of several processes are those of one."""

import socket
from datetime import timedelta

import pytest
import torch
import torch.distributed as dist
from torch import multiprocessing
from torch.nn.parallel import DistributedDataParallel

import gattn
from gattn.nn import GraphAttention
from tests.ops.triton.where import BACKEND, at, both, draw, near, on_gpu

SMALL = {"nodes": 8, "edges": 20}
LARGE = {"nodes": 500, "edges": 5000}


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def part(rank, device, nodes, edges):
    """A graph, its features and what is wanted of it: of one of the processes."""
    generator = torch.Generator().manual_seed(rank)
    pairs = torch.randint(nodes, (2, edges), generator=generator)
    graph = gattn.from_edge_index(pairs, nodes).to(device)
    x = draw(nodes, 6, device=device, seed=rank)
    return x, graph, draw(nodes, 8, device=device, seed=rank + 100)


def model(device):
    torch.manual_seed(0)
    return GraphAttention(6, 4, 2, backend=BACKEND).to(device)


def loss_of(layer, rank, device, sizes):
    x, graph, wanted = part(rank, device, **sizes)
    return (layer(x, graph) - wanted).square().mean()


def work(rank, size, port, device, transport, sizes, results):
    """One of the processes: its gradients after all have shared theirs."""
    store = f"tcp://127.0.0.1:{port}"
    dist.init_process_group(
        transport, init_method=store, rank=rank, world_size=size, timeout=timedelta(seconds=60)
    )
    try:
        places = [0] if device == "cuda" else None
        layer = DistributedDataParallel(model(device), device_ids=places)
        loss_of(layer, rank, device, sizes).backward()
        grads = {name: p.grad.cpu().numpy() for name, p in layer.module.named_parameters()}
        results.put((rank, grads))
        dist.barrier()
    finally:
        dist.destroy_process_group()


def of_one_process(size, device, sizes):
    """The mean of the gradients on every part."""
    layer = model(device)
    for rank in range(size):
        (loss_of(layer, rank, device, sizes) / size).backward()
    return {name: parameter.grad for name, parameter in layer.named_parameters()}


def check(size, device, transport, sizes):
    context = multiprocessing.get_context("spawn")
    results = context.SimpleQueue()
    arguments = (size, free_port(), device, transport, sizes, results)
    started = multiprocessing.spawn(work, arguments, nprocs=size, join=False)
    while not started.join(timeout=120):
        pass
    found = dict(results.get() for _ in range(size))
    expected = of_one_process(size, device, sizes)
    assert set(found) == set(range(size))
    largest = max(float(grad.abs().max()) for grad in expected.values())
    for grads in found.values():
        assert grads.keys() == expected.keys()
        for name, wanted in expected.items():
            near(torch.from_numpy(grads[name]), wanted, 1e-4, largest / 100)


@both
def test_two_processes_have_the_gradients_of_one(device):
    if not dist.is_available() or not dist.is_gloo_available():
        pytest.skip("torch.distributed is not built with gloo")
    check(2, device, "gloo", at(device, SMALL, LARGE))


@on_gpu
def test_one_process_with_nccl():
    if not dist.is_nccl_available():
        pytest.skip("torch.distributed is not built with nccl")
    check(1, "cuda", "nccl", LARGE)
