"""Connections to the servers that share the subscribers out, and which of them leads to which shard."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from typing import Any, Final

import grpc
from touchpoint.v1 import (
    decision_service_pb2,
    decision_service_pb2_grpc,
    outcome_service_pb2_grpc,
    subscriber_service_pb2_grpc,
)

from clients.target import CallError, Target

ASK_S: Final = 2.0
"""How long a server may take to say which shard it is; one that does not is passed over."""


class Connection:
    """One server, or a router before several, and the stubs to call it."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.channel = target.channel()
        self.decisions = decision_service_pb2_grpc.DecisionServiceStub(self.channel)
        self.outcomes = outcome_service_pb2_grpc.OutcomeServiceStub(self.channel)
        self.subscribers = subscriber_service_pb2_grpc.SubscriberServiceStub(self.channel)


@dataclass(frozen=True, slots=True)
class Way:
    """Where a call goes, and what it says of that: its metadata beside the token."""

    connection: Connection
    shard: int | None
    """None: whichever a router chooses."""
    guessed: bool
    """Nobody said that this is the subscriber's shard."""

    def options(self, subscriber: str | None, end_s: float) -> dict[str, Any]:
        """Return metadata and timeout of a call that must be over at `end_s` of time.monotonic()."""
        metadata = self.connection.target.metadata(subscriber)
        if self.shard is not None:
            metadata = (*metadata, ("touchpoint-shard", str(self.shard)))
        return {"metadata": metadata, "timeout": max(end_s - time.monotonic(), 0.001)}


_Answers = SimpleQueue[tuple[Connection, Any]]


def _put(answers: _Answers, connection: Connection, answer: Any) -> None:
    answers.put((connection, answer))


class Ways:
    """Leads to shards by asking each target which shard it is: before the first call, and when one turns out to be another or to be gone."""

    def __init__(self, targets: Sequence[Target]) -> None:
        if not targets:
            raise ValueError("expected at least one target, was none")
        self._connections = [Connection(target) for target in targets]
        self._lock = threading.Lock()
        self._to: dict[int, Connection] = {}
        self._of: int | None = None
        """Among how many shards the subscribers are shared out; None while nobody said."""

    def close(self) -> None:
        """End all connections."""
        for connection in self._connections:
            connection.channel.close()

    def to(self, shard: int | None, end_s: float, spread: int = 0) -> Way:
        """Return the way to a shard, or with None, and for one of other times, to one chosen by `spread`; raises CallError when no target leads there.

        `end_s`, of time.monotonic(): when the call must be over, of which asking takes half at most.
        """
        if len(self._connections) == 1:
            shard = None if self._is_of_other_times(shard) else shard
            return Way(self._connections[0], shard, shard is None)
        with self._lock:
            known = self._to
        known = known or self.ask_again(end_s)
        if shard is None or self._of == 1 or self._is_of_other_times(shard):
            guess = sorted(known)[spread % len(known)]
            return Way(known[guess], guess, True)
        if shard not in known:
            known = self.ask_again(end_s, shard)
        if shard not in known:
            raise CallError(
                f"UNAVAILABLE: none of {self._addresses()} answers as shard {shard} of {self._of}: is it running, and is its address among them?"
            )
        return Way(known[shard], shard, False)

    def _is_of_other_times(self, shard: int | None) -> bool:
        return shard is not None and self._of is not None and shard >= self._of

    def elsewhere(self, way: Way, end_s: float) -> bool:
        """Tell whether there is another way by now, after a call found nobody on this one; raises CallError when nobody answers at all."""
        if len(self._connections) == 1:
            # Perhaps there is no such shard any more, and the router knows of none.
            if way.shard is not None:
                self.ask_again(end_s)
            return self._is_of_other_times(way.shard)
        if way.guessed:
            self._forget(way.connection)
            return True
        return self.ask_again(end_s, way.shard).get(way.shard or 0, way.connection) is not way.connection

    def _forget(self, connection: Connection) -> None:
        """Have nobody be led to a server that is gone until it says anew who it is."""
        with self._lock:
            self._to = {shard: other for shard, other in self._to.items() if other is not connection}

    def ask_again(self, end_s: float, shard: int | None = None) -> dict[int, Connection]:
        """Ask every target anew which shard it is; return who leads where. Raises CallError when nobody answers, or when they do not belong together.

        With `shard`, wait for targets that cannot be reached at the moment, until one is that shard or the time to ask is over.
        """
        timeout_s = max(min(ASK_S, (end_s - time.monotonic()) / 2), 0.001)
        answers: _Answers = SimpleQueue()
        for connection in self._connections:
            asked = connection.decisions.GetShard.future(
                decision_service_pb2.GetShardRequest(),
                timeout=timeout_s,
                metadata=connection.target.metadata(),
                wait_for_ready=shard is not None,
            )
            asked.add_done_callback(partial(_put, answers, connection))
        found: dict[int, Connection] = {}
        numbers: dict[int, Connection] = {}
        left = len(self._connections)
        while left and (shard is None or shard not in found):
            connection, answer = answers.get()
            left -= 1
            if answer.code() is grpc.StatusCode.OK:
                found.setdefault(answer.result().number, connection)
                numbers.setdefault(answer.result().of, connection)
        if not found:
            raise CallError(f"UNAVAILABLE: no answer from any of {self._addresses()}: is a server running there?")
        if len(numbers) > 1:
            said = ", ".join(f"{connection.target.address} one of {of}" for of, connection in sorted(numbers.items()))
            raise CallError(f"UNAVAILABLE: expected the shards of one installation, were {said}")
        return self._keep(found, *numbers)

    def _keep(self, found: dict[int, Connection], of: int) -> dict[int, Connection]:
        """Remember who answered as which shard; of the others, what was known before of as many."""
        with self._lock:
            before, self._of = self._to if of == self._of else {}, of
            answered = set(map(id, found.values()))
            self._to = {n: c for n, c in before.items() if id(c) not in answered} | found
            return self._to

    def _addresses(self) -> str:
        return ", ".join(connection.target.address for connection in self._connections)
