"""The watch: a replica that meets a server which lost everything does not grant before those who know better."""

import time
from pathlib import Path
from typing import Final

import pytest

from engine.ledger.names import Names
from server.shared.address import Address, Place
from server.shared.recent import Recent
from server.shared.topology import One
from server.shared.watch import BEAT_S, Identity, Watch
from tests.server.shared.functions import KEY, change_to, contact, kept_of
from tests.server.shared.redis_servers import RedisServer, redis_server
from tests.server.shared.test_failover import until

TIMEOUT_S: Final = 0.5
BEATS: Final = 6


def watch_of(redis: RedisServer, replica: int, recent: Recent | None = None) -> Watch:
    topology = One(Place("one", [Address("127.0.0.1", redis.port)], ""))
    return Watch(topology, Identity("c", "s", replica, f"life-{replica}"), TIMEOUT_S, recent or Recent(), Names())


@pytest.mark.parametrize("beat", range(BEATS))
def test_a_new_replica_at_a_server_that_was_emptied_waits_for_those_who_know(
    binary: str, tmp_path: Path, beat: int
) -> None:
    """Wherever the others are between two of their beats."""
    with redis_server(tmp_path / "redis", binary) as redis:
        recent = Recent()
        kept = kept_of(change_to(b"S" * 16, contact(1)))
        recent.add(kept.function, kept.subscriber, kept.words, kept.tail)
        knows, comes = watch_of(redis, 1, recent), watch_of(redis, 2)
        knows.open({})
        knows.start()
        try:
            time.sleep(0.1 + beat * 0.5 / BEATS)
            redis.command("FLUSHALL")
            comes.open({})
            assert comes.links() == 1, "it starts once it may grant"
            assert redis.command("EXISTS", KEY) == 1
        finally:
            knows.stop()
            comes.stop()


def test_a_replica_that_said_nothing_for_long_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.shared.silence.SILENT_S", 2.0)
    with redis_server(tmp_path / "redis") as redis:
        gone, here = watch_of(redis, 1), watch_of(redis, 2)
        try:
            gone.open({})
            gone.start()
            here.open({})
            here.start()
            over = "SMEMBERS", "tp:{0}:over"
            with monkeypatch.context() as asleep:
                asleep.setattr(gone, "_look_again", lambda: None)
                time.sleep(0.7)
                assert redis.command(*over) == []
                until(lambda: redis.command(*over) == [b"life-1"])
                assert redis.command("HKEYS", "tp:{0}:replicas") == [b"2"]
                assert gone.links() == 1, "it sleeps"
            until(lambda: gone.links() == 0)
            time.sleep(0.7)
            assert gone.links() == 0, "it is over for good"
            assert redis.command("HKEYS", "tp:{0}:replicas") == [b"2"]
        finally:
            gone.stop()
            here.stop()


@pytest.mark.parametrize("beat", range(BEATS))
def test_a_replica_that_has_just_come_is_waited_for_as_well(binary: str, tmp_path: Path, beat: int) -> None:
    """It grants once the others would know whom to wait for, wherever they are between two of their beats."""
    with redis_server(tmp_path / "redis", binary) as redis:
        recent = Recent()
        there, comes = watch_of(redis, 1), watch_of(redis, 2, recent)
        there.open({})
        there.start()
        try:
            time.sleep(0.1 + beat * 0.5 / BEATS)
            comes.open({})
            comes.start()
            assert comes.links() == 1
            kept = kept_of(change_to(b"S" * 16, contact(1)))
            recent.add(kept.function, kept.subscriber, kept.words, kept.tail)
            redis.command("FLUSHALL")
            (node,) = there._topology.nodes
            assert node.link is not None
            node.drop(node.link)
            until(lambda: there.links() == 1)
            assert redis.command("EXISTS", KEY) == 1
        finally:
            there.stop()
            comes.stop()


def test_who_slept_waits_for_the_one_that_came_meanwhile(tmp_path: Path) -> None:
    """Though it is the first at a server that lost everything, and has never heard of the other."""
    with redis_server(tmp_path / "redis") as redis:
        recent = Recent()
        sleeps, comes = watch_of(redis, 1), watch_of(redis, 2, recent)
        sleeps.open({})
        sleeps.start()
        try:
            with pytest.MonkeyPatch.context() as both_asleep:
                with pytest.MonkeyPatch.context() as asleep:
                    asleep.setattr(sleeps, "_look_again", lambda: None)
                    time.sleep(BEAT_S)
                    comes.open({})
                    assert comes.links() == 1, "nobody waits for one that sleeps"
                    comes.start()
                    kept = kept_of(change_to(b"S" * 16, contact(1)))
                    recent.add(kept.function, kept.subscriber, kept.words, kept.tail)
                    both_asleep.setattr(comes, "_look_again", lambda: None)
                    time.sleep(BEAT_S)
                    redis.command("FLUSHALL")
                until(lambda: sleeps.links() == 0)
            until(lambda: sleeps.links() == 1)
            assert redis.command("EXISTS", KEY) == 1
        finally:
            sleeps.stop()
            comes.stop()


def test_who_was_there_is_waited_for_though_the_clock_is_another(tmp_path: Path) -> None:
    """As after a failover to a server whose clock is ahead."""
    with redis_server(tmp_path / "redis") as redis:
        recent = Recent()
        knows, raises = watch_of(redis, 1, recent), watch_of(redis, 2)
        for watch in (knows, raises):
            watch.open({})
            watch.start()
        knows._stopping = True
        try:
            knows._thread.join()
            kept = kept_of(change_to(b"S" * 16, contact(1)))
            recent.add(kept.function, kept.subscriber, kept.words, kept.tail)
            (node,) = raises._topology.nodes
            said = redis.command("HGET", node.replicas_key, "1").split()
            hour_ago = b"%d" % (int(said[1]) - 3_600_000_000)
            ahead = "HSET", node.replicas_key, "1", b" ".join([said[0], hour_ago, said[2]])
            redis.command(*ahead)
            redis.command("HSET", node.epoch_key, "run", "another")
            redis.command("CLIENT", "KILL", "TYPE", "normal")
            until(lambda: raises.links() == 0)
            time.sleep(1.0)
            assert raises.links() == 0, "it waits for the one that knows"
        finally:
            knows.stop()
            raises.stop()
