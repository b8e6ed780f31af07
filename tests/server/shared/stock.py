"""An operator with a stock of one offer, replicas that share it, and clients that count what they get of it."""

import itertools
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from touchpoint.v1 import decision_service_pb2 as pb

from tests.server.operator_fixture import CATALOGUE, CUSTOMERS, Operator
from tests.server.running import Running, asking, running, settings_for
from tests.server.shared.redis_servers import VALKEY, RedisServer, keys_of, redis_server

DECIDED_EVENT, ACCEPTED_EVENT = 0, 3
LIMIT = 40
HOLD_S = 2
PATIENCE_S = 40.0
CLIENTS = 8


def stocked(*caps: str) -> str:
    """Return the catalogue with caps in total on a_half, which is everybody's first offer, and holds that end soon."""
    lines = "".join(
        f"    - {{id: stock_{n}, scope: offer, target: a_half, per: total, {cap}}}\n" for n, cap in enumerate(caps)
    )
    made = CATALOGUE.replace("  cool_down:", lines + "  cool_down:").replace("hold: 15m", f"hold: {HOLD_S}s")
    return made.replace("after_acceptance: never", "after_acceptance: 1s").replace(
        "after_refusal: 30d", "after_refusal: 1s"
    )


DECIDED = stocked(f"counts: decided, window: lifetime, limit: {LIMIT}")
ACCEPTED = stocked(
    f"counts: accepted, window: lifetime, limit: {LIMIT}", "counts: accepted, window: {calendar: day}, limit: 1000"
)


class Replicas(NamedTuple):
    """What shares a ledger."""

    all: list[Running]
    redis: RedisServer


@contextmanager
def replicas_of(
    operator: Operator, folder: Path, count: int = 2, binary: str = VALKEY, **more: Any
) -> Iterator[Replicas]:
    with ExitStack() as stack:
        redis = stack.enter_context(redis_server(folder, binary))
        settings = [settings_for(operator, ledger_redis=redis.url, replica=n + 1, **more) for n in range(count)]
        yield Replicas([stack.enter_context(running(each)) for each in settings], redis)


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
