"""The command `gattn report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gattn._arguments import UsageError


def report(
    folder: Annotated[
        Path,
        typer.Argument(
            help="Where rows are: a folder of `gattn compare`, or a file that ends in .jsonl.",
            metavar="FOLDER",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="The file to write.", metavar="FILE", show_default="report.html beside the rows"
        ),
    ] = None,
    title: Annotated[
        str | None,
        typer.Option(
            help="Title of the page.", metavar="TEXT", show_default="the names of the datasets"
        ),
    ] = None,
) -> None:
    """Write the report of a study, one HTML file that opens without a network, and print its path.

    It has the recommended setting and why, heat maps of metric and cost, the front of accuracy
    against time and memory, learning curves, the table, and what it takes to repeat the study.
    """
    from gattn.compare import read_rows
    from gattn.compare.html import FILE, write_html
    from gattn.compare.run import rows_file

    path = rows_file(folder)
    if not path.is_file():
        raise UsageError(f"FOLDER: found no {path}, expected rows of `gattn compare`")
    rows = read_rows(path)
    if not rows:
        raise UsageError(f"FOLDER: found no row in {path}, expected at least one")
    wanted = ("dataset", "model", "breadth", "depth", "seed", "split", "options", "metric")
    lacking = [name for row in rows for name in wanted if name not in row]
    if lacking:
        raise UsageError(
            f"FOLDER: found rows without {lacking[0]} in {path}, expected those of `gattn compare`"
        )
    target = path.parent / FILE if out is None else out
    if target.is_dir() or not target.parent.is_dir():
        raise UsageError(f"--out: found {target}, expected a file in a folder that is there")
    typer.echo(write_html(rows, target, title))
