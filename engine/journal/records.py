"""What records say. Each is a MessagePack array that begins with its kind; instants are microseconds since 1970.

    0 segment   before a segment's first record, without a number of its own: whose journal it is, and who wrote it
    1 decided   a batch: instants, whether push was stopped, generation; each request, its answer, what was held (server/codec/kernels/noting.py)
    2 recorded  outcomes, and what became of each
    3 changed   a live change of a subscriber
    4 forgot    an erasure
    5 swapped   what answers from here on: generation, rulebook, base
    6 policy    how long events matter, and the days ahead
    7 named     codes that were given to offers, campaigns, categories and channels
    8 clock     the operator confirmed the clock
    9 began     a process began to write, after what it knows to be lost
    10 ended    a process ended in order: nothing after it is lost

A decision's record holds its request as it came, but for the subscriber's key, whose bytes are zeros ('0'): the keyed hash stands for it. An erasure
rewrites segments: in what comes before it a number made for that stands for the subscriber, requests, answers and changes are blank, and what was held
stays, because totals count it.
"""

from struct import pack
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from engine.ledger.names import Kind

SEGMENT, DECIDED, RECORDED, CHANGED, FORGOT, SWAPPED, POLICY, NAMED, CLOCK, BEGAN, ENDED = range(11)
KINDS: Final = (
    "segment",
    "decided",
    "recorded",
    "changed",
    "forgot",
    "swapped",
    "policy",
    "named",
    "clock",
    "began",
    "ended",
)
_FIXED_ARRAY: Final = 0x90
_FIXED_MAX: Final = 15


class Segment(msgspec.Struct, array_like=True, frozen=True, tag=SEGMENT):
    """What a segment begins with."""

    name: str
    format: int
    shard: str
    check: str
    writer: str
    """The version of Touchpoint."""
    boot: str
    """Of the machine: pages of files outlive a process, not this."""
    first: int
    """The number of its first record; the segment itself has none."""
    sizes: dict[str, int]
    """The settings that say how much the ledger and the overlay that wrote it have room for."""


class Recorded(msgspec.Struct, array_like=True, frozen=True, tag=RECORDED):
    """Outcomes, the columns of engine.ledger.port.Outcomes, and an (n,) OutcomeResult."""

    now_us: int
    outcome: bytes
    body: bytes
    subscriber: bytes
    decision: bytes
    rank: bytes
    kind: bytes
    event_us: bytes
    results: bytes


class Changed(msgspec.Struct, array_like=True, frozen=True, tag=CHANGED):
    """A live change, as what it writes to the overlay: (kind, family, name, value, value_family, value_name) each."""

    subscriber: int
    at_us: int
    writes: list[tuple[int, str, str, int, str, str]]


class Forgot(msgspec.Struct, array_like=True, frozen=True, tag=FORGOT):
    """An erasure."""

    subscriber: int
    now_us: int
    stand_in: int = 0
    """Once segments were rewritten: the number that stands for the subscriber in what comes before, and is known nowhere else."""


class Swapped(msgspec.Struct, array_like=True, frozen=True, tag=SWAPPED):
    """What answers from here on."""

    now_us: int
    generation: int
    rulebook: str
    """Its digest."""
    base: str
    """Its version."""


class Policy(msgspec.Struct, array_like=True, frozen=True, tag=POLICY):
    """The arguments of engine.ledger.port.Ledger.set_policy."""

    now_us: int
    retention: list[int]
    first_day: int
    day_starts_us: list[int]


class Named(msgspec.Struct, array_like=True, frozen=True, tag=NAMED):
    """Codes given, in order: (kind, name)."""

    names: list[tuple[Kind, str]]


class Clock(msgspec.Struct, array_like=True, frozen=True, tag=CLOCK):
    """The clock was confirmed."""

    now_us: int


class Began(msgspec.Struct, array_like=True, frozen=True, tag=BEGAN):
    """A process began to write."""

    now_us: int
    boot: str
    lost_since_us: int
    """What was answered from here to now_us may be lost; 0: nothing is."""


