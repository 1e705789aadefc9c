"""Curves for TensorBoard, read back from the file."""

import sys
import warnings

import pytest
from torch import nn

from gattn import cli
from gattn.data import load
from gattn.train import Settings, TensorBoard, fit, seed_everything

SETTINGS = Settings(epochs=6, lr=0.05, scheduler="linear")


class Killed(Exception):
    pass


def die(epoch):
    if epoch.number == 4:
        raise Killed


def scalars(folder):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        events = EventAccumulator(str(folder))
        events.Reload()
    return {
        name: [(e.step, e.value) for e in events.Scalars(name)] for name in events.Tags()["scalars"]
    }


class Linear(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.layer = nn.Linear(width, 2)

    def forward(self, x, structure):
        return self.layer(x)


def train(folder, **arguments):
    task = load("minesweeper", size=8)
    seed_everything(0)
    logger = TensorBoard(folder, {"lr": 0.05, "model": "linear", "options": [1]})
    model = Linear(task.x.size(1))
    return fit(model, task, None, settings=SETTINGS, logger=logger, **arguments)


def test_every_epoch_and_the_test_are_written(tmp_path):
    result = train(tmp_path)
    found = scalars(tmp_path)
    names = {"loss/train": "loss", "loss/val": "val_loss", "metric/val": "val", "lr": "lr"}
    for name, field in names.items():
        steps, values = zip(*found[name], strict=True)
        assert steps == tuple(range(6))
        assert values == pytest.approx([getattr(epoch, field) for epoch in result.history])
    assert len(found["seconds"]) == 6
    for name, value in result.metrics.items():
        assert found[f"test/{name}"][0] == (result.best_epoch, pytest.approx(value))


def test_a_run_that_goes_on_has_whole_curves(tmp_path):
    arguments = {"checkpoint": tmp_path / "run.pt", "checkpoint_every": 2}
    with pytest.raises(Killed):
        train(tmp_path / "curves", **arguments, progress=die)
    result = train(tmp_path / "curves", **arguments)
    assert len(result.history) == 6
    assert {step for step, _ in scalars(tmp_path / "curves")["loss/train"]} == set(range(6))


def test_a_missing_package_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ImportError, match=r"tensorboard: found none, .* 'gattn\[tensorboard\]'"):
        TensorBoard(tmp_path)


def test_the_command_line_writes_a_folder_for_each_trial(tmp_path):
    board = ["--dataset", "minesweeper", "--option", "size=8", "--epochs", "2", "--layers", "1"]
    folders = ["--tensorboard", str(tmp_path / "curves"), "--out", str(tmp_path)]
    assert cli.run(["train", *board, *folders]) == 0
    (folder,) = (tmp_path / "curves").iterdir()
    assert folder.name in (tmp_path / "trials.jsonl").read_text()
    assert len(scalars(folder)["loss/train"]) >= 2
