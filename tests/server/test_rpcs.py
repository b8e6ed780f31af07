"""Outcomes, hand-offs, subscribers and the admin's calls over real sockets."""

from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from touchpoint.v1 import admin_service_pb2 as admin
from touchpoint.v1 import decision_pb2, reason_pb2
from touchpoint.v1 import decision_service_pb2 as pb
from touchpoint.v1 import outcome_service_pb2 as outcomes
from touchpoint.v1 import subscriber_service_pb2 as subscribers
from touchpoint.v1.value_pb2 import Value

from tests.server.operator_fixture import CUSTOMERS, Operator, msisdn
from tests.server.running import Running, asking, running, settings_for
from tests.server.sharing import customers_by_owner
from tests.server.test_decisions import violations


def outcome(decision_id: str, name: str, **fields: Any) -> outcomes.Outcome:
    plain: dict[str, Any] = {"rank": 1, "kind": outcomes.OUTCOME_KIND_REFUSED}
    return outcomes.Outcome(outcome_id=name, decision_id=decision_id, **{**plain, **fields})


def record(server: Running, *sent: outcomes.Outcome) -> list[outcomes.OutcomeResult]:
    return list(server.outcomes.RecordOutcomes(outcomes.RecordOutcomesRequest(outcomes=sent)).results)


def offered(server: Running, request: pb.DecideRequest) -> list[str]:
    return [offer.offer for offer in server.decisions.Decide(request).offers]


def test_a_refusal_stops_the_offer_at_the_very_next_decision(server: Running) -> None:
    held = server.decisions.Decide(asking(30))
    (result,) = record(server, outcome(held.decision_id, "refused-30", refusal_reason="too dear"))
    assert (result.outcome_id, result.status) == ("refused-30", outcomes.OUTCOME_STATUS_RECORDED)
    again = server.decisions.Decide(asking(30, explain=True))
    assert held.offers[0].offer not in [offer.offer for offer in again.offers]
    refused = next(candidate for candidate in again.candidates if candidate.offer == held.offers[0].offer)
    assert refused.reason == reason_pb2.REASON_COOL_DOWN_REFUSED
    assert refused.HasField("until")


def test_outcomes_count_once_and_each_by_itself(server: Running) -> None:
    held = server.decisions.Decide(asking(31)).decision_id
    seen = outcome(held, "seen-31", kind=outcomes.OUTCOME_KIND_SEEN, rank=1)
    other = outcome(held, "seen-31", kind=outcomes.OUTCOME_KIND_CLICKED, rank=1)
    late = outcome(held, "odd-31", time=Timestamp(seconds=1))
    sent = [seen, seen, other, outcome(held, "far-31", rank=12), outcome("s0-1-x", "wrong-31"), late]
    wrong = [outcome(held, ""), outcome(held, "r0", rank=0), outcome(held, "k0", kind=0), outcome(held, "k9", kind=99)]
    results = record(server, *sent, *wrong)
    status = outcomes.OutcomeStatus
    assert [result.status for result in results] == [
        status.OUTCOME_STATUS_RECORDED,
        status.OUTCOME_STATUS_DUPLICATE,
        status.OUTCOME_STATUS_CONFLICT,
        status.OUTCOME_STATUS_UNKNOWN_DECISION,
        status.OUTCOME_STATUS_UNKNOWN_DECISION,
        *[status.OUTCOME_STATUS_INVALID] * 5,
    ]
    assert [bool(result.message) for result in results] == [False, False, *[True] * 8]


def test_an_outcome_of_other_times_says_who_made_it(operator: Operator, server: Running) -> None:
    number = customers_by_owner(operator, 2)[1][0]
    with running(settings_for(operator, shard="1/2")) as other:
        held = other.decisions.Decide(asking(number)).decision_id
    assert held.startswith("s1-")
    (result,) = record(server, outcome(held, "elsewhere"))
    assert result.status == outcomes.OUTCOME_STATUS_UNKNOWN_DECISION
    assert "made by shard 1 when" in result.message
    with pytest.raises(grpc.RpcError) as caught:
        server.decisions.CheckHandOff(pb.CheckHandOffRequest(decision_id=held, rank=1))
    assert violations(caught.value) == ["decision_id"]


