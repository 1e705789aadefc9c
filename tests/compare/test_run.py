"""A study on the disk: nothing finished is lost, nothing finished is repeated."""

import json
from dataclasses import replace

import pytest

from gattn.compare import (
    Budget,
    Trial,
    Watcher,
    attempt,
    grid,
    read_rows,
    run_study,
    sentences,
)
from gattn.compare.run import FILE, append_row, attainable_rows, latest
from gattn.data import DatasetError, load

TINY = {"epochs": 2, "hidden": 8, "heads": 2, "layers": 1}


def trials(**changes):
    return grid(**{"dataset": ["karate"], "breadth": [1, 2], "seeds": 2, **TINY, **changes})


class Seen(Watcher):
    def __init__(self):
        self.skipped, self.keys, self.epochs = 0, [], 0

    def started(self, pending, skipped):
        self.skipped = skipped

    def epoch(self, trial, epoch):
        self.epochs += 1

    def finished(self, trial, row):
        self.keys.append(row["key"])


def ran(todo, out):
    seen = Seen()
    return run_study(todo, out, watcher=seen), seen


def test_one_line_per_trial_and_none_again(tmp_path):
    rows, seen = ran(trials(), tmp_path / "new" / "out")
    assert (seen.skipped, seen.epochs) == (0, 8)
    assert read_rows(tmp_path / "new" / "out" / FILE) == rows
    again, seen = ran(trials(seeds=3), tmp_path / "new" / "out")
    assert (seen.skipped, len(seen.keys)) == (4, 2)
    assert [row for row in again if row in rows] == rows
    assert len(again) == 6


def test_a_torn_last_line_loses_only_itself(tmp_path):
    path = tmp_path / FILE
    rows, _ = ran(trials(), tmp_path)
    whole = path.read_bytes()
    for kept in (len(whole) - 1, len(whole) - 40, whole.rindex(b"\n", 0, -1) + 2):
        path.write_bytes(whole[:kept])
        again, seen = ran(trials(), tmp_path)
        lost = 0 if kept == len(whole) - 1 else 1
        assert seen.skipped == 4 - lost
        assert again[:3] == rows[:3]
        assert latest(read_rows(path)).keys() == {row["key"] for row in rows}
        assert len(ran(trials(), tmp_path)[1].keys) == 0


@pytest.mark.parametrize(
    "junk", [b'{"key": "a"', b"\x00\x00\xff", b"[1, 2]", b'{"a": 1}', b"7", b""]
)
def test_lines_that_are_no_rows_are_passed_over(tmp_path, junk):
    path = tmp_path / FILE
    good = {"key": "a", "status": "ok"}
    path.write_bytes(junk + b"\n" + json.dumps(good).encode() + b"\n" + junk)
    append_row(path, {**good, "key": "b"})
    assert [row["key"] for row in read_rows(path)] == ["a", "b"]


def test_a_missing_file_has_no_rows(tmp_path):
    assert read_rows(tmp_path / "none.jsonl") == []


