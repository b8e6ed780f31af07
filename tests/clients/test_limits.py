"""The README's page of limits: its numbers are the program's, and past each the reply is the one that it states."""

import re
from pathlib import Path

import pytest
from touchpoint.v1.value_pb2 import Value

from clients.decisions import DecisionClient, Question
from clients.demo.play import CUSTOMER
from clients.target import CallError, Target
from engine import limits
from server.settings import Settings

README = (Path(__file__).parent.parent.parent / "README.md").read_text()


def stated(row: str) -> list[int]:
    (cell,) = re.findall(rf"^\| {re.escape(row)} \| ([^|]+) \|", README, re.MULTILINE)
    return [int(number.replace(",", "")) for number in re.findall(r"\d[\d,]*\d|\d", cell)]


@pytest.mark.parametrize(
    ("row", "numbers"),
    [
        ("offers in an answer", [limits.OFFERS_PER_ANSWER_MAX]),
        ("items in a batch call, rows in a table", [limits.BATCH_ITEMS_MAX]),
        ("labels, attributes, trigger fields", [limits.LABELS_MAX, limits.ATTRIBUTES_MAX, limits.TRIGGER_FIELDS_MAX]),
        ("pairs of consent purpose and channel", [limits.CONSENT_PAIRS_MAX]),
        ("caps", [limits.CAPS_MAX]),
        ("contacts kept for a subscriber", [limits.CONTACTS_PER_SUBSCRIBER_MAX]),
        ("subscriber key, request id", [limits.SUBSCRIBER_KEY_BYTES_MAX, limits.REQUEST_ID_BYTES_MAX]),
        ("text of a trigger field or attribute", [limits.STRING_FIELD_BYTES_MAX]),
        ("received message", [Settings().receive_bytes_max]),
        ("decisions that wait", [Settings().queue_items_max]),
        ("contacts of all subscribers", [Settings().contacts_max]),
    ],
)
def test_stated_numbers_are_those_of_the_program(row: str, numbers: list[int]) -> None:
    assert stated(row) == numbers


def long_text(length: int) -> dict[str, Value]:
    return {"app": Value(string_value="v" * length)}


@pytest.mark.parametrize(
    ("question", "reply"),
    [
        (Question(CUSTOMER, "desk_open", "desk", max_offers=13, dry_run=True), "INVALID_ARGUMENT.*max_offers"),
        (Question("k" * 257, "desk_open", "desk", dry_run=True), "INVALID_ARGUMENT.*subscriber"),
        (Question(CUSTOMER, "desk_open", "desk", request_id="r" * 129, dry_run=True), "INVALID_ARGUMENT.*request_id"),
        (Question(CUSTOMER, "data_usage", "sms", fields=long_text(1_025), dry_run=True), "INVALID_ARGUMENT.*app"),
        (Question(CUSTOMER, "data_usage", "sms", fields=long_text(1_100_000), dry_run=True), "RESOURCE_EXHAUSTED"),
    ],
    ids=["offers", "key", "request id", "text", "message"],
)
def test_past_a_limit_the_reply_is_the_stated_one(demo_address: str, question: Question, reply: str) -> None:
    with DecisionClient(Target(demo_address)) as client, pytest.raises(CallError, match=f"(?s){reply}"):
        client.decide(question)


def test_batch_of_one_too_many_is_refused_and_of_the_most_is_answered(demo_address: str) -> None:
    question = Question(CUSTOMER, "desk_open", "desk", dry_run=True)
    with DecisionClient(Target(demo_address, deadline_ms=300_000)) as client:
        assert len(client.decide_batch([question] * limits.BATCH_ITEMS_MAX)) == limits.BATCH_ITEMS_MAX
        with pytest.raises(CallError, match="RESOURCE_EXHAUSTED"):
            client.decide_batch([question] * (limits.BATCH_ITEMS_MAX + 1))
