"""Offsets against `zoneinfo`, for every zone of the pinned tzdata."""

import io
import random
import time
from datetime import datetime
from importlib import resources
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from engine.dtypes.zone import PERIOD_END_S, PERIOD_START_S
from engine.kernels.cel_zone import NO_ZONE, utc_offset_s
from engine.zones import bind_zones, offsets

FIRST_S, LAST_S = -62_135_510_400, 253_402_214_400
ZONES = sorted(resources.files("tzdata").joinpath("zones").read_text().split())


def said_by_zoneinfo(name: str, instants: list[int]) -> list[int]:
    data = resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).read_bytes()
    zone = ZoneInfo.from_file(io.BytesIO(data), name)
    found = []
    for instant in instants:
        offset = datetime.fromtimestamp(instant, zone).utcoffset()
        assert offset is not None
        found.append(int(offset.total_seconds()))
    return found


def instants_to_ask(name: str, count: int) -> list[int]:
    rng = random.Random(name)
    changes = [int(i) for i in offsets(name)[0][1:]]
    near = [c + d for c in rng.sample(changes, min(count, len(changes))) for d in (-1, 0, 1)]
    far = [i + 12_622_780_800 * rng.randrange(1, 19) for i in near if i > PERIOD_START_S]
    edges = [FIRST_S, LAST_S, PERIOD_START_S, PERIOD_END_S - 1, PERIOD_END_S, PERIOD_END_S + 1]
    everywhere = [rng.randrange(FIRST_S, LAST_S) for _ in range(count)] + [
        rng.randrange(0, 2_500_000_000) for _ in range(count)
    ]
    return [i for i in near + far + edges + everywhere if FIRST_S <= i <= LAST_S]


def check(names: list[str], count: int) -> None:
    for name in names:
        tables = bind_zones([name])
        instants = instants_to_ask(name, count)
        assert [utc_offset_s(tables, 0, i) for i in instants] == said_by_zoneinfo(name, instants), name


AWKWARD = [
    "Africa/Cairo",
    "Africa/Casablanca",
    "America/Santiago",
    "Asia/Gaza",
    "Australia/Lord_Howe",
    "Europe/Dublin",
    "Pacific/Apia",
]


def test_offsets_of_every_tenth_zone() -> None:
    check([*AWKWARD, *ZONES[::10]], 20)


@pytest.mark.long
def test_offsets_of_every_zone() -> None:
    assert len(ZONES) > 550
    check(ZONES, 300)


def test_offsets_of_ramadan_gaps_are_kept() -> None:
    instants, values = offsets("Africa/Casablanca")
    lengths = np.diff(instants[-60:])
    assert lengths.min() < 45 * 86_400
    assert set(values[-20:].tolist()) == {0, 3600}


def test_offsets_of_a_fixed_form() -> None:
    assert [int(offsets(text)[1][0]) for text in ("+02:00", "-02:30", "05:45", "UTC")] == [7200, -9000, 20700, 0]


@pytest.mark.parametrize(
    "name", ["", "Mars/Olympus", "../UTC", "America", "+2:00", "+24:00", "tzdata.zi", "UTC\n", "+02:00\n"]
)
def test_offsets_of_an_unknown_name_say_what_to_do(name: str) -> None:
    with pytest.raises(ValueError, match="expected an IANA name"):
        offsets(name)


def test_bind_zones_keeps_the_order_of_names() -> None:
    tables = bind_zones(["Asia/Kolkata", "UTC", "+01:00"])
    assert [utc_offset_s(tables, z, 1_700_000_000) for z in range(3)] == [19800, 0, 3600]


def test_utc_offset_without_a_zone() -> None:
    tables = bind_zones(["UTC", "Mars/Olympus"], strict=False)
    assert [utc_offset_s(tables, z, 0) for z in (-1, 0, 1, 2)] == [NO_ZONE, 0, NO_ZONE, NO_ZONE]


def test_bind_zones_of_no_names() -> None:
    assert utc_offset_s(bind_zones([]), 0, 0) == NO_ZONE


def test_building_a_zone_is_quick() -> None:
    offsets.cache_clear()
    start = time.perf_counter()
    for name in AWKWARD:
        offsets(name)
    assert (time.perf_counter() - start) / len(AWKWARD) < 0.25
