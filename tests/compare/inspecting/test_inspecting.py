"""`gattn inspect`: from a checkpoint back to a model, its numbers, its page."""

import json
import re
from dataclasses import replace

import pytest
import torch

import gattn
from gattn import _checkpoint, cli
from gattn.compare import Trial, run_trial
from gattn.compare.inspecting import egos as embedding
from gattn.compare.inspecting import findings, open_checkpoint, tables, write_inspection
from gattn.compare.inspecting.egos import SCALE, TOP, egos
from gattn.compare.inspecting.numbers import lost_heads
from gattn.compare.trial import load_task
from gattn.inspection import HeadImportance, rollout_from

TINY = {"hidden": 8, "heads": 2, "layers": 2, "epochs": 3}
TRIAL = Trial.of("karate", breadth=2, **TINY)
KINDS = {
    "attention": TRIAL,
    "options": Trial.of("minesweeper", options=(("size", 8),), breadth=2, **TINY),
    "rings": replace(TRIAL, depth=2),
    "clusters": replace(TRIAL, depth=4),
    "gat": Trial.of("karate", "gat", breadth=2, **TINY),
    "pyg": Trial.of("karate", "pyg-transformer", **TINY),
    "diffusion": Trial.of("karate", "diffusion", breadth=2, **TINY),
    "learned": replace(TRIAL, breadth="learned:3"),
    "full": replace(TRIAL, breadth="full"),
}


def kept(trial, folder):
    path = folder / f"{trial.key()}.pt"
    return path, run_trial(trial, load_task(trial), checkpoint=path)


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    return open_checkpoint(kept(TRIAL, tmp_path_factory.mktemp("kept"))[0])


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_model_comes_back_as_it_was(name, tmp_path):
    path, row = kept(KINDS[name], tmp_path)
    opened = open_checkpoint(path)
    assert opened.trial == KINDS[name]
    assert (opened.val, opened.epoch) == (row["val"], row["best_epoch"])
    found = findings(opened)
    mass = [
        torch.tensor(layer["mass_by_hop"]).mean(0).tolist() for layer in found.numbers["layers"]
    ]
    for mine, said in zip(mass, row["hop_mass"], strict=True):
        assert mine == pytest.approx(said, abs=1e-5)
    metric = found.numbers["test"]
    assert metric == pytest.approx(row["test"], abs=1e-5)
    written = write_inspection(found, opened, tmp_path / "out")
    assert all(path.stat().st_size > 0 for path in written)
    assert {path.name for path in written} == {
        "inspect.html",
        "inspect.json",
        "ego.png",
        "hop_mass.png",
    }


def test_numbers_are_json(opened, tmp_path):
    found = findings(opened, node=3, prune=1)
    write_inspection(found, opened, tmp_path)
    numbers = json.loads((tmp_path / "inspect.json").read_text())
    assert numbers["node"]["node"] == 3
    assert len(numbers["heads"]) == 4
    assert numbers["pruned"]["parameters_saved"] > 0
    assert {"val", "test", "seconds_before", "seconds_after"} <= set(numbers["pruned"])


def test_the_page_stands_alone(opened, tmp_path):
    write_inspection(findings(opened), opened, tmp_path)
    text = (tmp_path / "inspect.html").read_text()
    assert "default-src &#x27;none&#x27;" in text
    for outside in re.findall(r"""(?:src|href)\s*=\s*["']?([^"'\s>]+)""", text):
        assert outside.startswith(("#", "data:")), outside
    assert set(re.findall(r"https?://[^\s\"']+", text)) <= {"http://www.w3.org/2000/svg"}


def test_what_a_page_embeds(opened):
    found = findings(opened, node=5)
    data = egos(opened, found)
    assert set(data["nodes"]) == {str(node) for node in range(opened.task.num_nodes)}
    own = data["nodes"]["5"]
    for near, each in zip(own["near"], found.maps.values(), strict=True):
        top = each.top(5, TOP)
        assert {entry[0] for entry in near} == {neighbor.node for neighbor in top}
        for j, hop, *shares in near:
            expected = next(neighbor for neighbor in top if neighbor.node == j)
            assert hop == expected.hop
            assert sum(shares) / len(shares) / SCALE == pytest.approx(expected.share, abs=1e-4)
    row = rollout_from(found.maps, 5)
    for j, _, share in own["flow"]:
        assert share / SCALE == pytest.approx(float(row[j]), abs=1e-4)
    assert own["y"] == int(opened.task.y[5])
    assert own["p"] == int(found.logits[5].argmax())


