"""Stock over replicas that share a ledger: never more than there is, all of it in the end, counted by those who get it."""

import itertools
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from touchpoint.v1 import admin_service_pb2 as admin
from touchpoint.v1 import decision_service_pb2 as pb
from touchpoint.v1 import outcome_service_pb2 as outcomes
from touchpoint.v1 import reason_pb2
from touchpoint.v1 import subscriber_service_pb2 as subscribers

from tests.server.operator_fixture import CUSTOMERS, Operator, msisdn, write_operator
from tests.server.running import asking, running, settings_for
from tests.server.shared.between import Between
from tests.server.shared.redis_servers import keys_of, redis_server
from tests.server.shared.stock import (
    ACCEPTED_EVENT,
    DECIDED,
    DECIDED_EVENT,
    LIMIT,
    ask,
    eventually,
    got,
    replicas_of,
    sell,
    sell_out,
    stocked,
    total_of,
)
from tests.server.shared.test_failover import until
from tests.server.shared.test_ways import rewrite
from tests.server.test_rpcs import outcome, record


def test_all_of_a_stock_is_given_and_no_more(once: Operator, binary: str, tmp_path: Path) -> None:
    with replicas_of(once, tmp_path / "redis", 3, binary) as shared:
        assert len(sell_out(shared.all, LIMIT)) == LIMIT
        eventually(lambda: total_of(shared.redis, DECIDED_EVENT), (0, LIMIT))
        explained = ask(shared.all[0], 1, explain=True)
        assert {each.offer: each.reason for each in explained.candidates}["a_half"] == reason_pb2.REASON_CAP_REACHED


def test_a_batch_takes_what_is_left(once: Operator, tmp_path: Path) -> None:
    with replicas_of(once, tmp_path / "redis") as shared:
        batch = pb.DecideBatchRequest(items=[asking(n) for n in range(CUSTOMERS)])
        given = [got(result.answer) for result in shared.all[0].decisions.DecideBatch(batch).results]
        assert given == [True] * LIMIT + [False] * (CUSTOMERS - LIMIT), "the items see each other, in order"
        assert not any(got(ask(shared.all[1], n)) for n in range(CUSTOMERS))


@pytest.mark.long
def test_20_000_units_by_16_clients_and_3_replicas(tmp_path: Path) -> None:
    units, people, at_once = 20_000, 1_000, 50
    folder = tmp_path / "operator"
    folder.mkdir()
    operator = write_operator(folder, stocked(f"counts: decided, window: lifetime, limit: {units}"), people)
    with replicas_of(operator, tmp_path / "redis", 3, ledger_redis_timeout_ms=5_000) as shared:
        given, numbers = Counter[int](), itertools.count()

        def client(number: int) -> None:
            decisions = shared.all[number % 3].decisions
            while (first := at_once * next(numbers)) < 1.2 * units:
                batch = pb.DecideBatchRequest(items=[asking((first + n) % people) for n in range(at_once)])
                given[number] += sum(got(result.answer) for result in decisions.DecideBatch(batch).results)

        with ThreadPoolExecutor(16) as pool:
            list(pool.map(client, range(16)))
        left = units - given.total()
        assert 0 <= left < units // 10
        assert len(sell_out(shared.all, left)) == left
        eventually(lambda: total_of(shared.redis, DECIDED_EVENT), (0, units))


def test_dry_runs_see_the_stock_and_take_none_of_it(once: Operator, tmp_path: Path) -> None:
    with replicas_of(once, tmp_path / "redis") as shared:
        for n in range(2 * LIMIT):
            assert got(ask(shared.all[0], n, dry_run=True))
        assert len(sell_out(shared.all, LIMIT)) == LIMIT
        assert not got(ask(shared.all[0], 1, dry_run=True))


