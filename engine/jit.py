"""The one place that sets compile options; `kernel` compiles at import from an explicit signature, or leaves Python as it is when the JIT is off."""

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

import numba
import numpy as np
from numba import types

from engine.apart import stand_apart
from engine.bundles import COMPILED, Pointer, bundle
from engine.inner_library import InnerCompiler, set_environments
from engine.kernel_cache import folder_of

__all__ = ["COMPILED", "Pointer", "bundle", "compiled_kernels", "direct", "frozen", "kernel", "read_only", "writable"]

P = ParamSpec("P")
R = TypeVar("R")

_CONFIG: Any = numba.config
_NJIT: Any = numba.njit
compiled_kernels: list[Any] = []
"""Every dispatcher made by `kernel`, so that a test can show that nothing is compiled after ready."""


class Waiting:
    """Whether kernels wait to be compiled until they are asked for one by one, as engine/compiling_ahead.py does."""

    all_kernels = False


def read_only(dtype: Any, dimensions: int = 1) -> types.Array:
    """Return the type of a C-ordered table that kernels only read (memory-mapped arrays are read-only too)."""
    return types.Array(numba.from_dtype(np.dtype(dtype)), dimensions, "C", readonly=True)


def writable(dtype: Any, dimensions: int = 1) -> types.Array:
    """Return the type of a C-ordered array that a kernel writes."""
    return types.Array(numba.from_dtype(np.dtype(dtype)), dimensions, "C")


def kernel(*signatures: Any, inner: bool = False, apart: bool = False) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Compile for the given signatures only (no fastmath, no parallel, no lazy compilation), releasing the GIL, cached on disk.

    Without Numba's runtime: a kernel that allocated would not compile, and passing arrays on costs no reference counts.

    An `inner` kernel is called by kernels alone: it gets no wrapper for calls from Python, and is inlined. It is compiled when a caller is: a caller
    that comes from the cache holds it already. A kernel that stands `apart`, of one signature, is called by other kernels where it is
    (engine/apart.py); one that is inner besides is not inlined, and has no wrapper either.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        if COMPILED:
            _CONFIG.CACHE_DIR = str(folder_of(function.__module__))
        inlined = inner and not apart
        waits = COMPILED and (inlined or Waiting.all_kernels)
        dispatcher = _NJIT(
            None if waits else list(signatures),
            nogil=True,
            cache=not inlined,
            error_model="numpy",
            no_cpython_wrapper=inner,
            no_cfunc_wrapper=True,
            forceinline=inlined,
            _nrt=False,
            **({"pipeline_class": InnerCompiler} if inlined else {}),
        )(function)
        if COMPILED:
            dispatcher.stands_apart = apart
            if waits:
                dispatcher.waits_for = signatures
            else:
                set_environments(dispatcher)
            if apart:
                stand_apart(dispatcher, *signatures)
            elif waits:
                _wait_for_caller(dispatcher)
        compiled_kernels.append(dispatcher)
        return cast(Callable[P, R], dispatcher)

    return decorate


def _wait_for_caller(dispatcher: Any) -> None:
    """Have a kernel compiled when a kernel that calls it asks for its type."""

    def call_template(args: Any, kws: Any) -> Any:
        compile_waiting(dispatcher)
        return dispatcher.get_call_template(args, kws)

    dispatcher.get_call_template = call_template


def compile_waiting(dispatcher: Any) -> None:
    """Compile a kernel that waits, for its declared signatures and no others ever; nothing when it does not."""
    signatures = vars(dispatcher).pop("waits_for", ())
    if signatures:
        if not dispatcher.stands_apart:
            del dispatcher.get_call_template
        for signature in signatures:
            dispatcher.compile(signature)
        dispatcher.disable_compile()


def direct(kernel: Callable[P, R]) -> Callable[P, R]:
    """Return a kernel of one signature for callers whose arguments are surely of its types: nobody looks at them, which is most of what a call costs.

    That is a microsecond a call, and as much for each bundle. With arrays of other types it reads and writes what is not theirs: bundles are to be
    references, whose arrays were looked at when they were made, or made of arrays that are.
    """
    compiled = list(getattr(kernel, "overloads", {}).values())
    assert len(compiled) <= 1, "one signature"
    return cast(Callable[P, R], compiled[0].entry_point) if compiled else kernel


def frozen(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return a C-ordered read-only view, as `read_only` signatures want it, or the array when it is one; copies only what is not C-ordered."""
    if array.flags.c_contiguous and not array.flags.writeable:
        return array
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view
