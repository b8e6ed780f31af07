"""What a simulated operator keeps of the journal, and whether it is there: everything young enough, from a state that it can be taken back into."""

from random import Random

from engine.journal.disk import Disk
from engine.journal.erasing import erase
from engine.journal.recovery import recover
from engine.journal.retiring import Keep, retire
from engine.journal.segments import JournalError, Log, first_of, segment_names
from engine.journal.snapshot import load, next_of, snapshot_names
from engine.journal.starting import new_state, sizes_in, snapshot_of_segments
from tests.simulation.clock import HOUR_US
from tests.simulation.receiver import ViolationError


def drawn_us(seed: int) -> int:
    """Return for how long this seed keeps what starts do not need: half of them not at all."""
    return Random(f"keeping {seed}").choice([0, 0, 0, HOUR_US, 10 * HOUR_US, 2_000 * HOUR_US])


def make_snapshot(disk: Disk, keep: Keep) -> str:
    """Make a snapshot, before and after which what is old enough goes, as server/journal_snapshots.py has it; return its name."""
    retire(disk, keep)
    name = snapshot_of_segments(disk)
    retire(disk, keep)
    return name


def see_what_is_kept(disk: Disk, young_us: int) -> None:
    """See that all that is kept can be taken back from its beginning once erasures are done, and nothing after `young_us` is gone; raises ViolationError."""
    erase(disk, lambda: bytes(16))
    first = first_of(segment_names(disk)[0])
    ledger, overlay = new_state(sizes_in(disk))
    try:
        begun = None
        if first > 1:
            name = next(name for name in snapshot_names(disk) if next_of(name) >= first)
            begun = load(disk, name, None, ledger, overlay)
            if begun.last_us > young_us:
                raise ViolationError(f"what happened until {begun.last_us} is kept no more")
        recover(Log(disk, None, after=begun.next - 1 if begun else 0), ledger, overlay, begun)
    except (JournalError, StopIteration) as error:
        raise ViolationError(f"what is kept cannot be taken back from its beginning: {error}") from error
