"""Contacts that are moved together are the same contacts, and a journal of a full ledger comes back into one of the same size."""

from collections.abc import Iterator
from random import Random
from typing import Any

import numpy as np
import pytest

from engine.dtypes.ledger import BLOCK_SIZES, FREE, POOL_TOP
from engine.journal.records import Decided, Hold, Named, Policy, Row
from engine.journal.recovery import Recovery
from engine.journal.segments import JournalError
from engine.journal.starting import new_state
from engine.ledger.memory import MemoryLedger
from engine.ledger.port import Grants
from engine.limits import OFFERS_PER_ANSWER_MAX

HOUR_US = 3_600_000_000
HOLD_US = HOUR_US // 4
SIZES = {"contacts_max": 400, "outcomes_max": 10, "answers_bytes_max": 1 << 20, "overlay_subscribers_max": 10}
NAMED = Named([("offer", "o"), ("campaign", "c"), ("category", "k"), ("channel", "d")])
POLICY = Policy(HOUR_US, [6 * HOUR_US, 6 * HOUR_US, 0, 0, 0, 0], 0, [0])


def new() -> tuple[MemoryLedger, Recovery]:
    ledger, overlay = new_state(SIZES)
    recovery = Recovery(ledger, overlay)
    recovery.take_small(NAMED)
    recovery.take_small(POLICY)
    ledger.number_from(1_000)
    return ledger, recovery


def asked(rng: Random, now_us: int) -> Grants:
    n, k = rng.randrange(1, 8), OFFERS_PER_ANSWER_MAX
    codes: dict[str, Any] = dict.fromkeys(("offer", "campaign", "category", "channel"), np.ones((n, k), np.uint16))
    totals = ("total_slot", "total_event", "total_since_day", "total_limit")
    checks: dict[str, Any] = dict.fromkeys(totals, np.zeros(0, np.int64))
    return Grants(
        subscriber=np.array(rng.sample(range(1, 80), n), np.uint64),
        count=np.array([rng.choice([1, 1, 2, 3, 6, k]) for _ in range(n)], np.int32),
        **codes,
        flags=np.full((n, k), 4, np.uint8),
        expires_us=np.full(n, now_us + HOLD_US, np.int64),
        total_start=np.zeros(n + 1, np.int64),
        **checks,
    )


def played(ledger: MemoryLedger, rng: Random, batches: int) -> Iterator[tuple[Decided, bool]]:
    """Yield what is held as the journal has it, and whether all fitted; time passes that leaves no record."""
    now_us = 2 * HOUR_US
    for _ in range(batches):
        for _ in range(rng.choice([0, 0, 1, 4])):
            now_us += rng.randrange(1, 1_000_000)
            ledger.advance(now_us)
        now_us = ledger.advance(now_us + rng.randrange(HOUR_US // 4))
        grants = asked(rng, now_us)
        done = ledger.reserve(grants).result()
        rows = [
            Row(bytes(16), 0, int(grants.subscriber[item]), b"m", b"", _hold(grants, item, int(done.decision[item])))
            for item in range(done.items)
        ]
        yield Decided(now_us, now_us, 0, 1, rows), done.items == len(grants.subscriber)


def _hold(grants: Grants, item: int, decision: int) -> Hold:
    return Hold(decision, int(grants.expires_us[item]), [(1, 1, 1, 1, 4)] * int(grants.count[item]))


def contacts(ledger: MemoryLedger) -> dict[int, list[Any]]:
    """Return everybody's, read from the blocks where they lie, having looked that no two blocks share a record."""
    state, found = ledger.state(), {}
    taken: set[int] = set()
    for entry in state["table"]:
        if entry["size"]:
            start, size = int(entry["start"]), int(entry["size"])
            block = set(range(start, start + size))
            assert size in BLOCK_SIZES
            assert not block & taken
            taken |= block
            found[int(entry["key"])] = state["pool"][start : start + int(entry["count"])].tolist()
    return found


@pytest.mark.parametrize("seed", range(5))
def test_what_is_moved_together_is_the_same(seed: int) -> None:
    ledger, _ = new()
    rng = Random(seed)
    for _ in played(ledger, rng, 12):
        pass
    before = contacts(ledger)
    subscriber, held = rng.choice(sorted(before.items()))
    most = BLOCK_SIZES[-1] - len(held)
    assert not ledger.compact(subscriber, most + 1)
    assert contacts(ledger) == before
    assert ledger.compact(subscriber, 3)
    assert contacts(ledger) == before
    state = ledger.state()["state"]
    sizes = {int(entry["key"]): int(entry["size"]) for entry in ledger.state()["table"]}
    assert sizes[subscriber] == min(size for size in BLOCK_SIZES if size >= len(held) + 3)
    assert int(state[POOL_TOP]) == sum(sizes.values())
    assert not state[FREE:].any()
    assert sum(map(len, before.values())) == np.count_nonzero(ledger.state()["pool"]["decision"])
    assert ledger.reserve(asked(rng, ledger.now_us)).result().items > 0


@pytest.mark.parametrize("seed", range(3))
def test_a_journal_of_a_full_ledger_comes_back_into_one_of_the_same_size(seed: int) -> None:
    ledger, (other, recovery) = new()[0], new()
    full = 0
    for decided, fitted in played(ledger, Random(seed), 300):
        full += not fitted
        try:
            recovery.take_decided(decided)
        except JournalError as error:
            pytest.fail(str(error))
    assert full > 20
    held = ledger.state()["holds"]["decision"]
    assert sorted(other.state()["holds"]["decision"].tolist()) == sorted(held.tolist())
    live = {key: [each for each in held if each[1] > ledger.now_us - HOUR_US] for key, held in contacts(ledger).items()}
    there = {key: [each for each in held if each[1] > ledger.now_us - HOUR_US] for key, held in contacts(other).items()}
    assert {key: held for key, held in there.items() if held} == {key: held for key, held in live.items() if held}
