"""What is shown of a study: done, running, the end, the best."""

import pytest
from rich.console import Console

from gattn.compare import Trial
from gattn.compare import progress as module
from gattn.compare.progress import Board, progress_bar
from gattn.train import Epoch
from tests.compare.conftest import row_of

TRIALS = [Trial.of("karate", breadth=b, seed=s, epochs=10) for b in (1, 2) for s in (0, 1)]


@pytest.fixture
def board(monkeypatch):
    times = iter(range(0, 1000, 60))
    monkeypatch.setattr(module.time, "monotonic", lambda: next(times))
    found = Board()
    found.lines = []
    found.say = found.lines.append
    return found


def shown(board):
    console = Console(width=100, record=True)
    console.print(board.shown())
    return console.export_text()


def test_counts_and_the_end(board):
    board.started(TRIALS, 3)
    assert board.lines == ["3 trials are finished already, 4 to do"]
    board.began(TRIALS[0])
    board.began(TRIALS[1])
    board.epoch(TRIALS[0], Epoch(4, 0.5, 0.5, 0.5, 0.1))
    text = shown(board)
    assert "0/4 trials done, 2 running" in text
    # One minute for half a trial: seven more for the other three and a half.
    assert "0:07:00 left, until about" in text
    assert "best" not in text


def test_the_best_is_a_mean_over_seeds(board):
    board.started(TRIALS, 0)
    for trial, val in zip(TRIALS, (0.9, 0.5, 0.8, 0.8), strict=True):
        board.began(trial)
        board.finished(trial, row_of(trial, val) | {"val": val})
    assert board.best() == "karate, attention, breadth 2, depth 1: val 0.8000, 2 seeds"
    text = shown(board)
    assert "4/4 trials done, 0 running" in text and "best so far: karate" in text
    assert "left" not in text
    assert board.lines[0].startswith("1/4  karate, attention, breadth 1, depth 1, seed 0: val 0.9")


def test_late_news_of_a_finished_trial_are_no_news(board):
    board.started(TRIALS, 0)
    board.finished(TRIALS[0], row_of(TRIALS[0], 0.9))
    board.began(TRIALS[0])
    board.epoch(TRIALS[0], Epoch(9, 0.5, 0.5, 0.5, 0.1))
    assert board.running == {}


def test_failures_are_said_without_markup(capsys):
    with progress_bar() as watcher:
        watcher.started(TRIALS, 0)
        watcher.began(TRIALS[0])
        watcher.finished(TRIALS[0], {"status": "failed", "reason": "shape [n, K]"})
    assert "failed: shape [n, K]" in capsys.readouterr().err.replace("\n", " ")
