"""The command `gattn cost`."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gattn._arguments import (
    WHOLE,
    UsageError,
    about,
    given,
    options_of,
    prepare,
    refusals_of_use,
)

if TYPE_CHECKING:
    from gattn.cost.prediction import Costs

# What runs imports scipy and numba: inside the functions, so that help is there at once.

_layer = partial(about, "Layer")
_how = partial(about, "How")


def cost(
    ctx: typer.Context,
    dataset: Annotated[
        str, about(None, "A name of `gattn data list`, or the path of your own.", metavar="NAME")
    ],
    root: Annotated[
        Path | None,
        about(
            None,
            "Folder of the datasets, in PyG's layout.",
            metavar="FOLDER",
            show_default="~/.cache/gattn",
        ),
    ] = None,
    option: Annotated[
        list[str] | None,
        about(
            None,
            "Options of the dataset, such as size=40 for minesweeper.",
            metavar="NAME=VALUE...",
        ),
    ] = None,
    breadth: Annotated[
        list[str] | None,
        _layer("Hops that a node looks.", metavar="INTEGER...", show_default="1 2 3"),
    ] = None,
    heads: Annotated[int, _layer("Heads.", **WHOLE)] = 4,
    channels: Annotated[int, _layer("Channels of a head.", **WHOLE)] = 64,
    fan_out: Annotated[int, _how("Edges that a sampled node picks at each hop.", **WHOLE)] = 10,
    batch_size: Annotated[int, _how("Seeds of a sampled batch.", **WHOLE)] = 1024,
    seed: Annotated[int, _how("Of all samples.", **WHOLE)] = 0,
    threads: Annotated[
        int | None, _how("Threads of torch on the CPU.", show_default="torch's", **WHOLE)
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object.", rich_help_panel="How")
    ] = False,
) -> None:
    """Say what breadths would cost before any is computed: pairs, seconds, memory, four ways.

    Takes some seconds: pairs are estimated by searches around a sample of the nodes, and what a
    pair costs is measured on balls of this graph.
    """
    from gattn._memory import available
    from gattn.cost.prediction import predict
    from gattn.data import load

    with refusals_of_use():
        prepare("cpu", threads)
        breadths = _whole(given(ctx, ("breadth",)).get("breadth", ["1", "2", "3"]))
        chosen = options_of(option or [])
    task = load(dataset, root, **dict(chosen))
    for note in task.notes:
        typer.echo(f"{dataset}: {note}", err=True)
    costs = predict(
        task.edge_index,
        breadths,
        task.num_nodes,
        heads=heads,
        channels=channels,
        fan_out=fan_out,
        batch_size=batch_size,
        seed=seed,
    )
    _say(costs, available(), as_json)


def _whole(texts: list[str]) -> list[int]:
    try:
        return [int(text) for text in texts]
    except ValueError:
        found = " ".join(texts)
        raise UsageError(f"--breadth: found {found!r}, expected whole numbers: 1 2 3") from None


def _say(costs: Costs, limit: int | None, as_json: bool) -> None:
    from gattn.cost.advice import advice
    from gattn.cost.table import print_costs

    if as_json:
        said = {**asdict(costs), "free_bytes": limit, "advice": advice(costs, limit)}
        typer.echo(json.dumps(said, allow_nan=False))
    else:
        print_costs(costs, limit)