class Ended(msgspec.Struct, array_like=True, frozen=True, tag=ENDED):
    """A process ended in order."""

    now_us: int


class Hold(msgspec.Struct, array_like=True, frozen=True):
    """What a row holds."""

    decision: int
    expires_us: int
    seats: list[tuple[int, int, int, int, int]]
    """(offer, campaign, category, channel, flags) each, by the ledger's codes."""


class Row(msgspec.Struct, array_like=True, frozen=True):
    """A request of a decided record."""

    request: bytes
    body: int
    subscriber: int
    message: bytes
    answer: bytes | int
    """The bytes, or of a row that holds nothing their digest."""
    hold: Hold | None


class Decided(msgspec.Struct, array_like=True, frozen=True, tag=DECIDED):
    """A batch, for whoever has the time; kernels read it where it lies."""

    raw_us: int
    now_us: int
    stopped: int
    """PUSH_STOPPED, PUSH_WITHHELD of server.noting."""
    generation: int
    rows: list[Row]


Small = Segment | Recorded | Changed | Forgot | Swapped | Policy | Named | Clock | Began | Ended
_encode: Final = msgspec.msgpack.Encoder().encode
_decoder: Final = msgspec.msgpack.Decoder(Small)
_decided_decoder: Final = msgspec.msgpack.Decoder(Decided)


def encode(record: Any) -> bytes:
    """Return the record's MessagePack."""
    return encode_decided(record) if isinstance(record, Decided) else _encode(record)


def decode(body: memoryview | bytes) -> Any:
    """Return any record but a decided one; raises msgspec.DecodeError or msgspec.ValidationError."""
    return _decoder.decode(body)


def decode_decided(body: memoryview | bytes) -> Decided:
    """Return a decided record; raises as `decode`."""
    return _decided_decoder.decode(body)


def encode_decided(decided: Decided) -> bytes:
    """Return a decided record's MessagePack in the forms that kernels read, which are those that they write (server/codec/kernels/noting.py)."""
    parts = [b"\x96\x01", _form(0xD3, "q", decided.raw_us), _form(0xD3, "q", decided.now_us)]
    parts += [
        _form(0xCC, "B", decided.stopped),
        _form(0xCF, "Q", decided.generation),
        _form(0xDD, "I", len(decided.rows)),
    ]
    for row in decided.rows:
        parts += [
            b"\x96",
            _bin(row.request),
            _form(0xCF, "Q", row.body),
            _form(0xCF, "Q", row.subscriber),
            _bin(row.message),
        ]
        parts.append(_bin(row.answer) if isinstance(row.answer, bytes) else _form(0xCF, "Q", row.answer))
        if row.hold is None:
            parts.append(b"\xc0")
            continue
        parts += [b"\x93", _form(0xCF, "Q", row.hold.decision), _form(0xD3, "q", row.hold.expires_us)]
        parts.append(_form(0xDD, "I", len(row.hold.seats)))
        for *codes, flags in row.hold.seats:
            parts += [b"\x95", *(_form(0xCD, "H", code) for code in codes), _form(0xCC, "B", flags)]
    return b"".join(parts)


def _form(form: int, kind: str, number: int) -> bytes:
    return pack(f">B{kind}", form, number)


def _bin(data: bytes) -> bytes:
    return _form(0xC6, "I", len(data)) + data


def read_segment(body: memoryview) -> Segment | None:
    """Return what a segment says of itself; None when it says it in no way that is known."""
    try:
        found = decode(body)
    except msgspec.MsgspecError:
        return None
    return found if isinstance(found, Segment) else None


def kind_of(data: npt.NDArray[np.uint8], start: int, end: int) -> int:
    """Return the kind of the record, -1 for what is none."""
    if end - start < 2 or int(data[start]) & 0xF0 != _FIXED_ARRAY or int(data[start]) & _FIXED_MAX == 0:
        return -1
    return int(data[start + 1])
