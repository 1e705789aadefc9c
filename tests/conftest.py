"""What all tests share: one thread, here and in the processes that tests start.

Their tensors are tiny. Two threads of torch would spend the time waiting for one another, several
times the time of the work wherever the machine is busy. `OMP_NUM_THREADS=2 make test` overrides it.
"""

import os

# torch reads it when it is imported, which is after pytest has read this file.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch

# Triton's kernels are tested everywhere: by its interpreter where there is no GPU. That has to be
# said before triton is imported, whoever is first to do that.
if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what is marked `gpu` where there is none."""
    for item in items:
        if item.get_closest_marker("gpu") and not torch.cuda.is_available():
            item.add_marker(pytest.mark.skip(reason="needs a GPU, and there is none"))
