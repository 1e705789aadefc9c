"""Elementary functions that LLVM vectorises, and instructions that numba has no name for.

The exponential of the C library is a call per number, which costs as much as gathering the number's
row. These are the rational approximations of Cephes (Moshier, "Methods and Programs for
Mathematical Functions", 1989), good to about two units in the last place.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from gattn._numba.compile import exact_piece

_FLAGS = {"fastmath": {"contract"}, "error_model": "numpy"}


@intrinsic
def fetch(context: Any, array: Any, index: Any) -> Any:
    """Ask for the cache line of `array[index]`, to be read soon; nothing is read here."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        byte = ir.IntType(8).as_pointer()
        word = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, word, word, word])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        place = builder.bitcast(builder.gep(data, [arguments[1]]), byte)
        # To read; into the second level: the first is too small for the rows under way (measured:
        # half the time of a prefetch into all levels); data.
        builder.call(function, [place, word(0), word(2), word(1)])
        return context.get_dummy_value()

    return types.void(array, index), codegen


@intrinsic
def borrowed(context: Any, values: Any) -> Any:
    """A tuple with its arrays lent: the same arrays, without a count of who refers to them.

    Every use of an array of a tuple would count a reference, in memory that all threads share. The
    caller keeps the arrays alive.
    """

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _lend(context, builder, signature.args[0], arguments[0])

    return values(values), codegen


def _lend(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    if isinstance(kind, types.BaseTuple):
        parts = [
            _lend(context, builder, part, builder.extract_value(value, place))
            for place, part in enumerate(kind)
        ]
        return context.make_tuple(builder, kind, parts)
    if not isinstance(kind, types.Array):
        return value
    array = context.make_array(kind)(context, builder, value)
    array.meminfo = cgutils.get_null_value(array.meminfo.type)
    array.parent = cgutils.get_null_value(array.parent.type)
    return array._getvalue()


@intrinsic
def _power_of_two_32(context: Any, bits: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.int32), codegen


@intrinsic
def _power_of_two_64(context: Any, bits: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.DoubleType())

    return types.float64(types.int64), codegen


@exact_piece
def _exp_32(x: Any) -> Any:
    f = np.float32
    within = min(max(x, f(-87.0)), f(88.0))
    n = np.floor(within * f(1.44269504088896341) + f(0.5))
    # NaN must not reach the conversion to an integer, and must reach the result.
    r = (x if x != x else within) - n * f(0.693359375)
    r = r + n * f(2.12194440e-4)
    p = f(1.9875691500e-4)
    p = p * r + f(1.3981999507e-3)
    p = p * r + f(8.3334519073e-3)
    p = p * r + f(4.1665795894e-2)
    p = p * r + f(1.6666665459e-1)
    p = p * r + f(5.0000001201e-1)
    p = p * (r * r) + r + f(1.0)
    scale = _power_of_two_32(np.int32((np.int32(n) + np.int32(127)) << np.int32(23)))
    return f(0.0) if x < f(-87.0) else p * scale


@exact_piece
def _exp_64(x: Any) -> Any:
    within = min(max(x, -708.0), 709.0)
    n = np.floor(within * 1.44269504088896341 + 0.5)
    r = (x if x != x else within) - n * 6.93145751953125e-1
    r = r - n * 1.42860682030941723212e-6
    s = r * r
    p = (1.26177193074810590878e-4 * s + 3.02994407707441961300e-2) * s + 9.99999999999999999910e-1
    q = (3.00198505138664455042e-6 * s + 2.52448340349684104192e-3) * s + 2.27265548208155028766e-1
    q = q * s + 2.0
    p = r * p
    scale = _power_of_two_64((np.int64(n) + np.int64(1023)) << np.int64(52))
    return 0.0 if x < -708.0 else (1.0 + 2.0 * (p / (q - p))) * scale


@exact_piece
def _tanh_32(x: Any) -> Any:
    f = np.float32
    z = x * x
    p = f(-5.70498872745e-3)
    p = p * z + f(2.06390887954e-2)
    p = p * z - f(5.37397155531e-2)
    p = p * z + f(1.33314422036e-1)
    p = p * z - f(3.33332819422e-1)
    size = abs(x)
    far = f(1.0) - f(2.0) / (_exp_32(min(size + size, f(40.0))) + f(1.0))
    far = -far if x < f(0.0) else far
    return p * z * x + x if size < f(0.625) else (x if x != x else far)


@exact_piece
def _tanh_64(x: Any) -> Any:
    z = x * x
    p = (-9.64399179425052238628e-1 * z - 9.92877231001918586564e1) * z - 1.61468768441708447952e3
    q = ((z + 1.12811678491632931402e2) * z + 2.23548839060100448583e3) * z
    q = q + 4.84406305325125486048e3
    size = abs(x)
    far = 1.0 - 2.0 / (_exp_64(min(size + size, 80.0)) + 1.0)
    far = -far if x < 0.0 else far
    return x + x * z * (p / q) if size < 0.625 else (x if x != x else far)


def exp(x: Any) -> Any:
    """e^x; 0 below the smallest normal number, as for -inf; NaN for NaN."""
    raise NotImplementedError("called in kernels only")


def tanh(x: Any) -> Any:
    """The hyperbolic tangent."""
    raise NotImplementedError("called in kernels only")


@overload(exp, jit_options=_FLAGS, strict=False)
def _exp(x: Any) -> Any:
    chosen = _exp_32 if x == types.float32 else _exp_64
    return lambda x: chosen(x)


@overload(tanh, jit_options=_FLAGS, strict=False)
def _tanh(x: Any) -> Any:
    chosen = _tanh_32 if x == types.float32 else _tanh_64
    return lambda x: chosen(x)


def per_line(table: Any) -> Any:
    """How many numbers of a table share a cache line, known when a kernel is compiled."""
    raise NotImplementedError("called in kernels only")


@overload(per_line, strict=False)
def _per_line(table: Any) -> Any:
    count = np.uint64(64 * 8 // table.dtype.bitwidth)
    return lambda table: count
