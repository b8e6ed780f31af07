"""The server's journal: found, taken back, written on, synced every second, ended."""

import fcntl
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from engine.base.overlay import Overlay, OverlayFullError
from engine.journal.disk import Disk, FolderDisk
from engine.journal.journal import Durability, Journal, Writer
from engine.journal.keeping import Keeping
from engine.journal.recovery import Recovered
from engine.journal.segments import SUFFIX, Cut, JournalError, Owner, segment_names
from engine.journal.starting import SIZES, new_state, restored
from engine.ledger.memory import MemoryLedger
from engine.ledger.names import LedgerFullError
from server.journal_snapshots import KEEP_NOTHING, Chores, HowLong
from server.logs import log
from server.settings import Settings, shard_of

SYNC_S: Final = 1.0
LOCK: Final = "lock"
PART: Final = "shard-"
"""With its number behind it, a worker's folder in the one of all."""
_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")


class Kept(NamedTuple):
    """A journal that is written on, and what it said before."""

    journal: Journal
    keeping: Keeping
    recovered: Recovered
    lock: BinaryIO | None
    """The locked file, if it is one of a folder."""


def owner_of(settings: Settings, secret: bytes) -> Owner:
    """Return whose journal this server's is."""
    return Owner(str(shard_of(settings)), blake2b(b"journal", key=secret, digest_size=8).hexdigest())


def check_alone(folder: Path) -> None:
    """Raise JournalError when workers kept their journals in the folder: a server of its own would begin anew beside them."""
    workers = [part.name for part in sorted(folder.glob(f"{PART}*")) if any(part.glob(f"*{SUFFIX}"))]
    if workers:
        raise JournalError(
            f"{folder}: expected this server's own journal, were those of workers ({', '.join(workers):.80}); start it with the `workers` that they are of, "
            "or point `journal` to another folder"
        )


def check_of_workers(folder: Path) -> None:
    """Raise JournalError when a server of its own kept its journal in the folder: workers would begin anew beside it."""
    if any(folder.glob(f"*{SUFFIX}")):
        raise JournalError(
            f"{folder}: expected a folder for the journals of workers, was the journal of one server; start it without `workers`, "
            "or point `journal` to another folder"
        )


def boot_id() -> str:
    """Return what names this life of the machine; empty where the system does not say."""
    try:
        return _BOOT.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def sizes_of(settings: Settings) -> dict[str, int]:
    """Return the settings that say how much ledger and overlay have room for."""
    return {name: getattr(settings, name) for name in SIZES}


class Going(NamedTuple):
    """How somebody goes on with a journal."""

    owner: Owner
    durability: Durability
    sizes: Mapping[str, int]
    """Of the ledger and the overlay."""
    boot: str
    steady_s: Callable[[], float] = time.monotonic


def open_journal(
    settings: Settings, secret: bytes, now_us: int, *, around: Callable[[Disk], Disk] | None = None
) -> tuple[Kept, MemoryLedger, Overlay]:
    """Take the journal back into a new ledger and overlay, and return them and it, to be written on; raises JournalError, or OSError without a folder to lock.

    `around` returns what stands in for the disk.
    """
    folder = Path(settings.journal)
    check_alone(folder)
    found = FolderDisk(folder)
    disk = found if around is None else around(found)
    lock = locked(folder)
    going = Going(owner_of(settings, secret), settings.journal_durability, sizes_of(settings), boot_id())
    try:
        kept, ledger, overlay = go_on(disk, going, now_us)
    except (JournalError, LedgerFullError, OverlayFullError, OSError) as error:
        lock.close()
        raise JournalError(f"{folder}: {error}") from None
    return kept._replace(lock=lock), ledger, overlay


def go_on(disk: Disk, going: Going, now_us: int) -> tuple[Kept, MemoryLedger, Overlay]:
    """Do what `open_journal` does on any disk, without a lock; raises JournalError, LedgerFullError, OverlayFullError, OSError."""
    found = restored(disk, going.owner, lambda: new_state(going.sizes))
    recovered, ledger = found.recovered, found.ledger
    for why in found.passed_over:
        log().warning("a snapshot of the journal was passed over", why=why)
    if recovered.cut is not None:
        log().warning("the journal ends within a record", what=str(recovered.cut))
    lost_since_us = lost_since(recovered, going.boot)
    if lost_since_us:
        log().warning("what was answered last may be lost", since_us=lost_since_us)
    ledger.advance(now_us)
    ledger.number_from(now_us)
    writer = Writer(version("touchpoint"), going.boot, going.sizes)
    first = recovered.next
    journal = Journal(disk, going.owner, going.durability, first=first, writer=writer, steady_s=going.steady_s)
    mend(disk, recovered.cut, journal)
    keeping = Keeping(journal)
    keeping.began(now_us, going.boot, lost_since_us)
    log().info("journal taken back", snapshot=found.snapshot, records=recovered.records, decisions=recovered.decisions)
    return Kept(journal, keeping, recovered, None), ledger, found.overlay


