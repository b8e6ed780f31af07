"""A DecideRequest's bytes become numbers: names resolved through the catalogue, everything checked, the field at fault named.

Requests in their usual form never come here: kernels read them (server/codec/reader.py), with the same result row for row. This is where every
other form is read, and where every error is made.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from google.protobuf.message import DecodeError
from touchpoint.v1 import decision_service_pb2

from engine.bound import Bound
from engine.catalogue.terms import ValueType
from engine.limits import OFFERS_PER_ANSWER_MAX, REQUEST_ID_BYTES_MAX
from server.codec.bounds import NOTE_BYTES_MAX
from server.failure import invalid
from server.names import Index
from server.subscriber_hashes import SubscriberHashes
from server.values import checked_text, instant_us, slot_value

ASSUMED_MIN_US: Final = 946_684_800_000_000
ASSUMED_MAX_US: Final = 4_102_444_800_000_000
"""2000-01-01 and 2100-01-01, UTC: what-ifs need no more, and calendars are made for the years around them."""
MALFORMED: Final = "expected the bytes of a touchpoint.v1.DecideRequest in UTF-8, were something else"


class FieldSlot(NamedTuple):
    """Which column of a batch a trigger field goes to, and its type."""

    column: int
    type: ValueType


@dataclass(slots=True)
class Question:
    """One request, resolved."""

    text: bytes
    """The DecideRequest in usual form: each field once, nothing but what is known here."""
    key: bytes
    """The subscriber's key, normalised."""
    trigger: int
    channel: int
    language: int
    """Index among the catalogue's languages, -1 when the request names none."""
    offers_max: int
    dry_run: bool
    fields: list[tuple[int, int, int]]
    """(column, value, nanos) of each trigger field."""
    time_us: int | None
    """The trigger's own time; None: now."""
    assumed_now_us: int | None


class Requests:
    """Reads requests for one rulebook; `code_of(column, text)` numbers the strings of trigger fields."""

    def __init__(self, bound: Bound, hashes: SubscriberHashes, code_of: Callable[[int, str], int]) -> None:
        catalogue = bound.rulebook.catalogue
        self._hashes = hashes
        self._code_of = code_of
        self._triggers = Index("trigger", [trigger.id for trigger in catalogue.triggers])
        self._placements = Index("placement", [trigger.id for trigger in catalogue.triggers if trigger.placement])
        self._channels = Index("channel", [channel.id for channel in catalogue.channels])
        self._languages = Index("language", catalogue.languages)
        self._fields = {
            trigger.id: {field.id: FieldSlot(bound.field_index[field.id], field.type) for field in trigger.fields}
            for trigger in catalogue.triggers
        }
        self._offers_max = {channel.id: channel.max_offers for channel in catalogue.channels}

    def read(self, payload: bytes) -> Question:
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
        key = self._hashes.key(message.subscriber)
        language = self._languages.number(message.language, "language") if message.language else -1
        seats, assumed_now_us = self._seats(message), _assumed_now(message)
        message.DiscardUnknownFields()
        return Question(
            text=message.SerializeToString(deterministic=True),
            key=key,
            trigger=trigger,
            channel=channel,
            language=language,
            offers_max=seats,
            dry_run=message.dry_run,
            fields=fields,
            time_us=time_us,
            assumed_now_us=assumed_now_us,
        )

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
        column, type_ = known[name]
        return column, *slot_value(value, type_, path, lambda text: self._code_of(column, text))

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
    assumed_us = instant_us(message.assumed_now, "assumed_now")
    if not ASSUMED_MIN_US <= assumed_us < ASSUMED_MAX_US:
        raise invalid("assumed_now", "expected an instant in the years 2000 to 2099")
    return assumed_us
