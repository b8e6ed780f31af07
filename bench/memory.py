"""What a base costs in memory, how long attaching takes, and how fast it is loaded: the published schema at 20,000,000 subscribers.

    touchpoint bench memory --json
    python -m bench.memory --rows 100000000

A process of its own attaches the base several times, touches every page, and reads from /proc what is resident: the files'
pages, which all processes of the host share, and its own memory beside them. `bytes_per_subscriber` is both together, so nothing is left out.
Loading is measured when the world is built, in a process of its own, and kept with it. Cold means that the files were put out of the page cache.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench import worlds
from bench.figure import Figure
from bench.machine import machine
from bench.resident import mapped, status_bytes
from bench.sizes import Sizes
from engine.base.folder import current_version
from engine.base.keys import SubscriberKeys, read_secret
from engine.base.manifest import DATA_FILES
from engine.base.snapshot import Snapshot, open_current
from engine.kernels.gather import find_row

ROWS: Final = 20_000_000
FIGURES: Final = (
    Figure("bytes_per_subscriber", "resident for each subscriber: index, row, the process's own memory", most=130),
    Figure("attach_s", "attach with the files in the page cache", most=3, unit="s"),
    Figure("attach_cold_s", "attach with the files on disk alone", most=3, unit="s"),
    Figure("load.rows_per_s_per_core", "rows loaded from Parquet in a second of processor time", least=400_000),
    Figure("load.peak_own_bytes", "most memory of its own while loading", unit="B"),
)
_ASKED: Final = 100_000
_PAGE_BYTES: Final = 4_096


def run(sizes: Sizes) -> dict[str, Any]:
    """Build the world unless it is there, attach it in a process of its own, and return what was measured."""
    world = worlds.built(sizes.subscribers(ROWS), sizes.seed)
    command = [sys.executable, "-m", "bench.memory", "--attach", str(world.base), str(world.key_secret_file)]
    command += ["--rows", str(world.rows), "--seed", str(sizes.seed), "--repeats", str(sizes.runs())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return {"rows": world.rows, **json.loads(done.stdout), "load": worlds.load_figures(world)}


def attached(world: worlds.World, seed: int, repeats: int) -> dict[str, Any]:
    """Attach the base in this process, touch all of it, and return times in seconds and sizes in bytes."""
    base, _, rows = world
    keys = SubscriberKeys(read_secret(world.key_secret_file), "msisdn", "US")
    _attach(base, keys)
    cold_s = []
    for _ in range(repeats):
        _put_out_of_cache(base)
        cold_s.append(_attach(base, keys)[1])
    own = status_bytes("RssAnon")
    times_s = [_attach(base, keys)[1] for _ in range(repeats)]
    snapshot, attach_s = _attach(base, keys)
    at_once = mapped(base)
    for array in (snapshot.rows.hashes, snapshot.rows.directory, snapshot.rows.r8):
        array.view(np.uint8)[::_PAGE_BYTES].sum()
    whole, own = mapped(base), max(status_bytes("RssAnon") - own, 0)
    look_up_us = _look_up_us(snapshot, keys, rows, seed)
    size = sum(info.bytes for info in snapshot.manifest.files.values())
    return {
        "bytes_per_subscriber": round((whole.resident + own) / rows, 2),
        "attach_s": round(statistics.median([*times_s, attach_s]), 4),
        "attach_cold_s": round(statistics.median(cold_s), 4),
        "file_bytes_per_subscriber": round(size / rows, 2),
        "stride_bytes": snapshot.manifest.layout.stride,
        "resident_bytes_at_once": at_once.resident,
        "resident_bytes": whole.resident,
        "private_dirty_bytes": whole.private_dirty,
        "own_bytes": own,
        "look_up_us": round(look_up_us, 3),
    }


def _attach(base: Path, keys: SubscriberKeys) -> tuple[Snapshot, float]:
    began = time.perf_counter()
    snapshot = open_current(base, keys)
    return snapshot, time.perf_counter() - began


def _put_out_of_cache(base: Path) -> None:
    for name in DATA_FILES:
        descriptor = os.open(base / current_version(base) / name, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def _look_up_us(snapshot: Snapshot, keys: SubscriberKeys, rows: int, seed: int) -> float:
    """Return the time of finding one subscriber of many drawn uniformly, all of it being in memory, from Python."""
    numbers = np.random.default_rng(seed).integers(0, rows, min(_ASKED, rows))
    hashes = keys.hash_many(worlds.keys(numbers, seed))
    shift = np.uint64(64 - snapshot.manifest.directory_bits)
    began = time.perf_counter()
    found = [find_row(snapshot.rows, shift, subscriber) for subscriber in hashes]
    took_s = time.perf_counter() - began
    assert min(found) >= 0, "every subscriber of the world is in its base"
    return took_s / len(found) * 1e6


def main() -> None:
    """Print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--forget", action="store_true", help="remove the world at the end")
    parser.add_argument("--attach", nargs=2, type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.attach:
        print(
            json.dumps(attached(worlds.World(given.attach[0], given.attach[1], given.rows), given.seed, given.repeats))
        )
        return
    begun = machine()
    found = run(Sizes(rows=given.rows, seed=given.seed, repeats=given.repeats))
    if given.forget:
        shutil.rmtree(worlds.built(given.rows, given.seed).base.parent)
    print(json.dumps({"bench": "memory", "seed": given.seed, "machine": begun, **found}))


if __name__ == "__main__":
    main()
