"""The compiler: without numba, without a folder to write to, and with machine code kept on disk."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gattn._numba.compile import kernel

PACKAGE = Path(__file__).parents[2] / "gattn"


def printed(code, cwd, **environment):
    """What a fresh interpreter prints, warnings being errors of its own."""
    kept = {k: v for k, v in os.environ.items() if k not in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=kept | {"PYTHONPATH": str(cwd), "OMP_NUM_THREADS": "1"} | environment,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


WITHOUT_NUMBA = """
import sys, warnings
sys.modules["numba"] = None
import torch, gattn
edges = torch.tensor([[0, 1, 2, 2], [1, 0, 1, 1]])
x = torch.randn(3, 2, 4, requires_grad=True)
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    graph = gattn.from_edge_index(edges, 3)
    assert graph.rowptr.tolist() == [0, 1, 4, 4] and graph.col.tolist() == [1, 0, 2, 2]
    assert graph.transpose.rowptr.tolist() == [0, 1, 2, 4]
    gattn.from_edge_index(edges, 3)
    for _ in range(2):
        gattn.attend(x, x, x, graph).sum().backward()
    told = gattn.backend_reasons(x, x, x, graph)
    same = gattn.attend(x, x, x, graph, backend="reference")
assert torch.equal(gattn.attend(x, x, x, graph), same)
assert "numba cannot be imported" in told["cpu"][0] and told["reference"] == []
try:
    gattn.attend(x, x, x, graph, backend="cpu")
except ValueError as error:
    assert "numba cannot be imported" in str(error)
else:
    raise AssertionError("the cpu backend ran without numba")
print(len(said), *{str(warning.message).split(":")[0] for warning in said})
"""


def test_without_numba_the_reference_computes_and_one_warning_is_given(tmp_path):
    assert printed(WITHOUT_NUMBA, PACKAGE.parent) == ["1", "gattn"]


@pytest.fixture
def copied(tmp_path):
    """A copy of the package that nobody has compiled."""
    root = tmp_path / "copy"
    shutil.copytree(PACKAGE, root / "gattn", ignore=shutil.ignore_patterns("__pycache__"))
    return root


COUNTED = """
import torch, gattn
from gattn._numba import sort
graph = gattn.from_edge_index(torch.tensor([[0, 1, 2, 2], [1, 0, 1, 1]]), 3)
assert graph.col.tolist() == [1, 0, 2, 2]
assert gattn.__file__.startswith({root!r})
stats = sort._count.stats
print(sum(stats.cache_hits.values()), sum(stats.cache_misses.values()))
"""


def test_machine_code_is_kept_on_disk_until_a_file_of_it_changes(copied, tmp_path):
    code, folder = COUNTED.format(root=str(copied)), {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    assert printed(code, copied, **folder) == ["0", "1"]
    assert printed(code, copied, **folder) == ["1", "0"]
    # Another file than that of the kernel: numba alone would not notice.
    with (copied / "gattn" / "ops" / "cpu" / "tiles.py").open("a") as file:
        file.write("\n# A change.\n")
    assert printed(code, copied, **folder) == ["0", "1"]


def test_without_a_folder_to_write_to_it_still_compiles(copied):
    # A file where a folder is wanted stops even root.
    for folder in (copied / "gattn").rglob("*.py"):
        (folder.parent / "__pycache__").touch()
    nowhere = {"HOME": "/proc/nowhere", "PYTHONDONTWRITEBYTECODE": "1"}
    code = COUNTED.format(root=str(copied))
    code += """
x = torch.ones(3, 1, 2)
assert gattn.attend(x, x, x, graph, backend="cpu").flatten().tolist() == [1, 1, 1, 1, 0, 0]
"""
    assert printed(code, copied, **nowhere) == ["0", "1"]
    assert not list(copied.rglob("*.nbi"))


def test_a_function_without_a_file_is_compiled_all_the_same():
    made = {}
    exec("def double(x):\n    return x + x\n", made)
    double = kernel(made["double"])
    assert double(21) == 42 and double(0.5) == 1.0


def test_division_by_zero_and_nan_mean_what_they_mean_in_numpy():
    def quotient(x, y):
        return x / y

    divided = kernel(quotient)
    assert divided(1.0, 0.0) == float("inf") and divided(-1.0, 0.0) == float("-inf")
    zero_by_zero = divided(0.0, 0.0)
    assert zero_by_zero != zero_by_zero
