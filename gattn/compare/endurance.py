"""Does a study survive? `python -m gattn.compare.endurance --kills 20 --out FOLDER`.

A study of the command line is started, killed by SIGKILL at a random moment after it has begun,
started again, and so on; then it may end. A trial counts as finished when the study said so, or its
row could be read, before the kill. What is kept is held against that, and in the end against the
rows of a study that nobody killed. Then two studies are started into one folder.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gattn._rows import append_row, read_rows
from gattn.compare.known import filled

Row = dict[str, Any]

FILE = "kills.jsonl"
TIMES = ("seconds", "seconds_per_epoch", "wall_seconds", "peak_memory_bytes", "finished_at")
"""Columns in which the rows of two studies may differ."""


@dataclass(frozen=True)
class Plan:
    """What is run.

    Args:
        kills: how often a study is killed.
        seeds: of each of its four settings: enough that it does not end before the last kill.
        epochs: of each trial.
        within: seconds after its beginning in which a study is killed.
        seed: of the moments.
        crowded: every so many kills the study has two jobs.
    """

    kills: int = 20
    seeds: int = 150
    epochs: int = 30
    within: float = 15.0
    seed: int = 0
    crowded: int = 5

    def moments(self) -> list[float]:
        """Return when to kill, in seconds after the beginning."""
        source = random.Random(self.seed)
        return [source.uniform(0, self.within) for _ in range(self.kills)]

    def command(self, out: Path, jobs: int = 1) -> list[str]:
        """Return the command of the study."""
        text = f"compare --dataset karate --breadth 1 2 --depth 1 2 --seeds {self.seeds} --layers 1"
        text += f" --hidden 8 --heads 2 --epochs {self.epochs} --threads 1 --jobs {jobs}"
        return [sys.executable, "-m", "gattn", *text.split(), "--out", str(out)]

    @property
    def trials(self) -> int:
        """Return how many trials the study has."""
        return 4 * self.seeds


def kills(plan: Plan, folder: Path) -> Iterable[Row]:
    """Kill a study again and again; yield a row for each time.

    Args:
        plan: what is run.
        folder: of the study.
    """
    for number, moment in enumerate(plan.moments(), start=1):
        jobs = 2 if number % plan.crowded == 0 else 1
        yield {"number": number, "jobs": jobs, **_killed(plan, folder, moment, jobs)}


def _killed(plan: Plan, folder: Path, moment: float, jobs: int) -> Row:
    at_first, log = _keys(folder), folder.with_suffix(".log")
    with log.open("wb") as said:
        process = subprocess.Popen(plan.command(folder, jobs), stdout=said, stderr=said)
        ended = _wait(lambda: process.poll() is not None or _is_writing(folder, process.pid))
        time.sleep(moment)
        before = _keys(folder)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    after = _keys(folder)
    announced = len(re.findall(rb"(?m)^\d+/\d+  ", log.read_bytes()))
    lost = len(before - after) + max(0, announced - len(after - at_first))
    return {
        "moment": round(moment, 3),
        "began": ended,
        "before": len(at_first),
        "said": announced,
        "read": len(before),
        "after": len(after),
        "lost": lost,
        "torn": _torn(folder),
    }


def _wait(done: Callable[[], bool], limit: float = 600.0) -> bool:
    start = time.monotonic()
    while not done():
        if time.monotonic() - start > limit:
            return False
        time.sleep(0.005)
    return True


def _is_writing(folder: Path, pid: int) -> bool:
    try:
        return f'"pid": {pid},' in (folder / ".lock").read_text()
    except OSError:
        return False


def _keys(folder: Path) -> set[str]:
    return {row["key"] for row in read_rows(folder / "trials.jsonl") if row["status"] == "ok"}


def _torn(folder: Path) -> bool:
    path = folder / "trials.jsonl"
    return path.exists() and path.stat().st_size > 0 and not path.read_bytes().endswith(b"\n")


def end(plan: Plan, folder: Path, whole: Path) -> Row:
    """Let the killed study end, and hold its rows against those of one that nobody killed.

    Args:
        plan: what is run.
        folder: of the study that was killed.
        whole: of the other.
    """
    codes = [
        subprocess.run(plan.command(out), capture_output=True, check=False).returncode
        for out in (folder, whole)
    ]
    rows = [read_rows(out / "trials.jsonl") for out in (folder, whole)]
    keys = [row["key"] for row in rows[0]]
    return {
        "codes": codes,
        "trials": plan.trials,
        "rows": len(keys),
        "twice": len(keys) - len(set(keys)),
        "equal": _results(rows[0]) == _results(rows[1]),
    }


def _results(rows: Sequence[Row]) -> dict[str, Row]:
    return {r["key"]: {k: v for k, v in r.items() if k not in TIMES} for r in rows}


def together(plan: Plan, folder: Path) -> Row:
    """Start a study, and another into the same folder while it runs.

    Args:
        plan: what is run.
        folder: of both.
    """
    quiet: Any = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    first = subprocess.Popen(plan.command(folder), **quiet)
    _wait(lambda: _is_writing(folder, first.pid))
    second = subprocess.run(
        plan.command(folder), capture_output=True, text=True, check=False, timeout=600
    )
    running = first.poll() is None
    code, keys = first.wait(), [row["key"] for row in read_rows(folder / "trials.jsonl")]
    said = second.stderr.strip().splitlines()
    said = [line.replace(str(folder), "FOLDER").replace(str(first.pid), "PID") for line in said]
    return {
        "codes": [code, second.returncode],
        "while_running": running,
        "said": re.sub(r"on \S+ since \S+,", "on HOST since TIME,", said[-1]) if said else "",
        "rows": len(keys),
        "twice": len(keys) - len(set(keys)),
    }


def run(plan: Plan, out: Path) -> None:
    """Do all of it and write the rows.

    Args:
        plan: what is run.
        out: folder of the rows.
    """
    out.mkdir(parents=True, exist_ok=True)
    path = out / FILE
    path.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "killed").mkdir()
        for row in kills(plan, folder / "killed"):
            _keep(path, "kill", row)
        _keep(path, "end", end(plan, folder / "killed", folder / "whole"))
        _keep(path, "together", together(plan, folder / "together"))


def _keep(path: Path, kind: str, row: Row) -> None:
    whole = {"key": f"{kind} {row.get('number', '')}".strip(), "status": "ok", "kind": kind, **row}
    append_row(path, whole)
    print(whole, flush=True)


def table(rows: Sequence[Row]) -> str:
    """Return the kills as a Markdown table.

    Args:
        rows: of `read_rows`.
    """
    head = ("kill", "jobs", "after (s)", "rows before", "said finished", "rows after", "lost")
    lines = [head, ("---",) * len(head)]
    for row in (row for row in rows if row["kind"] == "kill"):
        names = ("number", "jobs", "moment", "before", "said", "after", "lost")
        lines.append(tuple(str(row[name]) for name in names))
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def sentences(rows: Sequence[Row]) -> list[str]:
    """Say what came of it.

    Args:
        rows: of `read_rows`.
    """
    by_kind = {kind: [row for row in rows if row["kind"] == kind] for kind in _KINDS}
    killed, (ended,), (two,) = by_kind["kill"], by_kind["end"], by_kind["together"]
    lost, torn = (sum(int(row[name]) for row in killed) for name in ("lost", "torn"))
    same = "equal to" if ended["equal"] else "different from"
    return [
        f"{len(killed)} kills, {lost} finished trials lost, {torn} torn lines left behind.",
        f"After the last run there are {ended['rows']} rows of {ended['trials']} trials, "
        f"{ended['twice']} of them twice, {same} those of a study that nobody killed.",
        f"Of two studies started into one folder the first ended with code {two['codes'][0]} and "
        f"{two['rows']} rows, {two['twice']} of them twice; the second with code "
        f"{two['codes'][1]}: `{two['said']}`",
    ]


_KINDS = ("kill", "end", "together")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the study of the command line, and print its table."""
    usual = Plan()
    parser = argparse.ArgumentParser(prog="python -m gattn.compare.endurance", description=__doc__)
    add = parser.add_argument
    add("--kills", type=int, default=usual.kills, help="how often the study is killed")
    add("--seeds", type=int, default=usual.seeds, help="of each of its four settings")
    add("--out", type=Path, required=True, help="folder of rows")
    add("--table", action="store_true", help="kill nothing: make all again from the rows")
    add("--page", type=Path, help="a Markdown page to renew the table of")
    asked = parser.parse_args(arguments)
    if not asked.table:
        run(Plan(asked.kills, asked.seeds), asked.out)
    rows = read_rows(asked.out / FILE)
    made = {"kills": table(rows), "said": "".join(f"- {line}\n" for line in sentences(rows))}
    if asked.page is not None:
        text = filled(asked.page.read_text(encoding="utf-8"), made)
        asked.page.write_text(text, encoding="utf-8")
    print("\n".join(made.values()))


if __name__ == "__main__":
    main()
