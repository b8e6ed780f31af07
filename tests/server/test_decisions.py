"""DecisionService over real sockets: answers, their content, and what bad requests get."""

import datetime
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]  # it ships none
from touchpoint.v1 import decision_pb2, reason_pb2
from touchpoint.v1 import decision_service_pb2 as pb
from touchpoint.v1.value_pb2 import Value

from tests.server.operator_fixture import NAMES, SPANISH, msisdn
from tests.server.running import Running, asking, timeless


def usage(**fields: Value) -> decision_pb2.TriggerEvent:
    return decision_pb2.TriggerEvent(type="usage", fields=fields)


def typed() -> dict[str, Value]:
    return {
        "used_mb": Value(double_value=901.5),
        "app": Value(string_value="vidéo"),
        "calls": Value(int_value=3),
        "roaming": Value(bool_value=True),
        "since": Value(timestamp_value=Timestamp(seconds=1)),
        "lasted": Value(duration_value=Duration(seconds=90, nanos=1)),
    }


def violations(error: grpc.RpcError) -> list[str]:
    found = []
    metadata: Any = error.trailing_metadata()
    for key, value in metadata:
        if key == "grpc-status-details-bin":
            for detail in status_pb2.Status.FromString(value).details:
                bad = error_details_pb2.BadRequest()
                assert detail.Unpack(bad)
                found += [violation.field for violation in bad.field_violations]
    return found


def test_offers_are_ranked_with_scripts_and_no_two_of_one_group(server: Running) -> None:
    answer = server.decisions.Decide(asking(14, max_offers=6))
    assert [offer.offer for offer in answer.offers] == ["a_half", "film_month", "music_month"]
    assert [offer.rank for offer in answer.offers] == [1, 2, 3]
    groups = [offer.exclusive_group or offer.product for offer in answer.offers]
    assert len(groups) == len(set(groups))
    first = answer.offers[0]
    assert first.content == "Çelik: Data A at 9.90"
    assert first.script == "Offer Data A."
    assert (first.parts.priority, first.parts.propensity, first.parts.value, first.parts.lever) == (5, 0.08, 4.5, 1)
    assert first.score == 0.08 * 4.5
    assert first.probability == 1
    hold = first.hold_until.ToMicroseconds() - answer.decided_at.ToMicroseconds()
    assert hold == 15 * 60 * 1_000_000
    assert not first.HasField("send_not_before")
    assert answer.decision_id.startswith("s0-")
    assert answer.reason == reason_pb2.REASON_OFFERED
    assert answer.rulebook_generation == server.serving.generation
    assert answer.base_version == server.serving.base_version
    assert answer.server_us > 0


def test_counts_by_stage_cover_every_candidate(server: Running) -> None:
    answer = server.decisions.Decide(asking(15))
    counts = {stage.stage: stage.count for stage in answer.stages}
    assert sum(counts.values()) == 5
    assert counts[reason_pb2.STAGE_OFFERED] == len(answer.offers)
    assert counts[reason_pb2.STAGE_CONTROL] == 1


@pytest.mark.parametrize(
    ("asked", "content", "language"),
    [
        ("", "Björk: Datos A por 9.90", "es"),
        ("en", "Björk: Data A at 9.90", "en"),
        ("es", "Björk: Datos A por 9.90", "es"),
    ],
)
def test_content_is_in_the_language_asked_for_or_the_subscribers(
    server: Running, asked: str, content: str, language: str
) -> None:
    answer = server.decisions.Decide(asking(SPANISH, language=asked, dry_run=True))
    assert (answer.offers[0].content, answer.offers[0].language) == (content, language)


def test_content_without_the_language_is_in_the_default_one(server: Running) -> None:
    answer = server.decisions.Decide(asking(14, language="es", dry_run=True))
    assert {offer.offer: offer.language for offer in answer.offers}["music_month"] == "en"
    assert {offer.offer: offer.content for offer in answer.offers}["music_month"] == "Music ♫"


@pytest.mark.parametrize("number", range(len(NAMES)))
def test_names_of_every_script_reach_the_content(server: Running, number: int) -> None:
    answer = server.decisions.Decide(asking(number, dry_run=True))
    assert answer.offers[0].content.startswith(NAMES[number] + ":")


def test_an_answer_is_repeated_byte_for_byte_but_its_time(server: Running) -> None:
    request = asking(16)
    first, second = server.decisions.Decide(request), server.decisions.Decide(request)
    assert first.decision_id
    assert timeless(first) == timeless(second)


