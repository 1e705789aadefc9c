"""The command `gattn bench`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gattn._arguments import WHOLE, UsageError, about, given, prepare, refusals_of_use

if TYPE_CHECKING:
    from gattn._rows import Row

# What runs imports PyG, scipy and more: inside the functions, so that help is there at once.

_what = partial(about, "What")
_how = partial(about, "How")
_NAMES: dict[str, str] = {"metavar": "NAME..."}


def _named(name: str, panel: str, text: str, **more: Any) -> Any:
    """An option of this very name: not that of its variable, and without a `--no-`."""
    return typer.Option(name, help=text, rich_help_panel=panel, **more)


def bench(
    ctx: typer.Context,
    problem: Annotated[
        list[str] | None,
        _what(
            "cora, 50k, star (divided by the same on a ring), ball, regular, products; "
            "of sequences full, causal, packed, window, window4k.",
            show_default="cora 50k star ball full causal packed",
            **_NAMES,
        ),
    ] = None,
    provider: Annotated[
        list[str] | None,
        _what(
            "pyg, pyg-compile, dgl, sdpa (torch's own attention, of sequences), gattn, or "
            "gattn:BACKEND to force a backend.",
            show_default="those of each problem",
            **_NAMES,
        ),
    ] = None,
    layer: Annotated[
        list[str] | None,
        _what("Such as GATConv-4x64 or attend-8x64.", show_default="all", **_NAMES),
    ] = None,
    passed: Annotated[
        list[str] | None,
        _named(
            "--pass",
            "What",
            "forward (inference), forward+backward.",
            show_default="both",
            **_NAMES,
        ),
    ] = None,
    products: Annotated[
        bool,
        _named("--products", "What", "Also the size of ogbn-products; gattn only, takes minutes."),
    ] = False,
    memory: Annotated[bool, _what("Also peaks of memory, each in a fresh process.")] = True,
    rounds: Annotated[int, _how("Turns of every provider.", **WHOLE)] = 7,
    seed: Annotated[int, _how("Of graphs, features and weights.", **WHOLE)] = 0,
    threads: Annotated[
        int | None, _how("Threads of torch on the CPU.", show_default="torch's", **WHOLE)
    ] = None,
    device: Annotated[str, _how("cpu, cuda or cuda:1.", metavar="NAME")] = "cpu",
    quick: Annotated[
        bool, _named("--quick", "How", "Tiny graphs of the same kinds, to try it out.")
    ] = False,
    out: Annotated[
        Path | None,
        about(
            None,
            "Folder: rows are appended to cpu.jsonl (or cuda.jsonl) there, and all of that file "
            "is drawn as cpu.png.",
            metavar="FOLDER",
            show_default="nowhere",
        ),
    ] = None,
) -> None:
    """Time layers of PyG, DGL, torch and gattn in turns, measure their memory; print a table.

    All have the same weights and inputs, and are not timed unless outputs and gradients agree.
    """
    from gattn.benchmark.plan import Plan
    from gattn.benchmark.problems import PROBLEMS
    from gattn.benchmark.runner import run

    with refusals_of_use():
        prepare(device, threads)
        names = given(ctx, ("problem", "provider", "layer", "passed"))
        usual = [name for name, found in PROBLEMS.items() if found.usual]
        wanted = names.get("problem", usual) + ["products"] * products
        chosen = {
            "providers": names.get("provider"),
            "layers": names.get("layer"),
            "passes": names.get("passed"),
        }
        plan = Plan(
            tuple(dict.fromkeys(wanted)),
            **{name: None if some is None else tuple(some) for name, some in chosen.items()},
            rounds=rounds,
            seed=seed,
            device=device,
            quick=quick,
            memory=memory,
        )
        if out is not None and out.suffix == ".jsonl":
            raise UsageError(f"--out: found the file {out}, expected a folder")
    rows, stopped = _collected(_kept(run(plan, _say), out, device))
    _finish(rows, out, device)
    if stopped:
        raise typer.Exit(130)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _file(out: Path, device: str) -> Path:
    return out / f"{device.partition(':')[0]}.jsonl"


def _kept(rows: Iterator[Row], out: Path | None, device: str) -> Iterator[Row]:
    """Rows as they come, each on the disk first; what is not here to be measured is not kept."""
    from gattn._rows import append_row, check_writable

    if out is not None:
        check_writable(_file(out, device))
    for row in rows:
        if out is not None and row["status"] != "unavailable":
            append_row(_file(out, device), row)
        yield row


def _collected(rows: Iterator[Row]) -> tuple[list[Row], bool]:
    """The rows, and whether Ctrl-C ended them early: they are shown and drawn all the same."""
    found: list[Row] = []
    try:
        for row in rows:
            found.append(row)
    except KeyboardInterrupt:
        _say("interrupted: the rest is not measured")
        return found, True
    return found, False


def _finish(rows: Sequence[Row], out: Path | None, device: str) -> None:
    """Print the table of this run, draw the file, and fail if something that could run did not."""
    from gattn._rows import read_rows
    from gattn.benchmark.figure import figure
    from gattn.benchmark.table import print_table

    print_table(rows)
    if out is not None:
        path = _file(out, device)
        drawn = [row for row in read_rows(path) if row["status"] == "ok"]
        written = [path, *([figure(drawn, path.with_suffix(".png"))] if drawn else [])]
        typer.echo(f"written: {', '.join(map(str, written))}")
    failed = [row for row in rows if row["status"] == "failed"]
    if failed:
        raise ValueError(f"{len(failed)} of {len(rows)} rows failed: {failed[-1]['reason']}")
