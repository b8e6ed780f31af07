"""The server's journal: found, taken back, written on, synced every second, ended."""

import fcntl
import os
import threading
import time
from collections.abc import Callable
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import Final, NamedTuple

from engine.base.overlay import Overlay
from engine.journal.disk import Disk, FolderDisk
from engine.journal.journal import Durability, Journal
from engine.journal.keeping import Keeping
from engine.journal.recovery import Recovered, recover
from engine.journal.segments import Cut, JournalError, Log, Owner, segment_names
from engine.ledger.memory import MemoryLedger
from server.logs import log
from server.settings import Settings

SYNC_S: Final = 1.0
LOCK: Final = "lock"
NO_LOCK: Final = -1
_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")


class Kept(NamedTuple):
    """A journal that is written on, and what it said before."""

    journal: Journal
    keeping: Keeping
    recovered: Recovered
    lock: int
    """Descriptor of the locked file, or NO_LOCK."""


def owner_of(settings: Settings, secret: bytes) -> Owner:
    """Return whose journal this server's is."""
    return Owner(str(settings.shard), blake2b(b"journal", key=secret, digest_size=8).hexdigest())


def boot_id() -> str:
    """Return what names this life of the machine; empty where the system does not say."""
    try:
        return _BOOT.read_text(encoding="ascii").strip()
    except OSError:
        return ""


class Writer(NamedTuple):
    """Who goes on with a journal, and how."""

    owner: Owner
    durability: Durability
    boot: str
    steady_s: Callable[[], float] = time.monotonic


def open_journal(
    settings: Settings,
    secret: bytes,
    ledger: MemoryLedger,
    overlay: Overlay,
    now_us: int,
    *,
    around: Callable[[Disk], Disk] | None = None,
) -> Kept:
    """Take the journal back into a new ledger and overlay, and return it to be written on; raises JournalError or OSError, with nothing changed on disk.

    `around` returns what stands in for the disk.
    """
    folder = Path(settings.journal)
    found = FolderDisk(folder)
    disk = found if around is None else around(found)
    lock = _locked(folder)
    writer = Writer(owner_of(settings, secret), settings.journal_durability, boot_id())
    try:
        return go_on(disk, writer, ledger, overlay, now_us)._replace(lock=lock)
    except JournalError as error:
        os.close(lock)
        raise JournalError(f"{folder}: {error}") from None


def go_on(disk: Disk, writer: Writer, ledger: MemoryLedger, overlay: Overlay, now_us: int) -> Kept:
    """Do what `open_journal` does on any disk, without a lock; raises JournalError or OSError, with nothing changed on it."""
    recovered = recover(Log(disk, writer.owner), ledger, overlay)
    if recovered.cut is not None:
        put_aside(disk, recovered.cut)
        log().warning("the journal ends within a record", what=str(recovered.cut))
    sync_last(disk)
    lost_since_us = lost_since(recovered, writer.boot)
    if lost_since_us:
        log().warning("what was answered last may be lost", since_us=lost_since_us)
    ledger.advance(now_us)
    ledger.number_from(now_us)
    names = {"writer": version("touchpoint"), "boot": writer.boot}
    journal = Journal(disk, writer.owner, writer.durability, first=recovered.next, steady_s=writer.steady_s, **names)
    keeping = Keeping(journal)
    keeping.began(now_us, writer.boot, lost_since_us)
    log().info("journal taken back", records=recovered.records, decisions=recovered.decisions, **recovered.by_kind)
    return Kept(journal, keeping, recovered, NO_LOCK)


def end_journal(kept: Kept, now_us: int) -> None:
    """Write that the process ends in order, and let the journal go; a failure is logged."""
    kept.keeping.ended(now_us)
    if not kept.journal.close():
        log().error("the end of the journal could not be written", why=str(kept.journal.failure))
    if kept.lock != NO_LOCK:
        os.close(kept.lock)


def lost_since(recovered: Recovered, boot: str) -> int:
    """Return from when on acknowledged answers may be missing; 0 when none are.

    A process that is killed leaves what it wrote with the system; only a machine that ends takes it along, or damage to the file.
    """
    if recovered.records == 0 or recovered.ended:
        return 0
    same_life = boot != "" and recovered.boot == boot
    return 0 if same_life and recovered.cut is None else recovered.last_us


def sync_last(disk: Disk) -> None:
    """Have the last segment on the medium: what was taken back from the system's memory is gone on from, so the machine must not lose it any more."""
    names = segment_names(disk)
    if names:
        file = disk.open(names[-1])
        file.sync()
        file.close()


def put_aside(disk: Disk, cut: Cut) -> None:
    """Cut a segment where it stops being right; the rest goes to a file of its own first."""
    data = disk.read(cut.name)
    aside = disk.create(f"{cut.name}.cut-{cut.at}") if f"{cut.name}.cut-{cut.at}" not in disk.names() else None
    if aside is not None:
        aside.append(memoryview(data[cut.at :].tobytes()))
        aside.sync()
        aside.close()
    if cut.at == 0:
        disk.remove(cut.name)
        return
    file = disk.open(cut.name)
    file.truncate(cut.at)
    file.sync()
    file.close()


def _locked(folder: Path) -> int:
    descriptor = os.open(folder / LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise JournalError(
            f"{folder}: another process writes this journal; end it, or give this one a folder of its own"
        ) from None
    return descriptor


class Syncing:
    """A thread that has a journal synced every second."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._end.wait(SYNC_S):
            self._journal.sync()

    def stop(self) -> None:
        """End it."""
        self._end.set()
        self._thread.join()
