"""Snapshots: ledger and overlay as they were before a record, so that a start need not read what came earlier.

    00000000000000004711.snapshot   | about | array | array | ...   frames as a segment's, numbered from 0

A snapshot has its name only once it is whole and on the medium. It is what taking back the records before it comes to, and is made so, by another
process, from segments and the snapshot before: the thread that decides copies nothing.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from engine.base.overlay import Overlay
from engine.dtypes.base import CHANGE, PERSON
from engine.dtypes.contact import CONTACT
from engine.dtypes.ledger import HOLD, REMEMBERED, SUBSCRIBER
from engine.jit import direct, frozen
from engine.journal.disk import Disk
from engine.journal.recovery import Recovered
from engine.journal.segments import JournalError, Owner, numbered_names
from engine.kernels.frames import HEADER_BYTES, frame_end, seal_frame
from engine.ledger.memory import MemoryLedger
from engine.ledger.names import Kind

SUFFIX: Final = ".snapshot"
FORMAT: Final = 2
"""1 did not say under which base a change was told: what lay there was anything."""
NEW: Final = "snapshot.new"
FRAME_BYTES_MAX: Final = 1 << 30
DTYPES: Final[dict[str, np.dtype[Any]]] = {
    "table": SUBSCRIBER,
    "pool": CONTACT,
    "holds": HOLD,
    "outcome_ids": REMEMBERED,
    "answers": REMEMBERED,
    "answer_bytes": np.dtype(np.uint8),
    "persons": PERSON,
    "changes": CHANGE,
    **dict.fromkeys(("state", "retention", "live", "lifetime", "daily", "day", "day_starts_us"), np.dtype(np.int64)),
}
_frame_end: Final = direct(frame_end)
_seal_frame: Final = direct(seal_frame)


class About(msgspec.Struct, frozen=True):
    """The first frame."""

    format: int
    owner: Owner
    recovered: Recovered
    names: list[tuple[Kind, str]]
    """In the order in which they were given codes."""
    overlay_names: list[tuple[str, str]]
    arrays: list[tuple[str, list[int]]]
    """(name, shape) of each array; its bytes fill as many frames as they need, the next array begins with a frame of its own."""


def snapshot_names(disk: Disk) -> list[str]:
    """Return the names of all snapshots, the newest last; raises JournalError for a name that only looks like one."""
    return numbered_names(disk, SUFFIX, "snapshot")


def next_of(name: str) -> int:
    """Return the number of the first record that a snapshot does not cover."""
    return int(name.removesuffix(SUFFIX))


def save(disk: Disk, owner: Owner, ledger: MemoryLedger, overlay: Overlay, recovered: Recovered) -> str:
    """Write a snapshot of what records below `recovered.next` come to; return its name. Raises OSError."""
    persons, changes, overlay_names = overlay.state()
    arrays = {**ledger.state(), "persons": persons, "changes": changes}
    name = f"{recovered.next:020}{SUFFIX}"
    write(disk, name, About(FORMAT, owner, recovered, ledger.names.given(), overlay_names, []), arrays)
    return name


def write(disk: Disk, name: str, about: About, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write a snapshot that says this, in place of one of that name; what `about` says of arrays is what they are. Raises OSError."""
    described = [(what, list(array.shape)) for what, array in arrays.items()]
    about = msgspec.structs.replace(about, arrays=described)
    with suppress(FileNotFoundError):
        disk.remove(NEW)
    file = disk.create(NEW)
    try:
        for number, part in enumerate(_parts(np.frombuffer(msgspec.msgpack.encode(about), np.uint8), arrays)):
            file.append(_framed(number, part))
        file.sync()
    finally:
        file.close()
    disk.rename(NEW, name)


def load(disk: Disk, name: str, owner: Owner | None, ledger: MemoryLedger, overlay: Overlay) -> Recovered:
    """Take a snapshot back into a new ledger and overlay; raises JournalError, LedgerFullError or OverlayFullError, and then they are of no use."""
    about, arrays = read(disk, name, owner)
    for kind, each in about.names:
        ledger.names.code(kind, each)
    ledger.restore(arrays)
    overlay.restore(arrays["persons"], arrays["changes"], about.overlay_names)
    return about.recovered


def read(disk: Disk, name: str, owner: Owner | None) -> tuple[About, dict[str, npt.NDArray[Any]]]:
    """Return what a snapshot says; raises JournalError for one that is damaged, newer, or somebody else's."""
    data = disk.read(name)
    frames, at, number, bodies = frozen(data), 0, 0, []
    while at < len(data):
        end = int(_frame_end(frames, at, number))
        if end < 0:
            raise JournalError(
                f"{name}: damaged at byte {at:,}; remove it, the one before it and the segments since do as well"
            )
        bodies.append(data[at + HEADER_BYTES : end])
        at, number = end, number + 1
    about = _about(name, bodies[0].data if bodies else memoryview(b""))
    if owner is not None and about.owner != owner:
        raise JournalError(
            f"{name}: another server's journal (shard {about.owner.shard}); point `journal` to this server's own folder"
        )
    return about, _arrays_of(name, about, bodies[1:])


def about_of(disk: Disk, name: str) -> About:
    """Return what a snapshot says of itself, without looking at the rest; raises JournalError as `read`."""
    data = disk.read(name, HEADER_BYTES)
    if len(data) == HEADER_BYTES:
        data = disk.read(name, HEADER_BYTES + int(data[4:8].view("<u4")[0]))  # no more, since it is read ahead
    end = int(_frame_end(frozen(data), 0, 0))
    if end < 0:
        raise JournalError(f"{name}: damaged at its beginning")
    return _about(name, data.data[HEADER_BYTES:end])


def _about(name: str, body: memoryview) -> About:
    try:
        return msgspec.msgpack.decode(body, type=About)
    except msgspec.MsgspecError as error:
        raise JournalError(
            f"{name}: expected a snapshot of format {FORMAT}: {error}; use the version that wrote it"
        ) from None


def _arrays_of(name: str, about: About, bodies: list[npt.NDArray[np.uint8]]) -> dict[str, npt.NDArray[Any]]:
    found, waiting = {}, iter(bodies)
    for what, shape in about.arrays:
        dtype, missing, parts = DTYPES.get(what), 0, []
        if dtype is not None:
            missing = math.prod(shape) * dtype.itemsize
        while missing > 0 and (part := next(waiting, None)) is not None:
            parts.append(part)
            missing -= len(part)
        if dtype is None or missing or about.format != FORMAT:
            raise JournalError(
                f"{name}: {what}: expected an array of format {FORMAT}, was one of {about.format}; use the version that wrote it"
            )
        raw = parts[0] if len(parts) == 1 else np.concatenate(parts or [np.zeros(0, np.uint8)])
        found[what] = raw.view(dtype).reshape(shape)
    return found


def _parts(about: npt.NDArray[np.uint8], arrays: Mapping[str, npt.NDArray[Any]]) -> Iterator[npt.NDArray[np.uint8]]:
    yield about
    for name, array in arrays.items():
        assert array.dtype == DTYPES[name], name
        raw = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        for start in range(0, len(raw), FRAME_BYTES_MAX):
            yield raw[start : start + FRAME_BYTES_MAX]


def _framed(number: int, body: npt.NDArray[np.uint8]) -> memoryview:
    frame = np.empty(HEADER_BYTES + len(body), np.uint8)
    frame[HEADER_BYTES:] = body
    _seal_frame(frame, 0, len(frame), number)
    return frame.data
