"""The command of published results: trains what is missing, makes all else from rows."""

import re

import pytest

from gattn.compare import read_rows
from gattn.compare.published import Study, command
from tests.compare.published.test_line import FIXED, SEARCHED

PLACE = "<!-- table {} -->\n\n<!-- end -->\n"
PAGE = f"# Page\n\n{PLACE.format('small')}\n{PLACE.format('small chosen')}"


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """One study that takes no time, in the place of those that do."""
    monkeypatch.setattr(command, "STUDIES", {"small": Study("Who?", (FIXED, SEARCHED))})


def test_a_run_is_continued_and_tables_are_made_from_rows(tmp_path, capsys):
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    command.main(["small", "--out", str(tmp_path), "--page", str(page)])
    rows = read_rows(tmp_path / "small" / "trials.jsonl")
    assert len(rows) == 3 + 6 + 4 and (tmp_path / command.FIGURE).exists()
    said, filled = capsys.readouterr().out, page.read_text()
    assert re.search(r"\| karate \| searched \| 4 \| \d", filled) and "lr 0.0" in filled
    command.main(["--out", str(tmp_path)])
    assert read_rows(tmp_path / "small" / "trials.jsonl") == rows
    assert capsys.readouterr().out == said


def test_a_table_trains_nothing(tmp_path, capsys):
    command.main(["small", "--out", str(tmp_path), "--table"])
    assert "| karate | fixed | 0 | - |" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_an_unknown_study_is_refused(tmp_path):
    with pytest.raises(SystemExit, match="study: found 'large'"):
        command.main(["large", "--out", str(tmp_path)])
