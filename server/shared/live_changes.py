"""Live changes of subscribers, which all replicas have to know: kept in Redis by what is changed, applied here when a subscriber is next at hand.

What is kept of a name is the last that was said of it, and under which base, by the rules of the overlay: a refusal ends with a later grant alone. What
the base here covers is not applied, as the overlay would drop it.
"""

from collections import defaultdict
from collections.abc import Sequence
from operator import itemgetter
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
_decode: Final = msgspec.msgpack.Decoder(tuple[_Word, str, str, str]).decode


def words_of(writes: Sequence[Write], at_us: int, base: str) -> list[bytes]:
    """Return what was written, told under that base, as the arguments of the function `change`: name, kind, instant and value, again and again."""
    words = []
    for write in writes:
        name = write.family.encode() + _BETWEEN + write.name.encode()
        value = _encode((write.value, write.value_family, write.value_name, base))
        words += [name, b"%d" % write.kind, b"%d" % at_us, value]
    return words


def apply(engine: Engine, subscriber: int, found: dict[bytes, bytes]) -> str:
    """Have the overlay hold what was found of a subscriber, as far as the base does not cover it; return why it does not, empty when it does."""
    if engine.overlay.is_erased(subscriber):
        return ""
    as_of_us = _as_of_us(engine.snapshot, subscriber)
    told: dict[tuple[int, str], list[Write]] = defaultdict(list)
    try:
        for name, text in found.items():
            at_us, base, write = _change_of(name, text)
            if at_us > as_of_us or write.kind in (REFUSE, WITHDRAW) or base == engine.snapshot.version:
                told[at_us, base].append(write)
        for (at_us, base), writes in sorted(told.items(), key=itemgetter(0)):
            engine.overlay.write(subscriber, writes, at_us, base)
    except (OverlayFullError, ValueError, msgspec.DecodeError) as error:
        return str(error)
    return ""


def _change_of(name: bytes, text: bytes) -> tuple[int, str, Write]:
    """Return the instant, the base under which it was told, and what was written; raises ValueError or msgspec.DecodeError when somebody else wrote it."""
    kind, instant, value = text.split(b" ", 2)
    if int(kind) not in range(SET_LABEL, WITHDRAW + 1) or not -_FAR_US < int(instant) < _FAR_US:
        raise ValueError("it is no change")
    family, _, what = name.partition(_BETWEEN)
    number, value_family, value_name, base = _decode(value)
    return int(instant), base, Write(int(kind), family.decode(), what.decode(), number, value_family, value_name)


def _as_of_us(snapshot: Snapshot, subscriber: int) -> int:
    row = snapshot.find(subscriber)
    return snapshot.manifest.as_of_us if row < 0 else snapshot.row_as_of_us(row)
