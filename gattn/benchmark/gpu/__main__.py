"""`python -m gattn.benchmark.gpu`; see `gattn.benchmark.gpu.command`."""

import sys

from gattn.benchmark.gpu.command import main

if __name__ == "__main__":
    sys.exit(main())
