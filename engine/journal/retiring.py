"""What of a journal may go: what no start needs any more, and nobody wants to look at any longer.

    1.journal 2.journal | 3.snapshot 3.journal 4.journal | 5.snapshot 5.journal | 6.snapshot 6.journal ...
      of 80 days ago        of 40 days ago                 the two that a start may need

What goes goes from the front, up to a snapshot, so that what stays can be replayed from its first record on: the state before that is in the snapshot.
Here, at 30 days, it would be segments 1 and 2; 3 and 4 go once everything up to snapshot 5 is older than that.

How old something is, its records say, by ledger time, which never goes backwards; files' times say when somebody copied them. A snapshot names the
instant of the last record that it covers, and what is older than that cannot be younger.
"""

from itertools import pairwise
from typing import Final, NamedTuple

from engine.journal.disk import Disk
from engine.journal.segments import JournalError, first_of, segment_names
from engine.journal.snapshot import about_of, next_of, snapshot_names

NEEDED: Final = 2
"""How many snapshots a start may need: the newest, and the one before it should that be damaged."""


class Keep(NamedTuple):
    """How much longer than starts need it what was journalled is kept."""

    keep_us: int = 0
    """For so long; 0: not at all."""
    now_us: int = 0
    """The wall clock; 0 when it is not to be trusted, and then nothing is old."""


ONLY_FOR_STARTS: Final = Keep()


def retired(disk: Disk, keep: Keep = ONLY_FOR_STARTS) -> list[str]:
    """Return the names of what may go, in the order in which it may."""
    snapshots, segments = snapshot_names(disk), segment_names(disk)
    last = len(snapshots) - NEEDED
    if last < 0:
        return []
    first = _first_kept(disk, snapshots, last, keep) if keep.keep_us else last
    if first < 0:
        return []
    covered = [name for name, following in pairwise(segments) if first_of(following) <= next_of(snapshots[first])]
    return covered + snapshots[:first]


def _first_kept(disk: Disk, snapshots: list[str], last: int, keep: Keep) -> int:
    """Return which snapshot is the newest, up to number `last`, that covers nothing younger than is kept; -1 for none.

    Neither a wall clock that is ahead, nor records that are, make anything else old: what counts as now is the earlier of both.
    """
    newest_us = _covered_until_us(disk, snapshots[-1])
    if newest_us is None:
        return -1
    until_us, first = min(keep.now_us, newest_us) - keep.keep_us, -1
    for number, name in enumerate(snapshots[: last + 1]):
        covered_us = _covered_until_us(disk, name)
        if covered_us is not None and covered_us > until_us:
            break
        first = first if covered_us is None else number
    return first


def _covered_until_us(disk: Disk, name: str) -> int | None:
    """Return the instant of the last record that a snapshot covers; None for one that cannot be read."""
    try:
        return about_of(disk, name).recovered.last_us
    except JournalError:
        return None


def retire(disk: Disk, keep: Keep = ONLY_FOR_STARTS) -> int:
    """Remove what may go; return how many files that was. Raises OSError; what is left then still holds together."""
    names = retired(disk, keep)
    for name in names:
        disk.remove(name)
    return len(names)
