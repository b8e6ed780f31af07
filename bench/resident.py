"""What of a process is in memory, from /proc: mapped files apart from memory of its own."""

import re
from pathlib import Path
from typing import NamedTuple

_SELF = Path("/proc/self")
_MAPPING = re.compile(r"^[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ \S+ +(\S.*)$")


class Mapped(NamedTuple):
    """The mappings of some files, in bytes, added up."""

    resident: int
    """Pages that the process has in its tables: page cache, shared with every other process that maps the file."""
    private_dirty: int
    """Pages that it has written, which nobody shares; none for a file mapped to be read."""


def mapped(folder: Path) -> Mapped:
    """Return what is resident of the files below `folder` that this process maps: Rss and Private_Dirty of /proc/self/smaps."""
    found = {"Rss": 0, "Private_Dirty": 0}
    inside = False
    for line in (_SELF / "smaps").read_text(encoding="utf-8").splitlines():
        name = line.partition(":")[0]
        if (start := _MAPPING.match(line)) is not None or "-" in name.split(" ")[0]:
            inside = start is not None and start[1].startswith(f"{folder.resolve()}/")
        elif inside and name in found:
            found[name] += 1_024 * int(line.split()[1])
    return Mapped(found["Rss"], found["Private_Dirty"])


def status_bytes(name: str) -> int:
    """Return a size of /proc/self/status: `RssAnon`, memory of its own; `VmHWM`, the most that was ever resident."""
    for line in (_SELF / "status").read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return 1_024 * int(value.split()[0])
    raise KeyError(name)


def forget_peak() -> None:
    """Have `VmHWM` begin anew at what is resident now."""
    (_SELF / "clear_refs").write_text("5", encoding="ascii")
