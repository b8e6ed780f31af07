"""The kernel's answers are protobuf's, byte for byte: over generated worlds whose offers say all that templates can say."""

import copy
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from touchpoint.v1 import decision_pb2, decision_service_pb2, value_pb2

from engine.batch import Batch, Decisions
from engine.jit import frozen
from engine.reasons import Reason
from engine.texts import TextArena
from server.answers import Answers
from server.codec.dtypes import EXPLAIN, Asked
from server.codec.items import items_of
from server.codec.sayings import SAID_LEFT, SAID_TEXTS
from server.content import Content
from server.decision_id import DecisionIds
from tests.oracle.decide import Request
from tests.server.codec.answer_oracle import AnswerOracle, Lookup
from tests.worlds.commands import Decide, Edit, NewBase
from tests.worlds.engine_driver import EngineDriver
from tests.worlds.script import written_world
from tests.worlds.world import World

IDS = DecisionIds(b"0123456789abcdef", 7)
SEEDS = (2, 3, 9, 13, 14)
"""Worlds with offers in most answers, control groups, push, base swaps and edits."""
SAYINGS = (
    "Hello",
    "♫ {{offer.name}} for {{ offer.price }}{{offer.id|x}}, {{campaign.id}} ",
    "{{{{ and { and }} {{offer.name}}",
    "{{subscriber.plan|you}}: {{offer.name}}",
    "{{#subscriber.vip}}Dear {{subscriber.tenure|}}{{/subscriber.vip}}{{^subscriber.vip}}Hey{{/subscriber.vip}}",
    "{{trigger.app|an app}} and {{trigger.used_mb|some}} MB, {{campaign.id}}",
    "long " * 3_000,
)


def speak(catalogue: Any, rng: Random) -> None:
    """Give offers other words, in one language or both, scripts on pull channels, and channels bounds."""
    pull = {channel["id"] for channel in catalogue["channels"] if channel["kind"] == "pull"}
    for offer in catalogue["offers"]:
        for channel in offer["content"]:
            offer["content"][channel] = words(rng, SAYINGS)
            if channel in pull and rng.random() < 0.5:
                offer.setdefault("script", {})[channel] = words(rng, SAYINGS[:-1])


def words(rng: Random, sayings: tuple[str, ...]) -> dict[str, str]:
    return {language: rng.choice(sayings) for language in (("en", "es") if rng.random() < 0.7 else ("en",))}


def spoken_world(seed: int, decisions: int) -> World:
    """A world whose every catalogue speaks; the script's answers do not depend on words."""
    world, rng = copy.deepcopy(written_world(seed, decisions)), Random(seed)
    catalogues = [world.catalogue]
    for command in world.script:
        if isinstance(command, Edit) or (isinstance(command, NewBase) and command.catalogue is not None):
            assert command.catalogue is not None
            catalogues.append(command.catalogue)
    for catalogue in catalogues:
        speak(catalogue, rng)
    return world


def asked_of(messages: list[Any]) -> Asked:
    """What the codec says of these requests, languages apart."""
    items = items_of([message.SerializeToString() for message in messages])
    ids = np.array([len(message.request_id.encode()) for message in messages], np.int32)
    return Asked(
        text=frozen(np.frombuffer(items.text, np.uint8)),
        item_at=frozen(items.item_at),
        item_bytes=frozen(items.item_bytes),
        id_at=frozen(items.item_at + np.where(ids < 128, 2, 3)),
        id_bytes=frozen(ids),
        language=frozen(np.array([("en", "es", "").index(m.language) % 3 for m in messages], np.int32)),
        flags=frozen(np.array([EXPLAIN if m.explain else 0 for m in messages], np.uint8)),
    )


