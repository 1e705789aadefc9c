"""`kernel`: compile a function with numba, and keep the machine code on disk where that works."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

# Sums may be reordered (they vectorise only then); NaN and infinity mean what they mean.
FAST_MATH = {"reassoc", "contract", "nsz", "arcp"}

_PACKAGE = Path(__file__).parents[1]


_looked: list[str | None] = []  # no functools.cache: torch.compile warns of one on its way


def missing() -> str | None:
    """Why there is no compiler, in one line; `None` where there is one. Warns the first time."""
    if not _looked:
        _looked.append(_look())
    return _looked[0]


def _look() -> str | None:
    try:
        import numba  # noqa: F401
    except ImportError as error:
        reason = f"numba cannot be imported ({error})"
        warnings.warn(
            f"gattn: {reason}; the reference computes instead, many times slower", stacklevel=4
        )
        return reason
    return None


def kernel(function: Callable[..., Any]) -> Any:
    """`function`, compiled for the types of its arguments when they are first seen.

    It releases the GIL. The machine code is kept on disk; where no folder is writable it is
    compiled again in every process.
    """
    import numba

    options: dict[str, Any] = {"nogil": True, "fastmath": FAST_MATH, "error_model": "numpy"}
    compiled = numba.njit(**options)(function)
    _keep_on_disk(compiled)
    return compiled


def piece(function: Callable[..., Any]) -> Any:
    """`function` as a part of kernels, compiled into each of them."""
    return _piece(function, fastmath=FAST_MATH)


def inlined(function: Callable[..., Any]) -> Any:
    """A `piece` that is written out wherever it is called.

    For those with many arrays as arguments: handing these over took half the time of a short row.
    """
    return _piece(function, fastmath=FAST_MATH, forceinline=True)


def exact_piece(function: Callable[..., Any]) -> Any:
    """A `piece` whose operations stay in the order in which they are written."""
    return _piece(function, fastmath={"contract"})


def _piece(function: Callable[..., Any], **options: Any) -> Any:
    import numba

    # Nobody calls a piece from Python: no wrappers for that.
    wrappers = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    return numba.njit(error_model="numpy", **wrappers, **options)(function)


def _keep_on_disk(compiled: Any) -> None:
    try:
        compiled._cache = _function_cache()(compiled.py_func)
    except (ImportError, AttributeError, TypeError):  # another numba than the one we know
        _keep_as_numba_does(compiled)
    except RuntimeError:  # "no locator available": neither folder is writable
        return


def _keep_as_numba_does(compiled: Any) -> None:
    try:
        compiled.enable_caching()
    except RuntimeError:
        return


@cache
def _function_cache() -> type:
    """Numba's cache, with the stamp of all our files in the place of that of one.

    numba looks at the file of the kernel alone, and would go on using machine code whose pieces
    have changed in another file.
    """
    from numba.core import caching

    def stamped(locator: type) -> type:
        stamp = {"get_source_stamp": lambda _: _fingerprint()}
        return type(f"Stamped{locator.__name__}", (locator,), stamp)

    class Implementation(caching.CompileResultCacheImpl):
        _locator_classes: Any = [  # noqa: RUF012  # as numba declares it
            stamped(locator) for locator in caching.CompileResultCacheImpl._locator_classes
        ]

    class KernelCache(caching.FunctionCache):
        _impl_class = Implementation

    return KernelCache


@cache
def _fingerprint() -> str:
    """A hash of every file that kernels are made of."""
    digest = hashlib.sha256()
    for folder in (_PACKAGE / "_numba", _PACKAGE / "ops" / "cpu"):
        for file in sorted(folder.glob("*.py")):
            digest.update(file.read_bytes())
    return digest.hexdigest()
