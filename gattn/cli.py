"""The command line: `gattn train`, `gattn compare`, `gattn data`, `gattn bench`, `gattn cost`.

Several values come in any form: `--breadth 1 2 3`, `--breadth 1,2,3`, `--breadth 1 --breadth 2`.
Our own errors are one line on stderr, with exit code 2 for arguments that cannot be meant and 1 for
work that could not be done.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gattn._arguments import (
    WHOLE,
    Spaced,
    UsageError,
    about,
    given,
    number,
    options_of,
    prepare,
    refusals_of_use,
)
from gattn._arguments import spread as spread
from gattn.benchmark.command import bench
from gattn.cost.command import cost

if TYPE_CHECKING:
    from gattn.compare import Row, Trial

# What commands do imports PyG, which takes seconds: inside them, so that help is there at once.

MODELS = "attention, gat, gatv2, transformer, pyg-gat, pyg-gatv2, pyg-transformer"
MODELS += ", diffusion, layer, layer-blind"
SCORES = (
    "dot, scaled_dot, general, cosine, additive, gat, gatv2, distance, supergat_mx, supergat_sd, "
    "mlp, tempered"
)
NORMALIZERS = "softmax, sparsemax, entmax15, sigmoid, tanh, top4, top8, top16, hard"
ENCODINGS = "laplacian, random_walk"
LEVELS = "Levels of a layer: 1 node, 2 + hop, 3 + feature, 4 + cluster"
TUNED = "[dim]\\[default: by model, see below][/dim]"
USUAL = (
    "Defaults of the model attention: score scaled_dot, normalizer softmax, layers 2, hidden 32, "
    "heads 8, dropout 0.2, epochs 200, lr 0.01, weight_decay 0.0, optimizer adamw. "
    "Of layer and layer-blind: score scaled_dot, normalizer softmax, layers 1, hidden 64, heads 1, "
    "dropout 0.0, epochs 300, lr 0.01, weight_decay 0.0, optimizer adam. Of all others, the GAT "
    "paper's: layers 2, hidden 8, heads 8, dropout 0.6, epochs 200, lr 0.005, "
    "weight_decay 0.0005, optimizer adam, and of diffusion score gat, normalizer softmax, "
    "restart 0.1, attention_dropout 0.2, feature_dropout 0.0; its breadth is the number of rounds."
)

SETTINGS = ("layers", "hidden", "heads", "dropout", "epochs", "lr", "weight_decay")
SETTINGS += ("optimizer", "patience", "restart", "attention_dropout", "feature_dropout")
"""Options that are a trial's settings of the same name."""

_model = partial(about, "Model")
_training = partial(about, "Training")
_study = partial(about, "Study")
_DECIMAL = number(float, "a number")
_NUMBERS = "several: 1 2 3, or 1,2,3"

Root = Annotated[
    Path | None,
    about(
        None,
        "Folder of the datasets, in PyG's layout.",
        metavar="FOLDER",
        show_default="~/.cache/gattn",
    ),
]
Option = Annotated[
    list[str] | None,
    about(
        None, "Options of the dataset, such as size=40 for minesweeper.", metavar="NAME=VALUE..."
    ),
]
Layers = Annotated[int | None, _model(f"Layers. {TUNED}", **WHOLE)]
Hidden = Annotated[
    int | None,
    _model(
        f"Width; for models of the GAT recipe the channels of one head. {TUNED}",
        **WHOLE,
    ),
]
Heads = Annotated[int | None, _model(f"Heads. {TUNED}", **WHOLE)]
Dropout = Annotated[float | None, _model(f"Dropout. {TUNED}", **_DECIMAL)]
Restart = Annotated[float | None, _model("Of diffusion: own share in a round.", **_DECIMAL)]
WeightDrop = Annotated[float | None, _model("Of diffusion: dropout of the weights.", **_DECIMAL)]
RoundDrop = Annotated[float | None, _model("Of diffusion: dropout in a round.", **_DECIMAL)]
Epochs = Annotated[int | None, _training(f"Epochs. {TUNED}", **WHOLE)]
Lr = Annotated[float | None, _training(f"Learning rate. {TUNED}", **_DECIMAL)]
Decay = Annotated[float | None, _training(f"Weight decay. {TUNED}", **_DECIMAL)]
Optimizer = Annotated[str | None, _training(f"adam or adamw. {TUNED}", metavar="NAME")]
Patience = Annotated[
    int | None,
    _training(
        "Stop after so many epochs without a better validation metric.",
        show_default="never",
        **WHOLE,
    ),
]
FirstSeed = Annotated[int, _study("The first seed; the others follow.", **WHOLE)]
Checkpoints = Annotated[
    Path | None,
    _study(
        "Folder of checkpoints: a killed training continues from its own.",
        metavar="FOLDER",
        show_default="none are written",
    ),
]
Device = Annotated[str, _study("cpu, cuda or cuda:1.", metavar="NAME")]
Threads = Annotated[
    int | None, _study("Threads of torch on the CPU.", show_default="torch's", **WHOLE)
]

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


