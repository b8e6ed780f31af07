"""Until when a key is kept: never less than the ledger's own rules say."""

import random

import numpy as np
import pytest

from engine.dtypes.contact import CONTACT
from engine.dtypes.ledger import FOREVER_US
from engine.ledger.working import WorkingLedger
from server.shared.ends import ends_ms, matters_until_us, new_hold_until_us
from server.shared.opening import REPLICA_MAX, first_decision
from tests.engine.ledger.test_working import CODES, NOW_US, contact, ends_us, ledger

assert ledger


def test_a_key_lives_at_least_as_long_as_its_contacts_matter(ledger: WorkingLedger) -> None:
    rng = random.Random(3)
    for _ in range(200):
        records = [contact(rng, 1 + number) for number in range(rng.randint(1, 4))]
        joined = np.frombuffer(b"".join(record.tobytes() for record in records), CONTACT)
        ends = [end for record in records for end in ends_us(record[0])]
        until_us = matters_until_us(ledger.retention, joined, NOW_US)
        assert until_us >= max(ends)
        assert (until_us == FOREVER_US) == (FOREVER_US in ends)
        ledger.begin(1, NOW_US)
        entered = ledger.install(np.array([1], np.uint64), np.array([len(records)]), bytearray(joined.tobytes()), CODES)
        assert until_us >= entered[0]


def test_a_new_hold_is_kept_until_its_outcomes_are_over(ledger: WorkingLedger) -> None:
    expires_us = NOW_US + 7_000_000
    until_us = new_hold_until_us(ledger.retention, expires_us, NOW_US)
    assert until_us >= expires_us + int(max(ledger.retention[:2]))
    assert until_us >= NOW_US + 86_400_000_000
    assert ends_ms(FOREVER_US) == b""
    assert int(ends_ms(until_us)) * 1_000 > until_us


@pytest.mark.parametrize("seconds", [1, 1_000_000, 2_000_000_000])
def test_no_two_replicas_nor_lives_share_a_decision(seconds: int) -> None:
    now_us = 1_577_836_800_000_000 + seconds * 1_000_000
    firsts = [first_decision(replica, now_us) for replica in (0, 1, 7, REPLICA_MAX)]
    assert [first >> 48 for first in firsts] == [0, 1, 7, REPLICA_MAX]
    assert all(0 < first < 1 << 63 for first in firsts)
    assert first_decision(7, now_us + 1_000_000) - firsts[2] == 131_072
