"""A folder for a process's own Unix sockets, locked as long as that process lives: so what a killed one left can be told, and is removed by the next."""

import fcntl
import os
import shutil
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

SOCKET_PATH_BYTES_MAX: Final = 103
"""The shortest limit of any system we know, with room for the end."""
PREFIX: Final = "touchpoint-sockets-"
_BEGUN: Final = "touchpoint-begun-"
_LOCK: Final = "in-use"
_SHORT_FOLDERS: Final = ("/tmp", "/var/tmp")  # noqa: S108  # mkdtemp makes a private folder in them


class SocketsFolder:
    """Of mode 0700, `path`."""

    def __init__(self) -> None:
        """Make one whose path is short enough for a socket in it; raises OSError."""
        begun = _short_folder()
        _remove_left(begun.parent)
        self._lock = (begun / _LOCK).open("wb")
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Only now has it the name by which others look for folders that nobody has locked.
        self.path: Final = begun.rename(begun.with_name(PREFIX + begun.name.removeprefix(_BEGUN)))

    def remove(self) -> None:
        """Remove it with all that is in it; it may be called again."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.close()


def _short_folder() -> Path:
    for parent in (None, *_SHORT_FOLDERS):
        made = Path(tempfile.mkdtemp(prefix=_BEGUN, dir=parent))
        named = made.with_name(made.name.replace(_BEGUN, PREFIX))
        if len(str(named / "s").encode()) <= SOCKET_PATH_BYTES_MAX:
            return made
        made.rmdir()
    raise OSError(
        f"no folder for temporary files is short enough for a socket's path: set TMPDIR, now {tempfile.gettempdir()}"
    )


def _remove_left(parent: Path) -> None:
    """Remove what processes of this user left that were killed; what cannot be looked at stays."""
    for folder in parent.glob(f"{PREFIX}*"):
        with suppress(OSError):
            there = folder.lstat()
            if stat.S_ISDIR(there.st_mode) and there.st_uid == os.geteuid():
                with (folder / _LOCK).open("rb") as lock:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(folder, ignore_errors=True)