class Checked:
    """An engine whose every answer is compared when it is rendered."""

    def __init__(self, driver: EngineDriver, rng: Random) -> None:
        self.driver = driver
        self.rng = rng
        self.seen: set[str] = set()
        self.messages: list[Any] = []
        self.rebind()

    def rebind(self) -> None:
        engine = self.driver.engine
        self.bound = engine.bound
        self.answers = Answers(engine.bound, Content(engine.rulebook), engine.generation.number, IDS)
        self.oracle = AnswerOracle(engine.bound, engine.generation.number, IDS)
        self.answers._speech._take_room(np.empty(8, np.uint8))

    def decide(self, requests: list[Request]) -> None:
        if self.driver.engine.bound is not self.bound:
            self.rebind()
        requests = [replace(request, fields=thirds(request.fields)) for request in requests]
        explain = len(requests) == 1 and self.rng.random() < 0.3
        self.messages = [self.message(request, explain) for request in requests]
        asked = asked_of(self.messages)
        self.answers.prepare(asked._replace(language=frozen(np.where(asked.language == 2, -1, asked.language))))
        if explain:
            self.answers.explained = [decision_pb2.Candidate(offer="ö", detail="why")]
        self.driver.engine.decide(self.driver.batch(requests), self.render)

    def message(self, request: Request, explain: bool) -> Any:
        message = decision_service_pb2.DecideRequest(
            request_id=self.rng.choice("aé♫") * self.rng.choice([1, 40, 42]),
            language=self.rng.choice(["", "en", "es"]),
            explain=explain,
        )
        for name, value in request.fields:
            kinds = {float: "double_value", str: "string_value", int: "int_value"}
            message.trigger.fields[name].CopyFrom(value_pb2.Value(**{kinds[type(value)]: value}))
        return message

    def render(self, batch: Batch, decisions: Decisions, index: npt.NDArray[np.int64]) -> None:
        self.answers.render(batch, decisions, index)
        said = self.answers._speech._speaker.said
        if said.state[SAID_LEFT] and said.state[SAID_LEFT] < said.state[SAID_TEXTS]:
            self.seen.add("said in part by Python")
        if len(said.texts.data) > 8:
            self.seen.add("said with more room")
        for row in index.tolist():
            message = self.messages[row]
            expected = self.oracle.answer(batch, decisions, row, message, self.lookup(batch, decisions, row))
            if message.explain:
                expected.candidates.extend(self.answers.explained)
            got = decisions.text(row)
            assert got is not None
            assert decision_service_pb2.DecideResponse.FromString(got) == expected
            assert got == expected.SerializeToString(deterministic=True)
            self.note(expected)

    def note(self, answer: Any) -> None:
        texts = [text for offer in answer.offers for text in (offer.content, offer.script)]
        sorts = {
            "push": any(offer.HasField("send_deadline") for offer in answer.offers),
            "held": bool(answer.decision_id),
            "later": answer.HasField("next_allowed"),
            "withheld": len(answer.withheld) > 0,
            "several": len(answer.offers) > 1,
            "spanish": any(offer.language == "es" for offer in answer.offers),
            "said of the trigger": any(" MB," in text and "some MB" not in text for text in texts),
            "said of the subscriber": any(text.startswith("Dear ") for text in texts),
        }
        self.seen |= {sort for sort, is_so in sorts.items() if is_so}

    def lookup(self, batch: Batch, decisions: Decisions, row: int) -> Lookup:
        engine, message = self.driver.engine, self.messages[row]
        described = engine.describe(int(batch.subscriber[row]), int(decisions.now_us[row]))
        known = {f"subscriber.{found.id}": found.value for found in described.attributes}
        for name, value in message.trigger.fields.items():
            known[f"trigger.{name}"] = getattr(value, value.WhichOneof("kind"))
        return lambda name: said(known[name]) if name in known else None


def thirds(fields: tuple[tuple[str, Any], ...]) -> tuple[tuple[str, Any], ...]:
    """Fields with a third of every double: many digits, which a kernel leaves to Python."""
    return tuple((name, value / 3 if isinstance(value, float) else value) for name, value in fields)


def said(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value).removesuffix(".0")


def test_answers_of_generated_worlds_are_protobufs(tmp_path: Path) -> None:
    seen: set[str] = set()
    for seed in SEEDS:
        world = spoken_world(seed, 60)
        checked = Checked(EngineDriver(world, tmp_path / str(seed)), Random(seed))
        for command in world.script:
            with np.errstate(over="ignore"):
                if isinstance(command, Decide):
                    checked.decide(list(command.requests))
                else:
                    checked.driver.play(command)
        seen |= checked.seen
    assert len(seen) == 10, seen


