"""The training loop: reproducible, resumable after any death, honest about what it cannot do."""

import math
import random
import subprocess
import sys
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from torch import nn

from gattn._memory import PeakMemory
from gattn.data.task import Task
from gattn.metrics import METRICS
from gattn.train import MONITORS, OPTIMIZERS, Epoch, Settings, fit, seed_everything

SETTINGS = Settings(epochs=12, lr=0.05)
CPU = torch.device("cpu")


class Model(nn.Module):
    """Two linear layers with dropout and a batch norm; the structure is a matrix."""

    def __init__(self, in_channels=5, out_channels=2):
        super().__init__()
        self.first, self.norm = nn.Linear(in_channels, 8), nn.BatchNorm1d(8)
        self.second, self.dropout = nn.Linear(8, out_channels), nn.Dropout(0.3)

    def forward(self, x, structure):
        return self.second(self.dropout(self.norm(self.first(structure @ x)).relu()))


@pytest.fixture
def task():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(60, 5, generator=generator)
    y = (x[:, 0] + 0.2 * torch.randn(60, generator=generator) > 0).long()
    part = torch.arange(60).remainder(3)
    masks = [torch.stack([part == i, part == (i + 1) % 3], dim=1) for i in range(3)]
    edges = torch.stack([torch.arange(59), torch.arange(1, 60)])
    return Task("toy", x, edges, y, *masks, metric="accuracy", num_classes=2)


def run(task, **arguments):
    seed_everything(arguments.get("seed", 0))
    model = Model(out_channels=arguments.pop("out_channels", 2))
    return fit(model, task, torch.eye(60), **{"settings": SETTINGS, **arguments}), model


def assert_same(first, second):
    """Equal in everything but times and memory, to the last bit."""
    (a, model_a), (b, model_b) = first, second
    for name in ("best_epoch", "val", "test", "metrics", "epochs", "parameters"):
        assert getattr(a, name) == getattr(b, name)
    untimed = [[replace(e, seconds=0.0) for e in result.history] for result in (a, b)]
    assert untimed[0] == untimed[1]
    torch.testing.assert_close(model_a.state_dict(), model_b.state_dict(), rtol=0, atol=0)


def test_learns_and_reports(task):
    result, _ = run(task, settings=Settings(epochs=60, lr=0.05))
    assert result.test > 0.75
    assert result.history[-1].loss < result.history[0].loss / 2
    assert result.epochs == len(result.history) == 60
    assert result.parameters == 5 * 8 + 8 + 2 * 8 + 8 * 2 + 2
    assert 0 < result.seconds_per_epoch <= result.seconds
    assert set(result.metrics) == set(METRICS)
    assert result.metrics["accuracy"] == result.test


def test_reports_the_earliest_epoch_of_the_best_validation(task):
    result, _ = run(task)
    vals = [epoch.val for epoch in result.history]
    assert result.val == max(vals)
    assert result.best_epoch == vals.index(max(vals))
    assert [epoch.number for epoch in result.history] == list(range(12))


def test_the_model_holds_the_parameters_of_the_best_epoch(task):
    result, model = run(task)
    model.eval()
    val, test = task.val_mask[:, 0], task.test_mask[:, 0]
    with torch.no_grad():
        logits = model(task.x, torch.eye(60))
    assert METRICS["accuracy"](logits[val], task.y[val]) == result.val
    assert METRICS["accuracy"](logits[test], task.y[test]) == result.test


def test_same_seed_same_result_and_other_seed_another(task):
    assert_same(run(task, seed=3), run(task, seed=3))
    assert run(task, seed=3)[0].history[-1].loss != run(task, seed=4)[0].history[-1].loss


def test_splits_differ(task):
    assert run(task, split=0)[0].history[0].loss != run(task, split=1)[0].history[0].loss


def test_patience_stops_early(task):
    result, _ = run(task, settings=replace(SETTINGS, epochs=500, patience=3))
    assert result.epochs == result.best_epoch + 1 + 3


def test_one_logit_is_trained_too(task):
    result, _ = run(task, out_channels=1, settings=Settings(epochs=60, lr=0.05))
    assert result.test > 0.75


def test_auc_is_a_metric_of_the_task(task):
    result, _ = run(replace(task, metric="roc_auc"))
    assert result.test == result.metrics["roc_auc"] != result.metrics["accuracy"]


