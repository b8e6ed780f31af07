"""Until when a subscriber's state matters to anybody: when Redis may let its key go."""

from typing import Final

import numpy as np
import numpy.typing as npt

from engine.dtypes.ledger import (
    ACCEPTED_FOR,
    COUNTED_FOR,
    DECIDED_FOR,
    FOREVER_US,
    LATE_FOR,
    NOT_NOW_FOR,
    REFUSED_FOR,
)
from engine.limits import MICROSECONDS_PER_DAY, NEVER_US

_MATTERS: Final = (
    ("expires_us", LATE_FOR),
    ("expires_us", COUNTED_FOR),
    ("granted_us", DECIDED_FOR),
    ("handed_off_us", COUNTED_FOR),
    ("seen_us", COUNTED_FOR),
    ("accepted_us", COUNTED_FOR),
    ("accepted_us", ACCEPTED_FOR),
    ("refused_us", REFUSED_FOR),
    ("not_now_us", NOT_NOW_FOR),
)
_FOREVER_US: Final = 1 << 61


def new_hold_until_us(retention: npt.NDArray[np.int64], expires_us: int, now_us: int) -> int:
    """Return when holds granted now, which end by `expires_us`, and their answers matter no more if nothing else happens; FOREVER_US."""
    longest = int(max(retention[COUNTED_FOR], retention[DECIDED_FOR], retention[LATE_FOR], MICROSECONDS_PER_DAY))
    return FOREVER_US if longest >= _FOREVER_US else max(expires_us, now_us) + longest


def matters_until_us(retention: npt.NDArray[np.int64], records: npt.NDArray[np.void], now_us: int) -> int:
    """Return when the contacts, and what is remembered now, matter no more; FOREVER_US."""
    until_us = now_us + MICROSECONDS_PER_DAY
    for field, word in _MATTERS:
        at_us = int(records[field].max(initial=NEVER_US))
        if at_us != NEVER_US:
            if int(retention[word]) >= _FOREVER_US:
                return FOREVER_US
            until_us = max(until_us, at_us + int(retention[word]))
    return until_us


def ends_ms(until_us: int) -> bytes:
    """Return the end of a key as Redis is told it: the millisecond after; nothing for never."""
    return b"" if until_us >= _FOREVER_US else b"%d" % (until_us // 1_000 + 1)
