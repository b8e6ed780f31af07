"""The tables that requests are read by, made once for a rulebook bound to a base."""

from typing import Final

import numpy as np

from engine.bound import Bound
from engine.catalogue.terms import ValueType
from engine.jit import frozen
from engine.limits import OFFERS_PER_ANSWER_MAX
from server.codec.kernels.message import BOOL, DOUBLE, DURATION, INT, STRING, TIMESTAMP
from server.codec.kernels.naming import index_names
from server.codec.request_tables import CHANNEL, FIELD, LANGUAGE, PLACEMENT, TRIGGER, Coded, Names, Tables
from server.subscriber_hashes import SubscriberHashes

CODED_MAX: Final = 1 << 14
CODED_BYTES_MAX: Final = 1 << 19
"""Strings kept at once, and their bytes: what has no room goes the slow way, whose interner has it."""
_KINDS: Final = {
    ValueType.BOOL: BOOL,
    ValueType.INT: INT,
    ValueType.DOUBLE: DOUBLE,
    ValueType.STRING: STRING,
    ValueType.TIMESTAMP: TIMESTAMP,
    ValueType.DURATION: DURATION,
}


def names_of(known: list[tuple[int, str, int]]) -> Names:
    """Return the table of (kind, name, number); no name of a kind is there twice."""
    texts = [name.encode() for _, name, _ in known]
    kind = frozen(np.array([kind for kind, _, _ in known], np.int32))
    start = frozen(np.cumsum([0, *map(len, texts)], dtype=np.int64))
    data = frozen(np.frombuffer(b"".join(texts), np.uint8))
    slots = np.full(_slots(len(texts)), -1, np.int32)
    with np.errstate(over="ignore"):
        index_names(slots, kind, start, data)
    return Names(frozen(slots), kind, frozen(np.array([number for _, _, number in known], np.int32)), start, data)


def tables_of(bound: Bound, hashes: SubscriberHashes) -> Tables:
    """Return the tables for one rulebook bound to a base, and one secret."""
    catalogue, columns = bound.rulebook.catalogue, bound.field_index
    triggers = list(enumerate(catalogue.triggers))
    names = [
        *((TRIGGER, trigger.id, number) for number, trigger in triggers),
        *((PLACEMENT, trigger.id, number) for number, trigger in triggers if trigger.placement),
        *((CHANNEL, channel.id, number) for number, channel in enumerate(catalogue.channels)),
        *((LANGUAGE, language, number) for number, language in enumerate(catalogue.languages)),
        *((FIELD, field, columns[field]) for field in {f.id for _, trigger in triggers for f in trigger.fields}),
    ]
    kinds = np.zeros((len(triggers), len(columns)), np.uint8)
    for number, trigger in triggers:
        for field in trigger.fields:
            kinds[number, columns[field.id]] = _KINDS[field.type]
    asks = bound.conditions.interner.asks
    return Tables(
        names=names_of(names),
        field_kind=frozen(kinds),
        field_coded=frozen(np.array([asks(bound.field_slot + c) for c in range(len(columns))], np.uint8)),
        offers_max=frozen(np.array([min(c.max_offers, OFFERS_PER_ANSWER_MAX) for c in catalogue.channels], np.int32)),
        keys=hashes.words,
        digits_only=frozen(np.array([hashes.digits_only], np.uint8)),
    )


def new_coded(entries: int = CODED_MAX, data_bytes: int = CODED_BYTES_MAX) -> Coded:
    """Return room for so many strings and bytes, empty."""
    return Coded(
        slots=np.full(_slots(entries), -1, np.int32),
        column=np.zeros(entries, np.int32),
        code=np.zeros(entries, np.int32),
        at=np.zeros(entries, np.int64),
        size=np.zeros(entries, np.int64),
        data=np.zeros(data_bytes, np.uint8),
        used=np.zeros(2, np.int64),
    )


def _slots(entries: int) -> int:
    return 1 << (2 * entries).bit_length()
