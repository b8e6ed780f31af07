"""What a figure was measured on: it stands with every figure, for without it a time says nothing."""

import os
import platform
import time
from importlib.metadata import version
from pathlib import Path


def machine() -> dict[str, str | int | float]:
    """Return processor, cores, load, versions and date."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": models[0] if models else platform.processor(),
        "cores": os.cpu_count() or 0,
        "load_1min": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        **{name: version(name) for name in ("numpy", "numba", "grpcio")},
        "date": time.strftime("%Y-%m-%d"),
    }
