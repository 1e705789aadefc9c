"""The fresh process of `gattn.benchmark.memory`."""

import sys

from gattn.benchmark.memory import main

if __name__ == "__main__":
    main(sys.argv[1:])
