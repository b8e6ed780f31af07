"""Owners read by a kernel are those of plain Python, whatever form a request has."""

import random
from typing import Any

import numpy as np
import pytest
from touchpoint.v1 import decision_service_pb2 as pb

from engine.base.keys import SubscriberKeys
from engine.jit import frozen
from loaders.msisdn import parse_number
from server.codec.items import items_of
from server.codec.kernels.message import PARTS_SIZE
from server.codec.kernels.owning import hash_subscribers
from server.subscriber_hashes import SubscriberHashes
from server.workers.owning import Owning
from tests.server.running import asking

SECRET = bytes(range(16))
OF = 5
FORMS = (
    "+13125550107",
    "13125550107",
    "(312) 555-0107",
    " +13125550107",
    "0",
    "",
    "+",
    "x",
    "ü",
    "9" * 300,
    "3125550107",
)


def hashes_of(kind: Any) -> SubscriberHashes:
    return SubscriberHashes(SubscriberKeys(SECRET, kind, "US", parse_number if kind == "msisdn" else None), SECRET)


def plain(owning: Owning, payload: bytes) -> int:
    """Return the owner as the messages' own library reads it."""
    try:
        request = pb.DecideRequest.FromString(payload)
    except Exception:
        return 0
    return owning.of_keys([request.subscriber])[0]


@pytest.mark.parametrize("kind", ["msisdn", "opaque"])
def test_owners_of_requests_of_every_form(kind: str) -> None:
    rng = random.Random(kind)
    owning = Owning(hashes_of(kind), OF)
    payloads = [asking(subscriber=key).SerializeToString() for key in FORMS]
    payloads += [asking(subscriber=f"+1312{rng.randrange(10**7):07}").SerializeToString() for _ in range(200)]
    payloads += [payload + b"\x58\x01\x60\x01" for payload in payloads[:20]]
    payloads += [payload[: rng.randrange(len(payload))] for payload in payloads[:50] if payload]
    payloads += [payload + pb.DecideRequest(subscriber="+13125550199").SerializeToString() for payload in payloads[:10]]
    payloads += [b"", b"\xff\xff", b"\x12\x02\xff\xfe", b"\x12\x81\x00a"]
    rng.shuffle(payloads)
    expected = [plain(owning, payload) for payload in payloads]
    assert owning.each(payloads) == expected
    assert [owning.each([payload])[0] for payload in payloads] == expected
    assert set(expected) == set(range(OF))
    assert owning.each([]) == []


def test_usual_keys_are_hashed_by_the_kernel() -> None:
    hashes = hashes_of("msisdn")
    payloads = [asking(subscriber=key).SerializeToString() for key in FORMS]
    items = items_of(payloads)
    found, odd = np.zeros(len(payloads), np.uint64), np.zeros(len(payloads), np.uint8)
    text, key = np.frombuffer(items.text, np.uint8), frozen(hashes.words[:2].copy())
    at, size = frozen(items.item_at), frozen(items.item_bytes)
    with np.errstate(over="ignore"):
        hash_subscribers(text, at, size, key, True, np.zeros(PARTS_SIZE, np.int64), found, odd)
    assert odd.tolist() == [0, 0, *[1] * (len(FORMS) - 3), 0]
    assert int(found[0]) == int(found[1]) == hashes.one("+13125550107")
