"""With one thread, waiting is no work."""

import time

import torch

from gattn.cost import clock


def test_what_others_do_does_not_count() -> None:
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        begin = clock.now()
        time.sleep(0.2)
        assert clock.now() - begin < 0.1
        torch.set_num_threads(2)
        begin = clock.now()
        time.sleep(0.2)
        assert clock.now() - begin >= 0.2
    finally:
        torch.set_num_threads(threads)
