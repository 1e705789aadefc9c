"""What a kernel of triton takes of a GPU, found by compiling it: no GPU is needed.

A stand-in for the driver says which GPU to compile for, and every launch is turned into a
compilation. So the code that launches is asked for its kernels, their types and their tiles, and
nothing of it is repeated here.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

CAPABILITY = 90
"""Of an H200."""

REGISTERS, WARPS, BLOCKS, SHARED = 65_536, 64, 32, 228 * 1024
"""What one multiprocessor of an H200 has: registers of 32 bits, places for warps and for blocks,
bytes of shared memory."""

_PARTITIONS = 4
_REGISTERS_AT_ONCE, _SHARED_AT_ONCE, _SHARED_OF_BLOCK = 256, 128, 1024
_LOAD = re.compile(r"\bld\.global([\w.:]*)")


@dataclass(frozen=True)
class Kernel:
    """A kernel that was asked for.

    Args:
        name: of the function.
        constants: its compile-time arguments by name.
        types: of its other arguments by name, in the order of the function.
        compiled: what triton made of it.
    """

    name: str
    constants: Mapping[str, Any]
    types: Mapping[str, str]
    compiled: Any


def reasons() -> list[str]:
    """Why nothing can be compiled here; empty = it can."""
    try:
        from triton import knobs
    except ImportError as error:
        return [f"triton cannot be imported ({error})"]
    return ["TRITON_INTERPRET is set: unset it"] if knobs.runtime.interpret else []


@contextmanager
def recorded(capability: int = CAPABILITY) -> Iterator[list[Kernel]]:
    """Compile every kernel that is launched, once for each variant, and run none.

    Args:
        capability: of the GPU to compile for, such as 90.

    Yields:
        The kernels, in the order in which they are first asked for.
    """
    from triton.backends.compiler import GPUTarget
    from triton.runtime import driver
    from triton.runtime.jit import JITFunction

    found: list[Kernel] = []
    run = JITFunction.run

    def compiled(function: Any, *args: Any, grid: Any, warmup: bool, **options: Any) -> Any:
        kernel = run(function, *args, grid=grid, warmup=True, **options)
        if not any(known.compiled is kernel for known in found):
            found.append(_kernel(kernel))
        return kernel

    before = driver._active
    driver.set_active(_Driver(GPUTarget("cuda", capability, 32)))  # type: ignore[arg-type]
    try:
        with mock.patch.object(JITFunction, "run", compiled):
            yield found
    finally:
        driver._active = before


class _Driver(SimpleNamespace):
    """As much of a driver as a compilation asks for."""

    def __init__(self, target: Any) -> None:
        self.target = target

    def get_current_target(self) -> Any:
        return self.target

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, device: int) -> int:
        return 0


def _kernel(compiled: Any) -> Kernel:
    source = compiled.src
    names = source.fn.arg_names
    constants = {names[place[0]]: value for place, value in source.constants.items()}
    types = {name: kind for name, kind in source.signature.items() if kind != "constexpr"}
    return Kernel(source.name, constants, types, compiled)


def resources(kernel: Kernel) -> dict[str, Any]:
    """Return what a thread and a block of the kernel take, and how wide it loads.

    Args:
        kernel: compiled.

    Returns:
        `warps` of a block; `registers` and `spilled_bytes` of a thread (what lies in local memory);
        `shared_bytes` of a block; `cubin_bytes`; `loads`, the number of instructions that load
        from global memory by the bytes that a thread gets from one; `occupancy` as below.
    """
    meta, cubin = kernel.compiled.metadata, kernel.compiled.asm["cubin"]
    registers, local = _usage(cubin)
    return {
        "warps": meta.num_warps,
        "registers": registers,
        "spilled_bytes": local,
        "shared_bytes": meta.shared,
        "cubin_bytes": len(cubin),
        "loads": loads(kernel.compiled.asm["ptx"]),
        "occupancy": occupancy(registers, meta.num_warps, meta.shared),
    }


def _usage(cubin: bytes) -> tuple[int, int]:
    """Registers, and bytes of local memory, of a thread."""
    from triton import knobs

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernel.cubin"
        path.write_bytes(cubin)
        tool = knobs.nvidia.cuobjdump.path
        command = [tool, "--dump-resource-usage", str(path)]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = {name: int(number) for name, number in re.findall(r"(REG|STACK|LOCAL):(\d+)", said)}
    return found["REG"], found["STACK"] + found["LOCAL"]


def loads(ptx: str) -> dict[str, int]:
    """Return the instructions that load from global memory, by the bytes that each loads.

    Args:
        ptx: of a kernel.
    """
    counts = Counter(_width(modifiers) for modifiers in _LOAD.findall(ptx))
    return {str(width): counts[width] for width in sorted(counts, reverse=True)}


def _width(modifiers: str) -> int:
    """Bytes of a load such as `.L1::evict_last.v4.b32`."""
    parts = modifiers.split(".")
    lanes = [int(part[1:]) for part in parts if re.fullmatch(r"v\d", part)]
    bits = [int(part[1:]) for part in parts if re.fullmatch(r"[busf]\d+", part)]
    return (lanes or [1])[0] * bits[-1] // 8


def occupancy(registers: int, warps: int, shared: int) -> float:
    r"""Return the share of a multiprocessor's places for warps that blocks of a kernel can fill.

    $$ \text{blocks} = \min\left(32,\ \left\lfloor\frac{64}{w}\right\rfloor,\
       \left\lfloor\frac{4\,\lfloor 16384 / \lceil 32 r\rceil_{256}\rfloor}{w}\right\rfloor,\
       \left\lfloor\frac{233472}{\lceil s\rceil_{128} + 1024}\right\rfloor\right), \qquad
       \text{occupancy} = \frac{\text{blocks} \cdot w}{64} $$

    Registers are dealt to warps 256 at a time in each of the four quarters of a multiprocessor,
    shared memory to blocks 128 bytes at a time, with 1 KiB of its own for each.

    Args:
        registers: r, of a thread.
        warps: w, of a block.
        shared: s, bytes of a block.
    """
    of_warp = _up(32 * max(registers, 1), _REGISTERS_AT_ONCE)
    warps_by_registers = _PARTITIONS * (REGISTERS // _PARTITIONS // of_warp)
    of_block = _up(shared, _SHARED_AT_ONCE) + _SHARED_OF_BLOCK
    blocks = min(BLOCKS, WARPS // warps, warps_by_registers // warps, SHARED // of_block)
    return blocks * warps / WARPS


def _up(number: int, step: int) -> int:
    return -(-number // step) * step
