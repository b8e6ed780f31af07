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
        self._to: dict[int, Connection] | None = None
        self._of = 1

    def close(self) -> None:
        """End all connections."""
        for connection in self._connections:
            connection.channel.close()

    def to(self, shard: int | None, spread: int = 0) -> Way:
        """Return the way to a shard, or with None to one chosen by `spread`; raises CallError when no target leads there."""
        if len(self._connections) == 1:
            return Way(self._connections[0], shard, shard is None)
        with self._lock:
            known = self._to
        known = known or self.ask_again()
        if shard is None or self._of == 1:
            guess = sorted(known)[spread % len(known)]
            return Way(known[guess], guess, True)
        if shard not in known:
            known = self.ask_again(shard)
        if shard not in known:
            raise CallError(
                f"UNAVAILABLE: none of {self._addresses()} answers as shard {shard} of {self._of}: is it running, and is its address among them?"
            )
        return Way(known[shard], shard, False)

    def ask_again(self, shard: int | None = None) -> dict[int, Connection]:
        """Ask every target anew which shard it is; return who leads where. Raises CallError when nobody answers.

        With `shard`, wait for targets that cannot be reached at the moment, until one is that shard or ASK_S is over.
        """
        if len(self._connections) == 1:
            return {}
        answers: _Answers = SimpleQueue()
        for connection in self._connections:
            asked = connection.decisions.GetShard.future(
                decision_service_pb2.GetShardRequest(),
                timeout=ASK_S,
                metadata=connection.target.metadata(),
                wait_for_ready=shard is not None,
            )
            asked.add_done_callback(partial(_put, answers, connection))
        found: dict[int, Connection] = {}
        left = len(self._connections)
        while left and (shard is None or shard not in found):
            connection, answer = answers.get()
            left -= 1
            if answer.code() is grpc.StatusCode.OK:
                found.setdefault(answer.result().number, connection)
                self._of = answer.result().of
        if not found:
            raise CallError(f"UNAVAILABLE: no answer from any of {self._addresses()}: is a server running there?")
        return self._keep(found)

    def _keep(self, found: dict[int, Connection]) -> dict[int, Connection]:
        """Remember who answered as which shard; of the others, what was known before."""
        with self._lock:
            before = self._to or {}
            answered = set(map(id, found.values()))
            self._to = {n: c for n, c in before.items() if id(c) not in answered} | found
            return self._to

    def _addresses(self) -> str:
        return ", ".join(connection.target.address for connection in self._connections)
