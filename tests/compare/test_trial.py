"""One cell: its key, its checks, its row."""

import json
import math
import shutil
from dataclasses import asdict, fields, replace
from pathlib import Path

import pytest
import torch

from gattn.compare import MODELS, Trial, read_rows, run_trial
from gattn.compare.training import build_model
from gattn.compare.trial import load_task
from gattn.data import DatasetError, encoded, load
from gattn.nn import FillingIn
from gattn.train import Settings

INSIDE = ("hop_mass", "gate", "radius")
TRIAL = Trial.of("karate", breadth=2, epochs=3, hidden=8, heads=2, layers=1, lr=0.01)


def test_the_key_is_the_same_in_every_process():
    trial = Trial("karate", "gat", options=(("b", 1), ("a", "x")))
    assert trial.key() == "d6145fc8c1b4dd44"
    assert trial.key() == replace(trial, options=(("a", "x"), ("b", 1)), dropout=0.6).key()


def test_rows_that_are_there_keep_their_keys():
    demo = Path(__file__).parents[2] / "docs" / "results" / "demo" / "trials.jsonl"
    for row in read_rows(demo):
        names = [field.name for field in fields(Trial) if field.name in row]
        trial = Trial(**{**{name: row[name] for name in names}, "options": (("size", 40),)})
        assert {row["key"]} <= {trial.key(), replace(trial, split=None).key()}


def test_an_integer_and_a_float_that_are_equal_have_one_key():
    assert replace(TRIAL, lr=1).key() == replace(TRIAL, lr=1.0).key()


def test_a_setting_of_training_at_its_usual_value_changes_no_key():
    usual = asdict(Settings())
    for name in ("monitor", "warmup", "label_smoothing", "precision", "clip", "scheduler"):
        assert replace(TRIAL, **{name: usual[name]}) == TRIAL
    assert replace(TRIAL, monitor="both", warmup=2).settings().monitor == "both"
    assert TRIAL.settings() == Settings(
        TRIAL.epochs, TRIAL.lr, TRIAL.weight_decay, TRIAL.optimizer, TRIAL.patience
    )


