"""`python -m gattn.benchmark.gpu`: gate, tests and benchmark of a GPU in one call, within a budget.

Rows are appended to `gpu.jsonl` in the folder as they come: what ends the call loses nothing that
is finished. What did not fit into the budget leaves a row that says so.
"""

from __future__ import annotations

import argparse
import secrets
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from gattn._rows import Row, check_writable, read_rows
from gattn.benchmark.gpu import worker
from gattn.benchmark.gpu.figure import figure
from gattn.benchmark.gpu.gate import missing
from gattn.benchmark.gpu.report import aims, table
from gattn.benchmark.gpu.session import Session, step_row
from gattn.benchmark.gpu.suite import run_tests

_GATE_LIMIT = 120.0
_PATIENCE = 100.0
_WARM_LIMIT = 90.0


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command's arguments."""
    kind = argparse.ArgumentDefaultsHelpFormatter
    prog = "python -m gattn.benchmark.gpu"
    made = argparse.ArgumentParser(prog=prog, description=__doc__, formatter_class=kind)
    made.add_argument("--out", type=Path, help="folder of rows, figure and logs")
    made.add_argument("--draw", type=Path, metavar="ROWS", help="table and figure of a file only")
    made.add_argument("--device", default="cuda", help="cuda, cuda:1, or cpu to try it out")
    made.add_argument("--backend", default=None, help="of ours; on a GPU triton")
    made.add_argument(
        "--budget", type=_positive(float), default=500.0, help="seconds for everything"
    )
    made.add_argument("--tests", type=float, default=150.0, help="seconds for the tests, at most")
    made.add_argument("--no-tests", action="store_true", help="leave the tests out")
    made.add_argument("--no-warm", action="store_true", help="compile nothing beforehand")
    made.add_argument("--only", nargs="+", default=[], metavar="TEXT", help="cases with it in them")
    made.add_argument("--peers", type=Path, help="folder of packages or wheels of others")
    made.add_argument("--rounds", type=_positive(int), default=7, help="turns of every provider")
    made.add_argument("--compiles", type=int, default=8, help="layers compiled at most")
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--quick", action="store_true", help="tiny graphs, to try it out")
    made.add_argument("--worker", help=argparse.SUPPRESS)
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; its exit code is 1 where something failed, 2 where nothing can run."""
    options = parser().parse_args(arguments)
    if options.worker is not None:
        return worker.main(options.worker)
    if options.draw is not None:
        return _draw(options.draw)
    if options.out is None:
        _say("--out: expected a folder")
        return 2
    session = session_of(options)
    try:
        check_writable(session.path)
    except OSError as error:
        _say(f"--out: {error}")
        return 2
    lacking = missing(session.device, session.backend)
    if options.peers is not None and not options.peers.is_dir():
        lacking.append(f"--peers: found {str(options.peers)!r}, expected a folder")
    names = [case.name for case in worker.cases_of(replace(session, only=()))]
    if not lacking and not worker.cases_of(session):
        lacking.append(f"--only: found {options.only}, expected parts of names such as {names[:3]}")
    if lacking:
        _say(f"cannot run on {options.device}: {'; '.join(lacking)}")
        return 2
    return _run(session, options)


def _positive(kind: Callable[[str], float]) -> Callable[[str], float]:
    def number(text: str) -> float:
        found = kind(text)
        if found <= 0:
            raise argparse.ArgumentTypeError(f"found {text}, expected a number above 0")
        return found

    return number


def _draw(path: Path) -> int:
    rows = read_rows(path) if path.is_file() else []
    if not rows or not all(map(_is_ours, rows)):
        _say(f"--draw: found no rows of this benchmark, or others, in {path}")
        return 2
    show(rows, path.with_suffix(".png"))
    return 0


def _is_ours(row: Row) -> bool:
    """A row of this benchmark, and not of another."""
    timed = row.get("measure") == "time" and row.get("status") == "ok"
    return row.keys() >= {"problem", "provider", "measure"} and (not timed or "low" in row)


def session_of(options: argparse.Namespace) -> Session:
    """Return the session that the arguments ask for; its time starts here."""
    on_gpu = options.device.partition(":")[0] == "cuda"
    backend = options.backend or ("triton" if on_gpu else None)
    return Session(
        str(options.out),
        secrets.token_hex(4),
        options.device,
        backend,
        options.quick,
        options.seed,
        options.rounds,
        compiles=options.compiles,
        deadline=time.time() + options.budget,
        peers=None if options.peers is None else str(options.peers),
        only=tuple(options.only),
    )


def _run(session: Session, options: argparse.Namespace) -> int:
    before = len(read_rows(session.path))
    if session.where.type != "cuda":
        _say(f"on {session.device}: this tries the command out, its times say nothing about a GPU")
    rate = _gate(session)
    if rate is None:
        return 2
    session = replace(session, rate=rate)
    if not options.no_tests:
        limit = max(1.0, min(options.tests, session.left / 2))
        _say(f"tests, at most {limit:.0f} s")
        row = session.keep(run_tests(Path(session.out), limit))
        _say(f"tests: {row.get('reason') or row['summary']}")
    if session.where.type == "cuda" and not options.no_warm:
        limit = max(1.0, min(_WARM_LIMIT, session.left / 4))
        _say(f"compiling beforehand, at most {limit:.0f} s")
        session.keep(worker.run_warm(session, limit))
    worker.run_cases(session, _say, _PATIENCE)
    taken = {"seconds": options.budget - session.left, "budget": options.budget}
    session.keep(step_row("end", "ok", **taken))
    rows = read_rows(session.path)
    show(rows, session.path.with_suffix(".png"))
    return 1 if any(_failed(row) for row in rows[before:]) else 0


def _gate(session: Session) -> float | None:
    """The bandwidth that the gate measured; `None` where it could not."""
    before = len(read_rows(session.path))
    code = worker.run_gate(session, min(_GATE_LIMIT, session.left), _say)
    found = [row for row in read_rows(session.path)[before:] if row.get("measure") == "gate"]
    if not found:
        why = f"took longer than {_GATE_LIMIT} s" if code is None else f"ended with {code}"
        _say(f"the gate failed: its process {why}; the log:")
        _say((Path(session.out) / worker.LOG).read_text()[-2000:])
        return None
    if found[-1]["status"] != "ok":
        _say(f"gate: {found[-1]['reason']}")
    return found[-1]["measured_copy_bytes_per_second"]


def _failed(row: Row) -> bool:
    """Something of ours, or the tests: that a peer has no room is a finding."""
    ours = row["provider"].startswith("gattn") or row["provider"] == "-"
    return ours and (row["status"] == "failed" or row.get("equal") is False)


def show(rows: list[Row], path: Path) -> None:
    """Print the table and the aims of rows, and draw them if there is something to draw.

    Args:
        rows: of a file.
        path: of the figure.
    """
    print(table(rows))
    for line in aims(rows):
        print(line)
    drawn = figure(rows, path)
    if drawn is not None:
        print(f"written: {drawn}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
