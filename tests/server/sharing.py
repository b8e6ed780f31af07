"""Servers that share the operator's customers among them."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from engine.base.keys import SubscriberKeys, read_secret
from engine.shard import Shard
from tests.server.operator_fixture import CUSTOMERS, Operator, msisdn
from tests.server.running import Running, running, settings_for


def owner_of(operator: Operator, key: str, of: int) -> int:
    """Return the shard, of so many, that owns the key."""
    return Shard(0, of).owner(SubscriberKeys(read_secret(operator.key_secret_file), "msisdn", "US").hash_one(key))


def customers_by_owner(operator: Operator, of: int) -> list[list[int]]:
    """Return for each shard the numbers of its customers."""
    owners = [owner_of(operator, msisdn(number), of) for number in range(CUSTOMERS)]
    return [[number for number, owner in enumerate(owners) if owner == shard] for shard in range(of)]


@contextmanager
def shards(operator: Operator, of: int, **changes: Any) -> Iterator[list[Running]]:
    """Run all shards, in their order."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(running(settings_for(operator, shard=f"{number}/{of}", **changes)))
            for number in range(of)
        ]
