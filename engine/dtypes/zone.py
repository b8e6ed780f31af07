"""UTC offsets of a list of time zones, as one table that kernels search.

    zone z -> instants[start[z] : start[z + 1]]     sorted, whole seconds UTC; the first is EARLIEST_S
              offsets[same range]                   seconds to add to UTC from that instant on

12 bytes a change, about 1,100 changes for a zone with summer time. From PERIOD_END_S on, an offset is that of the same instant of the
400-year Gregorian cycle before it (engine.zones shows that every zone follows its yearly rule there). An empty range marks a name that is
no zone; only `touchpoint eval` makes one.
"""

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from engine.jit import bundle, read_only

EARLIEST_S: Final = -(1 << 62)
PERIOD_S: Final = 146_097 * 86_400
"""400 Gregorian years, a whole number of weeks: every date has the same weekday again."""
PERIOD_START_S: Final = 4_102_444_800
"""2100-01-01T00:00:00Z."""
PERIOD_END_S: Final = PERIOD_START_S + PERIOD_S


class ZoneTables(NamedTuple):
    """The zones of a rulebook in the order of their names; Z zones, T changes in all."""

    start: npt.NDArray[np.int64]
    """(Z + 1,)"""
    instants: npt.NDArray[np.int64]
    """(T,): seconds since 1970-01-01 UTC."""
    offsets: npt.NDArray[np.int32]
    """(T,): seconds east of UTC."""


ZONE_TABLES_TYPE: Any = bundle(ZoneTables, read_only(np.int64), read_only(np.int64), read_only(np.int32))
