"""The rare methods before workers: passed on to the owner, split among owners, or asked of all and summed up."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, Final

from touchpoint.v1 import admin_service_pb2 as admin
from touchpoint.v1 import decision_service_pb2 as decision
from touchpoint.v1 import outcome_service_pb2 as outcome
from touchpoint.v1 import subscriber_service_pb2 as subscriber

from server.decision_id import DecisionIds
from server.failure import Code, Failure, RefusedError
from server.figures import memory_bytes
from server.grpcio_front import SlowRpc
from server.load import Load
from server.outcomes import parsed_outcomes
from server.subscribers import parsed
from server.work import CallInfo
from server.workers.links import Link
from server.workers.owning import Owning
from server.workers.tables import decide_columns

UNDER_WAY_BYTES_MAX: Final = 64 << 20
CALL_BYTES: Final = 16_384
"""What a call counts beside its message's bytes: so 4,096 small ones may be under way, or some 60 tables of 1 MiB."""
GLANCE_S: Final = 2.0
"""How long a worker may take to say how it is; less than callers wait for the status of all."""
_SUBSCRIBERS: Final = "touchpoint.v1.SubscriberService"
_HAND_OFF: Final = "touchpoint.v1.DecisionService/CheckHandOff"
_OUTCOMES: Final = "touchpoint.v1.OutcomeService/RecordOutcomes"
_ADMIN: Final = "touchpoint.v1.AdminService"
_SUMMED: Final = (
    "subscriber_count",
    "decision_count",
    "offer_made_count",
    "outcome_count",
    "memory_bytes",
    "queue_depth",
)


