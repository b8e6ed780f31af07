"""Builds the C++ rival on the spot, when a gRPC C++ toolchain is present; kept by the digest of its source and of the library's version."""

import shutil
import subprocess
from hashlib import blake2b
from pathlib import Path
from typing import Final, NamedTuple

from bench.worlds import cache_folder

SOURCE: Final = Path(__file__).with_name("empty_callback.cc")
_FLAGS: Final = ("-std=c++17", "-O3", "-march=native", "-DNDEBUG")
_SECONDS_MAX: Final = 300


class Built(NamedTuple):
    """The program, or why there is none."""

    path: Path | None
    why: str
    version: str
    """Of gRPC C++."""


def _said(*command: str) -> str:
    """Return what a command prints; raises subprocess.CalledProcessError."""
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=_SECONDS_MAX).stdout.strip()


def callback_server() -> Built:
    """Return the built server."""
    compiler = shutil.which("g++") or shutil.which("clang++")
    if compiler is None or shutil.which("pkg-config") is None:
        return Built(None, "no C++ compiler or pkg-config; on Debian: apt-get install g++ pkg-config libgrpc++-dev", "")
    try:
        version = _said("pkg-config", "--modversion", "grpc++")
        flags = _said("pkg-config", "--cflags", "--libs", "grpc++").split()
    except subprocess.CalledProcessError:
        return Built(None, "no gRPC C++; on Debian: apt-get install libgrpc++-dev", "")
    digest = blake2b(f"{version}{_FLAGS}{flags}".encode() + SOURCE.read_bytes(), digest_size=8).hexdigest()
    program = cache_folder().parent / "bench" / f"empty_callback-{digest}"
    if not program.exists():
        program.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        part = program.with_suffix(".part")
        try:
            _said(compiler, *_FLAGS, str(SOURCE), "-o", str(part), *flags)
        except subprocess.CalledProcessError as error:
            return Built(None, f"{SOURCE.name} does not compile: {error.stderr[:500]}", version)
        part.replace(program)
    return Built(program, "", version)
