"""Where a start begins: the newest snapshot that is right, and the segments after it."""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from engine.base.overlay import Overlay
from engine.journal.disk import Disk
from engine.journal.recovery import Recovered, recover
from engine.journal.segments import JournalError, Log, Owner, first_of, headers, segment_names
from engine.journal.snapshot import load, next_of, save, snapshot_names
from engine.ledger.answers import RingAnswers
from engine.ledger.memory import MemoryLedger
from engine.shard import Shard, parse_shard

SIZES: Final = ("contacts_max", "outcomes_max", "answers_bytes_max", "overlay_subscribers_max")
"""The settings that say how much ledger and overlay have room for."""


def new_state(sizes: Mapping[str, int], memory: type[RingAnswers] = RingAnswers) -> tuple[MemoryLedger, Overlay]:
    """Return a ledger, with such a memory of answers, and an overlay that nothing was ever held in, at the beginning of time."""
    answers = memory(sizes["answers_bytes_max"])
    ledger = MemoryLedger(sizes["contacts_max"], answers, outcomes_max=sizes["outcomes_max"])
    return ledger, Overlay(sizes["overlay_subscribers_max"])


def sizes_in(disk: Disk) -> dict[str, int]:
    """Return the largest sizes that the journal's writers had; raises JournalError when no segment says any."""
    said = [header.sizes for header in headers(disk).values() if header is not None]
    if not said:
        raise JournalError("expected segments of a journal of Touchpoint, there is none that can be read")
    return {name: max(sizes.get(name, 0) for sizes in said) for name in SIZES}


def shard_in(disk: Disk) -> Shard:
    """Return the shard whose journal it is; raises JournalError as `sizes_in`."""
    shards = {header.shard for header in headers(disk).values() if header is not None}
    if len(shards) != 1:
        raise JournalError(f"expected the journal of one shard, was of {sorted(shards) or 'none'}")
    try:
        return parse_shard(shards.pop())
    except ValueError as error:
        raise JournalError(f"the journal's shard: {error}") from None


class Restored(NamedTuple):
    """What a journal came to."""

    ledger: MemoryLedger
    overlay: Overlay
    recovered: Recovered
    snapshot: str
    """The snapshot that it began with; empty without one."""
    passed_over: list[str]
    """Why newer snapshots were not taken."""


def restored(
    disk: Disk, owner: Owner | None, new: Callable[[], tuple[MemoryLedger, Overlay]], stop: str = ""
) -> Restored:
    """Return new ledger and overlay with the journal taken back into them; `stop` names a segment that is not read, nor what follows it.

    A snapshot that is damaged is passed over for the one before it. Raises JournalError, LedgerFullError, OverlayFullError.
    """
    passed_over: list[str] = []
    for name in [*reversed(snapshot_names(disk)), ""]:
        ledger, overlay = new()
        before = None
        try:
            if name:
                before = load(disk, name, owner, ledger, overlay)
            log = Log(disk, owner, after=before.next - 1 if before else 0, stop=stop)
        except JournalError as error:
            if not name:
                raise JournalError("; ".join([*passed_over, str(error)])) from None
            passed_over.append(str(error))
            continue
        return Restored(ledger, overlay, recover(log, ledger, overlay, before), name, passed_over)
    raise AssertionError("the last attempt has no snapshot")


def snapshot_of_segments(disk: Disk) -> str:
    """Write a snapshot of what all segments but the last one come to, and return its name.

    Empty when there is nothing new to cover. For another process than the one that writes the journal; raises what `restored` raises, and OSError.
    """
    segments, snapshots = segment_names(disk), snapshot_names(disk)
    if len(segments) < 2 or (snapshots and next_of(snapshots[-1]) >= first_of(segments[-1])):
        return ""
    sizes = sizes_in(disk)
    found = restored(disk, None, lambda: new_state(sizes), stop=segments[-1])
    header = headers(disk)[segments[-1]]
    assert header is not None, "the last segment was whole when it was given its name"
    return save(disk, Owner(header.shard, header.check), found.ledger, found.overlay, found.recovered)