def test_an_id_of_an_earlier_life_is_unknown(operator: Operator, server: Running) -> None:
    with running(settings_for(operator)) as other:
        held = other.decisions.Decide(asking(32)).decision_id
    server.decisions.Decide(asking(32))
    (result,) = record(server, outcome(held, "earlier"))
    assert result.status == outcomes.OUTCOME_STATUS_UNKNOWN_DECISION


def test_a_request_without_outcomes_or_with_too_many_is_refused(server: Running) -> None:
    for sent, code in (
        ([], grpc.StatusCode.INVALID_ARGUMENT),
        ([outcome("x", "y")] * 4_097, grpc.StatusCode.RESOURCE_EXHAUSTED),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            server.outcomes.RecordOutcomes(outcomes.RecordOutcomesRequest(outcomes=sent))
        assert caught.value.code() == code
        assert violations(caught.value) == ["outcomes"]


def push(server: Running, number: int) -> pb.DecideResponse:
    return server.decisions.Decide(asking(number, channel="sms", trigger=decision_pb2.TriggerEvent(type="usage")))


def test_a_held_push_may_go_out_until_consent_is_refused(server: Running) -> None:
    request = pb.CheckHandOffRequest(decision_id=push(server, 33).decision_id, rank=1)
    yes = server.decisions.CheckHandOff(request)
    assert (yes.hand_off, yes.reason) == (pb.HAND_OFF_YES, reason_pb2.REASON_OFFERED)
    refusal = subscribers.Consent(purpose="service", channel="sms", state=subscribers.CONSENT_STATE_REFUSED)
    server.subscribers.UpdateSubscriber(subscribers.UpdateSubscriberRequest(subscriber=msisdn(33), consents=[refusal]))
    no = server.decisions.CheckHandOff(request)
    assert (no.hand_off, no.reason) == (pb.HAND_OFF_NEVER, reason_pb2.REASON_CONSENT_REFUSED)
    assert push(server, 33).reason == reason_pb2.REASON_CONSENT_REFUSED


def test_a_closed_hold_may_not_go_out(server: Running) -> None:
    held = push(server, 34).decision_id
    record(server, outcome(held, "failed-34", kind=outcomes.OUTCOME_KIND_FAILED))
    answer = server.decisions.CheckHandOff(pb.CheckHandOffRequest(decision_id=held, rank=1))
    assert (answer.hand_off, answer.reason) == (pb.HAND_OFF_NEVER, reason_pb2.REASON_HOLD_ENDED)


def test_a_push_that_was_handed_off_may_not_go_out_again(server: Running) -> None:
    held = push(server, 35).decision_id
    request = pb.CheckHandOffRequest(decision_id=held, rank=1)
    for _ in range(2):
        assert server.decisions.CheckHandOff(request).hand_off == pb.HAND_OFF_YES, "an answer may be lost"
    record(server, outcome(held, "out-35", kind=outcomes.OUTCOME_KIND_HANDED_OFF))
    answer = server.decisions.CheckHandOff(request)
    assert (answer.hand_off, answer.reason) == (pb.HAND_OFF_NEVER, reason_pb2.REASON_HOLD_ENDED)


@pytest.mark.parametrize(
    ("fields", "field"), [({"rank": 0}, "rank"), ({"rank": 13}, "rank"), ({"decision_id": "s0-1"}, "decision_id")]
)
def test_a_wrong_hand_off_names_its_field(server: Running, fields: dict[str, Any], field: str) -> None:
    plain: dict[str, Any] = {"decision_id": "s0-1-2-3", "rank": 1}
    with pytest.raises(grpc.RpcError) as caught:
        server.decisions.CheckHandOff(pb.CheckHandOffRequest(**{**plain, **fields}))
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert violations(caught.value) == [field]


def test_a_subscriber_is_told_as_the_base_has_it(server: Running) -> None:
    found = server.subscribers.GetSubscriber(subscribers.GetSubscriberRequest(subscriber=msisdn(5)))
    assert [label.id for label in found.labels] == ["heavy_data", "vip"]
    assert found.attributes["first_name"].string_value == "🌻 Ann"
    assert found.attributes["tenure_months"].int_value == 5
    assert found.attributes["balance"].double_value == 5.05
    assert found.attributes["score"].double_value == 5 / 7
    assert (found.zone, found.language) == ("America/Chicago", "en")
    assert [(c.purpose, c.channel, c.state) for c in found.consents] == [
        ("service", "sms", subscribers.CONSENT_STATE_GRANTED)
    ]
    assert found.base_version == server.serving.base_version


def test_an_unknown_subscriber_is_not_found(server: Running) -> None:
    for call, request in (
        (server.subscribers.GetSubscriber, subscribers.GetSubscriberRequest(subscriber="+13125559998")),
        (
            server.subscribers.UpdateSubscriber,
            subscribers.UpdateSubscriberRequest(subscriber="+13125559998", zone="America/Chicago"),
        ),
    ):
        unary: Any = call
        with pytest.raises(grpc.RpcError) as caught:
            unary(request)
        assert caught.value.code() == grpc.StatusCode.NOT_FOUND


def test_a_live_change_binds_the_very_next_decision(server: Running) -> None:
    number = 12
    change = subscribers.UpdateSubscriberRequest(
        subscriber=msisdn(number),
        labels=[
            subscribers.LabelChange(id="vip", present=True),
            subscribers.LabelChange(id="heavy_data", present=True),
        ],
        attributes=[
            subscribers.AttributeChange(id="first_name", value=Value(string_value="Ada")),
            subscribers.AttributeChange(id="balance", value=Value(string_value="7.25")),
            subscribers.AttributeChange(id="score"),
        ],
        language="es",
        zone="America/New_York",
    )
    before = offered(server, asking(number, dry_run=True))
    server.subscribers.UpdateSubscriber(change)
    after = server.decisions.Decide(asking(number, dry_run=True))
    assert "film_month" not in before
    assert {offer.offer: offer.content for offer in after.offers}["film_month"] == "Film 7.25"
    assert after.offers[0].content == "Ada: Datos A por 9.90"
    found = server.subscribers.GetSubscriber(subscribers.GetSubscriberRequest(subscriber=msisdn(number)))
    assert [(label.id, label.live) for label in found.labels] == [("heavy_data", True), ("vip", True)]
    assert "score" not in found.attributes
    assert found.zone == "America/New_York"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"labels": [subscribers.LabelChange(id="vp")]}, "labels[0].id"),
        (
            {"labels": [subscribers.LabelChange(id="vip"), subscribers.LabelChange(id="vip", present=True)]},
            "labels[1].id",
        ),
        ({"attributes": [subscribers.AttributeChange(id="x")]}, "attributes[0].id"),
        (
            {"attributes": [subscribers.AttributeChange(id="tenure_months", value=Value(string_value="1"))]},
            "attributes[0].value",
        ),
        ({"attributes": [subscribers.AttributeChange(id="tenure_months", value=Value(int_value=1_201))]}, "attributes"),
        ({"attributes": [subscribers.AttributeChange(id="balance", value=Value(double_value=0.001))]}, "attributes"),
        (
            {"attributes": [subscribers.AttributeChange(id="balance", value=Value(string_value="much"))]},
            "attributes[0].value",
        ),
        (
            {"attributes": [subscribers.AttributeChange(id="score", value=Value(double_value=float("nan")))]},
            "attributes[0].value",
        ),
        (
            {"consents": [subscribers.Consent(purpose="x", state=subscribers.CONSENT_STATE_GRANTED)]},
            "consents[0].purpose",
        ),
        (
            {
                "consents": [
                    subscribers.Consent(purpose="service", channel="x", state=subscribers.CONSENT_STATE_GRANTED)
                ]
            },
            "consents[0].channel",
        ),
        ({"consents": [subscribers.Consent(purpose="service", channel="sms")]}, "consents[0].state"),
        ({"zone": "Mars/Olympus"}, "zone"),
        ({"language": "fr"}, "language"),
        ({"at": Timestamp(seconds=4_000_000_000)}, "at"),
        ({"subscriber": ""}, "subscriber"),
    ],
)
def test_a_wrong_change_names_its_field_and_changes_nothing(
    server: Running, fields: dict[str, Any], field: str
) -> None:
    asked = subscribers.GetSubscriberRequest(subscriber=msisdn(35))
    before = server.subscribers.GetSubscriber(asked)
    plain: dict[str, Any] = {"subscriber": msisdn(35)}
    with pytest.raises(grpc.RpcError) as caught:
        server.subscribers.UpdateSubscriber(subscribers.UpdateSubscriberRequest(**{**plain, **fields}))
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert violations(caught.value) == [field]
    assert server.subscribers.GetSubscriber(asked) == before


