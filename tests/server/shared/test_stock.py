"""Stock over replicas that share a ledger: never more than there is, all of it in the end, counted by those who get it."""

import itertools
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from touchpoint.v1 import decision_service_pb2 as pb
from touchpoint.v1 import outcome_service_pb2 as outcomes
from touchpoint.v1 import reason_pb2
from touchpoint.v1 import subscriber_service_pb2 as subscribers

from server.shared.accounts import SPARE_MAX
from tests.server.operator_fixture import CATALOGUE, CUSTOMERS, Operator, msisdn, write_operator
from tests.server.running import Running, asking, running, settings_for
from tests.server.shared.between import Between
from tests.server.shared.redis_servers import VALKEY, RedisServer, keys_of, redis_server
from tests.server.test_rpcs import outcome, record

DECIDED_EVENT, ACCEPTED_EVENT = 0, 3
LIMIT = 40
HOLD_S = 2
PATIENCE_S = 20.0
CLIENTS = 8


def stocked(*caps: str) -> str:
    """Return the catalogue with caps in total on a_half, which is everybody's first offer, and holds that end soon."""
    lines = "".join(
        f"    - {{id: stock_{n}, scope: offer, target: a_half, per: total, {cap}}}\n" for n, cap in enumerate(caps)
    )
    made = CATALOGUE.replace("  cool_down:", lines + "  cool_down:").replace("hold: 15m", f"hold: {HOLD_S}s")
    return made.replace("after_acceptance: never", "after_acceptance: 1s")


DECIDED = stocked(f"counts: decided, window: lifetime, limit: {LIMIT}")
ACCEPTED = stocked(
    f"counts: accepted, window: lifetime, limit: {LIMIT}", "counts: accepted, window: {calendar: day}, limit: 1000"
)


class Replicas(NamedTuple):
    """What shares a ledger."""

    all: list[Running]
    redis: RedisServer


@contextmanager
def replicas_of(operator: Operator, folder: Path, count: int = 2, binary: str = VALKEY) -> Iterator[Replicas]:
    with ExitStack() as stack:
        redis = stack.enter_context(redis_server(folder, binary))
        settings = [settings_for(operator, ledger_redis=redis.url, replica=n + 1) for n in range(count)]
        yield Replicas([stack.enter_context(running(each)) for each in settings], redis)


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Operator:
    return write_operator(tmp_path_factory.mktemp("once"), DECIDED)


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Operator:
    return write_operator(tmp_path_factory.mktemp("held"), ACCEPTED)


def ask(replica: Running, number: int, **fields: Any) -> pb.DecideResponse:
    return replica.decisions.Decide(asking(number % CUSTOMERS, **fields))


def got(answer: pb.DecideResponse) -> bool:
    return any(offer.offer == "a_half" for offer in answer.offers)


def sell(replicas: list[Running], attempts: int) -> list[pb.DecideResponse]:
    """Ask so often by all clients at once, in turn by each replica; return the answers with a_half."""
    numbers = itertools.count()

    def work(client: int) -> list[pb.DecideResponse]:
        answers = []
        while (number := next(numbers)) < attempts:
            answers.append(ask(replicas[(number + client) % len(replicas)], number))
        return [answer for answer in answers if got(answer)]

    with ThreadPoolExecutor(CLIENTS) as pool:
        return [answer for answers in pool.map(work, range(CLIENTS)) for answer in answers]


def sell_out(replicas: list[Running], limit: int) -> list[pb.DecideResponse]:
    """Sell until so many are sold, as what one replica has to spare comes back to the others; then a few attempts more."""
    answers, end_s = list[pb.DecideResponse](), time.monotonic() + PATIENCE_S
    while len(answers) < limit:
        assert time.monotonic() < end_s, f"{len(answers)} of {limit}"
        answers += sell(replicas, CUSTOMERS)
        time.sleep(0.1)  # a customer can be held 256 contacts
    return answers + sell(replicas, CUSTOMERS)


def total_of(redis: RedisServer, event: int) -> tuple[int, int]:
    """Return what all parts of the total of a_half together hold, and how many events they count."""
    (key,) = [key for key in keys_of(redis) if b":total:%d:" % event in key]
    parts = [part.split() for part in redis.command("HVALS", key)]
    return sum(int(part[2]) for part in parts), sum(int(part[3]) for part in parts)


def eventually(said: Callable[[], object], wanted: object) -> None:
    end_s = time.monotonic() + PATIENCE_S
    while (found := said()) != wanted:
        assert time.monotonic() < end_s, f"expected {wanted}, was {found}"
        time.sleep(0.1)


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


def test_dry_runs_see_the_stock_and_take_none_of_it(once: Operator, tmp_path: Path) -> None:
    with replicas_of(once, tmp_path / "redis") as shared:
        for n in range(2 * LIMIT):
            assert got(ask(shared.all[0], n, dry_run=True))
        assert len(sell_out(shared.all, LIMIT)) == LIMIT
        assert not got(ask(shared.all[0], 1, dry_run=True))


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


def test_a_replica_that_stops_leaves_what_it_leased_to_the_others(once: Operator, tmp_path: Path) -> None:
    with redis_server(tmp_path / "redis") as redis:
        settings = [settings_for(once, ledger_redis=redis.url, replica=n + 1) for n in range(2)]
        with running(settings[0]) as one:
            assert got(ask(one, 0))
            assert total_of(redis, DECIDED_EVENT)[0] > 1, "it leased some to spare"
        assert total_of(redis, DECIDED_EVENT) == (0, 1)
        with running(settings[1]) as other:
            assert len(sell_out([other], LIMIT - 1)) == LIMIT - 1


def test_a_replica_that_is_killed_takes_no_more_than_it_had_leased(once: Operator, tmp_path: Path) -> None:
    with replicas_of(once, tmp_path / "redis") as shared:
        one, other = shared.all
        given = [got(ask(one, n)) for n in range(3)]
        assert all(given)
        leased = sum(total_of(shared.redis, DECIDED_EVENT))
        assert 3 < leased <= 3 + min(SPARE_MAX, LIMIT // 4)
        with one.server.thread._turn:  # it does nothing any more, as if it were gone
            sold = sell_out([other], LIMIT - leased)
        assert len(sold) == LIMIT - leased


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
