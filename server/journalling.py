"""The server's journal: found, taken back, written on, synced every second, ended."""

import fcntl
import threading
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from engine.base.overlay import Overlay, OverlayFullError
from engine.journal.disk import Disk, FolderDisk
from engine.journal.journal import Journal, Writer
from engine.journal.keeping import Keeping
from engine.journal.recovery import Recovered
from engine.journal.segments import Cut, JournalError, Owner
from engine.journal.starting import SIZES, new_state, restored
from engine.ledger.memory import MemoryLedger
from engine.ledger.names import LedgerFullError
from server.journal_snapshots import Snapshots
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
    lock: BinaryIO
    """The locked file."""


def owner_of(settings: Settings, secret: bytes) -> Owner:
    """Return whose journal this server's is."""
    return Owner(str(settings.shard), blake2b(b"journal", key=secret, digest_size=8).hexdigest())


def boot_id() -> str:
    """Return what names this life of the machine; empty where the system does not say."""
    try:
        return _BOOT.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def sizes_of(settings: Settings) -> dict[str, int]:
    """Return the settings that say how much ledger and overlay have room for."""
    return {name: getattr(settings, name) for name in SIZES}


def open_journal(settings: Settings, secret: bytes, now_us: int) -> tuple[Kept, MemoryLedger, Overlay]:
    """Take the journal back into a new ledger and overlay, and return them and it, to be written on; raises JournalError or OSError."""
    folder = Path(settings.journal)
    disk, sizes = FolderDisk(folder), sizes_of(settings)
    lock = locked(folder)
    owner, boot = owner_of(settings, secret), boot_id()
    try:
        found = restored(disk, owner, lambda: new_state(sizes))
    except (JournalError, LedgerFullError, OverlayFullError) as error:
        lock.close()
        raise JournalError(f"{folder}: {error}") from None
    recovered, ledger = found.recovered, found.ledger
    for why in found.passed_over:
        log().warning("a snapshot of the journal was passed over", why=why)
    if recovered.cut is not None:
        put_aside(disk, recovered.cut)
        log().warning("the journal ends within a record", what=str(recovered.cut))
    lost_since_us = lost_since(recovered, boot)
    if lost_since_us:
        log().warning("what was answered last may be lost", since_us=lost_since_us)
    ledger.advance(now_us)
    ledger.number_from(now_us)
    writer = Writer(version("touchpoint"), boot, sizes)
    journal = Journal(disk, owner, settings.journal_durability, first=recovered.next, writer=writer)
    keeping = Keeping(journal)
    keeping.began(now_us, boot, lost_since_us)
    log().info("journal taken back", snapshot=found.snapshot, records=recovered.records, decisions=recovered.decisions)
    return Kept(journal, keeping, recovered, lock), ledger, found.overlay


def end_journal(kept: Kept, now_us: int) -> None:
    """Write that the process ends in order, and let the journal go; a failure is logged."""
    kept.keeping.ended(now_us)
    if not kept.journal.close():
        log().error("the end of the journal could not be written", why=str(kept.journal.failure))
    kept.lock.close()


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


def locked(folder: Path) -> BinaryIO:
    """Return the folder's lock, which lasts until it is closed or the process ends; raises JournalError when another process has it."""
    file = (folder / LOCK).open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise JournalError(
            f"{folder}: another process writes this journal; end it, or give this one a folder of its own"
        ) from None
    return file


class Upkeep:
    """A thread that every second has a journal synced, if durability asks for that, and looks whether a snapshot is due."""

    def __init__(self, journal: Journal, folder: Path) -> None:
        self._journal = journal
        self._snapshots = Snapshots(folder)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._end.wait(SYNC_S):
            if self._journal.durability == "everysec":
                self._journal.sync()
            try:
                self._snapshots.look()
            except (OSError, JournalError) as error:
                log().error("the journal's folder cannot be looked at", why=str(error))

    def stop(self) -> None:
        """End it."""
        self._end.set()
        self._thread.join()
        self._snapshots.stop()
