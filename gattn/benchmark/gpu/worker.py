"""Steps in a process of their own, that is started again behind the one it died of.

A kernel that reads out of bounds leaves a device on which its process can do nothing more, and one
that hangs cannot be stopped from within. So a parent watches: the worker says at which case it is,
and a case that kills it, or takes too long, costs that case and no other.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from gattn._rows import Row
from gattn.benchmark.gpu.gate import gate
from gattn.benchmark.gpu.measure import Bench, Broken, measure
from gattn.benchmark.gpu.peers import use_folder
from gattn.benchmark.gpu.problems import Case, cases, quick_cases
from gattn.benchmark.gpu.processes import after, run_limited
from gattn.benchmark.gpu.session import Session, case_row
from gattn.benchmark.gpu.warm import jobs_of, warm, warm_all

LOG = "gpu.log"
"""What workers print."""

GATE = -1
"""The place of the gate, before the first case."""

_BROKEN = 75

Say = Callable[[str], object]


def cases_of(session: Session) -> list[Case]:
    """Return what a session measures."""
    known = quick_cases() if session.quick else cases()
    return [case for case in known if not session.only or _is_wanted(case, session.only)]


def _is_wanted(case: Case, only: tuple[str, ...]) -> bool:
    return any(text in case.name for text in only)


def main(text: str) -> int:
    """Do the steps that the argument tells, in JSON, and return an exit code."""
    asked = json.loads(text)
    session = Session(**asked["session"])
    use_folder(None if session.peers is None else Path(session.peers))
    if "job" in asked:
        warm(session, jobs_of(cases_of(session), session.compiles)[asked["job"]])
        return 0
    if asked["start"] == GATE:
        _at(session, GATE)
        session.keep(gate(session))
        return 0
    return work(session, asked["start"])


def work(session: Session, start: int) -> int:
    """Measure all cases from one on; rows go to the file as they come.

    Args:
        session: of the run.
        start: place of the first case.
    """
    bench, parent = Bench(session), os.getppid()
    for place, case in enumerate(cases_of(session)):
        if place < start:
            continue
        if os.getppid() != parent:
            return 1  # nobody is left to tell
        _at(session, place)
        if session.left < case.needs:
            session.keep(_skipped(session, case))
            continue
        print(case.name, file=sys.stderr, flush=True)
        try:
            with _quick_collections():
                for row in measure(bench, case):
                    session.keep(row)
        except Broken as error:
            session.keep(_lost(case, f"the device failed: {error}"))
            return _BROKEN
    return 0


@contextmanager
def _quick_collections() -> Iterator[None]:
    """What is there now is looked at by no collection, of which a case has many."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _at(session: Session, place: int) -> None:
    """Tell the parent, in one piece."""
    path = _progress(session)
    path.with_suffix(".tmp").write_text(str(place))
    path.with_suffix(".tmp").replace(path)


def _skipped(session: Session, case: Case) -> Row:
    reason = f"no time: {max(0.0, session.left):.0f} s were left, {case.needs:.0f} s wanted"
    return _lost(case, reason, "skipped")


def _lost(case: Case, reason: str, status: str = "failed") -> Row:
    more = {"measure": "case", "reason": reason[:300]}
    return case_row(case.problem, case.layer, "-", "-", status, **more)


def run_gate(session: Session, limit: float, say: Say) -> int | None:
    """Run the gate in a process and return its exit code, `None` if it was stopped."""
    return _watched(session, GATE, limit, say)[0]


def run_warm(session: Session, limit: float) -> Row:
    """Compile in processes at the same time, and return a row of how they ended.

    Args:
        session: of the run.
        limit: seconds after which all of them are stopped.
    """
    late = after(limit)
    jobs = jobs_of(cases_of(session), session.compiles)
    return warm_all(jobs, lambda place: _started(session, {"job": place}, late))


def run_cases(session: Session, say: Say, patience: float) -> None:
    """Run all cases in processes, one after the other.

    Args:
        session: of the run.
        say: told when a process had to be started again.
        patience: seconds that a case may take before its process is stopped.
    """
    start, known = 0, cases_of(session)
    while start < len(known):
        if session.left <= 0:
            for case in known[start:]:
                session.keep(_skipped(session, case))
            break
        limit = max(1.0, min(patience, session.left + patience / 4))
        code, place = _watched(session, start, limit, say)
        if code == 0:
            break
        case = known[place]
        if code != _BROKEN:
            why = f"took longer than {limit:.0f} s" if code is None else f"ended with {code}"
            session.keep(_lost(case, f"its process {why}"))
        say(f"{case.name}: its process ended early, going on with the next")
        start = place + 1
    _progress(session).unlink(missing_ok=True)


def _watched(session: Session, start: int, limit: float, say: Say) -> tuple[int | None, int]:
    """The exit code of a worker, `None` if it was stopped, and the place that it was at."""
    _progress(session).unlink(missing_ok=True)
    at, late = GATE - 1, after(limit)

    def is_late() -> bool:
        nonlocal at, late
        now = _place(session, at)
        if now != at:
            at, late = now, after(limit)
            say(f"{_name(session, at)} ({session.left:.0f} s left)")
        return late()

    code = _started(session, {"start": start}, is_late)
    return code, max(start, _place(session, at))


def _name(session: Session, place: int) -> str:
    return "gate" if place == GATE else cases_of(session)[place].name


def _started(session: Session, asked: Row, is_late: Callable[[], bool]) -> int | None:
    """The exit code of a worker; what it prints goes to the log."""
    text = json.dumps({"session": asdict(session), **asked})
    command = [sys.executable, "-m", "gattn.benchmark.gpu", "--worker", text]
    with (Path(session.out) / LOG).open("a") as log:
        return run_limited(command, is_late, stdout=log, stderr=log)


def _progress(session: Session) -> Path:
    return Path(session.out) / "progress"


def _place(session: Session, before: int) -> int:
    try:
        return int(_progress(session).read_text())
    except (OSError, ValueError):
        return before
