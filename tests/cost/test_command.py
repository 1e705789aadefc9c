"""`gattn cost`: the table, the JSON, what is refused."""

import json

import pytest

from gattn import cli
from gattn.cost import WAYS, command

KARATE = ["cost", "--dataset", "karate", "--heads", "2", "--channels", "8"]


def test_the_table_and_the_advice(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run([*KARATE, "--breadth", "1", "2", "3"]) == 0
    said = capsys.readouterr().out
    assert all(way in said for way in WAYS)
    lines = [line.split() for line in said.splitlines() if "counted  " in line]
    assert [line[:2] for line in lines] == [["1", "190"], ["2", "720"], ["3", "994"]]
    assert "Breadth 1, 2 and 3: stored, since it fits" in said
    assert "2 heads of 8 channels" in said


def test_json_holds_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run([*KARATE, "--breadth", "2,1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [breadth["num_hops"] for breadth in found["breadths"]] == [1, 2]
    assert found["breadths"][0]["pairs"] == {"value": 190.0, "low": 190.0, "high": 190.0}
    assert found["breadths"][0]["counted"] is True
    assert set(found["breadths"][1]["ways"]) == set(WAYS)
    assert found["advice"] and found["heads"] == 2


def test_options_of_the_dataset(capsys: pytest.CaptureFixture[str]) -> None:
    call = ["cost", "--dataset", "minesweeper", "--option", "size=10", "--breadth", "1", "--json"]
    assert cli.run(call) == 0
    assert json.loads(capsys.readouterr().out)["num_nodes"] == 100


def test_what_does_not_fit_is_marked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from gattn import _memory

    monkeypatch.setattr(_memory, "available", lambda: 20_000)
    assert cli.run([*KARATE, "--breadth", "1"]) == 0
    said = capsys.readouterr().out
    assert " !" in said and "20 kB are free" in said
    assert "Breadth 1: none, since nothing fits" in said


def test_features_that_do_not_fit_are_not_made(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from gattn import _memory

    monkeypatch.setattr(_memory, "available", lambda: 1000)
    assert cli.run(KARATE) == 1
    said = capsys.readouterr().err
    assert "found 34, whose features and gradients alone take 17 kB" in said
    assert "expected no more than the 1 kB that are free" in said


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        (["--breadth", "x"], 2, "--breadth: found 'x', expected whole numbers"),
        (["--breadth", "0"], 1, "breadths: found 0"),
        (["--heads", "0"], 1, "heads: found 0"),
        (["--option", "size"], 2, "--option: found 'size'"),
        (["--threads", "0"], 2, "threads: found 0"),
    ],
)
def test_refusals(
    more: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run([*KARATE, *more]) == code
    assert message in capsys.readouterr().err


def test_an_unknown_dataset(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["cost", "--dataset", "nothing"]) == 1
    assert "name: found 'nothing'" in capsys.readouterr().err


def test_the_command_is_listed() -> None:
    assert command.cost in [found.callback for found in cli.app.registered_commands]
