"""Every Python block of the README and the documentation runs, page by page, top to bottom."""

import re
import runpy
import shlex
from pathlib import Path

import pytest
import typer
from typer.core import TyperGroup

from gattn import cli
from gattn.ops import triton

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


_SHOWN = re.compile(r"(?:^# .*\n)+\Z", re.MULTILINE)


def _shown(page: Path) -> str:
    """The output that a page shows: the comments that close its blocks."""
    closing = (_SHOWN.search(block) for block in _BLOCK.findall(page.read_text()))
    return "".join(found[0] for found in closing if found).replace("# ", "")


def _program(page: Path) -> str:
    """The blocks of a page as one program, every line where it stands in the page."""
    text = page.read_text()
    lines = [""] * text.count("\n")
    for block in _BLOCK.finditer(text):
        first = text.count("\n", 0, block.start(1))
        body = block[1].splitlines()
        lines[first : first + len(body)] = body
    return "\n".join(lines) + "\n"


WITH_CODE = [page for page in PAGES if _program(page).strip()]


@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: str(page.relative_to(ROOT)))
def test_python_blocks_run(
    page: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(triton, "INTERPRETED", False)  # as it is for those who read the page
    # As a file, not a string: dataclasses and error messages look the module up.
    program = tmp_path / f"{page.stem}_page.py"
    program.write_text(_program(page))
    runpy.run_path(str(program), run_name="__main__")
    assert capsys.readouterr().out == _shown(page)


def _commands(page: Path) -> list[str]:
    """The calls of the command line that a page shows."""
    return re.findall(r"^gattn .*$", page.read_text(), re.MULTILINE)


@pytest.mark.parametrize("command", sorted({c for page in PAGES for c in _commands(page)}))
def test_commands_parse(command: str) -> None:
    called, words = typer.main.get_command(cli.app), shlex.split(command, comments=True)[1:]
    while isinstance(called, TyperGroup):
        called = called.commands[words.pop(0)]
    called.make_context(command, words)


def test_the_pages_that_teach_have_code() -> None:
    taught = {"README.md", "concepts.md", "extending.md", "backends.md", "choosing.md"}
    assert taught <= {page.name for page in WITH_CODE}


def test_readme_opens_with_the_two_commands() -> None:
    opening = (ROOT / "README.md").read_text().split("\n## ")[0]
    assert "make demo" in opening
    assert "make test" in opening
