"""Requests as bytes: DecideRequest and DecideBatchRequest encoded once, with the places of what differs from call to call."""

from typing import Final, NamedTuple

import hpack
import numpy as np
import numpy.typing as npt
from touchpoint.v1 import decision_service_pb2 as pb

from bench.tables import request_table
from bench.wire import ID_DIGITS, Answer, Request, Word
from engine.jit import frozen

_ID: Final = "#" * ID_DIGITS
"""Stands for the id while the places are looked for; no catalogue's id and no key holds it."""
DECIDE: Final = "/touchpoint.v1.DecisionService/Decide"
DECIDE_BATCH: Final = "/touchpoint.v1.DecisionService/DecideBatch"
DECIDE_COLUMNS: Final = "/touchpoint.v1.DecisionService/DecideColumns"


class Keys(NamedTuple):
    """How subscriber keys are made: `prefix`, and (first + i * step) modulo 10**digits for subscriber i of `rows`."""

    prefix: str
    digits: int
    first: int
    step: int
    rows: int

    def key(self, row: int) -> str:
        """Return the key of a subscriber."""
        return f"{self.prefix}{(self.first + row * self.step) % 10**self.digits:0{self.digits}d}"


class Question(NamedTuple):
    """What is asked in every call, but for whom."""

    placement: str
    channel: str
    offers_max: int


def decide_request(question: Question, keys: Keys, request_id: str, row: int) -> pb.DecideRequest:
    """Return the request as any client would make it."""
    return pb.DecideRequest(
        request_id=request_id,
        subscriber=keys.key(row),
        placement=question.placement,
        channel=question.channel,
        max_offers=question.offers_max,
    )


def header_block(path: str, authority: str) -> bytes:
    """Return the request's headers in HPACK: from the static table or literal, never indexed, so that every call of a connection has the same bytes."""
    headers = (
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", authority),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        ("user-agent", "touchpoint-bench"),
    )
    return hpack.Encoder().encode([hpack.NeverIndexedHeaderTuple(*header) for header in headers], huffman=False)


class Template(NamedTuple):
    """A gRPC message with the places of the ids and of the keys' digits."""

    message: bytes
    id_at: npt.NDArray[np.int64]
    key_at: npt.NDArray[np.int64]


def _places(message: bytes, mark: bytes, count: int) -> npt.NDArray[np.int64]:
    found, at = [], message.find(mark)
    while at >= 0:
        found.append(at)
        at = message.find(mark, at + len(mark))
    assert len(found) == count, (len(found), count)
    return frozen(np.array(found, np.int64))


def template_of(question: Question, keys: Keys, items: int, path: str = "") -> Template:
    """Return one DecideRequest (`items` 0), or a DecideBatchRequest of so many; where the path is DecideColumns', a table of so many."""
    one = decide_request(question, keys, _ID, 0)
    if path == DECIDE_COLUMNS:
        body = pb.DecideColumnsRequest(table=request_table([one], items)).SerializeToString()
    else:
        body = (pb.DecideBatchRequest(items=[one] * items) if items else one).SerializeToString()
    message = b"\0" + len(body).to_bytes(4, "big") + body
    count = max(1, items)
    key = keys.key(0).encode()
    return Template(
        message, _places(message, _ID.encode(), count), _places(message, key, count) + len(keys.prefix.encode())
    )


class Salts:
    """Gives every run its own range of request ids, so that no two on one server are the same."""

    def __init__(self, seed: int) -> None:
        self._next = (seed & 0xFFFF) << 48

    def apart(self) -> "Salts":
        """Return salts for another process: 2**36 ids that nobody else has."""
        made = Salts(0)
        made._next = self.take() - (1 << 36)
        return made

    def take(self) -> int:
        """Return the salt of one run: the first of 2**36 ids that nobody else has."""
        self._next += 1 << 36
        return self._next


def request_of(template: Template, headers: bytes, keys: Keys, kind: Answer, drawn: tuple[int, int]) -> Request:
    """Return what the kernels write calls from; `drawn` is the salt of the ids and the seed of the subscribers."""
    words = np.zeros(len(Word), np.uint64)
    (words[Word.SALT], words[Word.SEED]), words[Word.ROWS] = drawn, keys.rows
    words[Word.KEY_FIRST], words[Word.KEY_STEP] = keys.first, keys.step
    words[Word.KEY_MODULUS], words[Word.KEY_DIGITS] = 10**keys.digits, keys.digits
    words[Word.KIND], words[Word.ITEMS] = int(kind), len(template.id_at)
    return Request(
        message=np.frombuffer(bytearray(template.message), np.uint8),
        id_at=template.id_at,
        key_at=frozen(template.key_at),
        headers=frozen(np.frombuffer(headers, np.uint8)),
        words=frozen(words),
    )
