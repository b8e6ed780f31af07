"""What a figure was measured on: it stands with every figure, for without it a time says nothing."""

import os
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

VERSIONS: Final = (
    "touchpoint",
    "numpy",
    "numba",
    "grpcio",
    "pygrpc-native",
    "blazerules",
    "zen-engine",
    "datalogic-py",
)
"""Ours, what we stand on, and the rivals."""


def machine() -> dict[str, Any]:
    """Return processor, cores, memory, load, versions and date."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": models[0] if models else platform.processor(),
        "cores": os.cpu_count() or 0,
        "memory_gib": round(memory_bytes / 2**30, 1),
        "load_1min": round(os.getloadavg()[0], 2),
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in VERSIONS}},
        "date": time.strftime("%Y-%m-%d"),
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
