"""A base folder: one folder for each snapshot, named by its version, and `current`, a file that names the one to serve, replaced in one step.

A snapshot in use stays mapped and on disk while another is built beside it; nothing ever changes inside a snapshot.
"""

import os
import re
import shutil
from pathlib import Path
from typing import Final

from engine.base.manifest import MANIFEST, SnapshotError

CURRENT: Final = "current"
_VERSION: Final = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{12}", re.ASCII)


def current_version(folder: Path) -> str:
    """Return the version that the folder serves; raises SnapshotError when there is none."""
    path = folder / CURRENT
    try:
        with path.open(encoding="ascii", errors="replace") as file:
            version = file.read(100).strip()
    except OSError as error:
        raise SnapshotError(f"{path}: cannot be read ({error.strerror}); build a base into {folder} first") from None
    if not _VERSION.fullmatch(version):
        raise SnapshotError(f"{path}: expected the name of a snapshot in this folder; build the base again")
    return version


def versions(folder: Path) -> list[str]:
    """Return the versions in the folder, oldest first."""
    return sorted(p.name for p in folder.iterdir() if _VERSION.fullmatch(p.name) and (p / MANIFEST).is_file())


def set_current(folder: Path, version: str) -> None:
    """Make `version` the one that is served from now on; also the way back to an earlier one."""
    if not _VERSION.fullmatch(version) or not (folder / version / MANIFEST).is_file():
        raise SnapshotError(f"{folder}: expected a snapshot named {version!r}; there are {versions(folder)}")
    work = folder / f".{CURRENT}-{os.getpid()}"
    with work.open("w", encoding="ascii") as file:
        file.write(version + "\n")
        file.flush()
        os.fsync(file.fileno())
    work.replace(folder / CURRENT)


def prune(folder: Path, keep: int) -> list[str]:
    """Remove all snapshots but the current one and the `keep` newest; return what was removed. Processes that map one keep it until they let go."""
    assert keep >= 0
    current = current_version(folder)
    candidates = [version for version in versions(folder) if version != current]
    removed = candidates[: max(0, len(candidates) - keep)]
    for version in removed:
        shutil.rmtree(folder / version)
    return removed
