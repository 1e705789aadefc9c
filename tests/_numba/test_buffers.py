"""Large tensors: what they look like, whatever the system does for them."""

import pytest
import torch

from gattn._numba import buffers


@pytest.mark.parametrize("size", [(), (0,), (3, 4), (0, 5, 2), (1 << 20, 2), (3 << 20, 1)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.uint8], ids=str)
def test_a_buffer_is_a_plain_tensor(size, dtype):
    made = buffers.empty(*size, dtype=dtype)
    assert made.shape == size and made.dtype == dtype and made.is_contiguous()
    made.fill_(1)
    assert int(made.sum()) == made.numel()
    assert not buffers.zeros(*size, dtype=dtype).any()


def test_only_whole_pages_inside_the_buffer_are_advised(monkeypatch):
    advised = []
    monkeypatch.setattr(buffers, "_madvise", lambda: lambda *args: advised.append(args))
    made = buffers.empty(5 << 20, dtype=torch.uint8)
    page = 2 << 20
    ((start, size, _),) = advised
    assert start % page == 0 and size % page == 0 and size >= page
    assert made.data_ptr() <= start and start + size <= made.data_ptr() + made.nbytes


def test_systems_without_it_do_nothing(monkeypatch):
    monkeypatch.setattr(buffers, "_madvise", lambda: None)
    assert buffers.empty(5 << 20, dtype=torch.uint8).nbytes == 5 << 20
    monkeypatch.undo()
    buffers._madvise.cache_clear()
    monkeypatch.setattr("sys.platform", "darwin")
    assert buffers._madvise() is None
    buffers._madvise.cache_clear()