def test_every_setting_is_in_the_key():
    other = Trial(
        "minesweeper",
        "attention",
        breadth=3,
        depth=2,
        options=(("size", 8),),
        score="dot",
        normalizer="sigmoid",
        layers=2,
        hidden=4,
        heads=4,
        dropout=0.3,
        epochs=9,
        lr=0.1,
        weight_decay=0.2,
        optimizer="adam",
        patience=4,
        seed=1,
        split=0,
        encoding="laplacian",
        monitor="both",
        clip=1.0,
        scheduler="cosine",
        warmup=3,
        label_smoothing=0.1,
        precision="bfloat16",
        hide=0.2,
        batch_size=5,
        judged_by="accuracy",
    )
    of_others = ("restart", "attention_dropout", "feature_dropout", "lr_factor", "lr_every")
    of_others += ("num_neighbors", "dataset_sha256", "region", "halo", "steps", "fill")
    of_others += ("readout", "norm", "residual", "pre_linear")
    for field in fields(Trial):
        if field.name not in ("model", "dataset_sha256", *of_others):
            changed = replace(TRIAL, **{field.name: getattr(other, field.name)})
            assert changed.key() != TRIAL.key(), field.name
    stack, rounds = Trial.of("karate", "stack"), Trial.of("karate", "decoupled")
    for one in ({"norm": "none"}, {"residual": False}, {"pre_linear": True}):
        assert replace(stack, **one).key() != stack.key()
    assert replace(rounds, readout="last").key() != rounds.key()
    in_steps = replace(TRIAL, scheduler="step")
    assert replace(in_steps, lr_factor=0.2).key() != in_steps.key()
    assert replace(in_steps, lr_every=2).key() != in_steps.key()
    hiding, on_balls = replace(TRIAL, hide=0.2), replace(TRIAL, region=4)
    assert hiding.fill == 1.0 and replace(hiding, fill=0.5).key() != hiding.key()
    assert len({replace(on_balls, **one).key() for one in ({}, {"halo": 1}, {"steps": 2})}) == 3
    assert on_balls.key() != TRIAL.key()
    in_batches = replace(TRIAL, batch_size=5)
    assert replace(in_batches, num_neighbors=(3, 3)).key() != in_batches.key()
    assert Trial.of("karate", "gat").key() != Trial.of("karate", "gatv2").key()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"dataset": "coral"}, "dataset: found 'coral', expected one of cora, citeseer"),
        ({"model": "gta"}, "model: found 'gta', expected one of attention, recurrent"),
        ({"score": "dott"}, "score: found 'dott', expected one of dot, scaled_dot"),
        ({"normalizer": None}, "normalizer: found None, expected one of softmax"),
        ({"breadth": -1}, "breadth: found -1, expected an int >= 0"),
        ({"breadth": 1.5}, "breadth: found 1.5, expected an int"),
        ({"depth": 5}, "depth: found 5 for the model attention, expected 1 or 2 or 3 or 4"),
        ({"encoding": "sine"}, "encoding: found 'sine', expected one of laplacian, random_walk"),
        ({"heads": 0}, "heads: found 0"),
        ({"dropout": 1.5}, "dropout: found 1.5"),
        ({"epochs": 0}, "epochs: found 0"),
        ({"lr": math.nan}, "lr: found nan"),
        ({"optimizer": "sgd"}, "optimizer: found 'sgd', expected one of adam, adamw"),
        ({"seed": -1}, "seed: found -1"),
        ({"split": -1}, "split: found -1"),
        ({"hide": 2}, "hide: found 2"),
        ({"fill": 0.5}, "fill: found 0.5, expected none where none is hidden"),
        ({"hide": 0.2, "fill": -1.0}, "fill: found -1.0, expected a number > 0"),
    ],
)
def test_settings_are_checked(wrong, message):
    with pytest.raises((ValueError, TypeError), match=message):
        replace(TRIAL, **wrong)


def test_drop_ins_have_one_depth_and_their_own_score():
    with pytest.raises(ValueError, match="depth: found 2 for the model gat, expected 1"):
        Trial.of("karate", "gat", depth=2)
    with pytest.raises(ValueError, match="score: found 'dot' for the model gat, which has its own"):
        Trial.of("karate", "gat", score="dot")


def test_one_layer_is_one_layer():
    with pytest.raises(ValueError, match="layers: found 2 for the model layer, expected 1"):
        Trial.of("karate", "layer", layers=2)
    with pytest.raises(ValueError, match="depth: found 2 for the model layer-blind, expected 1"):
        Trial.of("karate", "layer-blind", depth=2)


@pytest.mark.parametrize("name", ["restart", "attention_dropout", "feature_dropout"])
def test_shares_of_rounds_are_those_of_diffusion(name):
    changed = Trial.of("karate", "diffusion", **{name: 1})
    assert getattr(changed, name) == 1.0
    assert changed.key() != Trial.of("karate", "diffusion").key()
    with pytest.raises(ValueError, match=f"{name}: found 2"):
        Trial.of("karate", "diffusion", **{name: 2})
    with pytest.raises(ValueError, match=f"{name}: found 0.1 for the model gat, expected none"):
        Trial.of("karate", "gat", **{name: 0.1})


@pytest.mark.parametrize("name", ["laplacian", "random_walk"])
def test_an_encoding_is_joined_where_the_task_is_loaded(name):
    trial = replace(TRIAL, encoding=name)
    assert torch.equal(load_task(trial).x, encoded(load("karate"), name).x)
    row = run_trial(trial, load_task(trial))
    assert (row["status"], row["encoding"]) == ("ok", name)


def test_the_model_fills_in_its_recipe():
    for name, model in MODELS.items():
        trial = Trial.of("karate", name)
        assert {k: getattr(trial, k) for k in model.recipe} == dict(model.recipe)


