"""Live changes over the snapshot: each binds the very next gather, and wins until a later snapshot covers it.

A subscriber who was changed has a record of 16 bytes, 8 to 16 bytes of table, and 40 bytes for each thing changed: a label, an attribute, a
consent pair, the zone, the language; changing the same thing again costs nothing. Changes name things by numbers of the overlay's own name
table, so they outlive rulebooks and snapshots, whose bits and codes a binding maps them to. Full means refuse, never forget.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from engine.base.snapshot import Snapshot
from engine.dtypes.base import CHANGE, GRANT, PERSON, REFUSE, SET_LANGUAGE, SET_NAME, SET_ZONE, WITHDRAW, Live
from engine.jit import frozen
from engine.kernels.base_overlay import insert_persons, link_changes
from engine.kernels.gather import find_person

CHANGES_PER_SUBSCRIBER: Final = 8
"""Room for changes is this many times the room for subscribers: an average, not a bound for one of them."""
NAMES_MAX: Final = 1 << 16

LABEL, ATTRIBUTE, PAIR, ZONE, LANGUAGE, BASE = "label", "attribute", "pair", "zone", "language", "base"
"""Families of names; a string value of an attribute is in the family `text:<attribute id>`."""


class OverlayFullError(Exception):
    """There is no room for a live change; nothing was changed. A new snapshot makes room, or a larger `overlay_subscribers_max`."""


@dataclass(frozen=True, slots=True)
class Write:
    """One thing to set of a subscriber: a kind of engine.dtypes.base, the name of what is set, and a value or the name of one."""

    kind: int
    family: str
    name: str
    value: int = 0
    value_family: str = ""
    value_name: str = ""


class Overlay:
    """The live changes of one shard; owned by the decision thread, as everything that gathers from it."""

    def __init__(self, subscribers_max: int = 65_536, names_max: int = NAMES_MAX) -> None:
        assert subscribers_max > 0
        assert 0 < names_max <= NAMES_MAX
        self.subscribers_max = subscribers_max
        self.names_max = names_max
        self.person_count = 0
        self.change_count = 0
        self.base = ""
        """The version of the base that answers, under which changes are told."""
        self.names: list[tuple[str, str]] = []
        self._numbers: dict[tuple[str, str], int] = {}
        self._persons = np.zeros(subscribers_max, PERSON)
        self._changes = np.zeros(subscribers_max * CHANGES_PER_SUBSCRIBER, CHANGE)
        self._table = np.zeros(1 << (2 * subscribers_max).bit_length(), np.int32)
        self._views = (frozen(self._table), frozen(self._persons), frozen(self._changes))

    def live(self, bound: npt.NDArray[np.int32]) -> Live:
        """Return what kernels read, with a binding's meaning of the names; it stays true through later changes."""
        return Live(*self._views, bound)

    def person(self, subscriber: int) -> int:
        """Return the subscriber's record, or -1 when nothing was ever changed."""
        return int(find_person(self.live(_NO_NAMES), np.uint64(subscriber)))

    def is_erased(self, subscriber: int) -> bool:
        """Return whether the subscriber was erased."""
        person = self.person(subscriber)
        return person >= 0 and bool(self._persons[person]["erased"])

    def changes_of(self, subscriber: int) -> list[tuple[str, str, int, int]]:
        """Return (family, name, kind, at_us) of everything that was changed of the subscriber."""
        person = self.person(subscriber)
        found = []
        change = int(self._persons[person]["head"]) if person >= 0 else -1
        while change >= 0:
            record = self._changes[change]
            found.append((*self.names[record["name"]], int(record["kind"]), int(record["at_us"])))
            change = int(record["next"])
        return sorted(found)

    def write(self, subscriber: int, writes: list[Write], at_us: int, base: str | None = None) -> None:
        """Apply all of them, or none: raises OverlayFullError. A withdrawal leaves a refusal as it is.

        `base`: the version of the base under which they were told, unless it is the one that answers.
        """
        base = self.base if base is None else base
        person = self.person(subscriber)
        assert person < 0 or not self._persons[person]["erased"], "an erased subscriber takes no changes"
        present = self._present(person)
        wanted = {(w.family, w.name) for w in writes}
        fresh = sum(self._numbers.get(key, -1) not in present for key in wanted)
        keys = wanted | {(w.value_family, w.value_name) for w in writes if w.value_family} | {(BASE, base)}
        self._check_room(person < 0, fresh, len(keys - self._numbers.keys()))
        if person < 0:
            person = self._add_person(subscriber)
        for write in writes:
            self._set(person, present, write, (at_us, base))

    def erase(self, subscriber: int) -> None:
        """Drop every change of the subscriber and keep a tombstone for good; raises OverlayFullError."""
        person = self.person(subscriber)
        if person < 0:
            self._check_room(True, 0, 0)
            person = self._add_person(subscriber)
        self._persons[person]["erased"] = 1
        self._rebuild(self._changes[: self.change_count]["person"] != person)

    def drop(self, subscriber: int) -> None:
        """Drop whatever is known of the subscriber, a tombstone too."""
        person = self.person(subscriber)
        if person >= 0:
            self._persons[person]["erased"] = 0
            self._rebuild(self._changes[: self.change_count]["person"] != person)

    def on_new_base(self, snapshot: Snapshot) -> int:
        """Have `snapshot` answer from now on, drop what it covers, and return how many changes that was.

        A change is covered when it was told under another base and is not later than what this one has of the subscriber (the row's as-of, else the
        snapshot's). Refusals, withdrawals and tombstones are never covered: only a later live grant ends a refusal. Doing it again changes nothing.
        """
        self.base = snapshot.version
        changes = self._changes[: self.change_count]
        as_of_us = self._as_of(snapshot)[changes["person"]]
        keep = (changes["at_us"] > as_of_us) | (changes["kind"] == REFUSE) | (changes["kind"] == WITHDRAW)
        keep |= changes["base"] == self._numbers.get((BASE, self.base), -1)
        self._rebuild(keep)
        return len(keep) - self.change_count

    def state(self) -> tuple[npt.NDArray[np.void], npt.NDArray[np.void], list[tuple[str, str]]]:
        """Return persons, changes and the names in them, as `restore` takes them.

        Names of what is not there any more are left out: they may be words that were said of somebody who was erased.
        """
        changes = self._changes[: self.change_count].copy()
        named, used = np.isin(changes["kind"], (SET_NAME, SET_ZONE, SET_LANGUAGE)), np.zeros(len(self.names), np.bool_)
        used[changes["name"]] = used[changes["base"]] = used[changes["value"][named]] = True
        numbers = np.cumsum(used) - 1
        changes["name"], changes["base"] = numbers[changes["name"]], numbers[changes["base"]]
        changes["value"][named] = numbers[changes["value"][named]]
        names = [name for name, is_used in zip(self.names, used, strict=True) if is_used]
        return self._persons[: self.person_count], changes, names

    def restore(
        self, persons: npt.NDArray[np.void], changes: npt.NDArray[np.void], names: list[tuple[str, str]]
    ) -> None:
        """Hold what another overlay's `state` returned, in an empty one; raises OverlayFullError when it does not fit."""
        self._check_room(len(persons), len(changes), len(names))
        for family, name in names:
            self._number(family, name)
        self.person_count, self.change_count = len(persons), len(changes)
        self._persons[: len(persons)], self._changes[: len(changes)] = persons, changes
        self._rebuild(np.ones(len(changes), np.bool_))

    def _as_of(self, snapshot: Snapshot) -> npt.NDArray[np.int64]:
        as_of_us = np.full(self.person_count, snapshot.manifest.as_of_us, np.int64)
        if snapshot.manifest.layout.as_of >= 0:
            for person in range(self.person_count):
                row = snapshot.find(int(self._persons[person]["hash"]))
                if row >= 0:
                    as_of_us[person] = snapshot.row_as_of_us(row)
        return as_of_us

    def _present(self, person: int) -> dict[int, int]:
        """Return the person's changes by name."""
        present = {}
        change = int(self._persons[person]["head"]) if person >= 0 else -1
        while change >= 0:
            present[int(self._changes[change]["name"])] = change
            change = int(self._changes[change]["next"])
        return present

    def _check_room(self, new_persons: int, new_changes: int, new_names: int) -> None:
        for what, count, most in (
            ("changed subscribers", self.person_count + new_persons, self.subscribers_max),
            ("live changes", self.change_count + new_changes, len(self._changes)),
            ("names of live changes", len(self.names) + new_names, self.names_max),
        ):
            if count > most:
                raise OverlayFullError(
                    f"the overlay is full: at most {most} {what} between two snapshots; load a new base, or raise overlay_subscribers_max"
                )

    def _add_person(self, subscriber: int) -> int:
        person = self.person_count
        self._persons[person] = (subscriber, -1, 0)
        insert_persons(self._table, self._persons, person, person + 1)
        self.person_count += 1
        return person

    def _number(self, family: str, name: str) -> int:
        number = self._numbers.setdefault((family, name), len(self.names))
        if number == len(self.names):
            self.names.append((family, name))
        return number

    def _set(self, person: int, present: dict[int, int], write: Write, told: tuple[int, str]) -> None:
        """`told`: as of which instant, and under which base."""
        at_us, name, base = told[0], self._number(write.family, write.name), self._number(BASE, told[1])
        value = self._number(write.value_family, write.value_name) if write.value_family else write.value
        change = present.get(name)
        if change is None:
            change = self.change_count
            self._changes[change] = (at_us, value, -1, person, name, write.kind, base)
            link_changes(self._persons, self._changes, change, change + 1)
            self.change_count += 1
            present[name] = change
        elif self._ends(self._changes[change], write, at_us):
            record = self._changes[change]
            record["at_us"], record["value"], record["kind"], record["base"] = at_us, value, write.kind, base

    @staticmethod
    def _ends(before: Any, write: Write, at_us: int) -> bool:
        """Return whether what is said now replaces `before`: a withdrawal takes back a grant alone, and no grant ends a refusal that is later than it."""
        if write.kind == WITHDRAW:
            return bool(before["kind"] == GRANT)
        return not (write.kind == GRANT and before["kind"] == REFUSE and at_us < before["at_us"])

    def _rebuild(self, keep: npt.NDArray[np.bool_]) -> None:
        """Keep these changes, and the persons who have one or were erased; their numbers change, names stay."""
        kept = self._changes[: self.change_count][keep]
        persons = self._persons[: self.person_count]
        stays = persons["erased"] != 0
        stays[kept["person"]] = True
        renumbered = np.cumsum(stays) - 1
        kept["person"] = renumbered[kept["person"]]
        left = persons[stays]
        left["head"] = -1
        self.person_count, self.change_count = len(left), len(kept)
        self._persons[: len(left)] = left
        self._changes[: len(kept)] = kept
        self._table[:] = 0
        insert_persons(self._table, self._persons, 0, len(left))
        link_changes(self._persons, self._changes, 0, len(kept))


_NO_NAMES: Final = frozen(np.zeros(0, np.int32))