def test_a_request_id_with_another_body_is_an_error(server: Running) -> None:
    request = asking(17, max_offers=2)
    server.decisions.Decide(request)
    request.max_offers = 1
    with pytest.raises(grpc.RpcError) as caught:
        server.decisions.Decide(request)
    assert caught.value.code() == grpc.StatusCode.ALREADY_EXISTS
    assert violations(caught.value) == ["request_id"]


def test_a_dry_run_holds_nothing(server: Running) -> None:
    request = asking(18, dry_run=True)
    before = server.server.decisions.engine.ledger.statistics()["contacts"]
    assert server.decisions.Decide(request).decision_id == ""
    assert server.server.decisions.engine.ledger.statistics()["contacts"] == before


def test_a_push_answer_says_when_it_may_be_sent(server: Running) -> None:
    event = usage(
        used_mb=Value(double_value=950),
        app=Value(string_value="мессенджер"),
        lasted=Value(duration_value=Duration(seconds=3723)),
    )
    offer = server.decisions.Decide(asking(20, channel="sms", trigger=event)).offers[0]
    assert offer.content == "Çelik, 950 MB in мессенджер for 1h2m3s"
    assert offer.send_not_before.ToMicroseconds() <= offer.send_deadline.ToMicroseconds()
    assert offer.hold_until.ToMicroseconds() - offer.send_deadline.ToMicroseconds() == 600 * 1_000_000
    assert offer.script == ""


def test_consent_refused_is_an_answer_with_its_reason(server: Running) -> None:
    answer = server.decisions.Decide(asking(9, channel="sms", trigger=usage()))
    assert answer.reason == reason_pb2.REASON_CONSENT_REFUSED
    assert not answer.offers
    assert answer.decision_id == ""


def test_an_unknown_subscriber_is_an_answer(server: Running) -> None:
    request = asking(0, subscriber="+13125559999")
    assert server.decisions.Decide(request).reason == reason_pb2.REASON_UNKNOWN_SUBSCRIBER


def test_no_candidate_is_an_answer(server: Running) -> None:
    assert server.decisions.Decide(asking(0, placement="quiet_corner")).reason == reason_pb2.REASON_NO_CANDIDATE


def test_a_number_in_any_notation_is_the_same_subscriber(server: Running) -> None:
    answers = set()
    for text in (msisdn(1), msisdn(1)[1:], "(312) 555-0001", " 312.555.0001 "):
        same: dict[str, Any] = {
            "request_id": "notation",
            "subscriber": text,
            "assumed_now": Timestamp(seconds=1_900_000_000),
        }
        answers.add(timeless(server.decisions.Decide(asking(dry_run=True, **same))))
    assert len(answers) == 1


def test_every_field_type_reaches_the_condition(server: Running) -> None:
    matched = server.decisions.Decide(asking(3, trigger=usage(**typed())))
    assert "film_month" in [offer.offer for offer in matched.offers]
    for name, other in (
        ("used_mb", Value(double_value=900)),
        ("app", Value(string_value="video")),
        ("calls", Value(int_value=4)),
        ("roaming", Value(bool_value=False)),
        ("lasted", Value(duration_value=Duration(seconds=90))),
    ):
        answer = server.decisions.Decide(
            asking(3, trigger=usage(**{**typed(), name: other}), explain=True, dry_run=True)
        )
        film = next(candidate for candidate in answer.candidates if candidate.offer == "film_month")
        assert film.reason == reason_pb2.REASON_NOT_ELIGIBLE, name