def test_a_row_is_never_nan(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        append_row(tmp_path / FILE, {"key": "a", "status": "ok", "test": float("nan")})
    assert read_rows(tmp_path / FILE) == []


def test_a_file_of_rows_can_be_named(tmp_path):
    rows, _ = ran(trials(breadth=[1]), tmp_path / "rows.jsonl")
    assert read_rows(tmp_path / "rows.jsonl") == rows
    assert [path.name for path in tmp_path.iterdir()] == ["rows.jsonl"]


def test_without_an_output_rows_are_returned_only(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows, _ = ran(trials(breadth=[1]), None)
    assert [row["status"] for row in rows] == ["ok", "ok"]
    assert list(tmp_path.iterdir()) == []


def test_a_failed_trial_is_a_row_and_is_tried_again(tmp_path, monkeypatch):
    real = attempt.run_trial

    def wild(trial, *rest, **more):
        if trial.breadth == 1 and trial.seed == 0:
            raise error
        return real(trial, *rest, **more)

    monkeypatch.setattr(attempt, "run_trial", wild)
    for error in (ValueError("loss: found nan"), RuntimeError("out\nof memory"), MemoryError()):
        rows, _ = ran(trials(), tmp_path)
        assert [row["status"] for row in rows] == ["failed", "ok", "ok", "ok"]
        assert rows[0]["reason"] == (" ".join(str(error).split()) or "MemoryError")
    monkeypatch.setattr(attempt, "run_trial", real)
    rows, seen = ran(trials(), tmp_path)
    assert seen.keys == [rows[0]["key"]]
    assert {row["status"] for row in rows} == {"ok"}
    assert len(read_rows(tmp_path / FILE)) == 4 + 3


def test_a_mistake_in_one_model_does_not_end_the_study(tmp_path, monkeypatch):
    def broken(*_, **__):
        raise AttributeError("no such thing")

    monkeypatch.setattr(attempt, "run_trial", broken)
    rows, seen = ran(trials(), tmp_path)
    assert {(row["status"], row["cause"]) for row in rows} == {("failed", "error")}
    assert rows[0]["reason"] == "AttributeError: no such thing"
    assert len(seen.keys) == 4


def test_ctrl_c_keeps_what_is_finished(tmp_path):
    class Stops(Seen):
        def epoch(self, trial, epoch):
            super().epoch(trial, epoch)
            if self.epochs == 5:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_study(trials(), tmp_path, watcher=Stops())
    assert len(read_rows(tmp_path / FILE)) == 2
    rows, seen = ran(trials(), tmp_path)
    assert (seen.skipped, len(rows)) == (2, 4)


def test_a_killed_training_goes_on_from_its_checkpoint(tmp_path):
    class Stops(Seen):
        def epoch(self, trial, epoch):
            super().epoch(trial, epoch)
            if epoch.number == 25:
                raise KeyboardInterrupt

    todo = trials(breadth=[1], seeds=1, epochs=30)
    folders = {"out": tmp_path / "out", "checkpoints": tmp_path / "checkpoints"}
    with pytest.raises(KeyboardInterrupt):
        run_study(todo, **folders, watcher=Stops())
    seen = Seen()
    (row,) = run_study(todo, **folders, watcher=seen)
    assert seen.epochs == 10
    (whole,) = run_study(todo, None)
    assert (row["val"], row["test"], row["best_epoch"]) == (
        whole["val"],
        whole["test"],
        whole["best_epoch"],
    )


@pytest.mark.parametrize("out", ["file/out", "file", "taken"])
def test_an_output_that_cannot_be_written_stops_before_the_work(tmp_path, out):
    (tmp_path / "file").write_text("")
    (tmp_path / "taken" / FILE).mkdir(parents=True)
    seen = Seen()
    with pytest.raises(OSError, match=r"out: found .* which cannot be written"):
        run_study(trials(), tmp_path / out, watcher=seen)
    assert seen.epochs == 0


def test_a_dataset_that_is_missing_stops_before_the_work(tmp_path):
    seen = Seen()
    todo = [*trials(), Trial.of("cora", options=(("download", False),), **TINY)]
    with pytest.raises(DatasetError, match=r"root: found no Cora/raw/ind\.cora\.x"):
        run_study(todo, tmp_path / "out", root=tmp_path / "root", watcher=seen)
    assert seen.epochs == 0


def test_a_neighbourhood_is_built_once_per_breadth(tmp_path, monkeypatch):
    built = []
    real = attempt.build_structure
    monkeypatch.setattr(
        attempt,
        "build_structure",
        lambda trial, task: built.append(trial.breadth) or real(trial, task),
    )
    ran(trials(breadth=[1, 2], depth=[1, 2], seeds=1), tmp_path)
    assert built == [1, 2]


def test_clusters_are_built_where_depth_needs_them_and_not_again(tmp_path, monkeypatch):
    built = []
    real = attempt.build_structure
    monkeypatch.setattr(
        attempt,
        "build_structure",
        lambda trial, task: built.append(trial.depth) or real(trial, task),
    )
    rows, _ = ran(trials(breadth=[2], depth=[1, 3, 4], seeds=2), tmp_path)
    assert built == [1, 4]
    assert [row["status"] for row in rows] == ["ok"] * 6
    pairs = {row["depth"]: row["pairs"] for row in rows}
    assert pairs[1] == pairs[3] < pairs[4]


def test_encoded_tasks_are_kept_beside_the_plain_one(tmp_path, monkeypatch):
    loaded = []
    real = attempt.load_task
    monkeypatch.setattr(
        attempt, "load_task", lambda trial, root: loaded.append(trial.encoding) or real(trial, root)
    )
    todo = trials(breadth=[1], encoding=[None, "laplacian"], seeds=2)
    assert [t.encoding for t in todo] == [None, None, "laplacian", "laplacian"]
    rows, _ = ran(todo, tmp_path)
    assert loaded == [None, "laplacian"]
    assert [row["status"] for row in rows] == ["ok"] * 4
    assert rows[2]["parameters"] - rows[0]["parameters"] == 8 * TINY["hidden"]
    assert [row["key"] for row in rows[:2]] == [t.key() for t in trials(breadth=[1])]


def test_attainable_rows_do_without_an_encoding():
    trial = Trial.of("minesweeper", options=(("size", 12),), encoding="laplacian")
    rows = [{**trial.row(), "split": 0, "status": "ok"}]
    plain = attainable_rows(rows, replace(trial, encoding=None), rounds=(1,))
    assert attainable_rows(rows, trial, rounds=(1,)) == plain


def test_attainable_rows_are_of_the_splits_that_were_run():
    board = load("minesweeper", size=12)
    trial = Trial.of("minesweeper", options=(("size", 12),))
    rows = [{**replace(trial, seed=s).row(), "split": s, "status": "ok"} for s in (0, 3)]
    found = attainable_rows(rows, trial, rounds=(1, 2))
    assert [(row["rounds"], row["radius"]) for row in found] == [(1, 1), (2, 3)]
    alone = [attainable_rows([row], trial, rounds=(1,))[0]["mean"] for row in rows]
    assert found[0]["mean"] == pytest.approx(sum(alone) / 2)
    assert board.num_splits > 2


def test_nothing_is_attainable_where_nothing_is_known():
    karate = Trial.of("karate")
    assert attainable_rows([{**karate.row(), "split": 0, "status": "ok"}], karate) == []
    trial = Trial.of("minesweeper", options=(("size", 8),))
    assert attainable_rows([], trial) == []
    assert attainable_rows([{**trial.row(), "status": "failed"}], trial) == []
    two = [{**trial.row(), "split": 0, "status": "ok", "options": f"size={n}"} for n in (8, 9)]
    assert attainable_rows(two, trial) == []


def test_two_studies_do_not_share_a_file(tmp_path):
    class Second(Watcher):
        def finished(self, trial, row):
            with pytest.raises(OSError, match="in use by process"):
                run_study(trials(), tmp_path, ready=touched)

    def touched():
        raise AssertionError("called without the lock")

    rows = run_study(trials(), tmp_path, watcher=Second())
    assert read_rows(tmp_path / FILE) == rows


def test_a_budget_marks_rows_with_their_rung_and_says_what_was_cut(tmp_path):
    class Slow:
        """A minute passes whenever somebody looks."""

        now = 0.0

        def __call__(self):
            self.now += 60
            return self.now

    rows = run_study(trials(breadth=[1, 2, 3], seeds=4), tmp_path, budget=Budget(500, clock=Slow()))
    assert {row["status"] for row in rows} == {"ok", "cut"}
    finished = [row for row in rows if row["status"] == "ok"]
    assert {row["rung"] for row in finished} >= {0}
    assert {row["metric"] for row in rows} == {"accuracy"}
    assert sentences(rows)[-1].startswith("Budget: ")
    again = run_study(trials(breadth=[1, 2, 3], seeds=4), tmp_path)
    assert {row["status"] for row in again} == {"ok"}
    assert [row for row in again if row in rows] == finished
