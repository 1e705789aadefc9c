"""What the design promises about files and imports, kept true."""

import ast
import re
import statistics
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "gattn"
FILES = sorted(PACKAGE.rglob("*.py"))
MODULES = [".".join(file.relative_to(ROOT).with_suffix("").parts) for file in FILES]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())

_by_name = pytest.mark.parametrize(
    "file", FILES, ids=[str(file.relative_to(PACKAGE)) for file in FILES]
)


def _functions(file: Path) -> list[ast.FunctionDef]:
    tree = ast.parse(file.read_text())
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


def _body_lines(function: ast.FunctionDef) -> int:
    """Lines of a function without its signature and docstring."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


@_by_name
def test_a_file_reads_in_one_sitting(file: Path) -> None:
    assert len(file.read_text().splitlines()) <= 450


def test_most_functions_fit_in_ten_lines() -> None:
    lengths = [_body_lines(function) for file in FILES for function in _functions(file)]
    assert statistics.median(lengths) < 10


@_by_name
def test_a_file_says_what_it_is(file: Path) -> None:
    assert ast.get_docstring(ast.parse(file.read_text()))


def test_the_front_door_holds_names_only() -> None:
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    kinds = (ast.ImportFrom, ast.Assign, ast.Expr)
    assert all(isinstance(statement, kinds) for statement in tree.body)


def test_examples_are_short() -> None:
    lengths = {file.name: len(file.read_text().splitlines()) for file in ROOT.glob("examples/*.py")}
    assert {name: lines for name, lines in lengths.items() if lines >= 120} == {}


def test_dataset_cards_hold_no_python() -> None:
    assert list((ROOT / "datasets").rglob("*.py")) == []


def test_every_public_module_has_an_api_page() -> None:
    pages = "\n".join(page.read_text() for page in (ROOT / "docs" / "api").glob("*.md"))
    shown = set(re.findall(r"^::: (\S+)$", pages, re.MULTILINE))
    public = {module for module in MODULES if "._" not in module}
    assert {module for module in public if shown.isdisjoint(_prefixes(module))} == set()


def _prefixes(module: str) -> set[str]:
    """A module and the packages it is in."""
    parts = module.split(".")
    return {".".join(parts[:end]) for end in range(2, len(parts) + 1)}


def test_configured_paths_exist() -> None:
    # A type checker whose `include` names a folder that is not there checks nothing, silently.
    tool = PROJECT["tool"]
    environments = [item["root"] for item in tool["pyright"]["executionEnvironments"]]
    included = (
        tool["pyright"]["include"] + environments + tool["pytest"]["ini_options"]["testpaths"]
    )
    assert [path for path in included if not (ROOT / path).exists()] == []


def test_continuous_integration_does_what_the_readme_tells() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    commands = [line for line in script.splitlines() if line.startswith("make")]
    assert commands == ["make test", "make test-browser"]
    assert "GATTN_DATA" in (ROOT / "README.md").read_text()


def test_every_constraint_is_exact_and_names_no_host() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[A-Za-z0-9.]+", pin) for pin in pins)
    assert "torch==2.13.0" in pins
