"""The command line: train what has no row yet, then make tables and the figure from the rows."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from gattn import _check as check
from gattn._arguments import prepare
from gattn.compare.known import filled
from gattn.compare.published import STUDIES
from gattn.compare.published.line import Line, Study
from gattn.compare.published.table import chosen_table, draw, table
from gattn.compare.run import progress_bar, read_rows, rows_file, run_study
from gattn.compare.trial import Row, Trial

FIGURE = "published.png"


def rows_of(name: str, out: Path) -> list[Row]:
    """Return the rows of a study, none before it has any.

    Args:
        name: of the study.
        out: the folder of all studies.
    """
    return read_rows(rows_file(out / name))


def tables(names: Sequence[str], out: Path) -> dict[str, str]:
    """Return the tables of the studies, and as `NAME chosen` what their searches chose.

    Args:
        names: of studies.
        out: the folder of their rows.
    """
    found = {}
    for name in names:
        rows = rows_of(name, out)
        found[name] = table(STUDIES[name], rows)
        found[f"{name} chosen"] = chosen_table(STUDIES[name], rows)
    return {name: text for name, text in found.items() if text}


def figure(out: Path) -> None:
    """Draw all studies that have rows, and what they draw themselves."""
    studies = {name: (study, rows_of(name, out)) for name, study in STUDIES.items()}
    seen = {name: pair for name, pair in studies.items() if _has_results(*pair)}
    if seen:
        draw(seen, out / FIGURE)
    for name, (study, rows) in seen.items():
        if study.draw is not None:
            study.draw(rows, out / name)


def _has_results(study: Study, rows: list[Row]) -> bool:
    return bool(rows) and any(line.cell(rows) for line in study.lines)


def run(name: str, found: argparse.Namespace) -> None:
    """Train what has no row yet: line by line the search, then the setting that it chose."""
    study = STUDIES[name]
    for line in study.lines:
        _run_line(name, line, found)
    if study.besides is not None:
        study.besides(rows_of(name, found.out), found.out / name, found.root)


def _run_line(name: str, line: Line, found: argparse.Namespace) -> None:
    _train(name, [trial for many in line.candidates() for trial in many], found)
    _train(name, line.final(rows_of(name, found.out)), found)


def _train(name: str, trials: Sequence[Trial], found: argparse.Namespace) -> None:
    if trials:
        with progress_bar() as watcher:
            out = found.out / name
            run_study(trials, out, root=found.root, device=found.device, watcher=watcher)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the studies named on the command line, and print their tables."""
    found = _parser().parse_args(arguments)
    names = found.study or list(STUDIES)
    try:
        for name in names:
            check.one_of("study", name, tuple(STUDIES))
        prepare(found.device, found.threads)
        for name in [] if found.table else names:
            run(name, found)
        made = tables(names, found.out)
        if found.page is not None:
            text = filled(found.page.read_text(encoding="utf-8"), made)
            found.page.write_text(text, encoding="utf-8")
        figure(found.out)
        print("\n".join(f"{name}\n\n{text}" for name, text in made.items()))
    except (OSError, ValueError) as error:
        raise SystemExit(f"error: {error}") from error


def _parser() -> argparse.ArgumentParser:
    name = "python -m gattn.compare.published"
    parser = argparse.ArgumentParser(prog=name, description=__doc__)
    add = parser.add_argument
    add("study", nargs="*", help=f"all, if none is named: {', '.join(STUDIES)}")
    add("--out", type=Path, required=True, help="folder of one folder of rows for each study")
    add("--root", type=Path, help="folder of the datasets, in PyG's layout")
    add("--device", default="cpu", help="cpu, cuda or cuda:1")
    add("--threads", type=int, help="threads of torch on the CPU")
    add("--table", action="store_true", help="train nothing: make all again from the rows")
    add("--page", type=Path, help="a Markdown page to renew the tables of")
    return parser
