"""Erasure on disk: snapshots and finished segments are rewritten without the erased, however far back they are kept.

In what comes before an erasure, a *stand-in* takes the subscriber's place, a number that nobody can lead back: requests, answers and changes become
blank, holds stay (totals count them, and decisions are numbered by them). Each file is replaced in one step, snapshots first, and segments from the oldest
on: the last one that changes is that of the erasure, which until then waits to be done. What derives stand-ins is kept in a file until all are done, so that an
erasure that was interrupted goes on with the same ones, and then removed. What lies behind damage in a kept file, where nobody can tell whose it is, goes.
"""

import dataclasses
from collections.abc import Callable
from contextlib import suppress
from hashlib import blake2b
from itertools import pairwise
from typing import Any, Final

import msgspec
import numpy as np

from engine.jit import direct, frozen
from engine.journal import snapshot
from engine.journal.disk import Disk
from engine.journal.erasing_snapshots import erase_in_snapshots
from engine.journal.records import (
    CHANGED,
    DECIDED,
    FORGOT,
    RECORDED,
    Changed,
    Decided,
    Forgot,
    Recorded,
    decode,
    decode_decided,
    encode,
    encode_decided,
)
from engine.journal.segments import JournalError, finished, first_of, segment_names
from engine.journal.snapshot import about_of, next_of, read, snapshot_names, write
from engine.journal.starting import snapshot_of_segments
from engine.kernels.frames import HEADER_BYTES, frame_end, seal_frame

KEY: Final = "erasing.key"
NEW: Final = "erasing.new"
ASIDE: Final = (".cut-", ".given-up")
"""In names of what was put aside when a journal was mended: nobody reads it, so it goes."""
BEGUN: Final = (NEW, snapshot.NEW)
"""What another process began to write, which was killed meanwhile."""
_NO_ID: Final = bytes(16)
_frame_end: Final = direct(frame_end)
_seal_frame: Final = direct(seal_frame)


def waiting(disk: Disk) -> dict[int, int]:
    """Return by subscriber the number of the last record of an erasure in a finished segment that was not done on disk yet.

    Raises JournalError for damage in what a start would read.
    """
    found: dict[int, int] = {}
    names, snapshots = segment_names(disk), snapshot_names(disk)
    covered = next_of(snapshots[-1]) if snapshots else 0
    for name, following in pairwise(names):
        try:
            for record in finished(disk, name, following):
                if record.kind == FORGOT and not (said := decode(record.body())).stand_in:
                    found[said.subscriber] = record.sequence
        except JournalError:
            if first_of(following) > covered:
                raise
    return found


def erase(disk: Disk, new_key: Callable[[], bytes]) -> int:
    """Do what waits; return how many subscribers that is. `new_key` gives 16 random bytes.

    For another process than the one that writes the journal. Raises JournalError, LedgerFullError, OverlayFullError, OSError; it may then be called again.
    """
    erased = waiting(disk)
    if not erased:
        _note_done(disk)
        with suppress(FileNotFoundError):
            disk.remove(KEY)  # of an erasure that ended right before it did this
        return 0
    snapshot_of_segments(disk)
    for name in disk.names():
        if name in BEGUN or any(mark in name for mark in ASIDE):
            disk.remove(name)
    key = _key(disk, new_key)
    stand_ins = {subscriber: _stand_in(key, subscriber) for subscriber in erased}
    erase_in_snapshots(disk, erased, stand_ins)
    for name in segment_names(disk)[:-1]:
        _rewrite(disk, name, erased, stand_ins)
    _note_done(disk)
    disk.remove(KEY)
    return len(erased)


def _note_done(disk: Disk) -> None:
    """Have the newest snapshot say that no erasure before it waits, so that no start looks through all that is kept for one; a damaged one is left."""
    for name in snapshot_names(disk)[-1:]:
        with suppress(JournalError):
            if about_of(disk, name).recovered.erasing:
                about, arrays = read(disk, name, None)
                recovered = dataclasses.replace(about.recovered, erasing=0)
                write(disk, name, msgspec.structs.replace(about, recovered=recovered), arrays)


