"""Kernels are compiled for a GPU that is not there, and what they take is read off."""

import json
import os
import subprocess
import sys

import pytest

from gattn.benchmark.gpu_kernels import loads, occupancy, reasons

pytest.importorskip("triton", reason="triton is not installed")

TOY = """
import json, sys
import torch, triton
import triton.language as tl
from gattn.benchmark.gpu_kernels import recorded, resources

@triton.jit
def doubled(x, y, n, scale, SIZE: tl.constexpr):
    at = tl.program_id(0) * SIZE + tl.arange(0, SIZE)
    tl.store(y + at, tl.load(x + at, mask=at < n) * scale, mask=at < n)

before = torch.ones(64)
after = torch.full_like(before, 7.0)
with recorded() as found:
    for size in (1024, 1024, 128):
        doubled[(4,)](before, after, 64, 2.0, SIZE=size, num_warps=4)
assert (after == 7).all()  # nothing ran
told = [{"name": k.name, "constants": k.constants, "types": k.types, **resources(k)} for k in found]
print(json.dumps(told))
"""


def in_a_fresh_process(code, **env):
    """Its output; triton reads from the environment whether kernels are interpreted."""
    kept = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, env=kept | env, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def toys(tmp_path_factory):
    script = tmp_path_factory.mktemp("toy") / "toy.py"
    script.write_text(TOY)  # triton reads the source of a kernel, so there has to be a file
    path = os.pathsep.join([os.getcwd(), os.environ.get("PYTHONPATH", "")])
    runs = f"import runpy; runpy.run_path({str(script)!r})"
    return json.loads(in_a_fresh_process(runs, PYTHONPATH=path))


def test_each_variant_is_compiled_once(toys):
    assert [toy["constants"] for toy in toys] == [{"SIZE": 1024}, {"SIZE": 128}]
    assert all(toy["name"] == "doubled" and toy["warps"] == 4 for toy in toys)
    types = {"x": "*fp32", "y": "*fp32", "n": "i32", "scale": "fp32"}
    assert all(toy["types"] == types for toy in toys)


def test_what_it_takes_is_read_off(toys):
    for toy in toys:
        assert 8 <= toy["registers"] <= 64
        assert toy["spilled_bytes"] == toy["shared_bytes"] == 0
        assert toy["cubin_bytes"] > 1000
        assert toy["occupancy"] == 1.0
    # 8 numbers for each of 128 threads, loaded four at a time; one number for each.
    assert [toy["loads"] for toy in toys] == [{"16": 2}, {"4": 1}]


def test_under_the_interpreter_it_says_why_not():
    code = "from gattn.benchmark.gpu_kernels import reasons; print(reasons())"
    told = in_a_fresh_process(code, TRITON_INTERPRET="1")
    assert told.strip() == "['TRITON_INTERPRET is set: unset it']"


def test_without_triton_it_says_why_not(monkeypatch):
    monkeypatch.setitem(sys.modules, "triton", None)
    (reason,) = reasons()
    assert reason.startswith("triton cannot be imported (")


@pytest.mark.parametrize(
    ("registers", "warps", "shared", "expected"),
    [
        (32, 4, 0, 1.0),
        (64, 4, 0, 0.5),  # 1,024 warps of 2,048 registers would fit 32 times
        (65, 4, 0, 0.4375),  # 72 are dealt: 7 warps in each quarter
        (255, 4, 0, 0.125),
        (32, 1, 0, 0.5),  # 32 blocks of one warp
        (32, 4, 100_000, 0.125),  # two blocks fit into 228 KiB
        (32, 8, 232_448, 0.125),  # 227 KiB, the most that one block can have
        (255, 16, 0, 0.0),  # does not fit at all
    ],
)
def test_occupancy(registers, warps, shared, expected):
    assert occupancy(registers, warps, shared) == expected


def test_loads_by_their_width():
    ptx = """
        ld.global.v4.b32 { %r1, %r2, %r3, %r4 }, [ %rd1 + 0 ];
        @%p1 ld.global.L1::evict_last.v2.b32 { %r1, %r2 }, [ %rd1 + 0 ];
        ld.global.nc.b16 { %rs1 }, [ %rd1 + 0 ];
        ld.global.b64 %rd1, [ %rd1 + 0 ];
        ld.param.b64 %rd1, [kernel_param_0];
        ld.shared.b32 %r1, [ %r2 ];
        st.global.v4.b32 [ %rd1 + 0 ], { %r1, %r2, %r3, %r4 };
    """
    assert loads(ptx) == {"16": 1, "8": 2, "2": 1}
