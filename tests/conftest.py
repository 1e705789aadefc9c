"""What all tests share: one thread, here and in the processes that tests start.

Their tensors are tiny. Two threads of torch would spend the time waiting for one another, several
times the time of the work wherever the machine is busy. `OMP_NUM_THREADS=2 make test` overrides it.
"""

import os

# torch reads it when it is imported, which is after pytest has read this file.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

# Triton's kernels are tested everywhere: by its interpreter where there is no GPU. It has to be told
# before triton is imported, whoever is first to do that.
if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")
