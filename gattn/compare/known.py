"""Studies of tasks whose answer is known: `python -m gattn.compare.known [STUDY...]`.

What is asked, and of whom, is in `gattn.compare.studies`. Rows go to one `trials.jsonl`, so that a
run which was stopped goes on; then a table is written for each study, and a figure of all.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from gattn import _check as check
from gattn._arguments import prepare
from gattn.compare.cells import Cell
from gattn.compare.panels import draw
from gattn.compare.run import progress_bar, read_rows, rows_file, run_study
from gattn.compare.studies import STUDIES, Study
from gattn.compare.trial import Row

_PLACE = r"(<!-- table {name} -->\n).*?(\n<!-- end -->)"


def table(study: Study, rows: Iterable[Row]) -> str:
    """Return the Markdown table of a study: means ± standard deviations over seeds, in per cent.

    A cell with fewer seeds than the others says how many it has.

    Args:
        study: one of `STUDIES`.
        rows: of `read_rows`, of any study.
    """
    found = study.rows(rows)
    lines, columns = (list(dict.fromkeys(names)) for names in zip(*found, strict=True))
    most = max((len(cell.rows) for cell in found.values() if cell), default=0)
    shown = [(column, name) for column in columns for name in study.shown]
    head = [
        f"accuracy (%), {most} seed{'s' * (most != 1)}",
        *(_head(study, *pair) for pair in shown),
    ]
    body = [
        [line, *(_text(found.get((line, column)), name, most) for column, name in shown)]
        for line in lines
    ]
    if known := study.known():
        body.append(["attainable", *(f"{100 * known[column]:.1f}" for column in columns)])
    return "".join(f"| {' | '.join(line)} |\n" for line in [head, ["---"] * len(head), *body])


def _head(study: Study, column: str, name: str) -> str:
    note = study.shown[name]
    return ", ".join(filter(None, (column, note if len(study.shown) > 1 or not column else "")))


def _text(cell: Cell | None, name: str, most: int) -> str:
    if cell is None:
        return "-"
    mean, std = cell.mean(name), cell.std(name)
    if mean is None:
        return f"failed: {cell.reasons[-1]}".replace("|", "\\|")
    spread = "" if std is None else f" ± {100 * std:.1f}"
    return f"{100 * mean:.1f}{spread}" + (f" ({len(cell.rows)})" if len(cell.rows) < most else "")


def page(name: str, study: Study, rows: Iterable[Row]) -> str:
    """Return the page of a study: what is asked, what was expected, the table.

    Args:
        name: of the study, for the title.
        study: one of `STUDIES`.
        rows: of `read_rows`, of any study.
    """
    said = f"{study.asks}\n\nExpected: {study.expected}\n"
    return f"# {name}\n\n{said}\n{table(study, rows)}"


def filled(text: str, tables: Mapping[str, str]) -> str:
    """Return a page with its tables renewed, between `<!-- table NAME -->` and `<!-- end -->`.

    Args:
        text: the page.
        tables: by name; those without a place in the page are left out.
    """
    for name, body in tables.items():
        place = re.compile(_PLACE.format(name=re.escape(name)), re.DOTALL)
        text = place.sub(lambda found, body=body: f"{found[1]}\n{body}{found[2]}", text)
    return text


def write(names: Sequence[str], out: Path, into: Path | None = None) -> dict[str, str]:
    """Write a page for each study and the figure `known.png` of all, and return the tables.

    Args:
        names: of studies.
        out: the folder of their rows.
        into: a page to renew the tables of.
    """
    rows = read_rows(rows_file(out))
    for name in names:
        (out / f"{name}.md").write_text(page(name, STUDIES[name], rows), encoding="utf-8")
    tables = {name: table(STUDIES[name], rows) for name in names}
    if into is not None:
        into.write_text(filled(into.read_text(encoding="utf-8"), tables), encoding="utf-8")
    seen = {name: study for name, study in STUDIES.items() if any(study.rows(rows).values())}
    if seen:
        draw(seen, rows, out / "known.png")
    return tables


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the studies named on the command line, and print their tables."""
    found = _parser().parse_args(arguments)
    names = found.study or list(STUDIES)
    try:
        for name in names:
            check.one_of("study", name, tuple(STUDIES))
        prepare(found.device, found.threads)
        if not found.table:
            _train(names, found)
        for name, text in write(names, found.out, found.page).items():
            print(f"{name}: {STUDIES[name].asks}\n\n{text}")
    except (OSError, ValueError) as error:
        raise SystemExit(f"error: {error}") from error


def _train(names: Sequence[str], found: argparse.Namespace) -> None:
    trials = [
        trial
        for name in names
        for several in STUDIES[name].trials(found.seeds, found.first_seed).values()
        for trial in several
    ]
    with progress_bar() as watcher:
        run_study(trials, found.out, device=found.device, watcher=watcher)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m gattn.compare.known", description=__doc__)
    add = parser.add_argument
    add("study", nargs="*", help=f"all, if none is named: {', '.join(STUDIES)}")
    add("--out", type=Path, required=True, help="folder of rows, pages and the figure")
    add("--seeds", type=int, default=5, help="how many seeds")
    add("--first-seed", type=int, default=0, help="the first of them")
    add("--device", default="cpu", help="cpu, cuda or cuda:1")
    add("--threads", type=int, help="threads of torch on the CPU")
    add("--table", action="store_true", help="train nothing: make all again from the rows")
    add("--page", type=Path, help="a Markdown page to renew the tables of")
    return parser


if __name__ == "__main__":
    main()
