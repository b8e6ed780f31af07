"""Builds that are stopped: what was read is not read again, and the base comes out the same to the byte; nothing else is gone on with."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import worlds
from engine.base.folder import current_version, versions
from engine.base.manifest import DATA_FILES, MANIFEST, SnapshotError
from engine.base.write import sole_writer
from loaders.base.build import BUILDING, Progress, build_base
from loaders.base.mapping import read_mapping
from loaders.base.rejects import BuildReport
from loaders.base.source import SourceError
from tests.loaders.base.test_build import AS_OF_US, GOOD, HEAD, MAPPING, SCHEMA, SECRET

ROWS = 3_000


class StoppedError(Exception):
    """What a test throws where a build would be killed."""


@pytest.fixture(name="small_runs", autouse=True)
def _small_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loaders.base.source.BLOCK_BYTES", 1 << 14)
    monkeypatch.setattr("loaders.base.source.BATCH_ROWS", 100)
    monkeypatch.setattr("loaders.base.runs.RUN_ROWS", 256)
    monkeypatch.setattr("loaders.base.runs.BUCKET_ROWS", 128)


def _csv(folder: Path) -> Path:
    """Write rows of every kind: good, repeated, malformed, with bad cells, with texts that come late."""
    rng = np.random.default_rng(8)
    lines = []
    for number in range(ROWS):
        line = GOOD.replace("A1", f"A{rng.integers(ROWS)}").replace(",30,", f",{number % 1_300},")
        line = line.replace("Two year", f"plan {number // 50}").replace(
            "Chicago", ("Chicago", "Denver")[number > 2_000]
        )
        lines.append("short,1\n" if number % 97 == 0 else line)
    path = folder / "rows.csv"
    path.write_text(HEAD + "".join(lines))
    return path


def _build(source: Path, out: Path, mapping: str = MAPPING, **options: Any) -> BuildReport:
    file = source.parent / "mapping.yaml"
    file.write_text(mapping)
    return build_base(source, read_mapping(file, SCHEMA), SCHEMA, SECRET, out, **{"as_of_us": AS_OF_US, **options})


def _stop_at(rows: int, stage: str = "reading") -> Any:
    def stop(progress: Progress) -> None:
        if progress.stage == stage and progress.rows_read >= rows:
            raise StoppedError

    return stop


def _bytes_of(folder: Path) -> dict[str, bytes]:
    return {name: (folder / current_version(folder) / name).read_bytes() for name in (*DATA_FILES, MANIFEST)}


@pytest.mark.parametrize("stops", [[150], [300], [900, 1_500, 2_900], [2_999], [1_000, 1_000, 1_000]])
def test_build_stopped_goes_on_and_gives_the_same_bytes(tmp_path: Path, stops: list[int]) -> None:
    source = _csv(tmp_path)
    whole = _build(source, tmp_path / "whole")
    assert whole.rows_resumed == 0
    assert {tally.column for tally in whole.tallies} == {"id", "months", "(whole row)"}
    for rows in stops:
        with pytest.raises(StoppedError):
            _build(source, tmp_path / "base", progress=_stop_at(rows))
        assert versions(tmp_path / "base") == []
    report = _build(source, tmp_path / "base")
    assert _bytes_of(tmp_path / "base") == _bytes_of(tmp_path / "whole")
    assert max(stops) - 500 < report.rows_resumed <= max(stops)
    for part in ("version", "rows_read", "rows_kept", "rows_rejected", "reasons", "tallies", "bytes", "note"):
        assert getattr(report, part) == getattr(whole, part), part
    assert not (tmp_path / "base" / BUILDING).exists()


def test_build_stopped_while_writing_reads_nothing_again_but_the_last_run(tmp_path: Path) -> None:
    source = _csv(tmp_path)
    _build(source, tmp_path / "whole")
    with pytest.raises(StoppedError):
        _build(source, tmp_path / "base", progress=_stop_at(0, "writing"))
    report = _build(source, tmp_path / "base")
    assert ROWS - 400 < report.rows_resumed < ROWS
    assert _bytes_of(tmp_path / "base") == _bytes_of(tmp_path / "whole")
    assert sorted(path.name for path in (tmp_path / "base").iterdir()) == sorted([report.version, "current"])


def test_build_of_parquet_stopped_goes_on_within_a_row_group(tmp_path: Path) -> None:
    import pyarrow as pa  # type: ignore[import-untyped]
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    table = pa.Table.from_batches(worlds.subscribers(2_000, 1))
    pq.write_table(table, tmp_path / "rows.parquet", row_group_size=330, store_schema=False)

    def build(out: str, **options: Any) -> BuildReport:
        return build_base(
            tmp_path / "rows.parquet", worlds.mapping(), worlds.schema(), SECRET, tmp_path / out,
            as_of_us=AS_OF_US, **options,
        )  # fmt: skip

    assert build("whole").rows_kept == 2_000
    for rows in (500, 1_300, 1_900):
        with pytest.raises(StoppedError):
            build("base", progress=_stop_at(rows))
    assert build("base").rows_resumed > 1_300
    assert _bytes_of(tmp_path / "base") == _bytes_of(tmp_path / "whole")


def test_build_killed_for_real_goes_on(tmp_path: Path) -> None:
    source = _csv(tmp_path)
    _build(source, tmp_path / "whole")
    script = """
