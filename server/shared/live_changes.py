"""Live changes of subscribers, which all replicas have to know: kept in Redis by what is changed, applied here when a subscriber is next at hand.

What is kept of a name is the last that was said of it, by the rules of the overlay: a refusal ends with a later grant alone. What the base here covers
is not applied again, as the overlay would drop it.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

import msgspec

from engine.base.overlay import OverlayFullError, Write
from engine.base.snapshot import Snapshot
from engine.dtypes.base import GRANT, REFUSE, WITHDRAW
from engine.engine import Engine
from server.logs import log

assert (GRANT, REFUSE, WITHDRAW) == (8, 9, 10), "as in library.lua"
_BETWEEN: Final = b"\x00"
_encode: Final = msgspec.msgpack.encode
_decode: Final = msgspec.msgpack.Decoder(tuple[int, str, str]).decode


def words_of(writes: Sequence[Write], at_us: int) -> list[bytes]:
    """Return what was written as the arguments of the function `change`: name, kind, instant and value, again and again."""
    words = []
    for write in writes:
        name = write.family.encode() + _BETWEEN + write.name.encode()
        value = _encode((write.value, write.value_family, write.value_name))
        words += [name, b"%d" % write.kind, b"%d" % at_us, value]
    return words


def apply(engine: Engine, subscriber: int, found: dict[bytes, bytes]) -> bool:
    """Have the overlay hold what was found of a subscriber, as far as the base does not cover it; return False when it has no room."""
    if engine.overlay.is_erased(subscriber):
        return True
    as_of_us = _as_of_us(engine.snapshot, subscriber)
    by_instant: dict[int, list[Write]] = defaultdict(list)
    for name, text in found.items():
        kind, instant, value = text.split(b" ", 2)
        if int(instant) > as_of_us or int(kind) in (REFUSE, WITHDRAW):
            by_instant[int(instant)].append(_write(name, int(kind), value))
    try:
        for at_us, writes in sorted(by_instant.items()):
            engine.overlay.write(subscriber, writes, at_us)
    except OverlayFullError as error:
        log().error("a live change by way of another replica cannot be noted, so nothing is offered", why=str(error))
        return False
    return True


def _write(name: bytes, kind: int, value: bytes) -> Write:
    family, _, what = name.partition(_BETWEEN)
    number, value_family, value_name = _decode(value)
    return Write(kind, family.decode(), what.decode(), number, value_family, value_name)


def _as_of_us(snapshot: Snapshot, subscriber: int) -> int:
    row = snapshot.find(subscriber)
    return snapshot.manifest.as_of_us if row < 0 else snapshot.row_as_of_us(row)
