"""Requests read both ways: by kernels where they can, and all in Python; what differs is a mistake."""

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from touchpoint.v1 import decision_service_pb2 as pb

from engine.base.keys import SubscriberKeys, read_secret
from engine.base.overlay import Overlay
from engine.base.snapshot import open_current
from engine.engine import Engine
from engine.ledger.answers import RingAnswers
from engine.ledger.memory import MemoryLedger
from engine.rulebook import load_rulebook
from loaders.msisdn import parse_number
from server.codec.items import Items, items_of
from server.codec.reader import Reader, Reading
from server.subscriber_hashes import SubscriberHashes
from tests.server.operator_fixture import Operator

NOW_US: Final = 1_790_000_000_123_456


class Row(NamedTuple):
    """One row, as plain values."""

    request: list[int]
    body: int
    subscriber: int
    trigger: int
    channel: int
    offers_max: int
    flags: int
    now_us: int
    fields: dict[int, tuple[int, int]]
    language: int
    wants: int
    request_id: bytes
    message: Any


class PythonReader(Reader):
    """Leaves nothing to kernels."""

    def _read_usual(self, text: npt.NDArray[np.uint8], count: int, now_us: int) -> int:
        self._columns.odd[:count] = 1
        return count


class KernelReader(Reader):
    """Remembers what the kernels took."""

    taken: npt.NDArray[np.bool_]

    def _read_usual(self, text: npt.NDArray[np.uint8], count: int, now_us: int) -> int:
        odd = super()._read_usual(text, count, now_us)
        self.taken = self._columns.odd[:count] == 0
        assert odd == count - self.taken.sum()
        return odd


class BothWays:
    """Two readers of one bound rulebook."""

    def __init__(self, operator: Operator, kind: str = "msisdn") -> None:
        secret = read_secret(operator.key_secret_file)
        own = SubscriberKeys(secret, "msisdn", "US", parse_number)
        snapshot = open_current(operator.base, own)
        ledger = MemoryLedger(1_000, RingAnswers(1 << 20), outcomes_max=100, now_us=NOW_US)
        self.engine = Engine(load_rulebook(operator.rulebook), snapshot, Overlay(), ledger, NOW_US)
        keys = own if kind == "msisdn" else SubscriberKeys(secret, "opaque")
        self.hashes = SubscriberHashes(keys, secret)
        self.kernels = KernelReader(self.engine.bound, self.hashes, self.engine.new_batch())
        self.python = PythonReader(self.engine.bound, self.hashes, self.engine.new_batch())

    def compare(self, payloads: list[bytes]) -> list[Row]:
        """Return the rows, having shown that both ways give the same rows and failures, whatever lies around the items."""
        slow = self.python.read(items_of(payloads), NOW_US)
        expected = rows_of(slow)
        found = []
        for items in (items_of(payloads), apart(payloads, b"\x0a\x01\x80"), apart(payloads, b"\xff")):
            fast = self.kernels.read(items, NOW_US)
            assert {item: failure.message for item, failure in fast.failures.items()} == {
                item: failure.message for item, failure in slow.failures.items()
            }
            found.append(rows_of(fast))
            assert found[-1] == expected
            # A request that brought a string for the first time went the slow way; from then on the kernels know it.
        return found[0]


def apart(payloads: list[bytes], between: bytes) -> Items:
    """Return the items with other bytes before, between and after them."""
    text, at = bytearray(between), []
    for payload in payloads:
        at.append(len(text))
        text += payload + between
    return Items(bytes(text), np.array(at, np.int64), np.array([len(p) for p in payloads], np.int32))


def rows_of(reading: Reading) -> list[Row]:
    batch, asked = reading.batch, reading.asked
    return [
        Row(
            request=batch.request[row].tolist(),
            fields={
                int(column): (int(batch.field_values[row, column]), int(batch.field_nanos[row, column]))
                for column in np.flatnonzero(batch.field_known[row])
            },
            request_id=span(asked.text, asked.id_at[row], asked.id_bytes[row]),
            message=known(span(asked.text, asked.item_at[row], asked.item_bytes[row])),
            language=int(asked.language[row]),
            wants=int(asked.flags[row]),
            **{
                name: int(getattr(batch, name)[row])
                for name in ("body", "subscriber", "trigger", "channel", "offers_max", "flags", "now_us")
            },
        )
        for row in range(batch.count)
    ]


def span(text: npt.NDArray[np.uint8], at: int, size: int) -> bytes:
    return text[at : at + size].tobytes()


def known(payload: bytes) -> Any:
    """Return the message without what is not known of it."""
    message = pb.DecideRequest.FromString(payload)
    message.DiscardUnknownFields()
    return message
