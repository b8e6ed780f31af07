"""Writes changes of subscribers' states, and keeps what was written."""

from server.shared.fetching import Fetching
from server.shared.recent import Recent
from server.shared.states import Change, State, Written, argument


class Writing:
    """Gives changes their stamps and writes them; used within turns."""

    def __init__(self, fetching: Fetching, recent: Recent, life: bytes) -> None:
        """`life`: 8 bytes that no other process's stamps begin with."""
        self._fetching = fetching
        self.recent = recent
        self._life = life
        self._stamps = 0
        self.changed = 0
        """Since start: subscribers that somebody else changed between fetch and write."""

    def stamp(self) -> bytes:
        """Return a stamp that no change had."""
        self._stamps += 1
        return self._life + self._stamps.to_bytes(8, "big")

    def write(self, changes: list[Change]) -> list[Written]:
        """Write the changes; keep and know what is done."""
        if not changes:
            return []
        results, known = self._fetching.states.write(changes), self._fetching.known
        for change, written in zip(changes, results, strict=True):
            if written is Written.DONE:
                kept = argument(change.read) + change.tail
                self.recent.add("assert_contacts", change.subscriber, 1 + change.words, kept)
                _, _, erased, live, remembered = known[change.subscriber]
                known[change.subscriber] = State(change.stamp, change.contacts, erased, live, remembered)
            self.changed += written is Written.CHANGED
        return results
