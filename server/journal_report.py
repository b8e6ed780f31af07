"""A journal told to people: what it holds, what is wrong with it, its records one by one."""

import json
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import msgspec
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError
from touchpoint.v1 import decision_service_pb2 as pb

from engine.base.overlay import OverlayFullError
from engine.journal.disk import FolderDisk
from engine.journal.records import DECIDED, KINDS, SEGMENT, Decided, decode, decode_decided
from engine.journal.segments import (
    BrokenOffError,
    JournalError,
    Log,
    Record,
    finished,
    first_of,
    headers,
    segment_names,
)
from engine.journal.snapshot import next_of, snapshot_names
from engine.journal.snapshot import read as read_snapshot
from engine.journal.starting import new_state, restored, sizes_in
from engine.ledger.names import LedgerFullError
from server.journalling import check_alone, locked, put_aside

GIVEN_UP: Final = ".given-up"


def checked(folder: Path) -> dict[str, Any]:
    """Return what a start would come to: `problem` says why it would be refused, empty when it would not.

    `damaged` says what is wrong with what no start would read, and is kept.
    """
    disk = FolderDisk(folder)
    report: dict[str, Any] = {"folder": str(folder), "problem": "", "cut": "", "damaged": [], "passed_over": []}
    try:
        check_alone(folder)
        found = headers(disk)
        report["segments"] = [_segment_told(folder, name, header) for name, header in found.items()]
        report["snapshots"] = snapshot_names(disk)
        sizes = sizes_in(disk)
        state = restored(disk, None, lambda: new_state(sizes))
    except (JournalError, LedgerFullError, OverlayFullError, OSError) as error:
        return report | {"problem": str(error)}
    recovered = state.recovered
    report["damaged"] = list(_damaged(disk, state.snapshot))
    return report | {
        "from_snapshot": state.snapshot,
        "passed_over": state.passed_over,
        "records": recovered.records,
        "by_kind": recovered.by_kind,
        "decisions": recovered.decisions,
        "next": recovered.next,
        "last_us": recovered.last_us,
        "ended_in_order": recovered.ended,
        "cut": str(recovered.cut or ""),
        "ledger": state.ledger.statistics(),
        "sizes": sizes,
    }


def _damaged(disk: FolderDisk, begun_with: str) -> Iterator[str]:
    """Return what is wrong with segments and snapshots before the snapshot that a start begins with; what a server removes meanwhile is passed over."""
    covered = next_of(begun_with) if begun_with else 0
    earlier = [(name, _wrong_with_snapshot(disk, name)) for name in snapshot_names(disk) if name < begun_with]
    earlier += [
        (name, _wrong_with_segment(disk, name, following))
        for name, following in pairwise(segment_names(disk))
        if first_of(following) <= covered
    ]
    left = disk.names()
    return (why for name, why in earlier if why and name in left)


def _wrong_with_snapshot(disk: FolderDisk, name: str) -> str:
    try:
        read_snapshot(disk, name, None)
    except (JournalError, OSError) as error:
        return str(error)
    return ""


def _wrong_with_segment(disk: FolderDisk, name: str, following: str) -> str:
    log = finished(disk, name, following)
    try:
        for _ in log:
            pass
    except (JournalError, OSError) as error:
        return str(log.cut or error)
    if log.end < first_of(following):
        return f"{following}: records {log.end:,} to {first_of(following) - 1:,} are missing before it"
    return ""


def _segment_told(folder: Path, name: str, header: Any) -> dict[str, Any]:
    told: dict[str, Any] = {"name": name, "bytes": (folder / name).stat().st_size}
    if header is not None:
        told |= {"shard": header.shard, "writer": header.writer, "format": header.format}
    return told


def report_lines(report: dict[str, Any]) -> Iterator[str]:
    """Yield the report as text."""
    yield f"{report['folder']}: segments: {len(report.get('segments', []))}, snapshots: {len(report.get('snapshots', []))}"
    for segment in report.get("segments", []):
        yield f"  {segment['name']}  {segment['bytes']:>12,} bytes  shard {segment.get('shard', '?')}, by {segment.get('writer', '?')}"
    for name in report.get("snapshots", []):
        yield f"  {name}"
    for why in report["damaged"]:
        yield f"kept for audits, needed by no start, and not right: {why}"
    if report["problem"]:
        yield f"a start would refuse it: {report['problem']}"
        return
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(report["by_kind"].items()))
    yield f"{report['records']:,} records ({kinds or 'none'}), {report['decisions']:,} decisions; the next is number {report['next']:,}"
    ledger = report["ledger"]
    yield (
        f"the ledger: {ledger['contacts']:,} contacts of {ledger['subscribers']:,} subscribers, {ledger['live_contacts']:,} of them live,"
        f" {ledger['answers']:,} remembered answers, {ledger['outcome_ids']:,} outcome ids"
    )
    for why in report["passed_over"]:
        yield f"a snapshot was passed over: {why}"
    if report["cut"]:
        yield f"the last record is not whole, a start leaves it out: {report['cut']}"
    yield "ended in order" if report["ended_in_order"] else "did not end in order: the server runs, or was killed"


