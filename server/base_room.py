"""Whether there is room in memory: for a new base beside that in use, for a base and the ledger to be brought into memory at the start.

A new base may be swapped in while the present one serves if both fit into memory, for decisions look into the old until the swap.

The rule: bytes of both snapshots <= memory that the host, and the control group of this process, can give without swapping. Pages of the
present base count as such memory, since they are page cache that the kernel could let go of; so both sides hold the present base once.
"""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy.typing as npt

from engine.base.manifest import SnapshotError
from engine.base.snapshot import Snapshot
from engine.pages import take_pages
from server.settings import Settings

_MEMINFO: Final = Path("/proc/meminfo")
_CGROUPS: Final = Path("/sys/fs/cgroup")
_OWN_CGROUP: Final = Path("/proc/self/cgroup")
_GIB: Final = 1 << 30


def check_swap(settings: Settings, served: Snapshot, new: Snapshot) -> None:
    """Raise SnapshotError when the new snapshot is to be taken by a restart."""
    if settings.base_swap == "live":
        return
    if settings.base_swap == "restart":
        raise SnapshotError(f"{new.folder}: base_swap is `restart`: restart the server to serve this base")
    available, needed = available_bytes(), served.bytes + new.bytes
    if available is not None and needed > available:
        raise SnapshotError(
            f"{new.folder}: the base in use and this one take {needed / _GIB:.2f} GiB together, {available / _GIB:.2f} GiB of memory are available:"
            " restart the server to serve this base, or set base_swap to `live`"
        )


class Preload:
    """Takes memory ahead of need in a thread of its own: that which the ledger reserves, and a base's, so that nobody's decision waits for it.

    Each is taken if it fits: the ledger's when it leaves as much again, for all of it may never be needed.
    """

    def __init__(self, snapshot: Snapshot, reserved: Sequence[npt.NDArray[Any]] = ()) -> None:
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._take, args=(snapshot, reserved), name="preload", daemon=True)
        self._thread.start()

    def _take(self, snapshot: Snapshot, reserved: Sequence[npt.NDArray[Any]]) -> None:
        available = available_bytes()
        if available is None or 2 * sum(array.nbytes for array in reserved) <= available:
            take_pages(reserved, self._stopped.is_set)
        available = available_bytes()
        if available is None or snapshot.bytes <= available:
            snapshot.preload(self._stopped.is_set)

    def stop(self) -> None:
        """End it, done or not."""
        self._stopped.set()
        self._thread.join()


def available_bytes() -> int | None:
    """Return how much memory the host and this process's control groups can give without swapping; None where the system does not say."""
    found = [_host_bytes(), *(_group_bytes(group) for group in _groups())]
    return min((each for each in found if each is not None), default=None)


def _host_bytes() -> int | None:
    try:
        fields = dict(line.split(":", 1) for line in _MEMINFO.read_text(encoding="utf-8").splitlines())
        return 1_024 * int(fields["MemAvailable"].split()[0])
    except (OSError, KeyError, ValueError):
        return None


def _groups() -> list[Path]:
    """Return the folders of this process's control group and of those around it (version 2)."""
    try:
        lines = _OWN_CGROUP.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    own = next((line.removeprefix("0::/") for line in lines if line.startswith("0::/")), None)
    if own is None:
        return []
    folder = _CGROUPS / own
    return [folder, *folder.parents[: len(Path(own).parts)]]


def _group_bytes(group: Path) -> int | None:
    """Return what the group's limit leaves: what is used and no file's page counts against it."""
    try:
        most = int((group / "memory.max").read_text(encoding="ascii"))
        used = int((group / "memory.current").read_text(encoding="ascii"))
        stat = dict(line.split() for line in (group / "memory.stat").read_text(encoding="ascii").splitlines())
        return most - used + int(stat["file"])
    except (OSError, KeyError, ValueError):
        return None
