"""`python -m gattn.benchmark.gpu`; see `gattn.benchmark.gpu.command`."""

import signal
import sys

from gattn.benchmark.gpu.command import main

if __name__ == "__main__":
    # Whoever is told to end has to end its workers first.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main())
