"""What two states of a subscriber say of totals, against the totals of a ledger in memory, whatever happens to it."""

from collections import Counter

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from engine.dtypes.contact import ACCEPTED, CONTACT, COUNTS, DECIDED, HANDED_OFF, LIVE, PUSH, SEEN
from engine.ledger.names import TOTALLED
from engine.limits import NEVER_US
from server.shared.moves import Move, first_expiry_us, moves
from tests.engine.ledger.test_memory import SUBSCRIBERS, LedgerMachine

HOLD_ENDS_US = 1_000
EVENTS = (DECIDED, HANDED_OFF, SEEN, ACCEPTED)
EVERY = {(row, code): EVENTS for row in range(len(TOTALLED)) for code in range(1, 4)}
"""Of the machine's names."""


class MovesMachine(LedgerMachine):
    """The same interleavings; after each step what moved is added up."""

    def __init__(self) -> None:
        super().__init__()
        self.contacts = dict.fromkeys(SUBSCRIBERS, b"")
        self.counted, self.happened = Counter[tuple[int, int]](), Counter[tuple[int, int]]()
        self.erased: int | None = None

    @rule(subscriber=st.sampled_from(SUBSCRIBERS))
    def forget(self, subscriber: int) -> None:
        self.erased = subscriber
        super().forget(subscriber)

    @invariant()
    def moved(self) -> None:
        if not hasattr(self, "pair"):
            return
        ledger = self.pair.ledger
        read = ledger.read(np.array(SUBSCRIBERS, np.uint64)).result()
        for number, subscriber in enumerate(SUBSCRIBERS):
            start, count = int(read.contacts.start[number]), int(read.contacts.count[number])
            after = read.contacts.records[start : start + count].tobytes()
            for move in moves(self.contacts[subscriber], after, EVERY, released=subscriber == self.erased):
                cell = move.event, ledger.names.total_slot(TOTALLED[move.target[0]], move.target[1])
                self.counted[cell] += move.units
                self.happened[cell] += move.at_us is not None
            self.contacts[subscriber] = after
        self.erased = None
        live, lifetime = read.totals.live, read.totals.lifetime
        for event in EVENTS:
            for slot in range(ledger.names.slot_count):
                assert self.happened[event, slot] == lifetime[event, slot]
                assert self.counted[event, slot] == live[event, slot] + lifetime[event, slot]


TestMovesMachine = MovesMachine.TestCase
TestMovesMachine.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


def contact(flags: int, rank: int = 1, **changes: int) -> bytes:
    record = np.zeros(1, CONTACT)
    for name in ("handed_off_us", "seen_us", "accepted_us", "refused_us", "not_now_us"):
        record[name] = NEVER_US
    record["decision"], record["rank"], record["flags"], record["expires_us"] = 9, rank, flags, HOLD_ENDS_US
    record["offer"], record["campaign"], record["category"] = 4, 5, 6
    for name, value in changes.items():
        record[name] = value
    return record.tobytes()


def of_the_offer(before: bytes, after: bytes, *, released: bool = False) -> list[Move]:
    return moves(before, after, {(0, 4): EVENTS}, released=released)


def test_a_push_hold_that_is_gone_was_handed_off_and_seen_when_it_ended() -> None:
    assert of_the_offer(contact(LIVE | PUSH | COUNTS), b"") == [
        Move(HANDED_OFF, (0, 4), 0, HOLD_ENDS_US, (5, 4)),
        Move(SEEN, (0, 4), 0, HOLD_ENDS_US, (5, 4)),
        Move(ACCEPTED, (0, 4), -1, None, (5, 4)),
    ]


def test_an_erased_push_hold_is_released() -> None:
    held = contact(LIVE | PUSH | COUNTS)
    assert [(move.event, move.units) for move in of_the_offer(held, b"", released=True)] == [
        (HANDED_OFF, -1), (SEEN, -1), (ACCEPTED, -1),
    ]  # fmt: skip


def test_an_outcome_that_comes_late_counts_at_its_time() -> None:
    before, after = contact(COUNTS), contact(COUNTS, seen_us=77)
    assert of_the_offer(before, after) == [Move(SEEN, (0, 4), 1, 77, (5, 4))]


def test_what_does_not_count_moves_nothing() -> None:
    assert not (moves(b"", contact(LIVE), {(0, 4): EVENTS}))
    assert not (moves(contact(LIVE | PUSH), b"", {(0, 4): EVENTS}))


def test_the_first_open_hold_that_counts_is_looked_at() -> None:
    held = contact(LIVE | COUNTS), contact(LIVE | COUNTS, rank=2, expires_us=500), contact(COUNTS, rank=3, expires_us=7)
    assert first_expiry_us(b"".join(held), {(1, 5)}) == 500
    assert first_expiry_us(b"".join(held), {(0, 5), (2, 7)}) is None
    assert first_expiry_us(contact(LIVE, expires_us=3), {(0, 4)}) is None
