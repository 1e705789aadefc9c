"""The command `gattn inspect`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from gattn._arguments import WHOLE, about, prepare, refusals_of_use
from gattn.cli.options import Root

_what = partial(about, None)


def inspect(
    checkpoint: Annotated[
        Path,
        typer.Argument(help="A file that --checkpoints of train or compare kept.", metavar="FILE"),
    ],
    root: Root = None,
    node: Annotated[
        int | None,
        _what("Whose surroundings are shown first.", show_default="who looks farthest", **WHOLE),
    ] = None,
    split: Annotated[
        int | None,
        _what("Of the dataset: whose nodes judge.", show_default="of the training", **WHOLE),
    ] = None,
    prune: Annotated[
        int, _what("Also try without so many heads, those that matter least.", **WHOLE)
    ] = 0,
    out: Annotated[
        Path | None,
        _what(
            "Folder for inspect.html, inspect.json, ego.png and hop_mass.png.",
            metavar="FOLDER",
            show_default="nowhere",
        ),
    ] = None,
    threads: Annotated[
        int | None, _what("Threads of torch on the CPU.", show_default="torch's", **WHOLE)
    ] = None,
) -> None:
    """Look inside a trained model: where its nodes look, how far, and which heads matter.

    Prints attention by hop, entropy and effective neighbours of every layer and head, learned
    radii, gates, and the heads ranked by what is lost without them.
    """
    from gattn.compare.inspecting import (
        findings,
        open_checkpoint,
        print_findings,
        write_inspection,
    )

    with refusals_of_use():
        prepare("cpu", threads)
    opened = open_checkpoint(checkpoint, root, split)
    found = findings(opened, node, prune)
    print_findings(found)
    if out is not None:
        written = write_inspection(found, opened, out)
        typer.echo(f"written: {', '.join(map(str, written))}")
