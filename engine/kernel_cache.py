"""Where compiled kernels are kept: a folder for each module's kernels, named by everything that they are made from.

The compile cache is a pickle, so code: its folder is private to the user. Each module's kernels lie below it by the digest of the module's
source and of all that it imports (Numba's own check looks at one file, not at the kernels that it calls), the versions and the CPU.
"""

import hashlib
import os
import re
import sys
from functools import cache
from pathlib import Path

import llvmlite.binding  # type: ignore[import-untyped]
import numba
import numpy as np

_ROOT = Path(__file__).parent.parent
_IMPORT = re.compile(
    r"^(?:from|import) ((?:engine|loaders|server|bench)\b[.\w]*)(?: import (\([^)]*\)|.*))?", re.MULTILINE
)
_NAME = re.compile(r"\w+")


@cache
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
def _digest_of_source(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()


@cache
def _digest(module: str) -> str:
    digest = hashlib.sha256()
    for path in sorted(_sources(module)):
        digest.update(_digest_of_source(path))
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


def folder_of(module: str) -> Path:
    """Return where the kernels of one of our modules are kept as long as it and all that it imports stay what they are."""
    return cache_folder() / _digest(module)


def modules_in(package: str) -> list[str]:
    """Return the names of the modules of one of our packages, in order."""
    folder = _ROOT.joinpath(*package.split("."))
    return [f"{package}.{path.stem}" for path in sorted(folder.glob("*.py")) if path.stem != "__init__"]


def sources_bytes(module: str) -> int:
    """Return how much source of kernels a module has with all that it imports: more takes longer to compile."""
    return sum(path.stat().st_size for path in _sources(module) if path.parent.name == "kernels")