def test_a_forgotten_subscriber_gets_nothing_any_more(server: Running) -> None:
    request = asking(36)
    assert offered(server, request)
    server.subscribers.ForgetSubscriber(subscribers.ForgetSubscriberRequest(subscriber=msisdn(36)))
    assert server.decisions.Decide(request).reason == reason_pb2.REASON_SUBSCRIBER_ERASED
    assert server.subscribers.GetSubscriber(subscribers.GetSubscriberRequest(subscriber=msisdn(36))).erased
    with pytest.raises(grpc.RpcError) as caught:
        server.subscribers.UpdateSubscriber(
            subscribers.UpdateSubscriberRequest(subscriber=msisdn(36), zone="America/Chicago")
        )
    assert caught.value.code() == grpc.StatusCode.FAILED_PRECONDITION


def test_status_tells_what_is_served(server: Running) -> None:
    before = server.admin.GetStatus(admin.GetStatusRequest())
    held = server.decisions.Decide(asking(37))
    record(server, outcome(held.decision_id, "status-37"))
    after = server.admin.GetStatus(admin.GetStatusRequest())
    assert (after.catalogue, after.subscriber_count) == ("test_operator", CUSTOMERS)
    assert (after.campaign_count, after.offer_count, after.candidate_count) == (5, 5, 6)
    assert after.decision_count == before.decision_count + 1
    assert after.offer_made_count == before.offer_made_count + len(held.offers)
    assert after.outcome_count == before.outcome_count + 1
    assert after.memory_bytes > 10_000_000
    assert after.uptime_ms > 0
    assert after.clock_confirmed
    assert after.ledger["contacts"] > 0
    assert after.last_reload_error == ""


def test_an_untrusted_clock_stops_push_until_it_is_confirmed(operator: Operator) -> None:
    with running(settings_for(operator)) as server:
        held = push(server, 40).decision_id
        server.server.decisions.clock._offset_us += 10_000_000  # as if the wall clock had gone 10 s back
        assert push(server, 41).reason == reason_pb2.REASON_CLOCK_UNCONFIRMED
        assert offered(server, asking(41))
        assert not server.admin.GetStatus(admin.GetStatusRequest()).clock_confirmed
        check = server.decisions.CheckHandOff(pb.CheckHandOffRequest(decision_id=held, rank=1))
        assert (check.hand_off, check.reason) == (pb.HAND_OFF_NOT_BEFORE, reason_pb2.REASON_CLOCK_UNCONFIRMED)
        assert server.admin.ConfirmClock(admin.ConfirmClockRequest()).was_unconfirmed
        assert push(server, 42).reason == reason_pb2.REASON_OFFERED
        status = server.admin.GetStatus(admin.GetStatusRequest())
        assert status.clock_confirmed
        assert -10_100 < status.clock_jump_ms < -9_900