def test_progress_is_told_every_epoch(task):
    seen: list[Epoch] = []
    result, _ = run(task, progress=seen.append)
    assert tuple(seen) == result.history


class Killed(Exception):
    pass


def draw(report):
    """Use up random numbers, as a callback may."""
    return report, random.random(), np.random.rand(), torch.rand(1)


@pytest.mark.parametrize("epoch", [0, 4, 6, 11])
def test_a_killed_run_continues_to_the_same_result(task, tmp_path, epoch):
    def die(report):
        draw(report)
        if report.number == epoch:
            raise Killed

    arguments = {"seed": 5, "checkpoint_every": 3}
    with pytest.raises(Killed):
        run(task, **arguments, checkpoint=tmp_path / "run.pt", progress=die)
    continued = run(task, **arguments, checkpoint=tmp_path / "run.pt", progress=draw)
    assert_same(continued, run(task, **arguments, progress=draw))


def test_a_finished_run_is_not_repeated(task, tmp_path):
    first = run(task, checkpoint=tmp_path / "deep" / "run.pt")
    epochs = []
    second = run(task, checkpoint=tmp_path / "deep" / "run.pt", progress=epochs.append)
    assert_same(first, second)
    assert epochs == []
    assert second[0].seconds == first[0].seconds
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["run.pt"]


def test_a_checkpoint_of_another_run_is_refused(task, tmp_path):
    run(task, checkpoint=tmp_path / "run.pt")
    for other, found in [
        ({"seed": 1}, "found seed = 0"),
        ({"split": 1}, "found split = 0"),
        ({"settings": replace(SETTINGS, lr=0.1)}, "found lr = 0.05"),
        ({"out_channels": 1}, "found second.weight"),
    ]:
        with pytest.raises(ValueError, match=f"checkpoint: {found}"):
            run(task, **other, checkpoint=tmp_path / "run.pt")


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04 half a file"])
def test_a_file_that_is_no_checkpoint_is_refused_and_kept(task, tmp_path, content):
    (tmp_path / "run.pt").write_bytes(content)
    with pytest.raises(ValueError, match=r"checkpoint: found .* which torch cannot read"):
        run(task, checkpoint=tmp_path / "run.pt")
    assert (tmp_path / "run.pt").read_bytes() == content


def test_a_checkpoint_without_a_run_is_refused(task, tmp_path):
    torch.save({"weight": torch.ones(1)}, tmp_path / "run.pt")
    with pytest.raises(ValueError, match="without a run in it"):
        run(task, checkpoint=tmp_path / "run.pt")


def test_a_checkpoint_that_cannot_be_written_stops_before_the_work(task, tmp_path):
    (tmp_path / "file").write_text("")
    epochs = []
    with pytest.raises(OSError, match="file"):
        run(task, checkpoint=tmp_path / "file" / "run.pt", progress=epochs.append)
    assert epochs == []


def test_a_failed_write_leaves_the_old_checkpoint(task, tmp_path, monkeypatch):
    path = tmp_path / "run.pt"
    run(task, checkpoint=path, settings=replace(SETTINGS, epochs=1))
    before = path.read_bytes()

    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr("os.fsync", full)
    monkeypatch.setattr("gattn.train.run.Run.finished", lambda self: len(self.history) > 1)
    with pytest.raises(OSError, match="no space"):
        run(task, checkpoint=path, settings=replace(SETTINGS, epochs=1))
    assert path.read_bytes() == before


def test_features_that_are_not_finite_are_named(task):
    task.x[7, 2], task.x[8, 0] = math.nan, math.inf
    with pytest.raises(ValueError, match=r"x: found 2 values .* node 7, feature 2"):
        run(task)


def test_a_loss_that_is_not_finite_names_the_epoch(task):
    class Diverges(Model):
        def forward(self, x, structure):
            logits = super().forward(x, structure)
            return logits * math.nan if next(steps) == 8 else logits

    steps = iter(range(100))
    with pytest.raises(ValueError, match="loss: found nan at epoch 4"):
        fit(Diverges(), task, torch.eye(60), settings=SETTINGS)


def test_empty_and_unknown_splits_are_named(task):
    empty = replace(task, val_mask=torch.zeros_like(task.val_mask))
    with pytest.raises(ValueError, match="val_mask: found no nodes in split 0"):
        run(empty)
    with pytest.raises(ValueError, match=r"split: found 2, expected an int in \[0, 1\]"):
        run(task, split=2)