def test_a_row_is_flat_json_with_what_came_out():
    task = load_task(TRIAL)
    row = run_trial(TRIAL, task)
    assert json.loads(json.dumps(row, allow_nan=False)) == row
    flat = {name: value for name, value in row.items() if name not in (*INSIDE, "curve")}
    assert all(isinstance(value, str | int | float | None) for value in flat.values())
    assert row["status"] == "ok"
    assert row["key"] == TRIAL.key()
    assert row["test"] == row["test_accuracy"]
    assert row["pairs"] > task.num_nodes
    assert row["epochs_run"] == 3
    assert row["torch"] == torch.__version__
    assert {"val", "seconds", "seconds_per_epoch", "parameters", "peak_memory_bytes"} <= set(row)


def test_a_trial_repeats_itself():
    task = load_task(TRIAL)
    timed = ("seconds", "seconds_per_epoch", "peak_memory_bytes", "finished_at")
    first, second = (run_trial(TRIAL, task) for _ in range(2))
    assert {k: v for k, v in first.items() if k not in timed} == {
        k: v for k, v in second.items() if k not in timed
    }


def test_the_seed_chooses_the_split_unless_one_is_given():
    task = load("minesweeper", size=6, num_splits=3)
    trial = replace(TRIAL, dataset="minesweeper", options=(("size", 6),), epochs=1)
    assert [run_trial(replace(trial, seed=s), task)["split"] for s in (0, 2, 4)] == [0, 2, 1]
    assert run_trial(replace(trial, seed=0, split=2), task)["split"] == 2
    with pytest.raises(ValueError, match=r"split: found 3, expected an int in \[0, 2\]"):
        run_trial(replace(trial, split=3), task)


def test_features_that_are_not_finite_are_named():
    task = load_task(TRIAL)
    task.x[3, 4] = math.nan
    with pytest.raises(ValueError, match="x: found 1 values that are not finite"):
        run_trial(TRIAL, task)


OWN = """id,y,a
p,0,1
q,1,2
r,0,3
s,1,4
t,0,5
u,1,6
v,0,7
w,1,8
x,0,9
"""


@pytest.fixture
def own(tmp_path):
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "nodes.csv").write_text(OWN)
    (folder / "edges.csv").write_text("p,q\nq,r\nr,s\ns,t\nt,u\nu,v\nv,w\nw,x\n")
    return folder


def test_a_file_of_ones_own_is_known_by_its_content(own, tmp_path):
    trial = Trial.of(str(own), epochs=3)
    moved = shutil.copytree(own, tmp_path / "elsewhere" / "renamed")
    assert Trial.of(str(moved), epochs=3).key() == trial.key()
    (own / "nodes.csv").write_text(OWN.replace("x,0,9", "x,0,8"))
    changed = Trial.of(str(own), epochs=3)
    assert changed.key() != trial.key()
    assert changed.row()["dataset"] == str(own)
    assert changed.row()["dataset_sha256"] == changed.dataset_sha256 != trial.dataset_sha256


def test_a_trial_outlives_its_file_but_is_not_trained_on_another(own):
    trial = Trial.of(str(own), epochs=3)
    assert load_task(trial).num_nodes == 9
    (own / "nodes.csv").write_text(OWN.replace("x,0,9", "x,0,8"))
    assert replace(trial, seed=1).dataset_sha256 == trial.dataset_sha256
    with pytest.raises(DatasetError, match="that of the trial: the file has changed"):
        load_task(trial)
    shutil.rmtree(own)
    assert replace(trial, seed=2).key() != trial.key()
    with pytest.raises(DatasetError, match="dataset: found nothing at"):
        load_task(trial)


def test_a_name_has_no_content():
    assert TRIAL.dataset_sha256 is None
    with pytest.raises(ValueError, match="dataset_sha256: found 'ab' for karate, expected none"):
        replace(TRIAL, dataset_sha256="ab")


def inside(**changes):
    settings = {"hidden": 8, "heads": 2, "layers": 1, "epochs": 2} | changes
    trial = Trial.of("karate", **settings)
    return run_trial(trial, load_task(trial))


