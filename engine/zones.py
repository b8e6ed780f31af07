"""UTC offsets of IANA time zones for every instant of CEL's range (years 1 to 9999), from the pinned `tzdata` package.

Instants of change come from the package's TZif files (RFC 9636) as far as these list them; what follows them, a yearly rule, is found by
probing the standard library's `zoneinfo` and bisecting, up to PERIOD_END_S; beyond, the Gregorian calendar's 400-year period holds. Every
offset is what `zoneinfo` says at that instant. Rejected: probing alone, which can step over a short change (Morocco's Ramadan).
"""

import io
import re
import struct
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from importlib import resources
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from engine.dtypes.zone import EARLIEST_S, PERIOD_END_S, PERIOD_START_S, ZoneTables
from engine.jit import frozen

_FIRST_S: Final = -62_135_510_400
"""A day and a half into year 1: the earliest instant whose local time `datetime` can hold in every zone."""
_PROBE_S: Final = 61 * 86_400
"""Shorter than any stretch between two changes of a yearly rule (the shortest is over three months)."""
_NAME = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*")
_FIXED = re.compile(r"([+-]?)([01][0-9]|2[0-3]):([0-5][0-9])")

_HEADER: Final = struct.Struct(">4s1s15x6I")


def _file(zone: str) -> bytes:
    if _NAME.fullmatch(zone):
        path = resources.files("tzdata").joinpath("zoneinfo", *zone.split("/"))
        if path.is_file():
            data = path.read_bytes()
            if data[:4] == b"TZif":
                return data
    raise ValueError(
        f"time zone {zone!r}: expected an IANA name such as 'America/Chicago', or a fixed offset such as '+02:00'; correct the name"
    )


@lru_cache(maxsize=1024)
def zone_info(zone: str) -> ZoneInfo:
    """Return the zone for `datetime`, from the pinned data, so that every machine has the same rules; raises ValueError for an unknown name."""
    return ZoneInfo.from_file(io.BytesIO(_file(zone)), zone)


def _listed_changes(data: bytes) -> tuple[list[int], bool]:
    """Return the instants that a TZif file lists, and whether its footer has a yearly rule for what follows."""
    _, _, utc, standard, leap, times, kinds, characters = _HEADER.unpack_from(data)
    second = _HEADER.size + times * 5 + kinds * 6 + characters + leap * 8 + standard + utc
    _, version, utc, standard, leap, times, kinds, characters = _HEADER.unpack_from(data, second)
    assert version >= b"2", "tzdata ships version 2 or later"
    start = second + _HEADER.size
    footer = start + times * 9 + kinds * 6 + characters + leap * 12 + standard + utc
    return list(struct.unpack_from(f">{times}q", data, start)), b"," in data[footer:]


def _offset(zone: ZoneInfo, instant_s: int) -> int:
    offset = datetime.fromtimestamp(instant_s, zone).utcoffset()
    assert offset is not None
    return offset.days * 86_400 + offset.seconds


def _ruled_changes(zone: ZoneInfo, after_s: int) -> list[int]:
    """Return the instants of change in (after_s, PERIOD_END_S], found by probing and bisecting."""
    changes: list[int] = []
    low = after_s
    before = _offset(zone, low)
    while low < PERIOD_END_S:
        high = min(low + _PROBE_S, PERIOD_END_S)
        after = _offset(zone, high)
        if after != before:
            first, last = low, high
            while last - first > 1:
                middle = (first + last) // 2
                if _offset(zone, middle) == before:
                    first = middle
                else:
                    last = middle
            changes.append(last)
        low, before = high, after
    return changes


@lru_cache(maxsize=1024)
def offsets(zone: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """Return the zone's changes as (changes,) int64 whole seconds UTC, sorted, and (changes,) int32 offsets in seconds from each on.

    The first instant is EARLIEST_S. Exact for years 1 to 9999 when instants from PERIOD_END_S on are first moved back by whole PERIOD_S.
    `zone` is an IANA name or a fixed offset (`+02:00`, `-02:30`, `02:30`); anything else raises ValueError.
    """
    fixed = _FIXED.fullmatch(zone)
    if fixed:
        seconds = int(fixed[2]) * 3600 + int(fixed[3]) * 60
        return frozen(np.array([EARLIEST_S])), frozen(np.array([-seconds if fixed[1] == "-" else seconds], np.int32))
    data, info = _file(zone), zone_info(zone)
    listed, ruled = _listed_changes(data)
    instants = [instant for instant in listed if instant > _FIRST_S]
    assert not instants or instants[-1] < PERIOD_START_S, "every zone follows its yearly rule from PERIOD_START_S on"
    if ruled:
        instants += _ruled_changes(info, instants[-1] if instants else 0)
    values = [_offset(info, instant) for instant in [_FIRST_S, *instants]]
    kept = [0, *(i for i in range(1, len(values)) if values[i] != values[i - 1])]
    starts = [EARLIEST_S, *instants]
    return frozen(np.array([starts[i] for i in kept], np.int64)), frozen(np.array([values[i] for i in kept], np.int32))


def bind_zones(names: Sequence[str], *, strict: bool = True) -> ZoneTables:
    """Return the tables of the named zones, in order; an unknown name raises ValueError, or is an empty range when not `strict`."""
    parts: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]] = []
    for name in names:
        try:
            parts.append(offsets(name))
        except ValueError:
            if strict:
                raise
            parts.append((np.zeros(0, np.int64), np.zeros(0, np.int32)))
    start = np.zeros(len(parts) + 1, np.int64)
    np.cumsum([len(instants) for instants, _ in parts], out=start[1:])
    none = (np.zeros(0, np.int64), np.zeros(0, np.int32))
    return ZoneTables(
        start=frozen(start),
        instants=frozen(np.concatenate([none[0], *(instants for instants, _ in parts)])),
        offsets=frozen(np.concatenate([none[1], *(values for _, values in parts)])),
    )