def test_a_model_on_another_device_is_named(task):
    with pytest.raises(ValueError, match="model: found parameters on meta, expected cpu"):
        fit(Model().to("meta"), task, torch.eye(60), settings=SETTINGS)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux resets its high-water mark")
def test_peak_memory_counts_what_was_freed_again_and_counts_it_twice():
    for _ in range(2):
        memory = PeakMemory(CPU)
        blocks = [torch.ones(1 << 18) for _ in range(64)]  # 64 MiB in blocks the allocator keeps
        del blocks
        peak = memory.read()
        assert peak is not None
        assert 60 << 20 < peak < 90 << 20
    assert (PeakMemory(CPU).read() or 0) < 8 << 20


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_peak_memory_without_proc_does_not_fail(monkeypatch, platform):
    monkeypatch.setattr("gattn._memory._status", lambda name: None)
    monkeypatch.setattr("gattn._memory.sys.platform", platform)
    peak = PeakMemory(CPU).read()
    assert peak is None if platform == "win32" else peak is not None and peak >= 0


def test_training_imports_no_layer():
    code = (
        "import gattn.train, sys; found = {'gattn.nn', 'gattn.data', 'torch_geometric', 'rich'}"
        " & set(sys.modules); assert not found, found"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


class Priced(nn.Module):
    """A number that the loss does not see, and what it costs."""

    def __init__(self, price):
        super().__init__()
        self.size, self.price = nn.Parameter(torch.ones(())), price

    def penalty(self):
        return self.price * self.size


def test_modules_charge_what_they_cost(task):
    """Wherever they are in the model; the loss that is reported is without it."""
    losses = []
    for price in (0.0, 0.5):
        seed_everything(0)
        model = Model()
        model.second = nn.Sequential(model.second, nn.Identity())
        model.second[1].inner = Priced(price)
        settings = replace(SETTINGS, epochs=3, weight_decay=0.0, optimizer="adam")
        result = fit(model, task, torch.eye(60), settings=settings)
        losses.append([epoch.loss for epoch in result.history])
        moved = model.second[1].inner.size.item() < 1
        assert moved == (price > 0)
    assert losses[0] == losses[1]


def test_a_penalty_is_added_to_the_loss(task):
    """Weight decay by hand is weight decay."""

    class Decayed(Model):
        def penalty(self):
            return sum(0.5 * 0.1 * p.square().sum() for p in self.parameters())

    found = []
    for kind, decay in ((Decayed, 0.0), (Model, 0.1)):
        seed_everything(0)
        model = kind()
        fit(model, task, torch.eye(60), settings=replace(SETTINGS, weight_decay=decay))
        found.append(model.state_dict())
    torch.testing.assert_close(*found)


EVERYTHING = Settings(
    epochs=12,
    lr=0.05,
    monitor="both",
    clip=0.5,
    scheduler="plateau",
    lr_every=2,
    warmup=2,
    label_smoothing=0.1,
    precision="float16",
)


@pytest.mark.parametrize("scheduler", ["cosine", "plateau"])
@pytest.mark.parametrize("epoch", [1, 7])
def test_a_killed_run_with_all_settings_continues_to_the_same_result(
    task, tmp_path, epoch, scheduler
):
    every = 2 if scheduler == "plateau" else None
    settings = replace(EVERYTHING, scheduler=scheduler, lr_every=every)

    def die(report):
        if report.number == epoch:
            raise Killed

    arguments = {"seed": 5, "checkpoint_every": 3, "settings": settings}
    with pytest.raises(Killed):
        run(task, **arguments, checkpoint=tmp_path / "run.pt", progress=die)
    continued = run(task, **arguments, checkpoint=tmp_path / "run.pt")
    assert_same(continued, run(task, **arguments))


def test_a_checkpoint_of_other_new_settings_is_refused(task, tmp_path):
    run(task, checkpoint=tmp_path / "run.pt")
    for name in ("monitor", "clip", "scheduler", "warmup", "label_smoothing", "precision"):
        changed = {name: getattr(EVERYTHING, name)}
        with pytest.raises(
            ValueError, match=f"checkpoint: found {name} = {getattr(SETTINGS, name)}"
        ):
            run(task, settings=replace(SETTINGS, **changed), checkpoint=tmp_path / "run.pt")


def test_a_checkpoint_of_an_earlier_version_is_continued(task, tmp_path):
    """It names the first five settings only, and epochs have no learning rate."""

    def die(report):
        if report.number == 7:
            raise Killed

    with pytest.raises(Killed):
        run(task, checkpoint=tmp_path / "run.pt", checkpoint_every=3, progress=die)
    saved = torch.load(tmp_path / "run.pt", weights_only=True)
    newer = [f.name for f in fields(Settings)][5:]
    saved["identity"] = {k: v for k, v in saved["identity"].items() if k not in newer}
    saved["history"] = [values[:5] for values in saved["history"]]
    del saved["about"], saved["scaler"]
    torch.save(saved, tmp_path / "run.pt")
    with pytest.raises(ValueError, match="checkpoint: found monitor = metric"):
        run(task, checkpoint=tmp_path / "run.pt", settings=replace(SETTINGS, monitor="both"))
    continued, whole = run(task, checkpoint=tmp_path / "run.pt")[0], run(task)[0]
    assert [e.loss for e in continued.history] == [e.loss for e in whole.history]
    assert continued.metrics == whole.metrics


def test_monitors_keep_other_epochs(task):
    settings = replace(SETTINGS, epochs=40)
    found = {m: run(task, settings=replace(settings, monitor=m))[0] for m in MONITORS}
    losses = [epoch.val_loss for epoch in found["loss"].history]
    assert found["loss"].best_epoch == losses.index(min(losses))
    assert len({result.best_epoch for result in found.values()}) > 1
    untimed = [[replace(e, seconds=0.0) for e in result.history] for result in found.values()]
    assert untimed[0] == untimed[1] == untimed[2]


def test_patience_of_both_counts_epochs_that_are_no_better_in_either(task):
    result, _ = run(task, settings=replace(SETTINGS, epochs=500, patience=4, monitor="both"))
    vals, losses = zip(*((e.val, e.val_loss) for e in result.history), strict=True)
    assert result.epochs < 500
    for last in range(-4, 0):
        assert vals[last] < max(vals[:last])
        assert losses[last] > min(losses[:last])


def test_the_rate_of_an_epoch_is_told_and_used(task):
    result, _ = run(task, settings=replace(SETTINGS, scheduler="step", lr_every=4))
    assert [e.lr for e in result.history] == pytest.approx([0.05] * 4 + [0.005] * 4 + [0.0005] * 4)
    plain, _ = run(task)
    assert [e.loss for e in result.history][:5] == [e.loss for e in plain.history][:5]
    assert result.history[5].loss != plain.history[5].loss


def test_clipping_is_torchs(task):
    """SGD does not show it, Adam does: a step of plain gradient descent, written out."""
    norms = []

    class Watched(Model):
        def __init__(self):
            super().__init__()
            for parameter in self.parameters():
                parameter.register_post_accumulate_grad_hook(lambda p: norms.append(p.grad.norm()))

    seed_everything(0)
    model = Watched()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    settings = Settings(epochs=1, lr=1.0, weight_decay=0.0, clip=1e-3)
    OPTIMIZERS["sgd"] = torch.optim.SGD
    try:
        fit(model, task, torch.eye(60), settings=replace(settings, optimizer="sgd"))
    finally:
        del OPTIMIZERS["sgd"]
    moved = [(p.detach() - before[name]).norm() for name, p in model.named_parameters()]
    assert torch.stack(norms).norm() > 1e-2
    assert torch.stack(moved).norm() == pytest.approx(1e-3, rel=1e-3)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_learns_and_keeps_parameters_whole(task, precision):
    result, model = run(task, settings=Settings(epochs=60, lr=0.05, precision=precision))
    assert result.test > 0.75
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    whole, _ = run(task, settings=Settings(epochs=60, lr=0.05))
    assert result.history[0].loss == pytest.approx(whole.history[0].loss, rel=0.05)
    assert result.history[0].loss != whole.history[0].loss


def test_what_a_checkpoint_is_about_is_in_it(task, tmp_path):
    about = {"dataset": "toy", "options": [["size", 3]], "nothing": None}
    run(task, checkpoint=tmp_path / "run.pt", about=about)
    assert torch.load(tmp_path / "run.pt", weights_only=True)["about"] == about
    run(task, checkpoint=tmp_path / "run.pt")
    assert torch.load(tmp_path / "run.pt", weights_only=True)["about"] == about
    with pytest.raises(TypeError, match="about: found what JSON cannot hold"):
        run(task, about={"task": task})