def test_a_row_says_where_the_model_looks():
    row = inside(breadth=2, layers=2)
    assert [len(mass) for mass in row["hop_mass"]] == [3, 3]
    for mass in row["hop_mass"]:
        assert sum(mass) == pytest.approx(1, abs=1e-5)
    assert row["gate"] is None and row["radius"] is None
    assert json.loads(json.dumps(row)) == row
    assert inside(breadth="learned:3")["radius"] == [[3, 3]]


def test_pairs_without_distances_get_them_from_the_graph():
    # The GAT recipe is given the pairs up to two hops as edges, "full" all nodes.
    assert [len(mass) for mass in inside(model="gat", breadth=2, layers=2)["hop_mass"]] == [3, 3]
    assert [len(mass) for mass in inside(breadth="full")["hop_mass"]] == [6]  # the club is 5 wide
    assert len(inside(model="gat", layers=2)["hop_mass"][0]) == 2


def test_a_model_that_tells_nothing_fails_no_trial(monkeypatch):
    def wild(*args, **kwargs):
        raise RuntimeError("out of memory")

    monkeypatch.setattr("gattn.compare.trial.summary", wild)
    row = inside(breadth=2)
    assert row["status"] == "ok"
    assert {name: row[name] for name in INSIDE} == dict.fromkeys(INSIDE)


def test_looking_inside_changes_no_result(monkeypatch):
    found = inside(breadth=2, dropout=0.5)
    monkeypatch.setattr("gattn.compare.trial.summary", lambda *_, **__: {})
    without = inside(breadth=2, dropout=0.5)
    assert (found["val"], found["test"]) == (without["val"], without["test"])


@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_what_is_hidden_is_filled_in(noise):
    task = load("minesweeper", size=8)
    task = replace(task, x=task.x + noise * torch.rand(task.x.shape))
    trial = Trial.of("minesweeper", "recurrent", layers=3, hidden=8, epochs=2, hide=0.5, fill=0.2)
    model = build_model(trial, task)
    assert isinstance(model, FillingIn) and model.weight == 0.2 and model.share == 0.5
    assert model.kind == ("values" if noise else "category")
    row = run_trial(trial, task)
    assert row["status"] == "ok" and row["hide"] == 0.5 and 0 <= row["test"] <= 1


@pytest.mark.parametrize("model", ["attention", "gat", "diffusion", "layer"])
@pytest.mark.parametrize("num_neighbors", [None, [4, 4]])
def test_mini_batches_of_every_kind_of_model(model, num_neighbors):
    trial = Trial.of("karate", model, breadth=2, epochs=2, layers=1, batch_size=3)
    trial = replace(trial, num_neighbors=num_neighbors)
    row = run_trial(trial, load("karate"))
    assert row["status"] == "ok"
    given = {f.name: row[f.name] for f in fields(Trial)}
    assert Trial(**{**given, "options": (), "split": None}) == trial


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"batch_size": 4, "breadth": "full"}, "batch_size: found 4 with breadth full and depth"),
        ({"batch_size": 4, "depth": 4}, "batch_size: found 4 with breadth 2 and depth 4"),
        ({"batch_size": 4, "num_neighbors": (3,)}, "num_neighbors: found 1 numbers, expected 2"),
        ({"num_neighbors": (3, 3)}, r"num_neighbors: found \(3, 3\) without a batch_size"),
        ({"judged_by": "log_loss"}, "metric: found 'log_loss', expected one of accuracy"),
    ],
)
def test_batches_and_judges_are_checked(wrong, message):
    with pytest.raises(ValueError, match=message):
        replace(TRIAL, **wrong)


def test_another_metric_judges():
    row = run_trial(replace(TRIAL, judged_by="macro_f1"), load("karate"))
    assert row["metric"] == "macro_f1"
    assert row["test"] == row["test_macro_f1"]


def test_equal_trials_have_one_key_however_numbers_are_given():
    whole, decimal = (Trial.of("cora", clip=value, lr=1) for value in (1, 1.0))
    assert whole == decimal and whole.key() == decimal.key()
