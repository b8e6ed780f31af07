"""Where workers keep their journals no server of its own begins anew, nor workers where a server does: what was held would be forgotten without a word."""

from pathlib import Path

import pytest

from engine.journal.segments import JournalError
from server.journalling import open_journal
from server.settings import Settings
from server.workers.processes import Workers

SEGMENT = "00000000000000000001.journal"


def test_a_server_of_its_own_does_not_begin_where_workers_were(tmp_path: Path) -> None:
    (tmp_path / "shard-1").mkdir()
    (tmp_path / "shard-1" / SEGMENT).write_bytes(b"")
    with pytest.raises(JournalError, match=r"were those of workers \(shard-1\)"):
        open_journal(Settings(journal=str(tmp_path), key_secret_file="secret"), bytes(16), 0)
    assert [path.name for path in tmp_path.iterdir()] == ["shard-1"]


def test_workers_do_not_begin_where_a_server_of_its_own_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sockets, kept = tmp_path / "tmp", tmp_path / "journal"
    sockets.mkdir()
    kept.mkdir()
    (kept / SEGMENT).write_bytes(b"")
    monkeypatch.setattr("tempfile.tempdir", str(sockets))
    with pytest.raises(JournalError, match="was the journal of one server"):
        Workers(Settings(workers=2, journal=str(kept)))
    assert not list(sockets.iterdir())
