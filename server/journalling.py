"""The server's journal: found, taken back, written on, synced every second, ended."""

import fcntl
import os
import threading
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import Final, NamedTuple

from engine.base.overlay import Overlay
from engine.journal.disk import Disk, FolderDisk
from engine.journal.journal import Journal
from engine.journal.keeping import Keeping
from engine.journal.recovery import Recovered, recover
from engine.journal.segments import Cut, JournalError, Log, Owner
from engine.ledger.memory import MemoryLedger
from server.logs import log
from server.settings import Settings

SYNC_S: Final = 1.0
LOCK: Final = "lock"
_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")


class Kept(NamedTuple):
    """A journal that is written on, and what it said before."""

    journal: Journal
    keeping: Keeping
    recovered: Recovered
    lock: int
    """Descriptor of the locked file."""


def owner_of(settings: Settings, secret: bytes) -> Owner:
    """Return whose journal this server's is."""
    return Owner(str(settings.shard), blake2b(b"journal", key=secret, digest_size=8).hexdigest())


def boot_id() -> str:
    """Return what names this life of the machine; empty where the system does not say."""
    try:
        return _BOOT.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def open_journal(settings: Settings, secret: bytes, ledger: MemoryLedger, overlay: Overlay, now_us: int) -> Kept:
    """Take the journal back into a new ledger and overlay, and return it to be written on; raises JournalError or OSError, with nothing changed on disk."""
    folder = Path(settings.journal)
    disk = FolderDisk(folder)
    lock = _locked(folder)
    owner, boot = owner_of(settings, secret), boot_id()
    try:
        recovered = recover(Log(disk, owner), ledger, overlay)
    except JournalError as error:
        os.close(lock)
        raise JournalError(f"{folder}: {error}") from None
    if recovered.cut is not None:
        put_aside(disk, recovered.cut)
        log().warning("the journal ends within a record", what=str(recovered.cut))
    lost_since_us = lost_since(recovered, boot)
    if lost_since_us:
        log().warning("what was answered last may be lost", since_us=lost_since_us)
    ledger.advance(now_us)
    ledger.number_from(now_us)
    journal = Journal(
        disk, owner, settings.journal_durability, first=recovered.next, writer=version("touchpoint"), boot=boot
    )
    keeping = Keeping(journal)
    keeping.began(now_us, boot, lost_since_us)
    log().info("journal taken back", records=recovered.records, decisions=recovered.decisions, **recovered.by_kind)
    return Kept(journal, keeping, recovered, lock)


def end_journal(kept: Kept, now_us: int) -> None:
    """Write that the process ends in order, and let the journal go; a failure is logged."""
    kept.keeping.ended(now_us)
    if not kept.journal.close():
        log().error("the end of the journal could not be written", why=str(kept.journal.failure))
    os.close(kept.lock)


def lost_since(recovered: Recovered, boot: str) -> int:
    """Return from when on acknowledged answers may be missing; 0 when none are.

    A process that is killed leaves what it wrote with the system; only a machine that ends takes it along, or damage to the file.
    """
    if recovered.records == 0 or recovered.ended:
        return 0
    same_life = boot != "" and recovered.boot == boot
    return 0 if same_life and recovered.cut is None else recovered.last_us


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
