"""What is put into a working ledger against what is read out of it, in plain Python."""

import random
from typing import Any

import numpy as np
import pytest

from engine.dtypes.contact import CONTACT, COUNTS, LIVE, PUSH
from engine.dtypes.ledger import FOREVER_US, Requests
from engine.dtypes.texts import Texts
from engine.ledger.names import KINDS
from engine.ledger.port import Retention
from engine.ledger.working import NOT_CONTACTS, WorkingLedger
from engine.limits import CONTACTS_PER_SUBSCRIBER_MAX, NEVER_US

HOUR_US = 3_600_000_000
NOW_US = 1_000 * HOUR_US
RETENTION = Retention(2 * HOUR_US, HOUR_US, 3 * HOUR_US, HOUR_US, FOREVER_US, HOUR_US // 2)
EVENTS = ("handed_off_us", "seen_us", "accepted_us", "refused_us", "not_now_us")
CODES = 3


@pytest.fixture
def ledger() -> WorkingLedger:
    made = WorkingLedger(decision_first=1, now_us=NOW_US)
    for kind in KINDS:
        for number in range(CODES):
            made.names.code(kind, f"{kind}-{number}")
    made.set_policy(RETENTION, 0, np.array([0], np.int64))
    return made


def contact(rng: random.Random, decision: int, **changes: Any) -> np.ndarray[Any, Any]:
    record = np.zeros(1, CONTACT)
    record["decision"], record["rank"] = decision, 1
    record["granted_us"] = NOW_US - rng.randint(0, 4) * HOUR_US
    record["expires_us"] = record["granted_us"] + rng.choice([1, HOUR_US // 2, 3 * HOUR_US])
    for name in EVENTS:
        record[name] = rng.choice([NEVER_US, NEVER_US, NOW_US - rng.randint(0, 4) * HOUR_US])
    for name in ("offer", "campaign", "category", "channel"):
        record[name] = rng.randint(1, CODES)
    record["flags"] = rng.choice([0, LIVE]) | rng.choice([0, PUSH]) | rng.choice([0, COUNTS])
    for name, value in changes.items():
        record[name] = value
    return record


def ends_us(record: Any) -> list[int]:
    """When each thing that may matter of a contact is over, or FOREVER_US."""
    kept = {
        "expires_us": [RETENTION.late_us],
        "refused_us": [RETENTION.refused_us],
        "not_now_us": [RETENTION.not_now_us],
        "accepted_us": [RETENTION.accepted_us],
    }
    if record["flags"] & COUNTS:
        kept["granted_us"] = [RETENTION.decided_us]
        for name in ("handed_off_us", "seen_us", "accepted_us"):
            kept[name] = [*kept.get(name, []), RETENTION.counted_us]
        if record["flags"] & LIVE:
            kept["expires_us"].append(RETENTION.counted_us)
    return [
        min(int(record[name]) + length_us, FOREVER_US)
        for name, lengths in kept.items()
        if record[name] != NEVER_US
        for length_us in lengths
    ]


def test_what_is_installed_is_what_matters_and_is_read_out_as_it_was(ledger: WorkingLedger) -> None:
    rng = random.Random(7)
    for _ in range(30):
        people = {
            number: [contact(rng, 10 * number + k) for k in range(rng.choice([0, 1, 3, 20]))] for number in range(1, 9)
        }
        ledger.begin(len(people), NOW_US)
        names = np.array(list(people), np.uint64)
        blobs = [b"".join(record.tobytes() for record in records) for records in people.values()]
        count = np.array([len(records) for records in people.values()])
        found = ledger.install(names, count, bytearray(b"".join(blobs)), CODES)
        for records, until_us, read in zip(people.values(), found.tolist(), ledger.contacts_of(names), strict=True):
            assert until_us == max((end for record in records for end in ends_us(record[0])), default=0)
            matter = [r for r in records if r["flags"][0] & LIVE or max(ends_us(r[0])) > NOW_US]
            assert read == b"".join(record.tobytes() for record in matter)


def test_holds_that_are_over_expire_at_the_next_advance(ledger: WorkingLedger) -> None:
    rng = random.Random(8)
    over = contact(rng, 1, flags=LIVE | PUSH | COUNTS, granted_us=NOW_US - 2, expires_us=NOW_US - 1, seen_us=NEVER_US)
    ledger.begin(1, NOW_US)
    ledger.install(np.array([5], np.uint64), np.array([1]), bytearray(over.tobytes()), CODES)
    ledger.advance(NOW_US)
    found = ledger.find(5, 1, 1)
    assert found is not None
    assert not found["flags"] & LIVE
    assert found["seen_us"] == NOW_US - 1
    assert ledger.statistics()["live_contacts"] == 0


@pytest.mark.parametrize(
    "wrong", [{"decision": 0}, {"rank": 0}, {"offer": 0}, {"campaign": CODES + 1}, {"category": 65_535}, {"channel": 0}]
)
def test_what_can_be_no_contact_is_left(ledger: WorkingLedger, wrong: dict[str, int]) -> None:
    rng = random.Random(9)
    ledger.begin(3, NOW_US)
    records = b"".join(
        contact(rng, **{"decision": 1 + k, "flags": LIVE, **(wrong if k == 1 else {})}).tobytes() for k in range(3)
    )
    found = ledger.install(np.array([5, 6, 7], np.uint64), np.ones(3, np.int64), bytearray(records), CODES)
    assert (found == NOT_CONTACTS).tolist() == [False, True, False]
    assert [len(each) for each in ledger.contacts_of(np.array([5, 6, 7], np.uint64))] == [80, 0, 80]


def test_more_contacts_than_a_subscriber_may_have_are_left(ledger: WorkingLedger) -> None:
    rng = random.Random(10)
    for count, sound in ((CONTACTS_PER_SUBSCRIBER_MAX, True), (CONTACTS_PER_SUBSCRIBER_MAX + 1, False)):
        ledger.begin(1, NOW_US)
        records = b"".join(contact(rng, 1 + k, flags=LIVE).tobytes() for k in range(count))
        found = ledger.install(np.array([5], np.uint64), np.array([count]), bytearray(records), CODES)
        assert (found[0] != NOT_CONTACTS) == sound


def test_nothing_is_left_of_the_work_before(ledger: WorkingLedger) -> None:
    rng = random.Random(11)
    for turn in range(5):
        ledger.begin(1, NOW_US + turn)
        ledger.clear_outcomes()
        assert ledger.contacts_of(np.array([5], np.uint64)) == [b""]
        assert {
            name: ledger.statistics()[name]
            for name in ("subscribers", "contacts", "live_contacts", "answers", "outcome_ids")
        } == {
            "subscribers": 0,
            "contacts": 0,
            "live_contacts": 0,
            "answers": 0,
            "outcome_ids": 0,
        }
        ledger.install(np.array([5], np.uint64), np.array([1]), bytearray(contact(rng, 1, flags=LIVE).tobytes()), CODES)
        requests = Requests(np.array([[1, 2]], np.uint64), np.array([3], np.uint64), np.array([5], np.uint64))
        texts = Texts(np.frombuffer(bytearray(b"answer"), np.uint8), np.zeros(1, np.int64), np.full(1, 6))
        ledger.install_answers(requests, np.zeros(1, np.int64), texts)
        ledger.install_outcome((8, 9), 1, 5)
        recalled = ledger.answers.recall(requests, np.zeros(1, np.int64), ledger.now_us).result()
        assert recalled.known == 1