@app.command(cls=Spaced, epilog=USUAL)
def train(
    ctx: typer.Context,
    dataset: Annotated[str, about(None, "A name of `gattn data list`.", metavar="NAME")],
    root: Root = None,
    option: Option = None,
    model: Annotated[str, _model(f"{MODELS}.", metavar="NAME")] = "attention",
    breadth: Annotated[int, _model("Hops that a node looks.", **WHOLE)] = 1,
    depth: Annotated[int, _model(f"{LEVELS}.", **WHOLE)] = 1,
    score: Annotated[str | None, _model(f"{SCORES}. {TUNED}", metavar="NAME")] = None,
    normalizer: Annotated[str | None, _model(f"{NORMALIZERS}. {TUNED}", metavar="NAME")] = None,
    encoding: Annotated[
        str | None,
        _model(f"Positions joined to the features: {ENCODINGS}.", metavar="NAME"),
    ] = None,
    layers: Layers = None,
    hidden: Hidden = None,
    heads: Heads = None,
    dropout: Dropout = None,
    restart: Restart = None,
    attention_dropout: WeightDrop = None,
    feature_dropout: RoundDrop = None,
    epochs: Epochs = None,
    lr: Lr = None,
    weight_decay: Decay = None,
    optimizer: Optimizer = None,
    patience: Patience = None,
    seeds: Annotated[int, _study("How many seeds.", **WHOLE)] = 1,
    first_seed: FirstSeed = 0,
    out: Annotated[
        Path | None,
        _study(
            "Where the rows go: a folder, or a file that ends in .jsonl. Seeds that are there are "
            "not trained again.",
            metavar="PATH",
            show_default="nowhere",
        ),
    ] = None,
    checkpoints: Checkpoints = None,
    device: Device = "cpu",
    threads: Threads = None,
) -> None:
    """Train one model over several seeds, and print mean ± standard deviation.

    Where a dataset has several splits, seed s takes split s modulo their number.
    """
    from gattn.compare import grid, print_table

    with refusals_of_use():
        named = {"score": score, "normalizer": normalizer}
        trials = grid(
            dataset=[dataset],
            model=[model],
            breadth=[breadth],
            depth=[depth],
            **{name: [value] for name, value in named.items() if value is not None},
            encoding=_encodings([encoding or "none"]),
            options=options_of(option or []),
            seeds=seeds,
            first_seed=first_seed,
            **_settings(ctx, {}),
        )
        prepare(device, threads)
    rows = _run(trials, out, root, device, checkpoints)
    print_table(rows)
    _fail_if_failed(rows)


