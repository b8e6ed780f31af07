"""A DecideRequest's bytes become numbers: names resolved through the catalogue, everything checked, the field at fault named.

It is the only decode path: Decide, the items of DecideBatch, the requests of a stream and Explain all come through `Requests.read`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError
from touchpoint.v1 import decision_service_pb2

from engine.base.keys import SubscriberKeys
from engine.catalogue.model import Catalogue
from engine.catalogue.slots import trigger_fields
from engine.catalogue.terms import ValueType
from engine.limits import OFFERS_PER_ANSWER_MAX, REQUEST_ID_BYTES_MAX, SUBSCRIBER_KEY_BYTES_MAX
from server.failure import invalid
from server.names import Index
from server.values import checked_text, instant_us, slot_value

NOTE_BYTES_MAX: Final = 128
"""Tool, agent and outlet."""
MALFORMED: Final = "expected the bytes of a touchpoint.v1.DecideRequest in UTF-8, were something else"


class FieldSlot(NamedTuple):
    """Where a trigger field goes in a batch, and its type."""

    slot: int
    type: ValueType


@dataclass(slots=True)
class Asked:
    """One request, resolved."""

    message: Any
    """The DecideRequest."""
    key: bytes
    """The subscriber's key, normalised."""
    trigger: int
    channel: int
    language: int
    """Index among the catalogue's languages, -1 when the request names none."""
    offers_max: int
    fields: list[tuple[int, int, int]]
    """(slot, value, nanos) of each trigger field."""
    time_us: int | None
    """The trigger's own time; None: now."""
    assumed_now_us: int | None
    body: int
    """64-bit digest of the whole request."""
    subscriber: int = 0
    """Filled by `hash_subscribers`, as is the next."""
    request: tuple[int, int] = (0, 0)


class Requests:
    """Reads requests for one rulebook; `code_of(slot, text)` numbers the strings of trigger fields."""

    def __init__(
        self, catalogue: Catalogue, keys: SubscriberKeys, secret: bytes, code_of: Callable[[int, str], int]
    ) -> None:
        self._keys = keys
        self._digest_key = blake2b(b"request digest", key=secret, digest_size=32).digest()
        self._code_of = code_of
        # Column 0 of a batch's fields is trigger.time.
        slots = {field.id: slot for slot, field in enumerate(trigger_fields(catalogue), start=1)}
        self._triggers = Index("trigger", [trigger.id for trigger in catalogue.triggers])
        self._placements = Index("placement", [trigger.id for trigger in catalogue.triggers if trigger.placement])
        self._channels = Index("channel", [channel.id for channel in catalogue.channels])
        self._languages = Index("language", catalogue.languages)
        self._fields = {
            trigger.id: {field.id: FieldSlot(slots[field.id], field.type) for field in trigger.fields}
            for trigger in catalogue.triggers
        }
        self._offers_max = {channel.id: channel.max_offers for channel in catalogue.channels}

    def read(self, payload: bytes) -> Asked:
        """Return what is asked; raises RefusedError."""
        try:
            message = decision_service_pb2.DecideRequest.FromString(payload)
        except DecodeError:
            raise invalid("", MALFORMED) from None
        if not 1 <= len(message.request_id.encode()) <= REQUEST_ID_BYTES_MAX:
            raise invalid(
                "request_id", f"expected 1 to {REQUEST_ID_BYTES_MAX} bytes, were {len(message.request_id.encode()):,}"
            )
        trigger, fields, time_us = self._occasion(message)
        channel = self._channels.number(message.channel, "channel")
        for note in ("tool", "agent", "outlet"):
            checked_text(getattr(message, note), note, NOTE_BYTES_MAX)
        return Asked(
            message=message,
            key=self.key(message.subscriber),
            trigger=trigger,
            channel=channel,
            language=self._languages.number(message.language, "language") if message.language else -1,
            offers_max=self._seats(message),
            fields=fields,
            time_us=time_us,
            assumed_now_us=_assumed_now(message),
            body=int.from_bytes(
                blake2b(message.SerializeToString(deterministic=True), digest_size=8).digest(), "little"
            ),
        )

    def hash_subscribers(self, asked: list[Asked]) -> None:
        """Fill subscriber hashes and request digests."""
        hashes = self.hashes([each.key for each in asked]).tolist()
        for each, subscriber in zip(asked, hashes, strict=True):
            each.subscriber = subscriber
            each.request = self.digest(each.message.request_id, subscriber)

    def key(self, subscriber: str) -> bytes:
        """Return the subscriber's key normalised; raises RefusedError, which never holds it."""
        if not 1 <= len(subscriber.encode()) <= SUBSCRIBER_KEY_BYTES_MAX:
            raise invalid(
                "subscriber", f"expected 1 to {SUBSCRIBER_KEY_BYTES_MAX} bytes, were {len(subscriber.encode()):,}"
            )
        try:
            return self._keys.normalise(subscriber)
        except ValueError as error:
            raise invalid("subscriber", str(error)) from None

    def hashes(self, keys: list[bytes]) -> npt.NDArray[np.uint64]:
        """Return the keyed hashes of normalised keys, (n,) uint64."""
        offsets = np.zeros(len(keys) + 1, np.int64)
        np.cumsum([len(key) for key in keys], out=offsets[1:])
        return self._keys.hash_bytes(np.frombuffer(b"".join(keys), np.uint8), offsets)

    def digest(self, name: str, subscriber: int) -> tuple[int, int]:
        """Return the keyed 128-bit digest of a request's or outcome's id and its subscriber, in two halves."""
        text = subscriber.to_bytes(8, "little") + name.encode()
        digest = blake2b(text, key=self._digest_key, digest_size=16).digest()
        return int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:], "little")

    def _occasion(self, message: Any) -> tuple[int, list[tuple[int, int, int]], int | None]:
        occasion = message.WhichOneof("occasion")
        if occasion == "placement":
            self._placements.number(message.placement, "placement")
            return self._triggers.number(message.placement, "placement"), [], None
        if occasion is None:
            raise invalid("trigger", "expected a trigger or a placement, was neither")
        event = message.trigger
        number = self._triggers.number(event.type, "trigger.type")
        time_us = instant_us(event.time, "trigger.time") if event.HasField("time") else None
        known = self._fields[event.type]
        return number, [self._field(event.type, known, name, value) for name, value in event.fields.items()], time_us

    def _field(self, trigger: str, known: dict[str, FieldSlot], name: str, value: Any) -> tuple[int, int, int]:
        path = f"trigger.fields[{name:.80}]"
        if name not in known:
            raise Index(f"field of {trigger}", sorted(known)).unknown(name, path)
        slot, type_ = known[name]
        return slot, *slot_value(value, type_, path, lambda text: self._code_of(slot, text))

    def _seats(self, message: Any) -> int:
        if not message.HasField("max_offers"):
            return min(self._offers_max[message.channel], OFFERS_PER_ANSWER_MAX)
        if not 1 <= message.max_offers <= OFFERS_PER_ANSWER_MAX:
            raise invalid("max_offers", f"expected 1 to {OFFERS_PER_ANSWER_MAX}, was {message.max_offers:,}")
        return int(message.max_offers)


def _assumed_now(message: Any) -> int | None:
    if not message.HasField("assumed_now"):
        return None
    if not message.dry_run:
        raise invalid("assumed_now", "expected only with dry_run or in Explain; take it out, or set dry_run")
    return instant_us(message.assumed_now, "assumed_now")
