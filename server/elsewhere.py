"""What is said of a subscriber whom another shard owns: FAILED_PRECONDITION, with the owner for people and for programs."""

from functools import lru_cache

from engine.shard import Shard
from server.failure import Code, Elsewhere, Failure, RefusedError


@lru_cache(4_096)
def elsewhere(shard: Shard, owner: int) -> Failure:
    """Return what this shard says of a subscriber of shard `owner`."""
    message = f"shard {owner} of {shard.of} owns this subscriber, this is shard {shard.number}: send it there"
    return Failure(Code.FAILED_PRECONDITION, message, elsewhere=Elsewhere(owner, shard.number, shard.of))


def check_owned(shard: Shard, subscriber: int) -> None:
    """Raise RefusedError when another shard owns the hash."""
    owner = shard.owner(subscriber)
    if owner != shard.number:
        raise RefusedError(elsewhere(shard, owner))


def made_elsewhere(number: int, shard: Shard) -> str:
    """Return what is said of a decision id of a subscriber whom this shard owns, made by shard `number` of other times."""
    return f"made by shard {number} when the subscribers were shared out otherwise, this is shard {shard}: what it held is not here"
