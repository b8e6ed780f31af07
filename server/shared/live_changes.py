"""Live changes of subscribers, which all replicas have to know: kept in Redis by what is changed, applied here when a subscriber is next at hand.

What is kept of a name is the last that was said of it, by the rules of the overlay: a refusal ends with a later grant alone. What the base here covers
is not applied again, as the overlay would drop it.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Annotated, Final

import msgspec

from engine.base.overlay import OverlayFullError, Write
from engine.base.snapshot import Snapshot
from engine.dtypes.base import GRANT, REFUSE, SET_LABEL, WITHDRAW
from engine.engine import Engine

assert (GRANT, REFUSE, WITHDRAW) == (8, 9, 10), "as in library.lua"
_FAR_US: Final = 1 << 62
_BETWEEN: Final = b"\x00"
_encode: Final = msgspec.msgpack.encode
_Word = Annotated[int, msgspec.Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
_decode: Final = msgspec.msgpack.Decoder(tuple[_Word, str, str]).decode


def words_of(writes: Sequence[Write], at_us: int) -> list[bytes]:
    """Return what was written as the arguments of the function `change`: name, kind, instant and value, again and again."""
    words = []
    for write in writes:
        name = write.family.encode() + _BETWEEN + write.name.encode()
        value = _encode((write.value, write.value_family, write.value_name))
        words += [name, b"%d" % write.kind, b"%d" % at_us, value]
    return words


def apply(engine: Engine, subscriber: int, found: dict[bytes, bytes]) -> str:
    """Have the overlay hold what was found of a subscriber, as far as the base does not cover it; return why it does not, empty when it does."""
    if engine.overlay.is_erased(subscriber):
        return ""
    as_of_us = _as_of_us(engine.snapshot, subscriber)
    by_instant: dict[int, list[Write]] = defaultdict(list)
    try:
        for name, text in found.items():
            at_us, write = _change_of(name, text)
            if at_us > as_of_us or write.kind in (REFUSE, WITHDRAW):
                by_instant[at_us].append(write)
        for at_us, writes in sorted(by_instant.items()):
            engine.overlay.write(subscriber, writes, at_us)
    except (OverlayFullError, ValueError, msgspec.DecodeError) as error:
        return str(error)
    return ""


def _change_of(name: bytes, text: bytes) -> tuple[int, Write]:
    """Return the instant and what was written then; raises ValueError or msgspec.DecodeError when somebody else wrote it."""
    kind, instant, value = text.split(b" ", 2)
    if int(kind) not in range(SET_LABEL, WITHDRAW + 1) or not -_FAR_US < int(instant) < _FAR_US:
        raise ValueError("it is no change")
    family, _, what = name.partition(_BETWEEN)
    number, value_family, value_name = _decode(value)
    return int(instant), Write(int(kind), family.decode(), what.decode(), number, value_family, value_name)


def _as_of_us(snapshot: Snapshot, subscriber: int) -> int:
    row = snapshot.find(subscriber)
    return snapshot.manifest.as_of_us if row < 0 else snapshot.row_as_of_us(row)
