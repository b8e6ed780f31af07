"""The one place that sets compile options; `kernel` compiles at import from an explicit signature, or leaves Python as it is when the JIT is off.

The compile cache is a pickle, so code: its folder is private to the user. Each module's kernels lie below it by the digest of the module's
source and of all that it imports (Numba's own check looks at one file, not at the kernels that it calls), the versions and the CPU.
"""

import hashlib
import os
import re
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

import llvmlite.binding  # type: ignore[import-untyped]
import numba
import numpy as np
from numba import types

from engine.bundles import COMPILED, bundle

__all__ = ["COMPILED", "bundle", "compiled_kernels", "frozen", "kernel", "read_only", "writable"]

P = ParamSpec("P")
R = TypeVar("R")

_CONFIG: Any = numba.config
_NJIT: Any = numba.njit
compiled_kernels: list[Any] = []
"""Every dispatcher made by `kernel`, so that a test can show that nothing is compiled after ready."""


_ROOT = Path(__file__).parent.parent
_IMPORT = re.compile(
    r"^(?:from|import) ((?:engine|loaders|server|bench)\b[.\w]*)(?: import (\([^)]*\)|.*))?", re.MULTILINE
)
_NAME = re.compile(r"\w+")


def _path_of(module: str) -> Path | None:
    """Return the file of one of our modules; None for a name that is no module."""
    path = _ROOT.joinpath(*module.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return path if path.is_file() else None


@cache
def _imported(path: Path) -> frozenset[str]:
    """Return what of ours a file imports: modules, and the names taken from them, which may be modules too."""
    found = _IMPORT.findall(path.read_text(encoding="utf-8"))
    return frozenset(
        name for module, names in found for name in (module, *(f"{module}.{n}" for n in _NAME.findall(names)))
    )


@cache
def _sources(module: str) -> frozenset[Path]:
    """Return the files of one of our modules and of everything of ours that it imports, directly or not."""
    found: set[Path] = set()
    wanted = {module}
    while wanted:
        path = _path_of(wanted.pop())
        if path and path not in found:
            found.add(path)
            wanted |= _imported(path)
    return frozenset(found)


@cache
def _digest(module: str) -> str:
    digest = hashlib.sha256()
    for path in sorted(_sources(module)):
        digest.update(path.read_bytes())
    for part in (numba.__version__, np.__version__, sys.version, llvmlite.binding.get_host_cpu_name()):
        digest.update(part.encode())
    return digest.hexdigest()[:16]


@cache
def cache_folder() -> Path:
    """Return the private folder of compiled kernels, made with mode 0700; raises PermissionError when another user can write it."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = base / "touchpoint" / "kernels"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    status = folder.stat()
    if status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise PermissionError(
            f"{folder}: expected a folder that only this user can write, because compiled code is loaded from it; remove it"
        )
    return folder


def read_only(dtype: Any, dimensions: int = 1) -> types.Array:
    """Return the type of a C-ordered table that kernels only read (memory-mapped arrays are read-only too)."""
    return types.Array(numba.from_dtype(np.dtype(dtype)), dimensions, "C", readonly=True)


def writable(dtype: Any, dimensions: int = 1) -> types.Array:
    """Return the type of a C-ordered array that a kernel writes."""
    return types.Array(numba.from_dtype(np.dtype(dtype)), dimensions, "C")


def kernel(*signatures: Any, inner: bool = False) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Compile for the given signatures only (no fastmath, no parallel, no lazy compilation), releasing the GIL, cached on disk.

    Without Numba's runtime: a kernel that allocated would not compile, and passing arrays on costs no reference counts.

    An `inner` kernel is called by kernels alone: it gets no wrapper for calls from Python, and is inlined. It is compiled, or loaded from the cache, when
    a caller is compiled: a caller that comes from the cache holds it already.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        if COMPILED:
            _CONFIG.CACHE_DIR = str(cache_folder() / _digest(function.__module__))
        waits = inner and COMPILED
        dispatcher = _NJIT(
            None if waits else list(signatures),
            nogil=True,
            cache=True,
            error_model="numpy",
            no_cpython_wrapper=inner,
            no_cfunc_wrapper=True,
            forceinline=inner,
            _nrt=False,
        )(function)
        if waits:
            _wait_for_caller(dispatcher, signatures)
        compiled_kernels.append(dispatcher)
        return cast(Callable[P, R], dispatcher)

    return decorate


def _wait_for_caller(dispatcher: Any, signatures: tuple[Any, ...]) -> None:
    """Have the declared signatures compiled when a kernel that calls this one asks for its type, and no others ever."""

    def call_template(args: Any, kws: Any) -> Any:
        del dispatcher.get_call_template
        for signature in signatures:
            dispatcher.compile(signature)
        dispatcher.disable_compile()
        return dispatcher.get_call_template(args, kws)

    dispatcher.get_call_template = call_template


def frozen(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return a C-ordered read-only view, as `read_only` signatures want it, or the array when it is one; copies only what is not C-ordered."""
    if array.flags.c_contiguous and not array.flags.writeable:
        return array
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view
