"""A shard's part of a base: the parts make the whole, and what a shard brings into memory is its part alone, measured by the system."""

import random
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from engine.base.binding import Binding
from engine.base.overlay import Overlay
from engine.base.records import Records, Texts
from engine.base.snapshot import Snapshot, open_current
from engine.base.write import write_snapshot
from engine.shard import WHOLE, Shard
from tests.engine.base.world import AS_OF_US, KEYS, build, random_people, schema_with

ROWS = 400_000
OF = 4
READ_AROUND_BYTES = 2 << 20
"""What the system may bring along of one file at the ends of what was asked for."""


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base of many subscribers of whom little is known."""
    folder, schema = tmp_path_factory.mktemp("large"), schema_with(600, ())
    hashes = np.random.default_rng(7).integers(0, 1 << 64, ROWS, np.uint64, endpoint=False)
    records = Records(schema, ROWS, has_as_of=False)
    records.set_keys(hashes, hashes, np.arange(ROWS, dtype=np.int64))
    write_snapshot(folder, records, Texts([], [], []), KEYS, as_of_us=AS_OF_US, has_as_of=False)
    return folder


def _mapped(snapshot: Snapshot) -> list[npt.NDArray[np.uint8]]:
    return [array.view(np.uint8) for array in (snapshot.rows.directory, snapshot.rows.hashes, snapshot.rows.r8)]


def _resident(snapshot: Snapshot) -> int:
    """Return how many bytes of the snapshot's files this process has in memory: Rss in smaps."""
    total, ours = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if "-" in line.split(" ")[0] and not line.split(" ")[0].endswith(":"):
            ours = str(snapshot.folder) in line
        elif ours and line.startswith("Rss:"):
            total += 1_024 * int(line.split()[1])
    return total


@pytest.mark.parametrize("people", [0, 1, 50, 700])
@pytest.mark.parametrize("of", [1, 2, 5])
def test_the_parts_are_the_whole(tmp_path: Path, people: int, of: int) -> None:
    whole = build(tmp_path, schema_with(5), random_people(random.Random(people), schema_with(5), people))
    hashes = whole.rows.hashes
    end = 0
    for number in range(of):
        shard = Shard(number, of)
        part = open_current(tmp_path, KEYS, shard)
        own = part.own_rows
        assert own.start == end
        assert all(shard.owner(int(hash_)) == number for hash_ in hashes[own.start : own.stop])
        assert part.bytes <= whole.bytes
        end = own.stop
    assert end == people


def test_only_a_shards_part_comes_into_memory(large: Path) -> None:
    shard = Shard(2, OF)
    snapshot = open_current(large, KEYS, shard)
    before = _resident(snapshot)
    snapshot.preload()
    Binding(snapshot, schema_with(600, ()), Overlay(4, 8)).label_density()
    resident = _resident(snapshot)
    part = sum(each.nbytes for _, each, _ in snapshot._parts())
    whole = sum(each.nbytes for each in _mapped(snapshot))
    assert abs(part - whole / OF) < whole / OF / 10
    assert before < READ_AROUND_BYTES
    assert part <= resident < part + 3 * READ_AROUND_BYTES < whole / 2
    other = open_current(large, KEYS)
    other.preload()
    assert _resident(other) >= whole + part, "both are mapped in this process"


def test_a_shards_room_is_that_of_its_part(large: Path) -> None:
    whole, part = open_current(large, KEYS, WHOLE), open_current(large, KEYS, Shard(0, OF))
    mapped = sum(each.nbytes for each in _mapped(whole))
    assert abs(part.bytes - (whole.bytes - mapped + mapped / OF)) < mapped / OF / 10
