"""What a journal is replayed in: rulebooks and bases by what the journal calls them, and a ledger and an overlay that follow it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from engine.base.folder import current_version
from engine.base.keys import SubscriberKeys, read_secret
from engine.base.manifest import read_manifest
from engine.base.overlay import Overlay
from engine.base.snapshot import Snapshot, open_snapshot
from engine.deciding import ANSWER_BYTES_MAX
from engine.engine import Engine, Generation
from engine.journal.disk import Disk
from engine.journal.records import Swapped
from engine.journal.recovery import Recovery
from engine.journal.segments import JournalError, Log, first_of, segment_names
from engine.journal.snapshot import load, next_of, snapshot_names
from engine.journal.starting import new_state, sizes_in
from engine.ledger.answers import RingAnswers
from engine.ledger.memory import MemoryLedger
from engine.limits import BATCH_ITEMS_MAX
from engine.rulebook import Rulebook, load_rulebook
from engine.shard import Shard
from loaders.msisdn import parse_number
from server.clock import Clock
from server.decision_id import DecisionIds
from server.figures import Figures
from server.front import DecisionFront
from server.subscriber_hashes import SubscriberHashes


@dataclass(frozen=True, slots=True)
class Known:
    """Rulebooks by digest, bases by version, and the secret that hashes keys and writes decision ids."""

    rulebooks: dict[str, Rulebook]
    bases: dict[str, Snapshot]
    keys: SubscriberKeys
    secret: bytes


def known_of(rulebooks: Sequence[Path], bases: Sequence[Path], key_secret_file: Path) -> Known:
    """Open what a replay is given; raises RulebookError, SnapshotError, OSError, ValueError."""
    secret = read_secret(key_secret_file)
    books = [load_rulebook(path) for path in rulebooks]
    folders = [folder / current_version(folder) if (folder / "current").exists() else folder for folder in bases]
    info = read_manifest(folders[0]).key
    keys = SubscriberKeys(secret, info.kind, info.region, parse_number if info.kind == "msisdn" else None)
    snapshots = [open_snapshot(folder, keys) for folder in folders]
    return Known({book.digest: book for book in books}, {base.version: base for base in snapshots}, keys, secret)


class AmpleAnswers(RingAnswers):
    """Lets everything be decided: what found no room then is in no record, and how much room the rest of its batch found hung on it."""

    def room_bytes(self, now_us: int) -> int:
        """Return room for the longest answers to a whole batch, having reclaimed what is over at `now_us`."""
        return max(super().room_bytes(now_us), BATCH_ITEMS_MAX * self.cost_bytes(ANSWER_BYTES_MAX))


class World:
    """A ledger and an overlay as they were at some point of the journal, and what decides there."""

    def __init__(self, known: Known, ledger: MemoryLedger, overlay: Overlay, shard: Shard) -> None:
        self.ledger, self.overlay = ledger, overlay
        self._known = known
        self._shard = shard
        self._hashes = SubscriberHashes(known.keys, known.secret)
        self._ids = DecisionIds(known.secret, shard.number)
        self.front: DecisionFront | None = None
        """None until the journal said what answers."""

    def swap(self, swapped: Swapped) -> None:
        """Answer by what the record names, as that generation; raises JournalError when it was not given."""
        rulebook, base = self._known.rulebooks.get(swapped.rulebook), self._known.bases.get(swapped.base)
        if rulebook is None:
            given = ", ".join(digest[:12] for digest in self._known.rulebooks)
            raise JournalError(
                f"it was decided by the rulebook with digest {swapped.rulebook[:12]}, given: {given}; add it with --rulebook"
            )
        if base is None:
            given = ", ".join(self._known.bases)
            raise JournalError(f"it was decided with the base {swapped.base}, given: {given}; add it with --base")
        self.answer_by(rulebook, base, swapped)

    def answer_by(self, rulebook: Rulebook, base: Snapshot, swapped: Swapped) -> None:
        """Answer by this rulebook and base from here on, as the record's generation."""
        own = replace(base, shard=self._shard)
        engine = Engine(rulebook, own, self.overlay, self.ledger, swapped.now_us)
        engine.generation = Generation(swapped.generation, rulebook.digest)
        self.front = DecisionFront(engine, self._hashes, self._ids, Clock(), Figures())


def begin(disk: Disk, known: Known, shard: Shard, first: int = 1) -> tuple[World, Recovery, Log]:
    """Return a world where record `first` finds it, or an earlier one, what takes records back that are no decisions, and the records from there on.

    That is the beginning, or the newest snapshot before the record; where segments were removed, else the oldest snapshot that they follow. Raises
    JournalError.
    """
    sizes = sizes_in(disk)
    kept = first_of(segment_names(disk)[0])
    snapshots = [name for name in snapshot_names(disk) if next_of(name) >= kept]
    before = [name for name in snapshots if next_of(name) <= first]
    ledger, overlay = new_state(sizes, AmpleAnswers)
    world = World(known, ledger, overlay, shard)
    if not before and kept == 1:
        return world, Recovery(ledger, overlay), Log(disk, None)
    if not snapshots:
        raise JournalError(
            f"records 1 to {kept - 1:,} are missing, and there is no snapshot to begin with; bring them back"
        )
    recovered = load(disk, before[-1] if before else snapshots[0], None, ledger, overlay)
    if recovered.serving is not None:
        world.swap(recovered.serving)
    return world, Recovery(ledger, overlay, recovered), Log(disk, None, after=recovered.next - 1)
