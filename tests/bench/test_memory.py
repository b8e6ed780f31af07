"""The bench of a base's memory in its smallest size: what is resident is seen, and attaching reads no rows."""

import mmap
import os
from pathlib import Path

import numpy as np
import pytest

from bench.memory import FIGURES, run
from bench.resident import mapped, status_bytes
from bench.sizes import Sizes


@pytest.fixture(name="small_cache")
def _small_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("bench.worlds.cache_folder", lambda: tmp_path / "worlds")
    return tmp_path


def test_bench_memory_smallest_size(small_cache: Path) -> None:
    found = run(Sizes(smallest=True))
    assert found["rows"] == 1_000
    assert found["resident_bytes_at_once"] == 0
    assert found["private_dirty_bytes"] == 0
    assert found["resident_bytes"] >= found["rows"] * (8 + found["stride_bytes"])
    assert found["attach_s"] < 3
    assert found["load"]["rows_per_s_per_core"] > 0
    assert all(figure.value(found) is not None for figure in FIGURES)
    again = run(Sizes(smallest=True))
    assert again["load"] == found["load"], "the world is kept"


def test_mapped_sees_pages_that_were_touched_of_these_files_alone(tmp_path: Path) -> None:
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        with (tmp_path / name / "file").open("wb") as file:
            file.write(bytes([1]) * (1 << 20))
            file.flush()
            os.fsync(file.fileno())
    arrays = [np.memmap(tmp_path / name / "file", np.uint8, "r") for name in ("here", "there")]
    assert mapped(tmp_path / "here").resident == 0
    assert arrays[0].sum() == arrays[1].sum() == 1 << 20
    assert mapped(tmp_path / "here").resident == 1 << 20
    assert mapped(tmp_path).resident == 2 << 20
    assert mapped(tmp_path).private_dirty == 0


def test_status_bytes_grow_with_memory() -> None:
    before = status_bytes("RssAnon")
    fresh = mmap.mmap(-1, 1 << 24, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)  # not what was let go of and kept
    held = np.frombuffer(fresh, np.uint8)
    held[:] = 1
    assert status_bytes("RssAnon") > before + (1 << 23)
    with pytest.raises(KeyError):
        status_bytes("nothing")
