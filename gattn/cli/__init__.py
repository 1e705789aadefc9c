"""The command line: `gattn train`, `compare`, `report`, `inspect`, `data`, `bench`, `cost`.

Several values come in any form: `--breadth 1 2 3`, `--breadth 1,2,3`, `--breadth 1 --breadth 2`.
Our own errors are one line on stderr, with exit code 2 for arguments that cannot be meant and 1 for
work that could not be done.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from gattn._arguments import Spaced, UsageError, options_of, refusals_of_use
from gattn._arguments import spread as spread
from gattn.benchmark.command import bench
from gattn.cli.inspecting import inspect
from gattn.cli.options import USUAL, Option, Root
from gattn.cli.reports import report
from gattn.cli.studies import compare, train
from gattn.cost.command import cost

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Attention over k-hop neighbourhoods, with two dials: breadth (how far a node looks) and "
    "depth (how many nested attentions one layer applies).",
)
data_app = typer.Typer(no_args_is_help=True, help="List and show datasets.")
app.add_typer(data_app, name="data")


app.command(cls=Spaced, epilog=USUAL)(train)
app.command(cls=Spaced, epilog=USUAL)(compare)
app.command()(report)
app.command()(inspect)
app.command(cls=Spaced)(bench)
app.command(cls=Spaced)(cost)


@data_app.command("list")
def list_datasets() -> None:
    """Print the names of all datasets, one per line."""
    from gattn.data import NAMES

    typer.echo("\n".join(NAMES))


@data_app.command("show", cls=Spaced)
def show_dataset(
    name: Annotated[
        str, typer.Argument(help="A name of `gattn data list`, or the path of your own.")
    ],
    root: Root = None,
    option: Option = None,
) -> None:
    """Load a dataset and print its sizes, its classes and its splits."""
    from gattn.compare.report import describe
    from gattn.data import load

    with refusals_of_use():
        options = options_of(option or [])
    for title, text in describe(load(name, root, **dict(options))).items():
        typer.echo(f"{title:<10} {text}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line, of the process unless other arguments are given, and exit."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code.

    Args:
        arguments: without the program's name.
    """
    try:
        return app(args=list(arguments), prog_name="gattn", standalone_mode=False) or 0
    except _CLICK_ERROR as error:
        return _refuse(error.format_message(), error.exit_code)
    except UsageError as error:
        return _refuse(str(error), 2)
    except (ValueError, TypeError, IndexError, OSError, ImportError) as error:
        return _refuse(str(error), 1)


# typer comes with a click of its own, or uses the installed one: this is the error of either.
_CLICK_ERROR: Any = typer.BadParameter.__mro__[2]


def _refuse(message: str, code: int) -> int:
    print("error: " + " ".join(message.split()), file=sys.stderr)
    return code