def test_traffic_that_obeys_no_caps_counts_toward_the_stock_and_is_never_refused(tmp_path: Path) -> None:
    free = stocked(f"counts: decided, window: lifetime, limit: {LIMIT}").replace(
        "purpose: service, offers: [a_half]}", "purpose: service, offers: [a_half], exempt: {obeys_caps: false}}"
    )
    both = free.replace(
        "campaigns:\n",
        "campaigns:\n  - {id: capped, state: live, triggers: [quiet_corner], channels: [desk], purpose: service, offers: [a_half]}\n",
    )
    folder = tmp_path / "operator"
    folder.mkdir()
    with replicas_of(write_operator(folder, both), tmp_path / "redis") as shared:
        one, other = shared.all
        assert got(ask(other, 50, placement="quiet_corner"))
        given = [got(ask(shared.all[n % 2], n)) for n in range(LIMIT + 5)]
        assert all(given)
        eventually(lambda: total_of(shared.redis, DECIDED_EVENT), (0, LIMIT + 6))
        assert not got(ask(one, 51, placement="quiet_corner"))
        assert got(ask(one, 52))


def test_a_stock_in_use_is_never_more_than_there_is_and_comes_back(held: Operator, binary: str, tmp_path: Path) -> None:
    with replicas_of(held, tmp_path / "redis", 2, binary) as shared:
        first = sell_out(shared.all, LIMIT)
        assert len(first) == LIMIT, "held units count"
        accepted = first[:15]
        for number, answer in enumerate(accepted):
            sent = outcome(answer.decision_id, f"accepted-{number}", kind=outcomes.OUTCOME_KIND_ACCEPTED)
            assert record(shared.all[number % 2], sent)[0].status == outcomes.OUTCOME_STATUS_RECORDED
            assert record(shared.all[1 - number % 2], sent)[0].status == outcomes.OUTCOME_STATUS_DUPLICATE
        again = sell_out(shared.all, LIMIT - len(accepted))
        assert len(again) == LIMIT - len(accepted), "what nobody accepted was released when its hold ended"
        eventually(lambda: total_of(shared.redis, ACCEPTED_EVENT), (0, len(accepted)))


def test_what_is_refused_or_erased_by_one_replica_is_given_by_another(held: Operator, tmp_path: Path) -> None:
    with replicas_of(held, tmp_path / "redis") as shared:
        one, other = shared.all
        given = {n: answer for n in range(CUSTOMERS) if got(answer := ask(shared.all[n % 2], n))}
        refused, (erased, *_) = list(given.values())[:3], list(given)[3:]
        record(other, *(outcome(answer.decision_id, f"refused-{n}") for n, answer in enumerate(refused)))
        one.subscribers.ForgetSubscriber(subscribers.ForgetSubscriberRequest(subscriber=msisdn(erased)))
        eventually(lambda: total_of(shared.redis, ACCEPTED_EVENT), (0, 0))
        assert len(sell_out([one], LIMIT)) == LIMIT


def test_a_limit_that_a_reload_changes_sees_what_was_given(tmp_path: Path) -> None:
    folder, source = tmp_path / "operator", tmp_path / "source"
    folder.mkdir()
    operator = write_operator(folder, DECIDED)
    with replicas_of(operator, tmp_path / "redis") as shared:
        sold = len(sell(shared.all, 12))
        assert sold == 12
        rewrite(operator, DECIDED.replace(f"limit: {LIMIT}", "limit: 20"), source)
        for replica in shared.all:
            assert replica.admin.Reload(admin.ReloadRequest()).changed
        assert len(sell_out(shared.all, 20 - sold)) == 20 - sold


def test_a_replica_that_stops_leaves_what_it_leased_to_the_others(once: Operator, tmp_path: Path, slow: None) -> None:
    with redis_server(tmp_path / "redis") as redis:
        settings = [settings_for(once, ledger_redis=redis.url, replica=n + 1) for n in range(2)]
        with running(settings[0]) as one:
            given = [got(ask(one, n)) for n in range(2)]
            assert all(given)
            assert sum(total_of(redis, DECIDED_EVENT)) == 3, "it leased one to spare"
        assert total_of(redis, DECIDED_EVENT) == (0, 2)
        with running(settings[1]) as other:
            assert len(sell_out([other], LIMIT - 2)) == LIMIT - 2


def test_what_is_to_spare_goes_back_when_nobody_asks(once: Operator, tmp_path: Path) -> None:
    with replicas_of(once, tmp_path / "redis") as shared:
        given = [got(ask(shared.all[0], n)) for n in range(8)]
        assert all(given)
        eventually(lambda: total_of(shared.redis, DECIDED_EVENT), (0, 8))