class RoutedRpcs:
    """The rare methods over the links to all workers."""

    def __init__(self, links: Sequence[Link], owning: Owning, ids: DecisionIds, load: Callable[[], Load]) -> None:
        self._links = links
        self._owning = owning
        self._ids = ids
        self._load = load
        self._under_way = 0
        self._waiting = [0] * len(links)
        self._reloads: set[asyncio.Task[bytes]] = set()

    def table(self) -> dict[str, SlowRpc]:
        """Return the methods by "<service>/<method>"."""
        methods: dict[str, SlowRpc] = {
            f"{_SUBSCRIBERS}/{name}": self._about(f"{_SUBSCRIBERS}/{name}", request)
            for name, request in (
                ("GetSubscriber", subscriber.GetSubscriberRequest),
                ("UpdateSubscriber", subscriber.UpdateSubscriberRequest),
                ("ForgetSubscriber", subscriber.ForgetSubscriberRequest),
            )
        }
        methods |= {
            "touchpoint.v1.DecisionService/DecideColumns": self.decide_columns,
            _HAND_OFF: self.check_hand_off,
            "touchpoint.v1.DecisionService/GetShard": self.get_shard,
            _OUTCOMES: self.record_outcomes,
            f"{_ADMIN}/GetStatus": self.get_status,
            f"{_ADMIN}/ConfirmClock": self.confirm_clock,
            f"{_ADMIN}/Reload": self.reload,
        }
        return {name: self._bounded(rpc) for name, rpc in methods.items()}

    def _bounded(self, rpc: SlowRpc) -> SlowRpc:
        """Return the method, refused while too many rare calls are under way: they queue nowhere else."""

        async def call(payload: bytes, info: CallInfo) -> bytes:
            if self._under_way + len(payload) > UNDER_WAY_BYTES_MAX and self._under_way:
                raise RefusedError(
                    Failure(Code.RESOURCE_EXHAUSTED, "too many rare calls are under way; send again later")
                )
            self._under_way += len(payload) + CALL_BYTES
            try:
                return await rpc(payload, info)
            finally:
                self._under_way -= len(payload) + CALL_BYTES

        return call

    async def _ask(self, owner: int, name: str, payload: bytes) -> bytes:
        """Return a worker's answer; refused when more would wait for this one than stays free for all."""
        size, waiting = len(payload) + CALL_BYTES, self._waiting[owner]
        if waiting and waiting + size > UNDER_WAY_BYTES_MAX - self._under_way:
            message = f"too many rare calls wait for {self._links[owner].worker}; send again later"
            raise RefusedError(Failure(Code.RESOURCE_EXHAUSTED, message))
        self._waiting[owner] += size
        try:
            return await self._links[owner].call(name, payload)
        finally:
            self._waiting[owner] -= size

    def _about(self, name: str, request: type[Any]) -> SlowRpc:
        async def pass_on(payload: bytes, _info: CallInfo) -> bytes:
            owner = self._owning.one(parsed(request, payload).subscriber)
            return await self._ask(owner, name, payload)

        return pass_on

    async def decide_columns(self, payload: bytes, _info: CallInfo) -> bytes:
        """DecideColumns."""
        return await decide_columns(payload, self._ask, self._owning)

    async def get_shard(self, payload: bytes, _info: CallInfo) -> bytes:
        """GetShard: behind this address are all."""
        parsed(decision.GetShardRequest, payload)
        return decision.GetShardResponse(number=0, of=1).SerializeToString()

    async def check_hand_off(self, payload: bytes, _info: CallInfo) -> bytes:
        """CheckHandOff."""
        owner = self._owner_of_decision(parsed(decision.CheckHandOffRequest, payload).decision_id)
        return await self._ask(owner, _HAND_OFF, payload)

    async def record_outcomes(self, payload: bytes, _info: CallInfo) -> bytes:
        """RecordOutcomes, UNAVAILABLE as a whole when a worker is away: what the others recorded is theirs, and counts once when sent again."""
        outcomes = parsed_outcomes(payload)
        places_by_owner: dict[int, list[int]] = defaultdict(list)
        for place, each in enumerate(outcomes):
            places_by_owner[self._owner_of_decision(each.decision_id)].append(place)

        async def recorded(owner: int, places: list[int]) -> list[outcome.OutcomeResult]:
            request = outcome.RecordOutcomesRequest(outcomes=[outcomes[place] for place in places])
            answer = await self._ask(owner, _OUTCOMES, request.SerializeToString())
            return list(outcome.RecordOutcomesResponse.FromString(answer).results)

        answers = await asyncio.gather(
            *(recorded(owner, places) for owner, places in places_by_owner.items()), return_exceptions=True
        )
        results: list[Any] = [None] * len(outcomes)
        for places, answer in zip(places_by_owner.values(), answers, strict=True):
            if isinstance(answer, BaseException):
                raise answer
            for place, result in zip(places, answer, strict=True):
                results[place] = result
        return outcome.RecordOutcomesResponse(results=results).SerializeToString()

    async def get_status(self, payload: bytes, _info: CallInfo) -> bytes:
        """GetStatus of all workers that answer, as if they were one server."""
        parsed(admin.GetStatusRequest, payload)
        answers = await self._all(f"{_ADMIN}/GetStatus", payload)
        found = [admin.GetStatusResponse.FromString(each) for each in answers if isinstance(each, bytes)]
        if not found:
            raise next(each for each in answers if isinstance(each, RefusedError))
        status = _summed(found)
        status.memory_bytes += memory_bytes()
        status.queue_depth += self._load().waiting_items
        status.shard, status.shard_count = 0, 1
        status.worker_count, status.worker_ready_count = len(self._links), len(found)
        return status.SerializeToString()

    async def confirm_clock(self, payload: bytes, _info: CallInfo) -> bytes:
        """ConfirmClock, for all."""
        parsed(admin.ConfirmClockRequest, payload)
        answers = self._answered(await self._all(f"{_ADMIN}/ConfirmClock", payload), "confirmed its clock")
        found = [admin.ConfirmClockResponse.FromString(each) for each in answers]
        was_unconfirmed = any(each.was_unconfirmed for each in found)
        return admin.ConfirmClockResponse(now=found[0].now, was_unconfirmed=was_unconfirmed).SerializeToString()

    async def reload(self, payload: bytes, _info: CallInfo) -> bytes:
        """Reload, also when the caller goes away meanwhile, so that all workers serve the same."""
        parsed(admin.ReloadRequest, payload)
        reload = asyncio.create_task(self._reload(payload))
        self._reloads.add(reload)
        reload.add_done_callback(self._reloads.discard)
        reload.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        return await asyncio.shield(reload)

    async def _reload(self, payload: bytes) -> bytes:
        """Reload one worker after the other, so that most of them have their processor; FAILED_PRECONDITION names those that did not."""
        answers = [await _reloaded(link, payload) for link in self._links]
        found = [admin.ReloadResponse.FromString(each) for each in self._answered(answers, "reloaded")]
        last = max(found, key=lambda each: each.rulebook_generation)
        last.changed = any(each.changed for each in found)
        return last.SerializeToString()

    async def _all(self, name: str, payload: bytes) -> list[bytes | RefusedError]:
        return await asyncio.gather(*(_caught(link, name, payload, GLANCE_S) for link in self._links))

    def _answered(self, answers: Sequence[bytes | RefusedError], done: str) -> list[bytes]:
        """Return the answers of all; raises RefusedError with what each said that refused, and who did not."""
        failed = {
            link.worker: each for link, each in zip(self._links, answers, strict=True) if isinstance(each, RefusedError)
        }
        found = [each for each in answers if isinstance(each, bytes)]
        if not failed:
            return found
        said = "; ".join(f"{worker}: {error.failure.message}" for worker, error in failed.items())
        others = f"; {len(found)} others {done}" if found else ""
        raise RefusedError(Failure(next(iter(failed.values())).failure.code, f"{said}{others}"))

    def _owner_of_decision(self, decision_id: str) -> int:
        """Return the owner of a decision's subscriber; of an id that is none, the first worker, which says so."""
        try:
            return self._owning.of_hash(self._ids.read(decision_id).subscriber)
        except ValueError:
            return 0


async def _reloaded(link: Link, payload: bytes) -> bytes | RefusedError:
    """Return a worker's ReloadResponse, or what it said; one that answers nothing is not waited for, however long a reload may take."""
    status = await _caught(link, f"{_ADMIN}/GetStatus", b"", GLANCE_S)
    return status if isinstance(status, RefusedError) else await _caught(link, f"{_ADMIN}/Reload", payload, None)


async def _caught(link: Link, name: str, payload: bytes, timeout_s: float | None) -> bytes | RefusedError:
    try:
        return await link.call(name, payload, timeout_s)
    except RefusedError as error:
        return error


def _summed(found: Sequence[admin.GetStatusResponse]) -> admin.GetStatusResponse:
    """Return several workers' status as one: counts summed, of the rest what holds for all."""
    status = admin.GetStatusResponse()
    status.CopyFrom(found[0])
    for name in _SUMMED:
        setattr(status, name, sum(getattr(each, name) for each in found))
    for name in {name for each in found for name in each.ledger}:
        numbers = [each.ledger[name] for each in found]
        status.ledger[name] = max(numbers) if name == "decision_next" else sum(numbers)
    status.rulebook_generation = min(each.rulebook_generation for each in found)
    status.clock_confirmed = all(each.clock_confirmed for each in found)
    status.clock_jump_ms = max((each.clock_jump_ms for each in found), key=abs)
    status.last_reload_error = next((each.last_reload_error for each in found if each.last_reload_error), "")
    return status
