"""Two servers' fronts get the same requests at the same instants, one in batches of messages, one in tables, and by turns: every answer is the same."""

from random import Random
from typing import Any, Final

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from touchpoint.v1 import decision_service_pb2 as pb
from touchpoint.v1.value_pb2 import Value

from engine.base.keys import SubscriberKeys, read_secret
from engine.base.overlay import Overlay
from engine.base.snapshot import open_current
from engine.engine import Engine
from engine.ledger.answers import RingAnswers
from engine.ledger.memory import MemoryLedger
from engine.rulebook import load_rulebook
from loaders.msisdn import parse_number
from server import framing
from server.clock import Clock
from server.decision_id import DecisionIds
from server.figures import Figures
from server.front import DecisionFront
from server.subscriber_hashes import SubscriberHashes
from server.work import CallInfo
from tests.server.codec.test_rows import as_table_has_it, dressed
from tests.server.operator_fixture import CUSTOMERS, NOW, Operator, msisdn
from tests.server.tables import read, rows, stream, table_of, told

ROUNDS: Final = 20
CALL: Final = CallInfo("test", 0)


class Instant:
    """The fronts' clock, moved by hand."""

    def __init__(self) -> None:
        self.us = int(NOW.timestamp()) * 1_000_000

    def clock(self) -> Clock:
        return Clock(lambda: self.us, lambda: self.us)


def front_of(operator: Operator, instant: Instant, contacts_max: int = 10_000) -> DecisionFront:
    secret = read_secret(operator.key_secret_file)
    keys = SubscriberKeys(secret, "msisdn", "US", parse_number)
    ledger = MemoryLedger(contacts_max, RingAnswers(1 << 22), outcomes_max=100, now_us=instant.us)
    engine = Engine(load_rulebook(operator.rulebook), open_current(operator.base, keys), Overlay(), ledger, instant.us)
    return DecisionFront(engine, SubscriberHashes(keys, secret), DecisionIds(secret, 0), instant.clock(), Figures())


class Drawn:
    """Requests of every kind, some of them asked before, in the same words or in others."""

    def __init__(self, seed: int) -> None:
        self._rng = Random(seed)
        self._asked: list[pb.DecideRequest] = []

    def some(self, count: int) -> list[pb.DecideRequest]:
        drawn = as_table_has_it([self._one() for _ in range(count)])
        self._asked += drawn
        return drawn

    def _one(self) -> pb.DecideRequest:
        rng = self._rng
        if self._asked and rng.random() < 0.3:
            again = pb.DecideRequest()
            again.CopyFrom(rng.choice(self._asked))
            if rng.random() < 0.5:
                again.agent += "x"
            return again
        asked = pb.DecideRequest(
            request_id=f"r{len(self._asked)}-{rng.randrange(1 << 30)}",
            subscriber=rng.choice(
                [msisdn(rng.randrange(CUSTOMERS + 5)), "(312) 555-0004", "", "nobody"][: rng.choice([1, 1, 1, 4])]
            ),
            channel=rng.choice(["desk", "desk", "sms", "fax"][: rng.choice([3, 3, 4])]),
            language=rng.choice(["", "", "es", "en", "fr"][: rng.choice([4, 4, 5])]),
            tool=rng.choice(["", "crm", "x" * 129][: rng.choice([2, 2, 3])]),
            dry_run=rng.random() < 0.2,
        )
        if rng.random() < 0.4:
            asked.max_offers = rng.choice([1, 2, 6, 12, 0, 13][: rng.choice([4, 4, 6])])
        if asked.dry_run and rng.random() < 0.5:
            asked.assumed_now.FromSeconds(int(NOW.timestamp()) + rng.randrange(100_000))
        if rng.random() < 0.4:
            asked.placement = rng.choice(["desk_open", "quiet_corner", "usage"])
        else:
            self._occur(asked)
        return asked

    def _occur(self, asked: pb.DecideRequest) -> None:
        rng = self._rng
        asked.trigger.type = rng.choice(["usage", "usage", "desk_open", "nosuch"])
        if rng.random() < 0.5:
            asked.trigger.time.CopyFrom(
                Timestamp(seconds=rng.randrange(2_000_000_000), nanos=rng.randrange(1_000_000_000))
            )
        values = {
            "used_mb": Value(double_value=rng.choice([901.5, 1.0, float("nan")])),
            "app": Value(string_value=rng.choice(["vidéo", "web", f"app{rng.randrange(99)}", "x" * 1_025])),
            "calls": Value(int_value=rng.choice([3, -(1 << 63)])),
            "roaming": Value(bool_value=rng.random() < 0.8),
            "since": Value(timestamp_value=Timestamp(seconds=rng.randrange(1 << 31), nanos=5)),
            "lasted": Value(duration_value=Duration(seconds=rng.choice([90, 91, -3]))),
            "nosuch": Value(int_value=1),
        }
        for name, value in values.items():
            if rng.random() < (0.7 if name != "nosuch" else 0.03):
                asked.trigger.fields[name].CopyFrom(value)


def by_messages(front: DecisionFront, requests: list[pb.DecideRequest]) -> list[dict[str, Any]]:
    items = framing.batch_items(pb.DecideBatchRequest(items=requests).SerializeToString())
    answers = pb.DecideBatchResponse.FromString(front.decide_message(items, CALL))
    return [told(result) for result in answers.results]


def by_table(front: DecisionFront, requests: list[pb.DecideRequest], drawn: int) -> list[dict[str, Any]]:
    table = stream(dressed(table_of(requests), drawn))
    found, answers = framing.table_rows(pb.DecideColumnsRequest(table=table).SerializeToString())
    for piece in found.pieces(1 + drawn % 40):
        front.decide_rows(piece, CALL, answers)
    return rows(read(pb.DecideColumnsResponse.FromString(framing.table_response(answers))))


def comparable(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows without which of several wrong fields was named, and without `replayed`."""
    for row in found:
        row.pop("replayed", None)
        if row["error_field"] and row["error_field"].startswith("trigger.fields["):
            row["error_field"] = row["error_message"] = "trigger.fields"
    return found


def counted(front: DecisionFront) -> tuple[list[int], int, int, int]:
    figures = front.figures
    return figures.reasons.tolist(), figures.offers, figures.repeated, figures.failed


@pytest.mark.parametrize("seed", range(6))
def test_tables_and_messages_get_the_same_answers(operator: Operator, seed: int) -> None:
    rng, drawn, instant = Random(seed), Drawn(seed), Instant()
    one, other = front_of(operator, instant), front_of(operator, instant)
    seen: set[Any] = set()
    replays = 0
    for number in range(ROUNDS):
        requests = drawn.some(rng.choice([1, 20, 60]))
        first, second = (one, other) if number % 3 else (other, one)
        expected, found = by_messages(first, requests), by_table(second, requests, rng.randrange(1 << 16))
        replays += sum(row["replayed"] or False for row in found)
        assert comparable(found) == comparable(expected)
        seen |= {row["reason"] for row in found} | {row["error_code"] for row in found}
        instant.us += rng.choice([1, 1_000_000, 3_600_000_000])
        assert counted(one) == counted(other)
    assert {"OFFERED", "UNKNOWN_SUBSCRIBER", "NO_CANDIDATE", None, 3, 6} <= seen
    assert replays