def test_what_a_killed_replica_had_leased_comes_back_with_its_successor(
    once: Operator, tmp_path: Path, slow: None
) -> None:
    with replicas_of(once, tmp_path / "redis") as shared:
        one, other = shared.all
        given = [got(ask(one, n)) for n in range(4)]
        assert all(given)
        leased = sum(total_of(shared.redis, DECIDED_EVENT))
        assert 4 < leased <= 4 + 4, "no more to spare than it gave lately"
        watch, stock = one.server._shared.sharing._watch, other.server._shared.sharing._sweep  # type: ignore[union-attr]
        watch._stopping = True  # it does nothing any more, as if it were gone
        stock._next_s = 0.0
        with one.server.thread._turn:
            sold = len(sell_out([other], LIMIT - leased))
            assert sold == LIMIT - leased
        with running(settings_for(once, ledger_redis=shared.redis.url, replica=1)) as successor:
            stock._next_s = 0.0
            successor.server._shared.sharing._sweep._next_s = 0.0  # type: ignore[union-attr]
            ask(successor, 50, dry_run=True)
            eventually(lambda: total_of(shared.redis, DECIDED_EVENT), (0, 4 + sold))
            assert ask(one, 5).reason == reason_pb2.REASON_STATE_UNAVAILABLE, "it is over, though it goes on"
            assert total_of(shared.redis, DECIDED_EVENT) == (0, 4 + sold)
            stock._next_s = 0.0
            assert len(sell_out([other], LIMIT - 4 - sold)) == LIMIT - 4 - sold
    assert len(given) + sold + (LIMIT - 4 - sold) == LIMIT


