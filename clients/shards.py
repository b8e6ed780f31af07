"""Calling servers that share the subscribers out: each call goes to the shard that owns its subscriber, each batch is split and put together again.

Which shard owns whom hangs on the operator's secret, which callers have not. So a first call goes to any shard, the refusal names the owner, the
same call goes there, and the owner is remembered. Nothing was decided by who refused, so this is no repetition. Targets may be the shards
themselves, or one router before them, Envoy for one, that takes calls where the metadata `touchpoint-shard` says.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Protocol, TypeVar

import grpc
from touchpoint.v1 import decision_service_pb2 as pb
from touchpoint.v1 import error_pb2, outcome_service_pb2, subscriber_service_pb2

from clients.decisions import Question
from clients.owners import Owners
from clients.target import CallError, Target, call_error, other_shard
from clients.ways import Way, Ways

R = TypeVar("R")
ROUNDS_MAX: Final = 4
"""How often a call is sent on: once for an owner that was not known, again for a shard that went elsewhere meanwhile."""


class _Batch(Protocol):
    """Items that are sent by their owners, each with its place."""

    def send(self, way: Way, places: list[int], end_s: float) -> Any:
        """Begin a call with some of the items."""

    def take(self, place: int, result: Any, way: Way) -> int | None:
        """Take the result of an item that went this way; return the shard to which it is to be sent instead."""

    def fail(self, places: list[int], error: error_pb2.ItemError) -> None:
        """Take an error in place of their results."""


class _Questions:
    def __init__(self, items: list[pb.DecideRequest], owners: Owners) -> None:
        self.items = items
        self.results: list[Any] = [None] * len(items)
        self._owners = owners

    def send(self, way: Way, places: list[int], end_s: float) -> Any:
        request = pb.DecideBatchRequest(items=[self.items[place] for place in places])
        return way.connection.decisions.DecideBatch.future(request, **way.options(None, end_s))

    def take(self, place: int, result: pb.DecideBatchResult, way: Way) -> int | None:
        self.results[place] = result
        if not result.error.HasField("other_shard"):
            _learn(self._owners, self.items[place].subscriber, way, result.answer.decision_id)
            return None
        owner = result.error.other_shard.owner
        self._owners.learn(self.items[place].subscriber, owner)
        return owner

    def fail(self, places: list[int], error: error_pb2.ItemError) -> None:
        for place in places:
            self.results[place] = pb.DecideBatchResult(error=error)


class _Outcomes:
    def __init__(self, items: Sequence[outcome_service_pb2.Outcome]) -> None:
        self.items = items
        self.results: list[Any] = [None] * len(items)

    def send(self, way: Way, places: list[int], end_s: float) -> Any:
        request = outcome_service_pb2.RecordOutcomesRequest(outcomes=[self.items[place] for place in places])
        return way.connection.outcomes.RecordOutcomes.future(request, **way.options(None, end_s))

    def take(self, place: int, result: outcome_service_pb2.OutcomeResult, _way: Way) -> int | None:
        self.results[place] = result
        return result.other_shard.owner if result.HasField("other_shard") else None

    def fail(self, _places: list[int], error: error_pb2.ItemError) -> None:
        raise CallError(error.message)


class ShardsClient:
    """Decisions, outcomes and subscribers of all shards; use it as a context manager, from any thread. Failed calls raise CallError."""

    def __init__(self, targets: Sequence[Target]) -> None:
        """`targets`: the shards in any order, with servers that stand by, or one router; the deadline of the first is that of a call."""
        self._ways = Ways(targets)
        self._timeout_s = targets[0].timeout_s
        self._owners = Owners()

    def __enter__(self) -> "ShardsClient":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ways.close()

    def decide(self, question: Question) -> pb.DecideResponse:
        """Return the answer: ranked offers, or none with its reason."""
        request = question.message()
        return self._about(
            question.subscriber, lambda way, options: way.connection.decisions.Decide(request, **options)
        )

    def explain(self, question: Question) -> pb.DecideResponse:
        """Return what a dry run answers, with what became of every candidate."""
        request = pb.ExplainRequest(request=question.message())
        return self._about(
            question.subscriber, lambda way, options: way.connection.decisions.Explain(request, **options)
        ).decision

    def subscriber(self, key: str) -> subscriber_service_pb2.GetSubscriberResponse:
        """Return labels, attributes, zone, language and consents as they are now."""
        request = subscriber_service_pb2.GetSubscriberRequest(subscriber=key)
        return self._about(key, lambda way, options: way.connection.subscribers.GetSubscriber(request, **options))

    def decide_batch(self, questions: Iterable[Question]) -> list[pb.DecideBatchResult]:
        """Return an answer or an error for each question, in order; at most 4,096 for each shard. Where a shard is gone, its items alone fail."""
        batch = _Questions([question.message() for question in questions], self._owners)
        self._in_groups([self._owners.get(item.subscriber) for item in batch.items], batch)
        return batch.results

    def decide_table(self, table: bytes, shard: int | None, *, omit_words: bool = False) -> bytes:
        """Return the answers of a shard, None for any, to the requests of an Arrow IPC stream: clients.columns goes on from there."""
        request = pb.DecideColumnsRequest(table=table, omit_words=omit_words)
        end_s = time.monotonic() + self._timeout_s
        for sent in range(ROUNDS_MAX):
            way = self._ways.to(shard, end_s, spread=sent)
            try:
                return way.connection.decisions.DecideColumns(request, **way.options(None, end_s)).table
            except grpc.RpcError as error:
                if sent == ROUNDS_MAX - 1 or not self._elsewhere_by_now(way, error, end_s):
                    raise call_error(error, way.connection.target.address) from None
        raise AssertionError("the last round returns or raises")

    def owner(self, subscriber: str) -> int | None:
        """Return the shard that owns the subscriber, None while that is not known."""
        return self._owners.get(subscriber)

    def learn(self, subscriber: str, owner: int) -> None:
        """Remember an owner that a refusal named."""
        self._owners.learn(subscriber, owner)

    def record(self, outcomes: Sequence[outcome_service_pb2.Outcome]) -> list[outcome_service_pb2.OutcomeResult]:
        """Return what was done with each outcome, in order. Raises CallError when a shard did not answer: send all again, each counts once."""
        batch = _Outcomes(outcomes)
        self._in_groups([_shard_of(outcome.decision_id) for outcome in outcomes], batch)
        return batch.results

    def _about(self, subscriber: str, call: Callable[[Way, dict[str, Any]], R]) -> R:
        """Return what `call` returns where the subscriber's owner is; raises CallError."""
        end_s, owner = time.monotonic() + self._timeout_s, self._owners.get(subscriber)
        for sent in range(ROUNDS_MAX):
            way = self._ways.to(owner, end_s, spread=hash(subscriber) + sent)
            try:
                answer = call(way, way.options(subscriber, end_s))
                _learn(self._owners, subscriber, way, getattr(answer, "decision_id", ""))
                return answer
            except grpc.RpcError as error:
                found = other_shard(error)
                if sent == ROUNDS_MAX - 1 or not (found or self._elsewhere_by_now(way, error, end_s)):
                    raise call_error(error, way.connection.target.address) from None
                if found:
                    self._owners.learn(subscriber, found.owner)
                    owner = self._next(way, found, end_s)
        raise AssertionError("the last round returns or raises")

    def _next(self, way: Way, found: error_pb2.OtherShard, end_s: float) -> int:
        """Return the owner; ask all who they are when the one that refused is not the shard that it was taken for."""
        if way.shard not in (None, found.shard):
            self._ways.ask_again(end_s)
        return found.owner

    def _elsewhere_by_now(self, way: Way, error: Any, end_s: float) -> bool:
        """Tell whether a call that found nobody may be sent elsewhere: to where its shard answers by now or, if that was a guess, to any other."""
        try:
            return error.code() is grpc.StatusCode.UNAVAILABLE and self._ways.elsewhere(way, end_s)
        except CallError:  # nobody answers: what the call itself got says that
            return False

    def _in_groups(self, owners: Sequence[int | None], batch: _Batch) -> None:
        """Send items by their owners, all shards at once, and those that were refused on to their owners, until all are taken."""
        end_s, left = time.monotonic() + self._timeout_s, dict(enumerate(owners))
        for sent in range(ROUNDS_MAX):
            groups: dict[int | None, list[int]] = defaultdict(list)
            for place, owner in left.items():
                groups[owner].append(place)
            calls = [
                (way, places, batch.send(way, places, end_s))
                for way, places in self._leading(groups, batch, sent, end_s)
            ]
            left = {}
            for way, places, begun in calls:
                left |= self._taken(batch, way, places, begun, again_s=end_s if sent < ROUNDS_MAX - 1 else None)

    def _taken(
        self, batch: _Batch, way: Way, places: list[int], begun: Any, *, again_s: float | None
    ) -> dict[int, int | None]:
        """Take the results of a call that was begun; return the items that are to be sent to another shard, until `again_s`, and to which."""
        try:
            results = begun.result().results
        except grpc.RpcError as error:
            if again_s is not None and self._elsewhere_by_now(way, error, again_s):
                return dict.fromkeys(places, None if way.guessed else way.shard)
            said = str(call_error(error, way.connection.target.address))
            batch.fail(places, error_pb2.ItemError(code=error.code().value[0], message=said))
            return {}
        left: dict[int, int | None] = {
            place: owner
            for place, result in zip(places, results, strict=True)
            if (owner := batch.take(place, result, way)) is not None
        }
        if again_s is not None and way.shard in left.values():  # who refused is not the shard that it was taken for
            with suppress(CallError):
                self._ways.ask_again(again_s)
        return left

    def _leading(
        self, groups: dict[int | None, list[int]], batch: _Batch, spread: int, end_s: float
    ) -> Iterable[tuple[Way, list[int]]]:
        """Yield the groups with their ways; items of a shard to which none leads fail."""
        for owner, places in groups.items():
            try:
                yield self._ways.to(owner, end_s, spread), places
            except CallError as error:
                batch.fail(places, error_pb2.ItemError(code=grpc.StatusCode.UNAVAILABLE.value[0], message=str(error)))


def _learn(owners: Owners, subscriber: str, way: Way, decision_id: str) -> None:
    """Remember who owns the subscriber of a call that was answered where a guess led, as far as that is known."""
    if way.guessed and (owner := _shard_of(decision_id) if way.shard is None else way.shard) is not None:
        owners.learn(subscriber, owner)


def _shard_of(decision_id: str) -> int | None:
    """Return the shard that a decision id names; None for what is no such id, which any shard will say."""
    name, _, _ = decision_id.partition("-")
    return (
        int(name[1:])
        if name[:1] in ("s", "S") and name[1:].isascii() and name[1:].isdigit() and len(name) <= 6
        else None
    )
