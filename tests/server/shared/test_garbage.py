"""Keys and values under the ledger's names that somebody else wrote: what they concern is not known, nothing fails, and the rest goes on."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final

import grpc
import pytest
from touchpoint.v1 import reason_pb2
from touchpoint.v1 import subscriber_service_pb2 as subscribers

from tests.server.operator_fixture import Operator
from tests.server.running import asking
from tests.server.shared.redis_servers import RedisServer, keys_of, redis_server
from tests.server.shared.stock import LIMIT, ask, got, replicas_of, sell_out
from tests.server.shared.test_faults import heals, refused
from tests.server.shared.test_replicas import say
from tests.server.test_rpcs import outcome, record

UNAVAILABLE: Final = reason_pb2.REASON_STATE_UNAVAILABLE
TIMEOUT_MS: Final = 500
ASKED_S: Final = 1.3
"""Longer than anything that looks into the ledger by itself waits."""
Words = tuple[str | bytes, ...]
UNSEEN: Final[list[Words]] = [
    ("ZADD", "tp:{0}:due", "1", "garbage"),
    ("SADD", "tp:{0}:over", b"\xff\xfe"),
    ("SADD", "tp:{0}:over", "life"),
    ("SET", "tp:{0}:given:life", "x"),
    ("HSET", "tp:{0}:replicas", "9", "garbage"),
    ("HSET", "tp:{0}:replicas", b"\xff", b"\xff 1 1"),
    ("HSET", "tp:{0}:names:offer", b"\xff", "garbage"),
    ("SET", "tp:{0}:names:offer", "x"),
    ("HSET", "tp:{0}:about", "catalogue", b"\xff"),
]
REFUSED: Final[list[Words]] = [
    ("SET", "tp:{0}:epoch", "x"),
    ("HSET", "tp:{0}:epoch", "epoch", "garbage"),
    ("SET", "tp:{0}:replicas", "x"),
]


def plant(redis: RedisServer, words: Words) -> None:
    if words[0] == "SET":
        redis.command("DEL", words[1])
    if words[-1] == "life":
        redis.command("HSET", "tp:{0}:given:life", "garbage", "garbage")
    redis.command(*words)


def name(words: Words) -> str:
    return " ".join(map(str, words[:3]))


@pytest.mark.parametrize("words", UNSEEN, ids=name)
def test_what_no_decision_needs_is_no_matter(held: Operator, tmp_path: Path, words: Words) -> None:
    with replicas_of(held, tmp_path / "redis", 1, ledger_redis_timeout_ms=TIMEOUT_MS) as shared:
        (one,) = shared.all
        assert got(ask(one, 0))
        plant(shared.redis, words)
        reasons, end_s = set[int](), time.monotonic() + ASKED_S
        while time.monotonic() < end_s:
            reasons.add(ask(one, 1, dry_run=True).reason)
        assert reasons == {reason_pb2.REASON_OFFERED}
        assert got(ask(one, 2))


def test_a_schedule_that_is_none_stops_what_it_would_say(held: Operator, tmp_path: Path) -> None:
    with replicas_of(held, tmp_path / "redis", 1, ledger_redis_timeout_ms=TIMEOUT_MS) as shared:
        (one,) = shared.all
        plant(shared.redis, ("SET", "tp:{0}:due", "x"))
        for number in range(20):
            assert ask(one, number).reason == UNAVAILABLE
            assert ask(one, number, dry_run=True).offers
        assert not [key for key in keys_of(shared.redis) if key.endswith(b"}")]
        shared.redis.command("DEL", "tp:{0}:due")
        assert len(sell_out([one], LIMIT)) == LIMIT


@pytest.mark.parametrize("words", REFUSED, ids=name)
def test_what_says_whose_turn_it_is_stops_all_until_it_is_mended(held: Operator, tmp_path: Path, words: Words) -> None:
    with replicas_of(held, tmp_path / "redis", 1, ledger_redis_timeout_ms=TIMEOUT_MS) as shared:
        (one,) = shared.all
        assert got(ask(one, 0))
        plant(shared.redis, words)
        end_s = time.monotonic() + ASKED_S
        while time.monotonic() < end_s:
            answer = ask(one, 1, dry_run=True)
        assert answer.reason == UNAVAILABLE
        shared.redis.command("DEL", words[1])
        assert heals(partial(ask, one, 1)).offers


STARTS: Final[list[Words]] = [
    *REFUSED,
    ("HSET", "tp:{0}:replicas", "9", "garbage"),
    ("HSET", "tp:{0}:names:offer", b"\xff", "garbage"),
    ("HSET", "tp:{0}:names:offer", "x", "2"),
    ("SET", "tp:{0}:names:offer", "x"),
    ("HSET", "tp:{0}:about", "catalogue", b"\xff"),
    ("SET", "tp:{0}:about", "x"),
    ("SET", "tp:{0}:over", "x"),
]


@pytest.mark.parametrize("words", STARTS, ids=name)
def test_a_server_does_not_start_over_it_and_says_so(held: Operator, tmp_path: Path, words: Words) -> None:
    with redis_server(tmp_path / "redis") as redis:
        plant(redis, words)
        kind, key = words[:2]
        before = redis.command("HGETALL" if kind == "HSET" else "GET", key)
        assert "ledger_redis: " in refused(held, ledger_redis=redis.url)
        after = redis.command("HGETALL" if kind == "HSET" else "GET", key)
        assert before in (after, after[: len(before)])


def of_subscriber(field: str, value: bytes) -> Callable[[RedisServer, bytes], None]:
    return lambda redis, key: redis.command("HSET", key, field, value)


def not_a_hash(suffix: bytes) -> Callable[[RedisServer, bytes], None]:
    def write(redis: RedisServer, key: bytes) -> None:
        redis.command("DEL", key + suffix)
        redis.command("SET", key + suffix, "x")

    return write


def live(value: bytes) -> Callable[[RedisServer, bytes], None]:
    def write(redis: RedisServer, key: bytes) -> None:
        redis.command("HSET", key + b":live", "label\x00x", value)
        redis.command("HSET", key, "u", "garbage")

    return write


POISON: Final = {
    "key": not_a_hash(b""),
    "contacts": of_subscriber("c", b"\xff" * 160),
    "part of a contact": of_subscriber("c", b"\xff" * 81),
    "index": of_subscriber("x", b"xyz"),
    "live": not_a_hash(b":live"),
    "live without parts": live(b"garbage"),
    "live of no kind": live(b"99 1 \x94\x00\xa0\xa0\xa0"),
    "live of no instant": live(b"0 99999999999999999999 \x94\x00\xa0\xa0\xa0"),
    "live without a value": live(b"0 5555555555555555 \xc1"),
    "live without a base": live(b"2 5555555555555555 \x93\x00\xa0\xa0"),
    "live with too large a value": live(b"2 5555555555555555 \x94\xcf\xff\xff\xff\xff\xff\xff\xff\xff\xa0\xa0\xa0"),
}


@pytest.mark.parametrize("what", POISON)
def test_a_subscriber_of_whom_nothing_is_known_disturbs_nobody(held: Operator, tmp_path: Path, what: str) -> None:
    with replicas_of(held, tmp_path / "redis", 1, ledger_redis_timeout_ms=TIMEOUT_MS) as shared:
        (one,) = shared.all
        first = ask(one, 0)
        assert got(first)
        say(one, 0, subscribers.CONSENT_STATE_GRANTED)
        (key,) = (key for key in keys_of(shared.redis) if key.endswith(b"}"))
        POISON[what](shared.redis, key)
        if what.startswith("live"):
            shared.redis.command("HSET", key, "u", "another")
        for number in range(1, 30):
            poisoned = ask(one, 0)
            assert (poisoned.reason, len(poisoned.offers)) == (UNAVAILABLE, 0)
            assert ask(one, number).offers
        with pytest.raises(grpc.RpcError, match="UNAVAILABLE"):
            record(one, outcome(first.decision_id, "said"))


def test_what_is_remembered_of_a_request_is_not_what_it_should_be(held: Operator, tmp_path: Path) -> None:
    with ExitStack() as stack:
        shared = stack.enter_context(replicas_of(held, tmp_path / "redis", 1, ledger_redis_timeout_ms=TIMEOUT_MS))
        (one,) = shared.all
        request = asking(0)
        assert one.decisions.Decide(request).offers
        (key,) = (key for key in keys_of(shared.redis) if key.endswith(b"}"))
        (field,) = (field for field in shared.redis.command("HKEYS", key) if field.startswith(b"r"))
        shared.redis.command("HSET", key, field, "x")
        assert one.decisions.Decide(request).reason in (reason_pb2.REASON_OFFERED, UNAVAILABLE)