def test_distances_of_the_rollout_are_those_of_the_graph(opened):
    data = egos(opened, findings(opened, node=0))
    near = gattn.k_hop(opened.task.edge_index, 3, opened.task.num_nodes)
    own = near.rows() == 0
    known = dict(zip(near.col[own].tolist(), near.hop[own].tolist(), strict=True))
    for j, hop, _ in data["nodes"]["0"]["flow"]:
        if hop <= 3:
            assert known[j] == hop


def test_a_large_graph_is_embedded_around_the_node(opened, monkeypatch):
    monkeypatch.setattr(embedding, "_most", lambda maps: 12)
    data = egos(opened, findings(opened, node=16))
    assert len(data["nodes"]) == 12
    assert "16" in data["nodes"]
    near = {str(entry[0]) for each in data["nodes"]["16"]["near"] for entry in each}
    assert set(data["nodes"]) <= near | {"16"} or near <= set(data["nodes"])


def test_the_default_node_is_a_test_node(opened):
    node = findings(opened).node
    assert bool(opened.task.split(opened.split)[2][node])


def test_heads_to_spare():
    ranked = [HeadImportance("a", 0, 0.3, 0), HeadImportance("b", 0, 0.2, 0)]
    ranked += [HeadImportance("a", 2, 0.1, 0), HeadImportance("a", 1, 0.0, 0)]
    assert lost_heads(ranked, 2) == {"a": [1, 2]}
    with pytest.raises(ValueError, match="prune: found 3, expected at most 2"):
        lost_heads(ranked, 3)


def test_tables_say_what_there_is(opened, tmp_path):
    titles = [table.title for table in tables(findings(opened))]
    assert titles[0].startswith("Where layers look")
    learned = open_checkpoint(kept(KINDS["learned"], tmp_path)[0])
    titles = [table.title for table in tables(findings(learned, prune=1))]
    assert "Learned radii (hops)" in titles
    assert "Without the heads that matter least" in titles


def test_the_command(tmp_path, capsys):
    path, _ = kept(TRIAL, tmp_path)
    assert cli.run(["inspect", str(path), "--node", "2", "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "Which heads matter" in said
    assert (tmp_path / "out" / "inspect.html").exists()


def test_the_command_after_a_training(tmp_path, capsys):
    words = ["--dataset", "karate", "--epochs", "2", "--hidden", "8", "--heads", "2"]
    assert cli.run(["train", *words, "--checkpoints", str(tmp_path)]) == 0
    (path,) = tmp_path.glob("*.pt")
    assert cli.run(["inspect", str(path)]) == 0


def edited(path, change):
    saved = _checkpoint.read(path, torch.device("cpu"))
    change(saved)
    _checkpoint.write_atomically(path, saved)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda saved: saved.pop("about"), "does not say what trial it is of"),
        (lambda saved: saved["about"].update(key="0" * 16), "another version of gattn wrote it"),
        (lambda saved: saved["identity"].update(edges=7), "found edges = 7"),
        (lambda saved: saved["best"]["model"].popitem(), "of another shape"),
        (lambda saved: saved.update(best=None), "before its first epoch"),
    ],
)
def test_wrong_checkpoints_are_one_line(change, message, tmp_path, capsys):
    path, _ = kept(TRIAL, tmp_path)
    edited(path, change)
    assert cli.run(["inspect", str(path)]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: checkpoint: found")
    assert message in said
    assert said.count("\n") == 1


def test_what_is_no_checkpoint_is_one_line(tmp_path, capsys):
    other = tmp_path / "other.pt"
    other.write_text("nothing")
    for path, message in ((tmp_path / "none.pt", "found no file"), (other, "cannot read")):
        assert cli.run(["inspect", str(path)]) == 1
        said = capsys.readouterr().err
        assert message in said and said.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--node", "34"], "node: found 34"),
        (["--split", "9"], "split: found 9"),
        (["--prune", "9"], "prune: found 9, expected at most 2"),
    ],
)
def test_wrong_words_are_one_line(words, message, tmp_path, capsys):
    path, _ = kept(TRIAL, tmp_path)
    assert cli.run(["inspect", str(path), *words]) == 1
    assert message in capsys.readouterr().err


def test_too_many_weights_are_refused(opened, monkeypatch):
    monkeypatch.setattr("gattn.compare.inspecting.numbers.MOST_WEIGHTS", 10)
    with pytest.raises(ValueError, match="more than 10 weights"):
        findings(opened)
