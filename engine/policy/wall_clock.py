"""Local wall-clock date-times to instants and back, for whole arrays, exact at every change of offset."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from engine.breathing import breathe
from engine.limits import MICROSECONDS_PER_DAY, MICROSECONDS_PER_SECOND
from engine.zones import offsets

Instants = npt.NDArray[np.int64]


class Horizon(NamedTuple):
    """The span of instants, half-open, that tables cover; rebuilt before time leaves it."""

    start_us: int
    end_us: int

    def days(self) -> npt.NDArray[np.int64]:
        """Return every date (days since 1970-01-01) that is local anywhere in the horizon, with two days to spare on each side."""
        first = self.start_us // MICROSECONDS_PER_DAY - 3
        return np.arange(first, self.end_us // MICROSECONDS_PER_DAY + 4, dtype=np.int64)


class Segments(NamedTuple):
    """Stretches of one constant UTC offset: [start_us[i], end_us[i]) has offset_us[i]."""

    start_us: Instants
    end_us: Instants
    offset_us: Instants


def segments(zone: str, horizon: Horizon) -> Segments:
    """Return the stretches of constant offset of `zone` that cover the horizon and five days around it."""
    breathe()
    starts_s, offsets_s = offsets(zone)
    margin_us = 5 * MICROSECONDS_PER_DAY
    first = int(np.searchsorted(starts_s, (horizon.start_us - margin_us) // MICROSECONDS_PER_SECOND, "right")) - 1
    last = int(np.searchsorted(starts_s, (horizon.end_us + margin_us) // MICROSECONDS_PER_SECOND, "right"))
    start_us = starts_s[first:last].astype(np.int64) * MICROSECONDS_PER_SECOND
    start_us[0] = horizon.start_us - margin_us
    end_us = np.append(start_us[1:], horizon.end_us + margin_us)
    return Segments(start_us, end_us, offsets_s[first:last].astype(np.int64) * MICROSECONDS_PER_SECOND)


def instants_of(local_us: Instants, zone: Segments) -> Instants:
    """Return when each local date-time (microseconds since local 1970-01-01) happens.

    A repeated one: its first pass. A skipped one: by the offset before the skip (PEP 495, fold=0).
    """
    local_end = zone.end_us + zone.offset_us
    index = np.minimum(_first_after(np.maximum.accumulate(local_end), local_us), len(local_end) - 1)
    skipped = (local_us < zone.start_us[index] + zone.offset_us[index]) & (index > 0)
    return local_us - zone.offset_us[np.where(skipped, index - 1, index)]


def intervals_of(local_from_us: Instants, local_until_us: Instants, zone: Segments) -> tuple[Instants, Instants]:
    """Return the instants whose wall clock lies in any of the half-open local intervals: both passes of a repeated hour are in.

    As sorted, disjoint intervals that do not touch.
    """
    froms = [np.clip(local_from_us - o, s, e) for s, e, o in zip(*zone, strict=True)]
    untils = [np.clip(local_until_us - o, s, e) for s, e, o in zip(*zone, strict=True)]
    return merged(np.concatenate(froms), np.concatenate(untils))


def merged(froms: Instants, untils: Instants) -> tuple[Instants, Instants]:
    """Return the union of half-open intervals as sorted, disjoint intervals that do not touch; empty ones vanish."""
    kept = froms < untils
    froms, untils = froms[kept], untils[kept]
    if not len(froms):
        return froms, untils
    order = np.argsort(froms, kind="stable")
    froms, untils = froms[order], np.maximum.accumulate(untils[order])
    opens = np.append(True, froms[1:] > untils[:-1])
    return froms[opens], untils[np.append(np.flatnonzero(opens)[1:] - 1, len(untils) - 1)]


def _first_after(ends: Instants, local_us: Instants) -> npt.NDArray[np.int64]:
    return np.searchsorted(ends, local_us, "right").astype(np.int64)