def repaired(folder: Path, give_up: bool) -> Iterator[str]:
    """Yield what is put aside so that the longest right prefix is left, having put it aside if `give_up`.

    Raises JournalError, with nothing changed, when that does not help: records are missing at the beginning, or are those of somebody else, of a newer
    version, or do not follow from each other.
    """
    disk = FolderDisk(folder)
    lock = locked(folder)
    try:
        yield from _repaired(folder, disk, give_up)
    finally:
        lock.close()


def _repaired(folder: Path, disk: FolderDisk, give_up: bool) -> Iterator[str]:
    names, why = segment_names(disk), ""
    log = _log_of_a_start(disk)
    try:
        for _ in log:
            pass
    except BrokenOffError as error:
        why = str(error)
    if not why and log.cut is None:
        if names:
            sizes = sizes_in(disk)
            restored(disk, None, lambda: new_state(sizes))
        yield f"{folder}: every record that a start reads is right, nothing is to be repaired"
        return
    following = [name for name in names if first_of(name) > log.end - 1 and not (log.cut and name == log.cut.name)]
    yield f"right up to record {log.end - 1:,}; {why or log.cut}"
    done = "put aside" if give_up else "would be put aside"
    for name in reversed(following):  # from the end, so that what is left hangs together whenever this ends
        yield f"{name}: {done} as {name}{GIVEN_UP}"
        if give_up:
            disk.rename(name, name + GIVEN_UP)
    if log.cut is not None:
        yield f"{log.cut.name}: {log.cut.dropped_bytes:,} bytes {done}"
        if give_up:
            put_aside(disk, log.cut)
    if not give_up:
        yield "nothing was changed; --give-up does it"


def _log_of_a_start(disk: FolderDisk) -> Log:
    """Return the records after the newest right snapshot that segments follow; raises JournalError when those that come first are missing."""
    why: list[str] = []
    for name in [*reversed(snapshot_names(disk)), ""]:
        try:
            if name:
                read_snapshot(disk, name, None)
            return Log(disk, None, after=next_of(name) - 1 if name else 0)
        except JournalError as error:
            why.append(str(error))
    raise JournalError("; ".join(why))


def _covered(names: Sequence[str]) -> int:
    """Return the number before the first record that there is a segment for."""
    return first_of(names[0]) - 1 if names else 0


def dumped(folder: Path, first: int, last: int | None, kinds: Sequence[str]) -> Iterator[str]:
    """Yield records [first, last] of these kinds, or of all, as JSON; raises JournalError."""
    disk = FolderDisk(folder)
    after = max(first - 1, _covered(segment_names(disk)))
    for record in Log(disk, None, after=after):
        if last is not None and record.sequence > last:
            return
        if record.kind == SEGMENT or not 0 <= record.kind < len(KINDS):
            raise JournalError(f"record {record.sequence:,}: expected a record of a known kind, was {record.kind}")
        if not kinds or KINDS[record.kind] in kinds:
            yield json.dumps({"record": record.sequence, "kind": KINDS[record.kind], **_told(record)})


def _told(record: Record) -> dict[str, Any]:
    try:
        if record.kind != DECIDED:
            return {name: _plain(value) for name, value in msgspec.structs.asdict(decode(record.body())).items()}
        decided = decode_decided(record.body())
        rows = _rows_told(decided)
    except (msgspec.MsgspecError, DecodeError) as error:
        raise JournalError(f"record {record.sequence:,}: {error}") from None
    return {
        "raw_us": decided.raw_us,
        "now_us": decided.now_us,
        "stopped": decided.stopped,
        "generation": decided.generation,
        "rows": rows,
    }


def _rows_told(decided: Decided) -> list[dict[str, Any]]:
    return [
        {
            "request": row.request.hex(),
            "subscriber": f"{row.subscriber:016x}",
            "asked": MessageToDict(pb.DecideRequest.FromString(row.message)),
            "answer": MessageToDict(pb.DecideResponse.FromString(row.answer))
            if isinstance(row.answer, bytes)
            else f"digest {row.answer:016x}",
            "hold": row.hold
            and {"decision": row.hold.decision, "expires_us": row.hold.expires_us, "seats": row.hold.seats},
        }
        for row in decided.rows
    ]


def _plain(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else value