import os, signal, sys
from pathlib import Path
from loaders.base import runs, source
source.BLOCK_BYTES, source.BATCH_ROWS, runs.RUN_ROWS, runs.BUCKET_ROWS = 1 << 14, 100, 256, 128
from tests.loaders.base.test_resuming import _build
def die(progress):
    if progress.rows_read > 1_700:
        os.kill(os.getpid(), signal.SIGKILL)
_build(Path(sys.argv[1]), Path(sys.argv[2]), progress=die)
"""
    done = subprocess.run([sys.executable, "-c", script, str(source), str(tmp_path / "base")], timeout=300, check=False)
    assert done.returncode == -signal.SIGKILL
    assert _build(source, tmp_path / "base").rows_resumed > 1_200
    assert _bytes_of(tmp_path / "base") == _bytes_of(tmp_path / "whole")


def test_build_stopped_is_begun_anew_when_something_changed(tmp_path: Path) -> None:
    source = _csv(tmp_path)
    out = tmp_path / "base"

    def stopped(**options: Any) -> None:
        with pytest.raises(StoppedError):
            _build(source, out, **{"progress": _stop_at(2_000), **options})

    stopped()
    report = _build(source, out, MAPPING.replace("months > 24", "months > 25"))
    assert (report.rows_resumed, report.note) == (
        0,
        "an unfinished build was begun anew, because the mapping is another",
    )
    stopped()
    source.write_text(source.read_text().replace("plan 7", "plan 8"))
    report = _build(source, out)
    assert (report.rows_resumed, report.note) == (0, "an unfinished build was begun anew, because the file is another")
    stopped()
    later = AS_OF_US + 1_000_000
    assert "the instant" in _build(source, out, as_of_us=later).note
    stopped()
    assert _build(source, out, as_of_us=later, as_of_assumed=True).rows_resumed > 1_500
    assert current_version(out).startswith("20260528T202640Z")


def test_build_of_a_file_that_changes_meanwhile_is_refused(tmp_path: Path) -> None:
    source = _csv(tmp_path)

    def touch(progress: Progress) -> None:
        if progress.rows_read > 1_000:
            os.utime(source, ns=(1, 1))

    with pytest.raises(SourceError, match="was changed while it was read; load it again"):
        _build(source, tmp_path / "base", progress=touch)
    assert not (tmp_path / "base").exists()


def test_build_beside_another_into_the_same_folder_is_refused(tmp_path: Path) -> None:
    source = _csv(tmp_path)
    first = _build(source, tmp_path / "base").version
    with (
        sole_writer(tmp_path / "base"),
        pytest.raises(SnapshotError, match="another build is writing into this folder"),
    ):
        _build(source, tmp_path / "base", as_of_us=AS_OF_US + 1)
    assert current_version(tmp_path / "base") == first
    assert _build(source, tmp_path / "base").version == first


@pytest.mark.parametrize("where", ["loaders.base.runs._write", "engine.base.blocks.BlockFile.write"])
def test_build_on_a_full_disk_says_so_and_goes_on_when_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    source = _csv(tmp_path)
    _build(source, tmp_path / "whole")
    calls = 0

    def full(*_: Any) -> None:
        nonlocal calls
        calls += 1
        if calls > 7:
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        if where.endswith("_write"):
            from loaders.base import runs

            write = runs._write

            def write_or_not(*given: Any) -> None:
                full()
                write(*given)

            patched.setattr(where, write_or_not)
        else:
            patched.setattr(where, full)
        with pytest.raises(
            OSError, match=r"no room left on the disk; the base in use stays\. Make room and run the same again"
        ):
            _build(source, tmp_path / "base")
    assert versions(tmp_path / "base") == []
    assert [path.name for path in (tmp_path / "base").iterdir()] == [BUILDING]
    assert _build(source, tmp_path / "base").rows_resumed > 500
    assert _bytes_of(tmp_path / "base") == _bytes_of(tmp_path / "whole")
