"""The package as it is imported: light, versioned, documented."""

import inspect
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

import gattn

ROOT = Path(__file__).parents[1]

OPTIONAL = {
    "llvmlite",
    "matplotlib",
    "networkx",
    "numba",
    "pandas",
    "rich",
    "scipy",
    "tensorboard",
    "torch_geometric",
    "triton",
    "typer",
}


def _loaded_by(statement: str) -> set[str]:
    """Top-level packages that a fresh interpreter has loaded after a statement."""
    code = f"import sys; {statement}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_import_loads_torch_and_nothing_optional() -> None:
    # torch loads some of them by itself on some platforms: only what gattn adds counts.
    added = _loaded_by("import gattn") - _loaded_by("import torch")
    assert "gattn" in added
    assert added & OPTIONAL == set()


def test_the_guard_of_lazy_imports_can_fail() -> None:
    assert "scipy" in _loaded_by("import gattn; import scipy")


def test_layers_are_imported_by_those_who_ask_for_them() -> None:
    assert "torch_geometric" in _loaded_by("import gattn.nn")


def test_the_first_call_loads_numba_and_not_before() -> None:
    around = "import gattn, torch; around = gattn.full(3); x = torch.ones(3, 1, 1)"
    assert "numba" not in _loaded_by(around)
    call = "gattn.attend(x, x, x, around, backend='cpu')"
    assert {"numba", "llvmlite"} <= _loaded_by(f"{around}; {call}")


def test_triton_is_loaded_by_a_call_of_its_kernels_and_not_before(monkeypatch) -> None:
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    around = "import gattn, torch; around = gattn.full(3); x = torch.ones(3, 1, 1)"
    call = "gattn.attend(x, x, x, around, backend='cpu'); gattn.backend_reasons(x, x, x, around)"
    assert "triton" not in _loaded_by(f"{around}; {call}")
    assert "triton" in _loaded_by(f"{around}; gattn.attend(x, x, x, around, backend='triton')")


WITHOUT_TRITON = """
import sys
sys.modules["triton"] = None  # as if it were not there
import gattn, torch
around, x = gattn.full(3), torch.ones(3, 1, 1)
print(gattn.backend_reasons(x, x, x, around)["triton"][0])
print(gattn.attend(x, x, x, around).flatten().tolist())
try:
    gattn.attend(x, x, x, around, backend="triton")
except ValueError as error:
    print(error)
"""


def test_without_triton_the_reason_is_said_and_another_backend_computes() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_TRITON], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    reason, found, error = done.stdout.splitlines()
    assert reason == "triton is not installed: pip install triton"
    assert found == "[1.0, 1.0, 1.0]"
    assert f"triton: {reason}" in error


def test_layers_transforms_and_loaders_do_not_load_numba() -> None:
    added = _loaded_by("import gattn.nn, gattn.transforms, gattn.loader") - _loaded_by(
        "import torch_geometric"
    )
    assert added & {"numba", "llvmlite"} == set()


@pytest.mark.parametrize("module", ["gattn.data", "gattn.train", "gattn.metrics", "gattn.testing"])
def test_modules_without_layers_start_without_pyg(module: str) -> None:
    assert "torch_geometric" not in _loaded_by(f"import {module}")


def test_version_is_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert gattn.__version__ == project["version"] == version("gattn")
    assert project["version"] in (ROOT / "CHANGELOG.md").read_text()


def test_all_is_sorted_and_complete() -> None:
    public = {name for name in vars(gattn) if not name.startswith("_")}
    submodules = {name for name in public if inspect.ismodule(getattr(gattn, name))}
    assert list(gattn.__all__) == sorted(gattn.__all__)
    assert public - submodules == set(gattn.__all__) - submodules


@pytest.mark.parametrize("name", gattn.__all__)
def test_public_name_exists_and_has_a_docstring(name: str) -> None:
    thing = getattr(gattn, name)
    is_alias = not (inspect.ismodule(thing) or inspect.isclass(thing) or inspect.isroutine(thing))
    assert is_alias or inspect.getdoc(thing)