def journal_gauges(journal: Journal) -> dict[str, float]:
    """Return how a journal is doing."""
    return {
        "journal_failing": float(journal.failure is not None),
        "journal_unsafe_bytes": float(journal.unsafe_bytes),
        "journal_written_bytes": float(journal.written_bytes),
        "journal_syncs": float(journal.syncs),
        "journal_failures": float(journal.failures),
        "journal_next_record": float(journal.next),
    }


def end_journal(kept: Kept, now_us: int) -> None:
    """Write that the process ends in order, and let the journal go; a failure is logged."""
    kept.keeping.ended(now_us)
    if not kept.journal.close():
        log().error("the end of the journal could not be written", why=str(kept.journal.failure))
    if kept.lock is not None:
        kept.lock.close()


def lost_since(recovered: Recovered, boot: str) -> int:
    """Return from when on acknowledged answers may be missing; 0 when none are.

    A process that is killed leaves what it wrote with the system; only a machine that ends takes it along, or damage to the file.
    """
    if recovered.records == 0 or (recovered.ended and recovered.cut is None):
        return 0
    same_life = boot != "" and recovered.boot == boot
    return 0 if same_life and recovered.cut is None else recovered.last_us


def mend(disk: Disk, cut: Cut | None, journal: Journal) -> None:
    """Leave nothing on disk that is not right, and nothing that is not safe, before the journal goes on; raises OSError.

    A full disk has no room for what is put aside, and a start is served all the same: then it is done before the first segment is begun.
    """

    def mended() -> None:
        if cut is not None:
            put_aside(disk, cut)
        sync_last(disk)

    try:
        mended()
    except OSError:
        if cut is None:
            raise
        journal.prepare = mended


def sync_last(disk: Disk) -> None:
    """Have the last segment on the medium: what was taken back from the system's memory is gone on from, so the machine must not lose it any more."""
    names = segment_names(disk)
    if names:
        with closing(disk.open(names[-1])) as file:
            file.sync()


def put_aside(disk: Disk, cut: Cut) -> None:
    """Cut a segment where it stops being right; the rest goes to a file of its own first, in place of what a start that ended meanwhile had begun."""
    data, name = disk.read(cut.name), f"{cut.name}.cut-{cut.at}"
    with suppress(FileNotFoundError):
        disk.remove(name)
    with closing(disk.create(name)) as aside:
        aside.append(memoryview(data[cut.at :].tobytes()))
        aside.sync()
    if cut.at == 0:
        disk.remove(cut.name)
        return
    with closing(disk.open(cut.name)) as file:
        file.truncate(cut.at)
        file.sync()


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
    """A thread that every second has a journal synced, if durability asks for that, and looks whether a snapshot or an erasure on disk is due."""

    def __init__(self, journal: Journal, folder: Path, erasing: int = 0, keep: HowLong = KEEP_NOTHING) -> None:
        """`erasing`: how many erasures may wait to be done on disk."""
        self._journal = journal
        self._erasures = -erasing
        self.chores = Chores(folder, journal, keep)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        failing, said = False, ""
        while not self._end.wait(SYNC_S):
            failure = self._journal.failure
            if failure is not None and not failing:
                log().error("the journal cannot be written: push is stopped", why=str(failure))
            elif failing and failure is None:
                log().info("the journal is written again")
            failing = failure is not None
            if self._journal.durability == "everysec":
                self._journal.sync()
            try:
                if self._journal.erasures != self._erasures:
                    self._erasures = self._journal.erasures
                    self.chores.erase_soon()
                self.chores.look()
                said = ""
            except (OSError, JournalError) as error:
                if said != str(error):
                    said = str(error)
                    log().error("the journal's folder cannot be looked at", why=said)

    def stop(self) -> None:
        """End it."""
        self._end.set()
        self._thread.join()
        self.chores.stop()