def _key(disk: Disk, new_key: Callable[[], bytes]) -> bytes:
    """Return what stand-ins are derived with: that of an erasure which was interrupted, or a new one, which has its name once it is whole."""
    if KEY not in disk.names():
        _write(disk, KEY, memoryview(new_key()))
    return disk.read(KEY).tobytes()


def _write(disk: Disk, name: str, data: memoryview) -> None:
    """Write a file in place of what has its name, in one step; raises OSError."""
    with suppress(FileNotFoundError):
        disk.remove(NEW)
    file = disk.create(NEW)
    try:
        file.append(data)
        file.sync()
    finally:
        file.close()
    disk.rename(NEW, name)


def _stand_in(key: bytes, subscriber: int) -> int:
    return int.from_bytes(blake2b(subscriber.to_bytes(8, "little"), key=key, digest_size=8).digest(), "little") | 1


def _rewrite(disk: Disk, name: str, until: dict[int, int], stand_ins: dict[int, int]) -> None:
    """Replace the segment by one without the subscribers, up to the record of each one's erasure; a segment that names none stays as it is."""
    data = disk.read(name)
    frames, at, sequence, changed = frozen(data), 0, first_of(name), False
    written: list[memoryview] = []
    while at < len(data):
        end = int(_frame_end(frames, at, sequence))
        if end < 0:
            changed = True  # what follows is in the next segment again, or damaged
            break
        body, number = data.data[at + HEADER_BYTES : end], sequence
        new = body if at == 0 else _without(body, number, until, stand_ins)
        changed = changed or new is not body
        written.append(data.data[at:end] if new is body else _framed(new, sequence))
        sequence += at > 0
        at = end
    if not changed:
        return
    if not written:
        disk.remove(name)
        return
    _write(disk, name, memoryview(b"".join(written)))


def _framed(body: Any, sequence: int) -> memoryview:
    frame = np.empty(HEADER_BYTES + len(body), np.uint8)
    frame[HEADER_BYTES:] = np.frombuffer(body, np.uint8)
    _seal_frame(frame, 0, len(frame), sequence)
    return frame.data


def _without(body: memoryview, sequence: int, until: dict[int, int], stand_ins: dict[int, int]) -> Any:
    """Return the record's bytes without the subscribers, or `body` itself when it names none of them."""

    def stand_in(subscriber: int) -> int:
        return stand_ins[subscriber] if sequence <= until.get(subscriber, 0) else 0

    kind = body[1]
    if kind == DECIDED:
        return _decided_without(body, stand_in)
    if kind not in (RECORDED, CHANGED, FORGOT):
        return body
    match decode(body):
        case Recorded() as said:
            words = np.frombuffer(said.subscriber, "<u8").copy()
            for place, subscriber in enumerate(words.tolist()):
                words[place] = stand_in(subscriber) or subscriber
            return (
                body
                if words.tobytes() == said.subscriber
                else encode(msgspec.structs.replace(said, subscriber=words.tobytes()))
            )
        case Changed(subscriber, at_us) if instead := stand_in(subscriber):
            return encode(Changed(instead, at_us, []))
        case Forgot(subscriber, now_us, before) if not before and (instead := stand_in(subscriber)):
            return encode(Forgot(subscriber, now_us, instead))
    return body


def _decided_without(body: memoryview, stand_in: Callable[[int], int]) -> Any:
    said = decode_decided(body)
    instead = {place: number for place, row in enumerate(said.rows) if (number := stand_in(row.subscriber))}
    if not instead:
        return body
    rows = list(said.rows)
    for place, number in instead.items():
        answer: bytes | int = b"" if rows[place].hold is not None else 0
        rows[place] = msgspec.structs.replace(
            rows[place], request=_NO_ID, body=0, subscriber=number, message=b"", answer=answer
        )
    return encode_decided(Decided(said.raw_us, said.now_us, said.stopped, said.generation, rows))