def test_what_a_replica_had_leased_that_is_silent_for_good_comes_back_without_a_successor(
    once: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with replicas_of(once, tmp_path / "redis") as shared:
        one, other = shared.all
        sharing = one.server._shared.sharing  # type: ignore[union-attr]
        with one.busy():
            sharing._sweep._next_s = float("inf")
        given = [got(ask(one, n)) for n in range(4)]
        assert all(given)
        leased = sum(total_of(shared.redis, DECIDED_EVENT))
        assert leased > 4
        watch = sharing._watch
        with monkeypatch.context() as patched:
            patched.setattr(watch, "_look", lambda *_: True)  # it sleeps
            patched.setattr("server.shared.silence.SILENT_S", 1.0)
            sold = len(sell_out([other], LIMIT - 4))
            assert sold == LIMIT - 4
            assert not got(ask(one, 5)), "though it has a link and a unit to spare"
        until(lambda: watch.links() == 0)
        assert ask(one, 6).reason == reason_pb2.REASON_STATE_UNAVAILABLE
        eventually(lambda: total_of(shared.redis, DECIDED_EVENT), (0, LIMIT))


def test_a_stock_survives_a_server_that_lost_everything(once: Operator, tmp_path: Path) -> None:
    with replicas_of(once, tmp_path / "redis") as shared:
        before = sell(shared.all, 20)
        assert 0 < len(before) <= 20
        shared.redis.stop()
        shared.redis.start()
        eventually(
            lambda: [ask(each, n, dry_run=True).reason for n, each in enumerate(shared.all)],
            [reason_pb2.REASON_OFFERED] * 2,
        )
        after = sell_out(shared.all, LIMIT - len(before))
        assert len(before) + len(after) == LIMIT


def test_an_answer_that_is_lost_costs_nothing_in_the_end(held: Operator, tmp_path: Path) -> None:
    with redis_server(tmp_path / "redis") as redis:
        between = Between(redis.port)
        try:
            with running(
                settings_for(held, ledger_redis=f"redis://127.0.0.1:{between.port}", ledger_redis_timeout_ms=300)
            ) as one:
                assert got(ask(one, 0))
                for number in range(1, 4):
                    between.cut_after = b"touchpoint2_commit"
                    assert ask(one, number).reason == reason_pb2.REASON_STATE_UNAVAILABLE
                    eventually(lambda: ask(one, 50, dry_run=True).reason, reason_pb2.REASON_OFFERED)
                assert between.cuts == 3
                eventually(lambda: total_of(redis, ACCEPTED_EVENT), (0, 0))
                assert len(sell_out([one], LIMIT)) == LIMIT
        finally:
            between.close()


def test_an_outcome_that_was_recorded_though_its_answer_was_lost(held: Operator, tmp_path: Path) -> None:
    with redis_server(tmp_path / "redis") as redis:
        between = Between(redis.port)
        url = f"redis://127.0.0.1:{between.port}"
        try:
            with running(settings_for(held, ledger_redis=url, ledger_redis_timeout_ms=300)) as one:
                sent = outcome(ask(one, 0).decision_id, "refused-0")
                between.cut_after = b"touchpoint2_commit"
                with pytest.raises(grpc.RpcError, match="UNAVAILABLE"):
                    record(one, sent)
                eventually(lambda: ask(one, 50, dry_run=True).reason, reason_pb2.REASON_OFFERED)
                assert record(one, sent)[0].status == outcomes.OUTCOME_STATUS_DUPLICATE
                eventually(lambda: total_of(redis, ACCEPTED_EVENT), (0, 0))
        finally:
            between.close()


def test_a_total_that_is_somebody_elses_stops_its_offer_alone(once: Operator, tmp_path: Path) -> None:
    with replicas_of(once, tmp_path / "redis", 1) as shared:
        (one,) = shared.all
        key = b"tp:{0}:total:0:offer:1"
        shared.redis.command("SET", key, "mine")
        answers = [ask(one, n) for n in range(20)]
        assert {answer.reason for answer in answers} == {reason_pb2.REASON_OFFERED}
        assert not any(map(got, answers))
        shared.redis.command("DEL", key)
        shared.redis.command("HSET", key, "life", "no part at all")
        answers = [ask(one, n) for n in range(20)]
        assert {answer.reason for answer in answers} == {reason_pb2.REASON_OFFERED}
        assert not any(map(got, answers))
        shared.redis.command("DEL", key)
        assert len(sell_out([one], LIMIT)) == LIMIT


def test_who_cannot_give_back_what_it_leased_as_it_stops_leaves_it_to_its_successor(
    once: Operator, tmp_path: Path, slow: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with redis_server(tmp_path / "redis") as redis:
        settings = settings_for(once, ledger_redis=redis.url, replica=1)
        with running(settings) as one:
            given = [got(ask(one, n)) for n in range(4)]
            assert all(given)
            assert sum(total_of(redis, DECIDED_EVENT)) > 4
            shared = one.server._shared
            assert shared is not None
            monkeypatch.setattr(shared.sharing._watch, "_give_link", lambda _: "")
            node = shared.sharing._stock._topology.names_node()
            with one.busy():
                assert node.link is not None
                node.drop(node.link)
        assert sum(total_of(redis, DECIDED_EVENT)) > 4
        monkeypatch.setattr("server.shared.sweep.EVERY_S", 0.25)
        with running(settings) as successor:
            assert len(sell_out([successor], LIMIT - 4)) == LIMIT - 4


def test_a_total_of_the_day_and_one_for_ever(tmp_path: Path) -> None:
    both = stocked("counts: decided, window: {calendar: day}, limit: 7", "counts: decided, window: lifetime, limit: 12")
    folder = tmp_path / "operator"
    folder.mkdir()
    operator = write_operator(folder, both)
    with redis_server(tmp_path / "redis") as redis:
        settings = [settings_for(operator, ledger_redis=redis.url, replica=n + 1) for n in range(2)]
        with running(settings[1]) as other:
            with running(settings[0]) as one:
                assert len(sell_out([one, other], 7)) == 7
            (key,) = [key for key in keys_of(redis) if b":total:" in key]
            eventually(lambda: total_of(redis, DECIDED_EVENT), (0, 7))
            gone = redis.command("HGET", key, "0")
            sold = days_of(gone)
            assert 0 < sold <= 7
            *head, today = gone.split()
            day, events = today.split(b":")
            redis.command("HSET", key, "0", b" ".join([*head, b"%d:%b" % (int(day) - 1, events)]))
            more = min(sold, 12 - 7)
            assert len(sell_out([other], more)) == more, "what was given the day before counts for ever, but not today"


def days_of(part: bytes) -> int:
    return sum(int(each.split(b":")[1]) for each in part.split()[4:])
