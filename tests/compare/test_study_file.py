"""Studies as files: what is read, and how a wrong key is named."""

import builtins
import json
import shutil
from pathlib import Path

import pytest

from gattn import cli
from gattn.compare import grid, read_rows
from gattn.compare.study_file import KEYS, StudyError, read_study, write_study

ROOT = Path(__file__).parents[2]

TOML = """
dataset = "karate"
breadth = [1, "learned:3"]
depth = [1, 2]
encoding = ["none", "laplacian"]
seeds = 2
lr = 1e-2
hidden = 4
[options]
size = 3
quick = true
"""
YAML = """
dataset: karate
breadth: [1, "learned:3"]
depth: [1, 2]
encoding: [none, laplacian]
seeds: 2
lr: 1e-2
hidden: 4
options: {size: 3, quick: true}
"""
STUDY = {
    "dataset": ["karate"],
    "breadth": [1, "learned:3"],
    "depth": [1, 2],
    "encoding": [None, "laplacian"],
    "seeds": 2,
    "lr": 0.01,
    "hidden": 4,
    "options": (("size", 3), ("quick", True)),
}


def write(path, text):
    path.write_text(text)
    return path


@pytest.mark.parametrize(("ending", "text"), [("toml", TOML), ("yaml", YAML), ("yml", YAML)])
def test_a_study_is_the_same_in_every_format(tmp_path, ending, text):
    assert read_study(write(tmp_path / f"study.{ending}", text)) == STUDY


def test_what_is_written_is_read_again(tmp_path):
    assert read_study(write_study({**STUDY, "threads": None}, tmp_path / "out")) == STUDY


def test_every_field_of_a_trial_is_a_key():
    study = {"dataset": ["karate"], "breadth": [1], "seeds": 1, "patience": 3, "clip": 1.0}
    assert set(study) <= set(KEYS)
    assert len(grid(**study)) == 1
    assert not {"seed", "dataset_sha256"} & set(KEYS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("breath = 1", r"breath: found an unknown key, expected one of .*\(did you mean breadth\?"),
        ("seed = 1", r"seed: found an unknown key, .*did you mean seeds\?"),
        ("zzz = 1", r"zzz: found an unknown key, expected one of dataset, .*, options$"),
        ("lr = 'fast'", "lr: found 'fast', expected a number"),
        ("seeds = [1, 2]", "seeds: found a list of 2, expected a whole number"),
        ("lr = [1, 'x']", "lr: found 'x', expected a number"),
        ("hidden = 1.5", "hidden: found 1.5, expected a whole number"),
        ("hidden = true", "hidden: found True, expected a whole number"),
        ("depth = [1, '2']", "depth: found '2', expected a whole number"),
        ("breadth = [1.5]", "breadth: found 1.5, expected a whole number or text"),
        ("model = []", "model: found an empty list, expected at least one value"),
        ("model = [['gat']]", "model: found a list of 1, expected text"),
        ("options = 3", "options: found 3, expected a table of options"),
        ("options = {size = [1]}", "options.size: found a list of 1, expected text or true or f"),
        ("lr = 1\nlr = 2", "found what is no TOML .Cannot overwrite a value"),
        ("lr = ", "found what is no TOML .Invalid value"),
    ],
)
def test_a_wrong_key_is_named(tmp_path, text, message):
    path = write(tmp_path / "study.toml", text)
    with pytest.raises(StudyError, match=message) as caught:
        read_study(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lr: 1\nlr: 2\n", "the key 'lr' twice, in line 2"),
        ("a: &x [1]\nb: *x\n", "an alias, in line 2"),
        ("!!python/object/apply:os.system ['true']", "could not determine a constructor"),
        ("- 1\n", "found a list of 1, expected keys and values"),
        ("", "found None, expected keys and values"),
        ("a: [", "while parsing"),
    ],
)
def test_yaml_is_plain_and_every_key_once(tmp_path, text, message):
    with pytest.raises(StudyError, match=message) as caught:
        read_study(write(tmp_path / "study.yaml", text))
    assert "\n" not in str(caught.value)


def test_json_has_every_key_once(tmp_path):
    with pytest.raises(StudyError, match="the key 'lr' twice"):
        read_study(write(tmp_path / "study.json", '{"lr": 1, "lr": 2}'))


def test_other_files_and_missing_ones_are_said(tmp_path):
    with pytest.raises(
        StudyError, match=r"study: found .*\.ini, expected a file in \.toml, \.yaml"
    ):
        read_study(tmp_path / "study.ini")
    with pytest.raises(StudyError, match=r"study: found .*No such file"):
        read_study(tmp_path / "study.toml")
    (tmp_path / "wide.toml").write_bytes(TOML.encode("utf-16"))
    with pytest.raises(StudyError, match="found what is no TOML"):
        read_study(tmp_path / "wide.toml")


def test_without_pyyaml_the_reason_is_said(tmp_path, monkeypatch):
    usual = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "yaml":
            raise ImportError(name)
        return usual(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(
        StudyError, match=r"found YAML, expected PyYAML for it \(pip install pyyaml"
    ):
        read_study(write(tmp_path / "study.yaml", YAML))


def test_the_command_runs_a_study_and_writes_what_it_ran(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    out = tmp_path / "out"
    changed = ["--epochs", "2", "--seeds", "1", "--depth", "1", "--hidden", "8"]
    assert cli.run(["compare", "--study", "examples/study.toml", *changed, "--out", str(out)]) == 0
    said = capsys.readouterr()
    assert "datasets/example: 6 nodes have no label and are in no split" in said.err
    rows = read_rows(out / "trials.jsonl")
    assert [row["breadth"] for row in rows] == [1, 2]
    assert {(row["epochs"], row["options"], row["hidden"]) for row in rows} == {
        (2, "label=guild", 8)
    }
    written = json.loads((out / "study.json").read_text())
    assert written["options"] == {"label": "guild"}
    assert (written["seeds"], written["depth"], written["breadth"]) == (1, [1], [1, 2])

    # Moved with its file, the study is found finished; of a changed file it is not.
    moved = shutil.copytree(ROOT / "datasets" / "example", tmp_path / "village")
    again = ["compare", "--study", str(out / "study.json"), "--dataset", str(moved)]
    assert cli.run([*again, "--out", str(out)]) == 0
    assert len(read_rows(out / "trials.jsonl")) == 2
    nodes = moved / "nodes.csv"
    nodes.write_text(nodes.read_text().replace("baker,18", "baker,19", 1))
    assert cli.run([*again, "--out", str(out)]) == 0
    assert len(read_rows(out / "trials.jsonl")) == 4


def test_the_command_names_a_wrong_key(tmp_path, capsys):
    path = write(tmp_path / "study.toml", "dataset = 'karate'\nbreath = [1]\n")
    assert cli.run(["compare", "--study", str(path), "--out", str(tmp_path / "out")]) == 2
    assert "breath: found an unknown key" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_page_shows_the_file_that_is_there():
    shown = (ROOT / "docs" / "studies.md").read_text()
    file = (ROOT / "examples" / "study.toml").read_text().partition("\n")[2]
    assert file in shown
