"""The commands `gattn train` and `gattn compare`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
from gattn.cli.options import (
    BREADTH,
    ENCODINGS,
    LEVELS,
    MODELS,
    NORMALIZERS,
    NUMBERS,
    SCORES,
    SETTINGS,
    TUNED,
    Backend,
    BatchSize,
    Checkpoints,
    Clip,
    Cluster,
    Curves,
    Decay,
    Device,
    Dropout,
    Epochs,
    Fill,
    FirstSeed,
    Halo,
    Heads,
    Hidden,
    Hide,
    Jobs,
    JudgedBy,
    Layers,
    Lr,
    LrEvery,
    LrFactor,
    Monitor,
    Neighbors,
    Optimizer,
    Option,
    Patience,
    Precision,
    Region,
    Restart,
    Root,
    RoundDrop,
    Scheduler,
    SeveralHeads,
    SeveralLayers,
    Smoothing,
    Steps,
    Threads,
    Time,
    Warmup,
    WeightDrop,
    of_model,
    of_study,
)

if TYPE_CHECKING:
    from gattn.compare.run import Row
    from gattn.compare.trial import Trial

# What commands do imports PyG, which takes seconds: inside them, so that help is there at once.


def train(
    ctx: typer.Context,
    dataset: Annotated[
        str, about(None, "A name of `gattn data list`, or the path of your own.", metavar="NAME")
    ],
    root: Root = None,
    option: Option = None,
    model: Annotated[str, of_model(f"{MODELS}.", metavar="NAME")] = "attention",
    breadth: Annotated[str, of_model(BREADTH, metavar="BREADTH")] = "1",
    depth: Annotated[int, of_model(f"{LEVELS}.", **WHOLE)] = 1,
    score: Annotated[str | None, of_model(f"{SCORES}. {TUNED}", metavar="NAME")] = None,
    normalizer: Annotated[str | None, of_model(f"{NORMALIZERS}. {TUNED}", metavar="NAME")] = None,
    encoding: Annotated[
        str | None,
        of_model(f"Positions joined to the features: {ENCODINGS}.", metavar="NAME"),
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
    monitor: Monitor = None,
    clip: Clip = None,
    scheduler: Scheduler = None,
    lr_factor: LrFactor = None,
    lr_every: LrEvery = None,
    warmup: Warmup = None,
    label_smoothing: Smoothing = None,
    precision: Precision = None,
    region: Region = None,
    halo: Halo = None,
    steps: Steps = None,
    hide: Hide = None,
    fill: Fill = None,
    batch_size: BatchSize = None,
    num_neighbors: Neighbors = None,
    judged_by: JudgedBy = None,
    seeds: Annotated[int, of_study("How many seeds.", **WHOLE)] = 1,
    first_seed: FirstSeed = 0,
    out: Annotated[
        Path | None,
        of_study(
            "Where the rows go: a folder, or a file that ends in .jsonl. Seeds that are there are "
            "not trained again.",
            metavar="PATH",
            show_default="nowhere",
        ),
    ] = None,
    checkpoints: Checkpoints = None,
    tensorboard: Curves = None,
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
    rows = _run(trials, out, root, device, checkpoints, tensorboard)
    print_table(rows)
    _fail_if_failed(rows)


def compare(
    ctx: typer.Context,
    out: Annotated[
        Path, about(None, "Folder of rows (trials.jsonl), table.md and figures.", metavar="FOLDER")
    ],
    preset: Annotated[
        str | None,
        about(None, "A ready-made study: demo. What is given besides changes it.", metavar="NAME"),
    ] = None,
    study: Annotated[
        Path | None,
        about(
            None,
            "A study as a file: TOML, YAML or JSON. What is given besides changes it.",
            metavar="FILE",
        ),
    ] = None,
    dataset: Annotated[
        list[str] | None,
        about(None, "Names of `gattn data list`, or paths of your own.", metavar="NAME..."),
    ] = None,
    root: Root = None,
    option: Option = None,
    model: Annotated[
        list[str] | None, of_model(f"{MODELS}.", metavar="NAME...", show_default="attention")
    ] = None,
    breadth: Annotated[
        list[str] | None,
        of_model(f"{BREADTH} {NUMBERS}.", metavar="BREADTH...", show_default="1"),
    ] = None,
    depth: Annotated[
        list[str] | None,
        of_model(f"{LEVELS}; {NUMBERS}.", metavar="INTEGER...", show_default="1"),
    ] = None,
    score: Annotated[list[str] | None, of_model(f"{SCORES}. {TUNED}", metavar="NAME...")] = None,
    normalizer: Annotated[
        list[str] | None, of_model(f"{NORMALIZERS}. {TUNED}", metavar="NAME...")
    ] = None,
    encoding: Annotated[
        list[str] | None,
        of_model(
            f"Positions joined to the features: none, {ENCODINGS}.",
            metavar="NAME...",
            show_default="none",
        ),
    ] = None,
    layers: SeveralLayers = None,
    hidden: Hidden = None,
    heads: SeveralHeads = None,
    dropout: Dropout = None,
    restart: Restart = None,
    attention_dropout: WeightDrop = None,
    feature_dropout: RoundDrop = None,
    epochs: Epochs = None,
    lr: Lr = None,
    weight_decay: Decay = None,
    optimizer: Optimizer = None,
    patience: Patience = None,
    monitor: Monitor = None,
    clip: Clip = None,
    scheduler: Scheduler = None,
    lr_factor: LrFactor = None,
    lr_every: LrEvery = None,
    warmup: Warmup = None,
    label_smoothing: Smoothing = None,
    precision: Precision = None,
    region: Region = None,
    halo: Halo = None,
    steps: Steps = None,
    hide: Hide = None,
    fill: Fill = None,
    batch_size: BatchSize = None,
    num_neighbors: Neighbors = None,
    judged_by: JudgedBy = None,
    seeds: Annotated[int | None, of_study("How many seeds.", show_default="1", **WHOLE)] = None,
    first_seed: FirstSeed = 0,
    checkpoints: Checkpoints = None,
    tensorboard: Curves = None,
    device: Device = "cpu",
    threads: Threads = None,
    jobs: Jobs = None,
    backend: Backend = "loky",
    cluster: Cluster = None,
    budget: Time = None,
) -> None:
    """Train every combination of breadth and depth; print a table and draw heat maps.

    One JSON line per finished trial is appended to OUT/trials.jsonl. The same call again skips
    what is finished, so a study that was stopped goes on; failed trials are tried again. Table and
    figures show all rows of the file. Trials run side by side with --jobs, and on a cluster with
    --backend; rows are the same.
    """
    from gattn.compare import attainable_rows, grid, print_table, read_rows, write_report
    from gattn.compare.budget import seconds_of
    from gattn.compare.study_file import write_study
    from gattn.compare.workers import Crew

    with refusals_of_use():
        chosen = _preset(preset) | _study_of(study)
        chosen |= given(ctx, ("dataset", "model", "score", "normalizer", "encoding"))
        chosen |= {"encoding": _encodings(chosen["encoding"])} if encoding else {}
        chosen |= given(ctx, ("breadth",))
        several = given(ctx, ("depth", "layers", "heads"))
        chosen |= {k: _whole(k, v) for k, v in several.items()}
        chosen |= {"options": options_of(option)} if option else {}
        chosen |= {"seeds": seeds} if seeds is not None else {}
        if "dataset" not in chosen:
            expected = "a name of `gattn data list`, or the path of your own"
            raise UsageError(f"--dataset: found none, expected {expected}")
        if out.suffix == ".jsonl":
            raise UsageError(f"--out: found the file {out}, expected a folder")
        chosen = _settings(ctx, chosen)
        told = ctx.get_parameter_source("first_seed")
        if "first_seed" not in chosen or (told is not None and told.name == "COMMANDLINE"):
            chosen["first_seed"] = first_seed
        usual = chosen.pop("threads", None)
        number = usual if threads is None else threads
        prepare(device, number)
        trials = grid(**chosen)
        how = {"backend": backend, "scheduler": cluster, "threads": number}
        how |= {"jobs": (1 if backend == "loky" else -1) if jobs is None else jobs}
        Crew(**how)  # wrong words are refused here
        how |= {"budget": None if budget is None else seconds_of(budget)}

    def ready() -> None:
        write_study({**chosen, "threads": number}, out)

    _run(trials, out, root, device, checkpoints, tensorboard, ready=ready, **how)
    rows = read_rows(out / "trials.jsonl")
    print_table(rows)
    said, written = write_report(rows, out, attainable_rows(rows, trials[0], root))
    typer.echo("\n".join(said) + f"\n\nwritten: {', '.join(map(str, written))}")
    _fail_if_failed(rows)


def _settings(ctx: typer.Context, study: dict[str, Any]) -> dict[str, Any]:
    values = {name: ctx.params[name] for name in SETTINGS}
    one = {k: v for k, v in values.items() if v is not None and not isinstance(v, (list, tuple))}
    picked = given(ctx, ("num_neighbors",))
    one |= {name: tuple(_whole("num-neighbors", texts)) for name, texts in picked.items()}
    return {**study, **one}


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


def _study_of(path: Path | None) -> dict[str, Any]:
    from gattn.compare.study_file import read_study

    return {} if path is None else read_study(path)


def _say_notes(trials: Sequence[Trial]) -> None:
    """Say on stderr what was decided where files of a user's own were read."""
    from gattn.data import load

    own = {(t.dataset, t.options) for t in trials if t.dataset_sha256 is not None}
    for dataset, options in sorted(own):
        named: dict[str, Any] = dict(options)
        for note in load(dataset, **named).notes:
            print(f"{dataset}: {note}", file=sys.stderr)


def _run(
    trials: Sequence[Trial],
    out: Path | None,
    root: Path | None,
    device: str,
    checkpoints: Path | None,
    tensorboard: Path | None,
    **how: Any,
) -> list[Row]:
    """Run the trials under a progress bar; Ctrl-C says what is kept and exits with 130."""
    from gattn.compare import progress_bar, run_study

    _say_notes(trials)
    try:
        with progress_bar() as watcher:
            places = {"root": root, "checkpoints": checkpoints, "tensorboard": tensorboard}
            more: Any = {"device": device, **places, **how}
            return run_study(trials, out, watcher=watcher, **more)
    except KeyboardInterrupt:
        kept = "nothing was kept (no --out)" if out is None else f"finished trials are in {out}"
        print(f"interrupted: {kept}; the same command goes on with the rest", file=sys.stderr)
        raise typer.Exit(130) from None


def _fail_if_failed(rows: Sequence[Row]) -> None:
    latest = {row["key"]: row for row in rows}.values()
    failed = [row for row in latest if row["status"] == "failed"]
    if failed:
        raise ValueError(f"{len(failed)} of {len(latest)} trials failed: {failed[-1]['reason']}")
