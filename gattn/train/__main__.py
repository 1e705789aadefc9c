"""`python -m gattn.train`: `gattn train`, also in several processes.

    torchrun --nproc-per-node 2 -m gattn.train --dataset minesweeper --option size=20

The first process reads the options, writes the rows and the checkpoints, and prints; the others
take part in its trainings.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from gattn.train.distributed import World, session


def main(arguments: Sequence[str] | None = None) -> None:
    """Train as `gattn train` does, and exit.

    Args:
        arguments: those of `gattn train`; None takes those of the process.
    """
    with session() as world:
        code = _code(world, sys.argv[1:] if arguments is None else arguments)
    sys.exit(code)


def _code(world: World, arguments: Sequence[str]) -> int:
    # The one place where training knows of the command line and of studies.
    if world.rank:
        from gattn.compare.training import follow

        try:
            return follow()
        except KeyboardInterrupt:
            return 130
    from gattn.cli import run

    code = run(["train", *arguments])
    if code != 130:  # Ctrl-C reaches the others by itself, in the middle of a step
        world.send(code)
    return code


if __name__ == "__main__":
    main()
