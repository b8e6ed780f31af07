"""A scan: every subscriber of a base through the decision path, for each (trigger, channel), in one pass over the rows, in bounded memory."""

from collections.abc import Callable, Iterator
from typing import Any, Final

from engine.base.overlay import Overlay
from engine.base.snapshot import Snapshot
from engine.bundles import reference
from engine.limits import BATCH_ITEMS_MAX
from engine.rulebook import Rulebook
from engine.whatif.comparison import Comparison, new_comparison
from engine.whatif.fields import check_fields
from engine.whatif.kernels.splitting import split_run
from engine.whatif.question import Question, QuestionError, known
from engine.whatif.rounds import Rounding
from engine.whatif.side import Side
from engine.whatif.splits import bind_splits, splits_of
from engine.whatif.tallies import Pair, positions_of, tally_bytes

TALLIES_BYTES_MAX: Final = 2 << 30
ROWS_AHEAD: Final = 16 * BATCH_ITEMS_MAX
"""Rows of which the system is asked to read as many ahead."""


class Scan:
    """What one question counts; `steps` does the work."""

    def __init__(
        self,
        rulebook: Rulebook,
        snapshot: Snapshot,
        question: Question,
        against: Rulebook | None = None,
        overlay: Overlay | None = None,
    ) -> None:
        """Bind; raises QuestionError, and SnapshotError when the base does not fit a rulebook.

        `against`: the rulebook that decides today, of which the other is an edition. `overlay`: live changes over the snapshot, none when not given.
        """
        overlay = overlay or Overlay(1)
        self.question = question
        self.snapshot = snapshot
        self.rulebook = rulebook
        self.against = against
        check_fields(rulebook.catalogue, question.fields)
        self.after = Side(rulebook, snapshot, overlay, question)
        self.before = None if against is None else Side(against, snapshot, overlay, question)
        self.pairs = self._pairs()
        self.splits = splits_of(question.segments, self.after.bound.binding, question.at_us)
        self._splits, self.segments = bind_splits(self.splits)
        self._check_room()
        self.after.prepare(self.pairs, self._splits.segment, self.segments)
        self.comparisons: dict[Pair, Comparison] = self._comparisons()
        self.rounding = None
        if question.rounds > 1:
            self.rounding = Rounding(rulebook, snapshot, overlay, question)
            self.rounding.prepare(self.pairs)
        rows = len(snapshot.rows.hashes)
        self.subscribers = rows if question.sample is None else min(rows, question.sample)
        """How many are looked at: the first by hash, which is a fair sample of all."""

    def steps(self) -> Iterator[int]:
        """Do the work, some subscribers at a time; yield how many are done."""
        hashes, splits = self.snapshot.rows.hashes, reference(self._splits)
        for start in range(0, self.subscribers, BATCH_ITEMS_MAX):
            if start % ROWS_AHEAD == 0:
                self.snapshot.read_ahead(start, min(start + 2 * ROWS_AHEAD, self.subscribers))
            subscribers = hashes[start : min(start + BATCH_ITEMS_MAX, self.subscribers)]
            before: Callable[[Any], None] | None = None
            if self.splits:
                before = lambda run: split_run(run, splits)  # noqa: E731  # once a run: segments are the same for every pair
            for pair in self.pairs:
                self._count(pair, subscribers, before)
                before = None
            yield start + len(subscribers)

    def _count(self, pair: Pair, subscribers: Any, before: Callable[[Any], None] | None) -> None:
        if self.after.has(pair):
            self.after.count(pair, subscribers, before)
        if self.before is not None:
            if self.before.has(pair):
                self.before.count(pair, subscribers)
            self.comparisons[pair].add(len(subscribers))
        if self.rounding is not None and self.after.has(pair):
            self.rounding.count(pair, subscribers)

    def _comparisons(self) -> dict[Pair, Comparison]:
        if self.before is None:
            return {}
        self.before.prepare(self.pairs, self._splits.segment, self.segments)
        return {
            pair: new_comparison(
                pair, self.before, self.after, (self.before.tallies[pair], self.after.tallies[pair]), self.segments
            )
            for pair in self.pairs
        }

    def _sides(self) -> list[Side]:
        return [self.after] if self.before is None else [self.after, self.before]

    def _pairs(self) -> list[Pair]:
        """Return the pairs that have a candidate, of those that are asked for."""
        triggers = {name for side in self._sides() for name in side.bound.trigger_index}
        channels = {name for side in self._sides() for name in side.bound.channel_index}
        asked_triggers = [known("--trigger", "trigger", name, triggers) for name in self.question.triggers]
        asked_channels = [known("--channel", "channel", name, channels) for name in self.question.channels]
        found = [
            pair
            for pair in (
                Pair(t, c) for t in asked_triggers or sorted(triggers) for c in asked_channels or sorted(channels)
            )
            if any(len(positions_of(side.bound, pair)) for side in self._sides())
        ]
        if not found:
            what = f"{', '.join(asked_triggers) or 'any trigger'} on {', '.join(asked_channels) or 'any channel'}"
            raise QuestionError("--trigger", f"no campaign has an offer for {what}, so there is nothing to count")
        return list(dict.fromkeys(found))

    def _check_room(self) -> None:
        """Refuse a question whose counts would take more than TALLIES_BYTES_MAX."""
        held = sum(
            tally_bytes(len(positions_of(side.bound, pair)), self.segments)
            for side in self._sides()
            for pair in self.pairs
        )
        if held > TALLIES_BYTES_MAX:
            raise QuestionError(
                "--segment",
                f"the counts of {len(self.pairs)} triggers and channels by {self.segments} segments would take {held:,} bytes;"
                f" {TALLIES_BYTES_MAX:,} are the most: ask for fewer triggers, channels or segments at once",
            )
