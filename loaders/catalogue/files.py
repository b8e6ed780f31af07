"""The files of a catalogue's folder, as text; each is looked at before it is read."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from loaders.catalogue.problems import Place, Problems, shown

FILES_MAX: Final = 256
FILE_BYTES_MAX: Final = 4 << 20
FOLDER_CHARS_MAX: Final = 64 << 20
ENTRIES_MAX: Final = 10_000
"""Names of any kind in the folder."""


def read_files(folder: Path, problems: Problems) -> Iterator[tuple[str, str | None]]:
    """Yield (name, text) of every *.yaml file of the folder itself, in the order of names; hidden files are passed over.

    The text is None for a file that cannot be read; its problem is noted.
    """
    chars = 0
    for path in _yaml_paths(folder, problems):
        text = _read_text(path, problems)
        chars += len(text or "")
        if chars > FOLDER_CHARS_MAX:
            expected = f"expected at most {FOLDER_CHARS_MAX:,} characters in all files"
            problems.add(Place(path.name, 1, 1), expected, "more", "make the catalogue smaller")
            yield path.name, None
            return
        yield path.name, text


def _yaml_paths(folder: Path, problems: Problems) -> list[Path]:
    place = Place(str(folder), 1, 1)
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for _, entry in zip(range(ENTRIES_MAX), entries, strict=False)]
    except OSError as error:
        problems.add(place, "expected a folder of *.yaml files", _reason(error), "name a folder that can be read")
        return []
    paths = [folder / name for name in sorted(names) if name.lower().endswith((".yaml", ".yml")) and name[0] != "."]
    if not paths:
        problems.add(place, "expected at least one *.yaml file", "none", "write the catalogue into this folder")
    if len(paths) > FILES_MAX:
        problems.add(place, f"expected at most {FILES_MAX} files", f"{len(paths)}", "put some of them together")
        return []
    return paths


def _read_text(path: Path, problems: Problems) -> str | None:
    place = Place(path.name, 1, 1)
    if path.suffix != ".yaml":
        problems.add(place, "expected files called *.yaml", shown(path.name), "rename it to end in .yaml")
        return None
    try:
        data = _read_bytes(path)
    except OSError as error:
        problems.add(place, "expected a file that can be read", _reason(error), "mend it, or take it out of the folder")
        return None
    if data is None:
        problems.add(place, "expected a regular file", "something else", "take it out of the folder")
        return None
    if len(data) > FILE_BYTES_MAX:
        was = f"{path.stat().st_size:,}"
        problems.add(
            place, f"expected at most {FILE_BYTES_MAX:,} bytes in a file", was, "split it, or take the large value out"
        )
        return None
    return _decode(data, place, problems)


def _read_bytes(path: Path) -> bytes | None:
    """Return at most one byte more than a file may have, or None for what is no regular file; opening never waits."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            return None
        return file.read(FILE_BYTES_MAX + 1)


def _decode(data: bytes, place: Place, problems: Problems) -> str | None:
    if data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        problems.add(
            place, "expected UTF-8 without a byte order mark", "a byte order mark", "save the file as UTF-8 without it"
        )
        return None
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        before = data[: error.start].decode()
        line = before.count("\n") + 1
        column = len(before) - (before.rfind("\n") + 1) + 1
        was = f"byte 0x{data[error.start]:02x}"
        problems.add(Place(place.file, line, column), "expected UTF-8", was, "save the file as UTF-8")
        return None


def _reason(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()