@app.command(cls=Spaced, epilog=USUAL)
def compare(
    ctx: typer.Context,
    out: Annotated[
        Path, about(None, "Folder of rows (trials.jsonl), table.md and figures.", metavar="FOLDER")
    ],
    preset: Annotated[
        str | None,
        about(None, "A ready-made study: demo. What is given besides changes it.", metavar="NAME"),
    ] = None,
    dataset: Annotated[
        list[str] | None, about(None, "Names of `gattn data list`.", metavar="NAME...")
    ] = None,
    root: Root = None,
    option: Option = None,
    model: Annotated[
        list[str] | None, _model(f"{MODELS}.", metavar="NAME...", show_default="attention")
    ] = None,
    breadth: Annotated[
        list[str] | None,
        _model(f"Hops that a node looks; {_NUMBERS}.", metavar="INTEGER...", show_default="1"),
    ] = None,
    depth: Annotated[
        list[str] | None,
        _model(f"{LEVELS}; {_NUMBERS}.", metavar="INTEGER...", show_default="1"),
    ] = None,
    score: Annotated[list[str] | None, _model(f"{SCORES}. {TUNED}", metavar="NAME...")] = None,
    normalizer: Annotated[
        list[str] | None, _model(f"{NORMALIZERS}. {TUNED}", metavar="NAME...")
    ] = None,
    encoding: Annotated[
        list[str] | None,
        _model(
            f"Positions joined to the features: none, {ENCODINGS}.",
            metavar="NAME...",
            show_default="none",
        ),
    ] = None,
    layers: Layers = None,
    hidden: Hidden = None,
    heads: Heads = None,
    dropout: Dropout = None,
    restart: Restart = None,
    attention_dropout: WeightDrop = None,
    feature_dropout: RoundDrop = None,
    epochs: Epochs = None,
    lr: Lr = None,
    weight_decay: Decay = None,
    optimizer: Optimizer = None,
    patience: Patience = None,
    seeds: Annotated[int | None, _study("How many seeds.", show_default="1", **WHOLE)] = None,
    first_seed: FirstSeed = 0,
    checkpoints: Checkpoints = None,
    device: Device = "cpu",
    threads: Threads = None,
) -> None:
    """Train every combination of breadth and depth; print a table and draw heat maps.

    One JSON line per finished trial is appended to OUT/trials.jsonl. The same call again skips
    what is finished, so a study that was stopped goes on; failed trials are tried again. Table and
    figures show all rows of the file.
    """
    from gattn.compare import attainable_rows, grid, print_table, read_rows, write_report

    with refusals_of_use():
        study = _preset(preset)
        study |= given(ctx, ("dataset", "model", "score", "normalizer", "encoding"))
        study |= {"encoding": _encodings(study["encoding"])} if encoding else {}
        for name in ("breadth", "depth"):
            study |= {k: _whole(k, v) for k, v in given(ctx, (name,)).items()}
        study |= {"options": options_of(option)} if option else {}
        study |= {"seeds": seeds} if seeds is not None else {}
        if "dataset" not in study:
            raise UsageError("--dataset: found none, expected a name of `gattn data list`")
        if out.suffix == ".jsonl":
            raise UsageError(f"--out: found the file {out}, expected a folder")
        usual = study.pop("threads", None)
        prepare(device, usual if threads is None else threads)
        trials = grid(**_settings(ctx, study), first_seed=first_seed)
    _run(trials, out, root, device, checkpoints)
    rows = read_rows(out / "trials.jsonl")
    print_table(rows)
    said, written = write_report(rows, out, attainable_rows(rows, trials[0], root))
    typer.echo("\n".join(said) + f"\n\nwritten: {', '.join(map(str, written))}")
    _fail_if_failed(rows)


app.command(cls=Spaced)(bench)
app.command(cls=Spaced)(cost)


@data_app.command("list")
def list_datasets() -> None:
    """Print the names of all datasets, one per line."""
    from gattn.data import NAMES

    typer.echo("\n".join(NAMES))


@data_app.command("show", cls=Spaced)
def show_dataset(
    name: Annotated[str, typer.Argument(help="A name of `gattn data list`.")],
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
    except (ValueError, TypeError, IndexError, OSError) as error:
        return _refuse(str(error), 1)


# typer comes with a click of its own, or uses the installed one: this is the error of either.
_CLICK_ERROR: Any = typer.BadParameter.__mro__[2]


def _refuse(message: str, code: int) -> int:
    print("error: " + " ".join(message.split()), file=sys.stderr)
    return code


def _settings(ctx: typer.Context, study: dict[str, Any]) -> dict[str, Any]:
    chosen = {name: ctx.params[name] for name in SETTINGS if ctx.params[name] is not None}
    return {**study, **chosen}


def _whole(name: str, values: Sequence[str]) -> list[int]:
    try:
        return [int(value) for value in values]
    except ValueError:
        found = " ".join(values)
        raise UsageError(f"--{name}: found {found!r}, expected whole numbers: 1 2 3") from None


def _encodings(names: Sequence[str]) -> list[str | None]:
    return [None if name == "none" else name for name in names]


def _preset(name: str | None) -> dict[str, Any]:
    from gattn.compare import PRESETS

    if name is not None and name not in PRESETS:
        raise UsageError(f"--preset: found {name!r}, expected one of {', '.join(PRESETS)}")
    return {} if name is None else dict(PRESETS[name])


def _run(
    trials: Sequence[Trial],
    out: Path | None,
    root: Path | None,
    device: str,
    checkpoints: Path | None,
) -> list[Row]:
    """Run the trials under a progress bar; Ctrl-C says what is kept and exits with 130."""
    from gattn.compare import progress_bar, run_study

    try:
        with progress_bar() as watcher:
            return run_study(
                trials, out, root=root, device=device, checkpoints=checkpoints, watcher=watcher
            )
    except KeyboardInterrupt:
        kept = "nothing was kept (no --out)" if out is None else f"finished trials are in {out}"
        print(f"interrupted: {kept}; the same command goes on with the rest", file=sys.stderr)
        raise typer.Exit(130) from None


def _fail_if_failed(rows: Sequence[Row]) -> None:
    latest = {row["key"]: row for row in rows}.values()
    failed = [row for row in latest if row["status"] != "ok"]
    if failed:
        raise ValueError(f"{len(failed)} of {len(latest)} trials failed: {failed[-1]['reason']}")