@pytest.fixture
def offered(tmp_path: Path) -> tuple[EngineDriver, Batch, Decisions]:
    """A driver, and a batch with an offer in most answers, decided."""
    world = spoken_world(2, 100)
    driver = EngineDriver(world, tmp_path)
    with np.errstate(over="ignore"):
        for command in world.script:
            if isinstance(command, Decide):
                requests = [replace(request, dry_run=True) for request in command.requests]
                decisions = driver.engine.decide(driver.batch(requests))
                if decisions.chosen_count.any():
                    return driver, driver.batch(requests), decisions
    raise AssertionError("the world offers nothing; choose another seed")


def again(decisions: Decisions, times: int) -> Decisions:
    """The rows of some decisions, repeated."""
    columns = {
        name: np.repeat(value, times, axis=0)
        for name in Decisions.__slots__
        if isinstance(value := getattr(decisions, name), np.ndarray)
    }
    return Decisions(**columns, texts=TextArena())


def test_what_is_written_does_not_depend_on_the_room_there_is(offered: tuple[EngineDriver, Batch, Decisions]) -> None:
    """Rendered with room for nothing, for little, and for all; words that vary stay with their rows."""
    driver, batch, decided = offered
    decisions = again(decided, 300)
    n = len(decisions.reason)
    for column in ("subscriber", "channel", "field_values", "field_nanos", "field_known"):
        setattr(batch, column, np.repeat(getattr(batch, column)[: len(decided.reason)], 300, axis=0))
    messages = [decision_service_pb2.DecideRequest(request_id=f"r{row}") for row in range(n)]
    answers = Answers(driver.engine.bound, Content(driver.engine.rulebook), 1, IDS)
    asked = asked_of(messages)
    answers.prepare(asked._replace(language=frozen(np.full(n, -1, np.int32))))
    found = []
    for room in (0, 5_000, 64 << 20):
        decisions.texts = TextArena()
        decisions.texts.reserve(room)
        with np.errstate(over="ignore"):
            answers.render(batch, decisions, np.arange(n))
        found.append([decisions.text(row) for row in range(n)])
    assert found[0] == found[1] == found[2]
    assert [decision_service_pb2.DecideResponse.FromString(text or b"").request_id for text in found[0]] == [
        message.request_id for message in messages
    ]


INSTANTS = (0, 1, 999_999, 1_000_000, 1_900_000_000_123_456, -1, -1_000_000, -62_135_596_800_000_000, 2**62)


@pytest.mark.parametrize("us", INSTANTS)
def test_odd_numbers_are_written_as_protobuf_does(offered: tuple[EngineDriver, Batch, Decisions], us: int) -> None:
    driver, batch, decisions = offered
    row = int(np.flatnonzero(decisions.chosen_count)[0])
    for column in ("expires_us", "not_before_us", "deadline_us", "now_us", "next_allowed_us"):
        getattr(decisions, column)[row] = us
    decisions.decision[row] = abs(us) % 2**40 + 1
    decisions.stages[row, ::3] = (1, 127, 128, 2**31 - 1)
    decisions.score[row, 0] = -0.0 if us < 0 else us * 1e300
    batch.subscriber[row] = np.uint64(us % 2**64)
    message = decision_service_pb2.DecideRequest(request_id="x" * (1 + us % 128))
    bound = driver.engine.bound
    answers = Answers(bound, Content(driver.engine.rulebook), 1 + us % 300, IDS)
    messages = [message] * batch.count
    answers.prepare(asked_of(messages)._replace(language=frozen(np.zeros(batch.count, np.int32))))
    english = copy.deepcopy(message)
    english.language = "en"
    for reason in (Reason.OFFERED, Reason.CAP_REACHED):
        decisions.reason[row] = reason
        with np.errstate(over="ignore"):
            answers.render(batch, decisions, np.array([row]))
            expected = AnswerOracle(bound, 1 + us % 300, IDS).answer(batch, decisions, row, english, lambda _: None)
        assert decisions.text(row) == expected.SerializeToString(deterministic=True)