def test_an_int_widens_to_a_double_and_a_missing_field_is_unknown(server: Running) -> None:
    fields = {**typed(), "used_mb": Value(int_value=901)}
    assert "film_month" in [
        o.offer for o in server.decisions.Decide(asking(4, trigger=usage(**fields), dry_run=True)).offers
    ]
    del fields["calls"]
    answer = server.decisions.Decide(asking(4, trigger=usage(**fields), explain=True, dry_run=True))
    film = next(candidate for candidate in answer.candidates if candidate.offer == "film_month")
    assert film.reason == reason_pb2.REASON_CONDITION_UNKNOWN


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"request_id": ""}, "request_id"),
        ({"request_id": "é" * 65}, "request_id"),
        ({"subscriber": ""}, "subscriber"),
        ({"subscriber": "not a number"}, "subscriber"),
        ({"subscriber": "1" * 257}, "subscriber"),
        ({"channel": ""}, "channel"),
        ({"channel": "dsk"}, "channel"),
        ({"placement": "usage"}, "placement"),
        ({"placement": ""}, "placement"),
        ({"language": "fr"}, "language"),
        ({"max_offers": 0}, "max_offers"),
        ({"max_offers": 13}, "max_offers"),
        ({"max_offers": 4_294_967_295}, "max_offers"),
        ({"tool": "x" * 129}, "tool"),
        ({"agent": "é" * 65}, "agent"),
        ({"outlet": "x" * 129}, "outlet"),
        ({"assumed_now": Timestamp(seconds=1_900_000_000)}, "assumed_now"),
        ({"assumed_now": Timestamp(seconds=1), "dry_run": True}, "assumed_now"),
        ({"assumed_now": Timestamp(seconds=2**60), "dry_run": True}, "assumed_now"),
        ({"trigger": decision_pb2.TriggerEvent()}, "trigger.type"),
        ({"trigger": decision_pb2.TriggerEvent(type="usag")}, "trigger.type"),
        ({"trigger": decision_pb2.TriggerEvent(type="usage", time=Timestamp(nanos=-1))}, "trigger.time"),
        ({"trigger": decision_pb2.TriggerEvent(type="desk_open", fields={"used_mb": Value(double_value=1)})}, "trigger.fields[used_mb]"),
        ({"trigger": usage(usd_mb=Value(double_value=1))}, "trigger.fields[usd_mb]"),
        ({"trigger": usage(used_mb=Value(string_value="1"))}, "trigger.fields[used_mb]"),
        ({"trigger": usage(used_mb=Value(double_value=float("nan")))}, "trigger.fields[used_mb]"),
        ({"trigger": usage(used_mb=Value(double_value=float("inf")))}, "trigger.fields[used_mb]"),
        ({"trigger": usage(used_mb=Value())}, "trigger.fields[used_mb]"),
        ({"trigger": usage(calls=Value(double_value=1))}, "trigger.fields[calls]"),
        ({"trigger": usage(app=Value(string_value="x" * 1025))}, "trigger.fields[app]"),
        ({"trigger": usage(since=Value(timestamp_value=Timestamp(seconds=2**50)))}, "trigger.fields[since]"),
        ({"trigger": usage(lasted=Value(duration_value=Duration(seconds=1, nanos=-1)))}, "trigger.fields[lasted]"),
    ],
)  # fmt: skip
def test_a_wrong_field_is_named(server: Running, changes: dict[str, Any], field: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        server.decisions.Decide(asking(0, **changes))
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert violations(caught.value) == [field]
    assert field in str(caught.value.details())


def test_a_request_without_an_occasion_is_refused(server: Running) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        server.decisions.Decide(pb.DecideRequest(request_id="x", subscriber=msisdn(0), channel="desk"))
    assert violations(caught.value) == ["trigger"]


def test_a_refusal_of_a_key_does_not_repeat_it(server: Running) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        server.decisions.Decide(asking(0, subscriber="55501999x"))
    assert "55501999" not in str(caught.value.details())


@pytest.mark.parametrize("method", ["Decide", "DecideBatch", "Explain"])
def test_what_is_no_message_is_an_invalid_argument(server: Running, method: str) -> None:
    call: Any = server.channel.unary_unary(f"/touchpoint.v1.DecisionService/{method}")
    with pytest.raises(grpc.RpcError) as caught:
        call(b"\x0a\x7f")
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_text_that_is_not_utf8_is_an_invalid_argument(server: Running) -> None:
    call: Any = server.channel.unary_unary("/touchpoint.v1.DecisionService/Decide")
    with pytest.raises(grpc.RpcError) as caught:
        call(b"\x0a\x01\xff")
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_an_unknown_method_is_unimplemented(server: Running) -> None:
    for path in ("/touchpoint.v1.DecisionService/Guess", "/touchpoint.v2.DecisionService/Decide"):
        call: Any = server.channel.unary_unary(path)
        with pytest.raises(grpc.RpcError) as caught:
            call(b"")
        assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_an_assumed_instant_decides_a_dry_run(server: Running) -> None:
    instant = datetime.datetime(2031, 5, 4, 12, tzinfo=datetime.UTC)
    stamp = Timestamp()
    stamp.FromDatetime(instant)
    answer = server.decisions.Decide(asking(5, dry_run=True, assumed_now=stamp))
    assert answer.decided_at.ToDatetime(datetime.UTC) == instant
