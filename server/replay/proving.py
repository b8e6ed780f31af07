"""Whether a journal's decisions come out the same, bit for bit, when its requests are decided again from the beginning."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Final

import msgspec
import numpy as np
from google.protobuf.json_format import MessageToDict
from touchpoint.v1 import decision_service_pb2 as pb

from engine.jit import frozen
from engine.journal.disk import Disk
from engine.journal.records import DECIDED, Decided, Row, Swapped, decode, decode_decided
from engine.journal.recovery import Recovery
from engine.journal.segments import JournalError, Record
from engine.kernels.siphash import siphash24
from engine.shard import Shard
from server.front import DecisionFront
from server.replay.again import Again, decide_again
from server.replay.world import Known, World, begin

TELL_EVERY_S: Final = 1.0
_NO_KEY: Final = frozen(np.zeros(2, np.uint64))


@dataclass(slots=True)
class Difference:
    """The first row that came out differently."""

    record: int
    row: int
    subscriber: str
    """Keyed hash, hexadecimal."""
    asked: dict[str, Any]
    was: dict[str, Any]
    became: dict[str, Any]


@dataclass(slots=True)
class Proof:
    """What a replay found."""

    records: int = 0
    decisions: int = 0
    held: int = 0
    """Decisions that held something."""
    erased: int = 0
    """Decisions of subscribers who were erased since: their requests are no more."""
    seconds: float = 0.0
    cut: str = ""
    difference: Difference | None = None
    by_rulebook: dict[str, int] = field(default_factory=dict)
    """Decisions by the digest of what decided."""


def prove(
    disk: Disk, known: Known, shard: Shard, tell: Callable[[Proof], None] = lambda _: None, *, first: int = 1
) -> Proof:
    """Decide everything from record `first` on again, until something differs.

    Raises JournalError when the journal cannot be read or was decided by something not given.
    """
    world, recovery, log = begin(disk, known, shard, first)
    proof, began = Proof(), time.monotonic()
    told = began
    for record in log:
        try:
            proof.difference = _follow(world, recovery, record, proof)
        except (JournalError, ValueError, LookupError, AssertionError) as error:
            raise JournalError(f"record {record.sequence:,}: {error}") from error
        proof.records += 1
        proof.seconds = round(time.monotonic() - began, 3)
        if proof.difference is not None:
            break
        if time.monotonic() - told > TELL_EVERY_S:
            told = time.monotonic()
            tell(proof)
    proof.cut = str(log.cut or "")
    return proof


def _follow(world: World, recovery: Recovery, record: Record, proof: Proof) -> Difference | None:
    if record.kind == DECIDED:
        return _check(world, recovery, record, proof)
    small = decode(record.body())
    recovery.take_small(small)
    if isinstance(small, Swapped):
        world.swap(small)
    return None


def _check(world: World, recovery: Recovery, record: Record, proof: Proof) -> Difference | None:
    front, decided = world.front, decode_decided(record.body())
    if front is None:
        raise JournalError("it comes before the journal said what answers")
    digest = front.engine.generation.digest
    proof.by_rulebook[digest] = proof.by_rulebook.get(digest, 0) + len(decided.rows)
    start = 0
    for erased, stretch in groupby(decided.rows, lambda row: not row.message):
        rows = list(stretch)
        part = msgspec.structs.replace(decided, rows=rows)
        if erased:
            proof.erased += len(rows)
            recovery.take_decided(part)
        elif found := _check_part(front, record, (part, start), proof):
            return found
        start += len(rows)
    return None


def _check_part(front: DecisionFront, record: Record, part: tuple[Decided, int], proof: Proof) -> Difference | None:
    """Compare rows that can be asked again, the first of which is row `start` of the record."""
    decided, start = part
    again = decide_again(front, decided)
    proof.decisions += len(decided.rows)
    for number, row in enumerate(decided.rows):
        proof.held += row.hold is not None
        if not _same(row, again, number) or int(again.decisions.now_us[number]) != decided.now_us:
            return _difference(record, start, row, (again, number))
    return None


def _same(row: Row, again: Again, number: int) -> bool:
    text, held = again.decisions.text(number) or b"", int(again.decisions.decision[number])
    if row.hold is None:
        return held == 0 and _digest(text) == row.answer
    return row.hold.decision == held and row.answer == text


def _digest(text: bytes) -> int:
    digest = np.zeros(1, np.uint64)
    siphash24(np.frombuffer(text, np.uint8), frozen(np.array([0, len(text)])), _NO_KEY, digest)
    return int(digest[0])


def _difference(record: Record, start: int, row: Row, at: tuple[Again, int]) -> Difference:
    again, number = at
    was: dict[str, Any] = {"decision": row.hold.decision if row.hold else 0}
    was |= _told(row.answer) if isinstance(row.answer, bytes) else {"answer_digest": f"{row.answer:016x}"}
    text = again.decisions.text(number) or b""
    became: dict[str, Any] = {"decision": int(again.decisions.decision[number]), **_told(text)}
    if "answer_digest" in was:
        became["answer_digest"] = f"{_digest(text):016x}"
    asked = MessageToDict(pb.DecideRequest.FromString(row.message))
    return Difference(record.sequence, start + number, f"{row.subscriber:016x}", asked, was, became)


def _told(answer: bytes) -> dict[str, Any]:
    return {"answer": MessageToDict(pb.DecideResponse.FromString(answer))}


def as_json(proof: Proof) -> dict[str, Any]:
    """Return what was found as JSON has it."""
    told: dict[str, Any] = msgspec.to_builtins(proof)
    return {"identical": proof.difference is None, **told}
